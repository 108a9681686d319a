package sqltext

import "strings"

// Settings returns the settings that sql changes by calls of set_config whose first and third arguments are constants, each
// as if it was a SET or SET LOCAL. Others cannot be known from the text.
func Settings(sql string) []Statement { return Lexer{}.Settings(sql) }

// Settings is [Settings] with the lexer's settings.
func (l Lexer) Settings(sql string) (found []Statement) {
	if !strings.Contains(strings.ToLower(sql), "set_config") {
		return nil
	}
	p := parser{scanner: scanner{sql: sql, backslash: l.BackslashQuotes}}
	for p.advance(); p.tok.class != eof; {
		if !p.words("set_config") {
			p.advance()
			continue
		}
		ahead := p // what the arguments call is to be found, too
		if st, ok := ahead.setConfig(); ok {
			found = append(found, st)
		}
	}
	return found
}

// setConfig reads what follows the name.
func (p *parser) setConfig() (st Statement, ok bool) {
	if !p.symbol('(') {
		return st, false
	}
	st.Name, ok = p.stringConstant()
	st.Name = strings.Clone(fold(st.Name)) // few call it, and they may keep it
	if !ok || !p.argument() || !p.symbol(',') {
		return st, false
	}
	switch {
	case p.words("true"):
		st.Kind, st.Local = SetLocal, true
	case p.words("false"):
		st.Kind = Set
	}
	return st, st.Kind != None && p.symbol(')')
}

// argument reads a comma and an expression.
func (p *parser) argument() bool {
	ok := p.symbol(',')
	for depth := 0; ok && (depth > 0 || !p.isSymbol(p.tok, ',')); p.advance() {
		switch {
		case p.isSymbol(p.tok, '('), p.isSymbol(p.tok, '['):
			depth++
		case p.isSymbol(p.tok, ')'), p.isSymbol(p.tok, ']'):
			depth--
		}
		ok = depth >= 0 && p.tok.class != eof
	}
	return ok
}
