package sqltext

// equalFold reports whether s is the lower-case ASCII word w, in any case. Only ASCII letters fold, as on the server.
func equalFold(s, w string) bool {
	if len(s) != len(w) {
		return false
	}
	for i := range len(s) {
		if lowerByte(s[i]) != w[i] {
			return false
		}
	}
	return true
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// lower writes w in lower case into buf and returns it; nothing when it does not fit, for then it is no keyword.
func lower(buf []byte, w string) []byte {
	if len(w) > len(buf) {
		return nil
	}
	for i := range len(w) {
		buf[i] = lowerByte(w[i])
	}
	return buf[:len(w)]
}

// reserved reports whether the lower-case word w cannot be a name unless quoted: what pg_get_keywords() calls "reserved" and "reserved (can be
// function or type name)" in PostgreSQL 14 to 18. Left out is system_user, reserved since 16: better to claim a statement that a newer server
// rejects than to overlook one that an older server runs.
func reserved(w string) bool {
	switch w {
	case "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "binary", "both", "case", "cast",
		"check", "collate", "collation", "column", "concurrently", "constraint", "create", "cross", "current_catalog", "current_date",
		"current_role", "current_schema", "current_time", "current_timestamp", "current_user", "default", "deferrable", "desc",
		"distinct", "do", "else", "end", "except", "false", "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group",
		"having", "ilike", "in", "initially", "inner", "intersect", "into", "is", "isnull", "join", "lateral", "leading", "left", "like",
		"limit", "localtime", "localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only", "or", "order", "outer",
		"overlaps", "placing", "primary", "references", "returning", "right", "select", "session_user", "similar", "some", "symmetric",
		"table", "tablesample", "then", "to", "trailing", "true", "union", "unique", "user", "using", "variadic",
		"verbose", "when", "where", "window", "with":
		return true
	}
	return false
}
