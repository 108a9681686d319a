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
		if !p.called("set_config") {
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

// called reads the name of a function, in quotation marks or not.
func (p *parser) called(function string) bool {
	ahead := *p
	if name, ok := ahead.name(); !ok || name != function {
		return false
	}
	*p = ahead
	return true
}

// cast reads what may follow a constant.
func (p *parser) cast() {
	for p.symbol(':') {
		ahead := *p
		if ahead.symbol(':') {
			_, _ = ahead.parameter()
			*p = ahead
		}
	}
}

// setConfig reads what follows the name.
func (p *parser) setConfig() (st Statement, ok bool) {
	if !p.symbol('(') {
		return st, false
	}
	st.Name, ok = p.stringConstant()
	st.Name = strings.Clone(fold(st.Name)) // few call it, and they may keep it
	p.cast()
	if !ok || !p.argument() || !p.symbol(',') {
		return st, false
	}
	switch local := p.boolean(); local {
	case "true", "t", "yes", "y", "on", "1":
		st.Kind, st.Local = SetLocal, true
	case "false", "f", "no", "n", "off", "0":
		st.Kind = Set
	}
	p.cast()
	return st, st.Kind != None && p.symbol(')')
}

// boolean reads a constant, as it is written.
func (p *parser) boolean() (value string) {
	if value, ok := p.stringConstant(); ok {
		return fold(strings.TrimSpace(value))
	}
	for _, value := range [...]string{"true", "false"} {
		if p.words(value) {
			return value
		}
	}
	return ""
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
