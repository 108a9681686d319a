package sqltext

import "strings"

// class is what a token is, as coarse as the grammar here allows.
type class uint8

const (
	eof    class = iota
	word         // keyword or unquoted identifier
	quoted       // "..." or U&"..."
	text         // '...', E'...', U&'...' or $tag$...$tag$, with its continuations
	bits         // B'...', X'...' or N'...'
	number       // digits, or $1
	symbol       // any other byte
)

// token is a piece of the string. Comments and whitespace are between tokens.
type token struct {
	class      class
	start, end int
}

// scanner reads tokens. It is a small value: a copy looks ahead.
type scanner struct {
	sql       string
	pos       int
	backslash bool // '...' has backslash escapes
}

func (s *scanner) next() token {
	s.skipSpace()
	start := s.pos
	c := s.skipToken()
	return token{class: c, start: start, end: s.pos}
}

func (s *scanner) skipToken() class {
	if s.pos >= len(s.sql) {
		return eof
	}
	switch c := s.sql[s.pos]; {
	case c == '\'':
		s.pos++
		return s.skipString(s.backslash)
	case c == '"':
		s.pos++
		return s.skipQuoted()
	case c == '$':
		return s.skipDollar()
	case isDigit(c):
		return s.skipDigits()
	case isIdentStart(c):
		return s.skipWord()
	}
	s.pos++
	return symbol
}

// skipWord skips an identifier, or a string that a letter introduces. Longest match wins: the letter must be the whole word.
func (s *scanner) skipWord() class {
	switch s.sql[s.pos] {
	case 'e', 'E':
		if s.at(1, '\'') {
			s.pos += 2
			return s.skipString(true)
		}
	case 'b', 'B', 'x', 'X':
		if s.at(1, '\'') {
			s.pos += 2
			s.skipString(false)
			return bits
		}
	case 'n', 'N':
		if s.at(1, '\'') {
			s.pos += 2
			s.skipString(s.backslash)
			return bits
		}
	case 'u', 'U':
		if s.at(1, '&') && s.at(2, '\'') {
			s.pos += 3
			return s.skipString(false)
		}
		if s.at(1, '&') && s.at(2, '"') {
			s.pos += 3
			return s.skipQuoted()
		}
	}
	for s.pos++; s.pos < len(s.sql) && isIdentPart(s.sql[s.pos]); s.pos++ {
	}
	return word
}

// at reports whether the byte at offset n from here is c.
func (s *scanner) at(n int, c byte) bool { return s.pos+n < len(s.sql) && s.sql[s.pos+n] == c }

// skipString skips the rest of a string after its opening quote, with its continuations on further lines, which have the same escapes.
func (s *scanner) skipString(escapes bool) class {
	for s.skipToQuote(escapes) {
		s.pos++
		if s.at(0, '\'') {
			s.pos++
			continue
		}
		if !s.continues() {
			return text
		}
	}
	return text
}

// skipToQuote moves to the next unescaped quote; without one, to the end.
func (s *scanner) skipToQuote(escapes bool) bool {
	for {
		n := strings.IndexByte(s.sql[s.pos:], '\'')
		if n < 0 {
			s.pos = len(s.sql)
			return false
		}
		if !escapes {
			s.pos += n
			return true
		}
		b := strings.IndexByte(s.sql[s.pos:s.pos+n], '\\')
		if b < 0 {
			s.pos += n
			return true
		}
		s.pos = min(s.pos+b+2, len(s.sql))
	}
}

// continues moves past the opening quote of a continuation, which needs a line break (and maybe line comments) between the two strings.
func (s *scanner) continues() bool {
	ahead, lines := *s, false
	for ahead.pos < len(ahead.sql) {
		switch c := ahead.sql[ahead.pos]; {
		case c == '\'' && lines:
			s.pos = ahead.pos + 1
			return true
		case isSpace(c):
			lines = lines || c == '\n' || c == '\r'
			ahead.pos++
		case c == '-' && ahead.at(1, '-'):
			ahead.skipLine()
		default:
			return false
		}
	}
	return false
}

func (s *scanner) skipQuoted() class {
	for {
		n := strings.IndexByte(s.sql[s.pos:], '"')
		if n < 0 {
			s.pos = len(s.sql)
			return quoted
		}
		s.pos += n + 1
		if !s.at(0, '"') {
			return quoted
		}
		s.pos++
	}
}

// skipDollar skips $tag$...$tag$, $1, or a lone dollar sign.
func (s *scanner) skipDollar() class {
	tag := s.dollarTag()
	if tag == "" {
		s.pos++
		if s.pos < len(s.sql) && isDigit(s.sql[s.pos]) {
			return s.skipDigits()
		}
		return symbol
	}
	s.pos += len(tag)
	if n := strings.Index(s.sql[s.pos:], tag); n >= 0 {
		s.pos += n + len(tag)
	} else {
		s.pos = len(s.sql)
	}
	return text
}

// dollarTag returns the $tag$ that starts here, or "".
func (s *scanner) dollarTag() string {
	i := s.pos + 1
	if i < len(s.sql) && isIdentStart(s.sql[i]) {
		for i++; i < len(s.sql) && s.sql[i] != '$' && isIdentPart(s.sql[i]); i++ {
		}
	}
	if i < len(s.sql) && s.sql[i] == '$' {
		return s.sql[s.pos : i+1]
	}
	return ""
}

func (s *scanner) skipDigits() class {
	for s.pos < len(s.sql) && isDigit(s.sql[s.pos]) {
		s.pos++
	}
	return number
}

// skipSpace skips whitespace and comments. A comment starts at -- or /* wherever it stands outside quotes, even within an operator.
func (s *scanner) skipSpace() {
	for s.pos < len(s.sql) {
		switch c := s.sql[s.pos]; {
		case isSpace(c):
			s.pos++
		case c == '-' && s.at(1, '-'):
			s.skipLine()
		case c == '/' && s.at(1, '*'):
			s.skipBlock()
		default:
			return
		}
	}
}

// skipLine skips to the line break that ends a -- comment.
func (s *scanner) skipLine() {
	for s.pos < len(s.sql) && s.sql[s.pos] != '\n' && s.sql[s.pos] != '\r' {
		s.pos++
	}
}

// skipBlock skips a /* comment */, which may hold others.
func (s *scanner) skipBlock() {
	for depth := 0; s.pos < len(s.sql); {
		switch {
		case s.at(0, '/') && s.at(1, '*'):
			depth++
			s.pos += 2
		case s.at(0, '*') && s.at(1, '/'):
			s.pos += 2
			if depth--; depth == 0 {
				return
			}
		default:
			s.pos++
		}
	}
}

// isSpace includes \v, which is whitespace since PostgreSQL 17 and a syntax error before.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isIdentStart(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80 }

func isIdentPart(c byte) bool { return isIdentStart(c) || isDigit(c) || c == '$' }
