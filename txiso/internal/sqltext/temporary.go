package sqltext

// OnCommit is what the end of a transaction does to a temporary table.
type OnCommit uint8

const (
	NotTemporary OnCommit = iota // the statement creates no temporary table
	PreserveRows                 // nothing
	DeleteRows                   // ON COMMIT DELETE ROWS
	DropTable                    // ON COMMIT DROP
)

// create reads what follows CREATE, if that is a temporary table, view or sequence: its name, and what a commit does to a table.
func (p *parser) create() Statement {
	st := Statement{Kind: DDL}
	p.words("or", "replace")
	p.oneOf("global", "local")
	temporary := p.oneOf("temp", "temporary")
	p.words("recursive")
	table := p.words("table")
	if !table && !p.oneOf("view", "sequence") {
		return st
	}
	ifNotExists := p.words("if", "not", "exists")
	name, ok := p.name()
	if ok && p.symbol('.') {
		temporary = temporary || name == "pg_temp"
		name, ok = p.name()
	}
	if ok && temporary {
		st.Name, st.Temporary, st.IfNotExists = name, true, ifNotExists
	}
	if st.Temporary && table {
		st.OnCommit = p.onCommit()
	}
	return st
}

// onCommit looks for ON COMMIT outside parentheses, ahead of the AS of CREATE TABLE AS.
func (p *parser) onCommit() OnCommit {
	for depth := 0; p.tok.class != eof; p.advance() {
		switch {
		case p.isSymbol(p.tok, '('):
			depth++
		case p.isSymbol(p.tok, ')'):
			depth--
		case depth > 0:
		case p.words("on", "commit", "drop"):
			return DropTable
		case p.words("on", "commit", "delete", "rows"):
			return DeleteRows
		case p.isWord(p.tok, "as"), p.isSymbol(p.tok, ';'):
			return PreserveRows
		}
	}
	return PreserveRows
}
