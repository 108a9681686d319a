package sqltext

// kindOf decides by the first token alone where that is enough, which is nearly always.
func kindOf(s scanner, first token) Kind {
	if k := firstWord(&s, first); k != undecided {
		return k
	}
	return classify(s, first).Kind
}

// undecided marks a first word after which more must be read.
const undecided = None

// firstWord returns the kind of a statement that its first token decides.
func firstWord(s *scanner, first token) Kind {
	if s.isSymbol(first, '(') {
		return Select
	}
	var buf [longestFirstWord]byte
	return kindOfWord(lower(buf[:], s.sql[first.start:first.end]))
}

const longestFirstWord = 16

func kindOfWord(w []byte) Kind {
	switch string(w) {
	case "select", "values", "table", "explain":
		return Select
	case "show":
		return Show
	case "insert", "update", "delete", "merge":
		return Write
	case "with":
		return With
	case "copy":
		return Copy
	case "create", "alter", "drop", "truncate", "grant", "revoke", "comment", "security", "import", "reassign", "refresh", "reindex", "cluster":
		return DDL
	case "call":
		return Call
	case "do":
		return Do
	case "fetch", "move":
		return Fetch
	case "lock":
		return Lock
	case "begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "set", "reset", "prepare", "execute",
		"deallocate", "discard", "declare", "close", "listen", "unlisten", "notify":
		return undecided
	}
	return Other
}

// classify reads the statement that begins with first, as far as it must.
func classify(s scanner, first token) Statement {
	k := firstWord(&s, first)
	if k != undecided && !s.isWord(first, "create") {
		return Statement{Kind: k, Start: first.start}
	}
	p := parser{scanner: s}
	p.advance()
	st, ok := p.statement(first)
	if !ok {
		st = Statement{Kind: Other}
	}
	st.Start = first.start
	return st
}
