package sqltext

import "strings"

// nextStatement skips what is empty and returns the first token of the next statement.
func (s *scanner) nextStatement() token {
	for {
		if t := s.next(); !s.isSymbol(t, ';') {
			return t
		}
	}
}

// skipStatement moves to the ';' that ends the statement that began with first, or to the end, and returns where its last token ends.
//
// A ';' does not end it inside parentheses (CREATE RULE ... DO (a; b)) or inside the body of a routine (BEGIN ATOMIC a; b; END). psql counts
// CASE and END to find the end of a body; that is not needed, for the END that closes it stands where a statement would begin, and no other does.
func (s *scanner) skipStatement(first token) (end int) {
	b := block{routine: s.createsRoutine(first)}
	for t := first; t.class != eof; t = s.next() {
		if s.isSymbol(t, ';') && b.outside() {
			s.pos = t.start
			break
		}
		b.step(s, t)
		end = t.end
	}
	return end
}

// block says where in a statement we are.
type block struct {
	parens  int
	bodies  int  // BEGIN ATOMIC without its END; nested ones parse, although the server then refuses them
	routine bool // the statement we are in, or the body's statement we are in, is CREATE FUNCTION or PROCEDURE
	start   bool // a statement of a body would begin here
	begin   bool // the token before is BEGIN
}

func (b *block) outside() bool { return b.parens == 0 && b.bodies == 0 }

func (b *block) step(s *scanner, t token) {
	switch t.class {
	case symbol:
		b.symbol(s.sql[t.start])
	case word:
		b.word(s, t)
	default:
		b.start, b.begin = false, false
	}
}

func (b *block) symbol(c byte) {
	b.start, b.begin = false, false
	switch {
	case c == '(':
		b.parens++
	case c == ')' && b.parens > 0:
		b.parens--
	case c == ';' && b.parens == 0:
		b.start, b.routine = true, false
	}
}

func (b *block) word(s *scanner, t token) {
	start, begin := b.start, b.begin
	b.start, b.begin = false, false
	switch {
	case start && s.isWord(t, "end"):
		b.bodies--
	case start:
		b.routine = s.createsRoutine(t)
	case !b.routine || b.parens > 0:
	case begin && s.isWord(t, "atomic"):
		b.bodies++
		b.start, b.routine = true, false
	default:
		b.begin = s.isWord(t, "begin")
	}
}

// createsRoutine reports whether the statement that begins with first is CREATE [OR REPLACE] FUNCTION or PROCEDURE.
func (s *scanner) createsRoutine(first token) bool {
	if !s.isWord(first, "create") {
		return false
	}
	ahead := *s
	t := ahead.next()
	if s.isWord(t, "or") && s.isWord(ahead.next(), "replace") {
		t = ahead.next()
	}
	return s.isWord(t, "function") || s.isWord(t, "procedure")
}

func (s *scanner) isSymbol(t token, c byte) bool { return t.class == symbol && s.sql[t.start] == c }

// isWord reports whether t is the keyword w, which must be in lower case.
func (s *scanner) isWord(t token, w string) bool {
	return t.class == word && equalFold(s.sql[t.start:t.end], w)
}

// onlyTrailingSemicolons reports whether rest certainly holds no second statement: nothing but whitespace and ';' follows its first ';'.
func onlyTrailingSemicolons(rest string) bool {
	n := strings.IndexByte(rest, ';')
	if n < 0 {
		return true
	}
	for i := n; i < len(rest); i++ {
		if rest[i] != ';' && !isSpace(rest[i]) {
			return false
		}
	}
	return true
}
