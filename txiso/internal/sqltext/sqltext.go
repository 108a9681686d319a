// Package sqltext finds the statements in a string of SQL and says what kind each is, exactly where transaction control is concerned.
//
// It follows the lexical rules of PostgreSQL 14 to 18 (PostgreSQL manual 4.1, src/backend/parser/scan.l) and, for the statements that
// begin, end or configure a transaction, the grammar (src/backend/parser/gram.y). Everything else is known by its first words only.
//
// All functions are pure: no I/O, no state, safe for concurrent use. They never fail: what the server would reject is Other, so that it is
// sent on as it is and the server's own error reaches the caller. Strings are assumed to be UTF-8, as pgx sends them.
package sqltext

// Statement is one top-level statement of a string.
type Statement struct {
	// Kind is what the statement does. Transaction control has its kind only when the whole statement fits the grammar.
	Kind Kind

	// Start and End are byte offsets into the string: from the first token to the end of the last one, so without the ';' and without
	// surrounding whitespace and comments.
	Start, End int

	// Chain is true for COMMIT or ROLLBACK with AND CHAIN.
	Chain bool

	// Local is true when SET LOCAL was written, whatever follows it.
	Local bool

	// All is true for DEALLOCATE ALL, DISCARD ALL, RESET ALL, CLOSE ALL, UNLISTEN * and SET CONSTRAINTS ALL.
	All bool

	// Hold is true for DECLARE ... CURSOR WITH HOLD.
	Hold bool

	// Default is true for Set when the parameter gets its default: RESET, or SET ... TO DEFAULT.
	Default bool

	// Temporary is true for the CREATE of a temporary table, view or sequence, IfNotExists for one with IF NOT EXISTS.
	Temporary, IfNotExists bool

	// OnCommit is set for the CREATE TABLE of a temporary table.
	OnCommit OnCommit

	// Mode holds the transaction modes of Begin, SetTransaction and SetSessionCharacteristics.
	Mode Mode

	// Name is what the statement names, as the server would understand it: unquoted names in lower case, quoted ones without their quotes,
	// both cut at 63 bytes. It is the savepoint of Savepoint, Release and RollbackTo; the statement of Prepare, Execute and Deallocate; the
	// cursor of Declare and Close; the channel of Listen, Unlisten and Notify; the parameter of Set, in lower case and with its real name
	// (SET TIME ZONE is "timezone"); the object of Discard ("all", "plans", "sequences", "temp"); the global transaction id of
	// PrepareTransaction, CommitPrepared and RollbackPrepared; the snapshot of SET TRANSACTION SNAPSHOT; a temporary table, view or sequence that is created. It may share memory with the string.
	Name string
}

// Text returns the statement's text in the string it was found in.
func (s Statement) Text(sql string) string { return sql[s.Start:s.End] }

// Lexer splits and classifies SQL. Its zero value is right for every server with default settings.
type Lexer struct {
	// BackslashQuotes is to be set when the server reports standard_conforming_strings = off: a backslash then escapes in '...' as in E'...'.
	BackslashQuotes bool
}

// Statements is [Lexer.Statements] with default settings.
func Statements(dst []Statement, sql string) []Statement { return Lexer{}.Statements(dst, sql) }

// Simple is [Lexer.Simple] with default settings.
func Simple(sql string) (Kind, bool) { return Lexer{}.Simple(sql) }

// Statements appends every top-level statement of sql to dst, in order, without the empty ones. What is unterminated (a string, a comment, a
// parenthesis) runs to the end of sql. It allocates only to grow dst and for names that need unquoting or lower-casing.
func (l Lexer) Statements(dst []Statement, sql string) []Statement {
	s := scanner{sql: sql, backslash: l.BackslashQuotes}
	for {
		first := s.nextStatement()
		if first.class == eof {
			return dst
		}
		dst = append(dst, classify(s, first))
		dst[len(dst)-1].End = s.skipStatement(first)
	}
}

// Simple returns the kind of the first statement of sql, [None] when there is none, and whether there is no second one. It does not allocate
// and, when sql has no ';' except at its end, reads no further than it takes to know the kind.
func (l Lexer) Simple(sql string) (kind Kind, single bool) {
	s := scanner{sql: sql, backslash: l.BackslashQuotes}
	first := s.nextStatement()
	if first.class == eof {
		return None, true
	}
	kind = kindOf(s, first)
	if onlyTrailingSemicolons(sql[s.pos:]) {
		return kind, true
	}
	s.skipStatement(first)
	return kind, s.nextStatement().class == eof
}
