package sqltext

// parser reads a statement by the grammar. Each method that reads something consumes it only if it is there.
type parser struct {
	scanner
	tok token // the next token
}

func (p *parser) advance() { p.tok = p.next() }

func (p *parser) atEnd() bool { return p.tok.class == eof || p.isSymbol(p.tok, ';') }

func (p *parser) symbol(c byte) bool {
	if !p.isSymbol(p.tok, c) {
		return false
	}
	p.advance()
	return true
}

// words reads the given keywords in a row, all or none.
func (p *parser) words(ws ...string) bool {
	ahead := *p
	for _, w := range ws {
		if !ahead.isWord(ahead.tok, w) {
			return false
		}
		ahead.advance()
	}
	*p = ahead
	return true
}

// oneOf reads one of the given keywords.
func (p *parser) oneOf(ws ...string) bool {
	for _, w := range ws {
		if p.words(w) {
			return true
		}
	}
	return false
}

// statement reads what follows the first word. It reports false when that does not fit the grammar.
func (p *parser) statement(first token) (Statement, bool) {
	is := func(w string) bool { return p.isWord(first, w) }
	switch {
	case is("begin"):
		return p.begin()
	case is("start"):
		return p.start()
	case is("commit"):
		return p.commit()
	case is("end"):
		return p.finish(Commit)
	case is("rollback"):
		return p.rollback()
	case is("abort"):
		return p.finish(Rollback)
	case is("savepoint"):
		return p.named(Savepoint)
	case is("release"):
		return p.savepoint(Release)
	case is("set"):
		return p.set()
	case is("reset"):
		return p.reset()
	case is("prepare"):
		return p.prepare()
	case is("execute"):
		return p.open(Execute)
	case is("deallocate"):
		return p.deallocate()
	case is("discard"):
		return p.discard()
	case is("declare"):
		return p.declare()
	case is("create"):
		return p.create(), true
	case is("close"):
		return p.allOrNamed(Close)
	case is("listen"):
		return p.named(Listen)
	case is("unlisten"):
		return p.unlisten()
	}
	return p.open(Notify)
}

func (p *parser) begin() (Statement, bool) {
	p.oneOf("work", "transaction")
	return p.beginModes()
}

func (p *parser) start() (Statement, bool) {
	if !p.words("transaction") {
		return Statement{}, false
	}
	return p.beginModes()
}

func (p *parser) beginModes() (Statement, bool) {
	m, _, ok := p.modes()
	return Statement{Kind: Begin, Mode: m}, ok
}

func (p *parser) commit() (Statement, bool) {
	if p.words("prepared") {
		return p.gid(CommitPrepared)
	}
	return p.finish(Commit)
}

func (p *parser) rollback() (Statement, bool) {
	if p.words("prepared") {
		return p.gid(RollbackPrepared)
	}
	ahead := *p
	ahead.oneOf("work", "transaction")
	if ahead.words("to") {
		return ahead.savepoint(RollbackTo)
	}
	return p.finish(Rollback)
}

// finish reads [WORK | TRANSACTION] [AND [NO] CHAIN].
func (p *parser) finish(k Kind) (Statement, bool) {
	p.oneOf("work", "transaction")
	chain := p.words("and", "chain")
	if !chain {
		p.words("and", "no", "chain")
	}
	return Statement{Kind: k, Chain: chain}, p.atEnd()
}

// savepoint reads [SAVEPOINT] name, where the name itself may be savepoint.
func (p *parser) savepoint(k Kind) (Statement, bool) {
	ahead := *p
	if ahead.words("savepoint") && !ahead.atEnd() {
		*p = ahead
	}
	return p.named(k)
}

// named reads a name and the end.
func (p *parser) named(k Kind) (Statement, bool) {
	st, ok := p.open(k)
	return st, ok && p.atEnd()
}

// open reads a name and leaves the rest to the server.
func (p *parser) open(k Kind) (Statement, bool) {
	name, ok := p.name()
	return Statement{Kind: k, Name: name}, ok
}

func (p *parser) allOrNamed(k Kind) (Statement, bool) {
	if p.words("all") {
		return Statement{Kind: k, All: true}, p.atEnd()
	}
	return p.named(k)
}

// gid reads a string constant and the end.
func (p *parser) gid(k Kind) (Statement, bool) {
	id, ok := p.stringConstant()
	return Statement{Kind: k, Name: id}, ok && p.atEnd()
}

func (p *parser) prepare() (Statement, bool) {
	ahead := *p
	if ahead.words("transaction") && ahead.tok.class == text {
		return ahead.gid(PrepareTransaction)
	}
	return p.open(Prepare)
}

func (p *parser) deallocate() (Statement, bool) {
	ahead := *p
	if ahead.words("prepare") && !ahead.atEnd() {
		*p = ahead
	}
	return p.allOrNamed(Deallocate)
}

func (p *parser) discard() (Statement, bool) {
	st := Statement{Kind: Discard}
	switch {
	case p.words("all"):
		st.Name, st.All = "all", true
	case p.words("plans"):
		st.Name = "plans"
	case p.words("sequences"):
		st.Name = "sequences"
	case p.oneOf("temp", "temporary"):
		st.Name = "temp"
	default:
		return st, false
	}
	return st, p.atEnd()
}

func (p *parser) declare() (Statement, bool) {
	st, ok := p.open(Declare)
	for p.words("no", "scroll") || p.oneOf("scroll", "binary", "asensitive", "insensitive") {
	}
	ok = ok && p.words("cursor")
	st.Hold = p.words("with", "hold")
	return st, ok
}

func (p *parser) unlisten() (Statement, bool) {
	if p.symbol('*') {
		return Statement{Kind: Unlisten, All: true}, p.atEnd()
	}
	return p.named(Unlisten)
}
