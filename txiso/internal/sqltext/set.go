package sqltext

// set reads what follows SET. Its keywords are allowed as parameter names too: SET local = 1.
func (p *parser) set() (Statement, bool) {
	if p.keyword("constraints") {
		return Statement{Kind: SetConstraints, All: p.words("all")}, !p.atEnd()
	}
	local := p.keyword("local")
	if !local {
		p.sessionScope()
	}
	st, ok := p.setRest()
	st.Local = local
	if local && st.Kind == Set {
		st.Kind = SetLocal
	}
	return st, ok
}

// sessionScope reads the SESSION of SET SESSION name, not that of SET SESSION CHARACTERISTICS or SET SESSION AUTHORIZATION.
func (p *parser) sessionScope() {
	ahead := *p
	if ahead.keyword("session") && !ahead.words("authorization") && !ahead.words("characteristics", "as") {
		*p = ahead
	}
}

func (p *parser) setRest() (Statement, bool) {
	switch {
	case p.keyword("transaction"):
		return p.setTransaction()
	case p.words("session", "characteristics", "as", "transaction"):
		m, n, ok := p.modes()
		return Statement{Kind: SetSessionCharacteristics, Mode: m}, ok && n > 0
	case p.words("session", "authorization"):
		return p.setParameter("session_authorization")
	case p.words("time", "zone"):
		ahead := *p
		st, ok := p.setParameter("timezone")
		st.Default = st.Default || ahead.words("local")
		return st, ok
	case p.keyword("names"):
		return Statement{Kind: Set, Name: "client_encoding"}, true
	case p.keyword("schema"):
		return p.setParameter("search_path")
	case p.keyword("role"):
		return p.setParameter("role")
	case p.words("xml", "option"):
		return p.setParameter("xmloption")
	}
	return p.setNamed()
}

func (p *parser) setTransaction() (Statement, bool) {
	if p.words("snapshot") {
		return p.gid(SetTransaction)
	}
	m, n, ok := p.modes()
	return Statement{Kind: SetTransaction, Mode: m}, ok && n > 0
}

// setParameter leaves the value to the server, but wants one.
func (p *parser) setParameter(name string) (Statement, bool) {
	ahead := *p
	if !ahead.words("to") {
		ahead.symbol('=')
	}
	return Statement{Kind: Set, Name: name, Default: ahead.words("default")}, !p.atEnd()
}

func (p *parser) setNamed() (Statement, bool) {
	name, ok := p.parameter()
	st, valued := p.setParameter(name)
	return st, ok && valued
}

// keyword reads w unless it is the name of a parameter here.
func (p *parser) keyword(w string) bool {
	ahead := *p
	if !ahead.words(w) || ahead.afterParameter() {
		return false
	}
	*p = ahead
	return true
}

// afterParameter reports whether the token before can only have been the name of a parameter.
func (p *parser) afterParameter() bool {
	return p.isSymbol(p.tok, '=') || p.isSymbol(p.tok, '.') || p.isWord(p.tok, "to") || p.isWord(p.tok, "from")
}

// parameter reads a name with dots, in lower case: the server compares parameter names so.
func (p *parser) parameter() (string, bool) {
	name, ok := p.name()
	for ok && p.symbol('.') {
		var part string
		part, ok = p.name()
		name += "." + part
	}
	return fold(name), ok
}

func (p *parser) reset() (Statement, bool) {
	switch {
	case p.words("all"):
		return Statement{Kind: Set, Default: true, All: true}, p.atEnd()
	case p.words("time", "zone"):
		return Statement{Kind: Set, Default: true, Name: "timezone"}, p.atEnd()
	case p.words("session", "authorization"):
		return Statement{Kind: Set, Default: true, Name: "session_authorization"}, p.atEnd()
	case p.words("transaction", "isolation", "level"):
		return Statement{Kind: Set, Default: true, Name: "transaction_isolation"}, p.atEnd()
	}
	name, ok := p.parameter()
	return Statement{Kind: Set, Default: true, Name: name}, ok && p.atEnd()
}
