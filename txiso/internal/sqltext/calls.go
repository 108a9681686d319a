package sqltext

import "strings"

// OnlyReads reports that a statement whose kind is [Select] certainly changes nothing: it calls no function but well-known
// ones of PostgreSQL that do not write, [Creates] nothing, and has no INSERT, UPDATE, DELETE or MERGE between parentheses, as a WITH
// there may have. It decides by words, those in front of parentheses above all, so a false answer means "perhaps not", for
// instance for a statement with comments, unless they are ahead of it, where generated code has its names.
func OnlyReads(sql string) bool {
	ahead := scanner{sql: sql}
	ahead.skipSpace()
	if sql = sql[ahead.pos:]; Creates(sql) {
		return false
	}
	for i := strings.IndexByte(sql, '('); i >= 0; {
		if !harmlessBefore(sql[:i]) || isIn(writing, firstOf(sql[i+1:])) {
			return false
		}
		next := strings.IndexByte(sql[i+1:], '(')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return !hasComments(sql)
}

// Creates reports that a statement whose kind is [Select] or [With] may create a table of its rows, or execute what it explains:
// it has the word INTO, but not behind INSERT or MERGE, or ANALYZE. A true answer means "perhaps".
func Creates(sql string) bool {
	intoing := false // the word before is the INSERT or MERGE that a statement begins with, by the look of it
	comments := hasComments(sql)
	plain := plainStrings(sql)
	for at := 0; ; {
		start, end := nextWord(sql, at)
		if opens := strings.IndexByte(sql[at:start], '\''); plain && opens >= 0 {
			at += opens + 1
			closes := strings.IndexByte(sql[at:], '\'')
			if closes < 0 {
				return true
			}
			at += closes + 1
			continue
		}
		if start == len(sql) {
			return false
		}
		word := sql[start:end]
		switch {
		case len(word) == len("into") && strings.EqualFold(word, "into"):
			if !intoing {
				return true
			}
		case len(word) == len("analyze") && (strings.EqualFold(word, "analyze") || strings.EqualFold(word, "analyse")):
			return true
		}
		intoing, at = isIn(inserting, word) && (comments || beginsAt(sql[:start])), end
	}
}

// inserting are the words that statements begin with which have an INTO behind them that creates nothing, explaining those ahead of them.
var (
	inserting  = map[string]bool{"insert": true, "merge": true}
	explaining = map[string]bool{"explain": true, "verbose": true}
)

// beginsAt reports that a statement may begin behind sql: else the word there is a name.
func beginsAt(sql string) bool {
	sql = strings.TrimRight(sql, space)
	if sql == "" || sql[len(sql)-1] == '(' || sql[len(sql)-1] == ')' {
		return true
	}
	return isIn(explaining, sql[lastWord(sql):])
}

func hasComments(sql string) bool { return strings.Contains(sql, "--") || strings.Contains(sql, "/*") }

// SaysNow reports that a statement may have a literal that is read as a time when the statement is prepared: 'now' and its like (manual
// 8.5.1.4). It decides by words; a call of now() is none.
func SaysNow(sql string) bool {
	if !strings.ContainsAny(sql, "'$") {
		return false
	}
	plain := plainStrings(sql)
	pieces := strings.Split(sql, "'")
	for i, text := range pieces {
		if plain && i%2 == 0 {
			continue // between two literals
		}
		for at := 0; at < len(text); at++ {
			start := at
			for at < len(text) && isLetter(text[at]) {
				at++
			}
			if start > 0 && start < at && text[start-1] == '\\' {
				start++ // of an escape
			}
			if isIn(moments, text[start:at]) && (plain || !isCalled(text[at:], i == len(pieces)-1)) {
				return true
			}
		}
	}
	return false
}

// isCalled reports that what is ahead of behind is the name of a function that is called: if that was all of a literal, it would be a time.
func isCalled(behind string, last bool) bool {
	arguments, called := strings.CutPrefix(strings.TrimLeft(behind, space), "(")
	after, empty := strings.CutPrefix(strings.TrimLeft(arguments, space), ")")
	return called && (last || !empty || strings.TrimLeft(after, space) != "")
}

var moments = map[string]bool{"now": true, "today": true, "tomorrow": true, "yesterday": true}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// plainStrings reports that an apostrophe in sql certainly begins or ends a string, and nothing else does.
func plainStrings(sql string) bool {
	if strings.ContainsAny(sql, "\\\"") || hasComments(sql) {
		return false
	}
	for rest := sql; ; {
		_, behind, found := strings.Cut(rest, "$")
		if !found {
			return true
		}
		if behind == "" || behind[0] < '0' || '9' < behind[0] {
			return false // of a string between dollars
		}
		rest = behind
	}
}

// nextWord finds the first word of sql that begins at from or behind it, be it in a string, a name or a comment.
func nextWord(sql string, from int) (start, end int) {
	for start = from; start < len(sql) && !isWordByte(sql[start]); start++ {
	}
	for end = start; end < len(sql) && isWordByte(sql[end]); end++ {
	}
	return start, end
}

// lastWord finds where the word begins that sql ends with: its end if there is none.
func lastWord(sql string) int {
	start := len(sql)
	for start > 0 && isWordByte(sql[start-1]) {
		start--
	}
	return start
}

// firstOf is the word that sql begins with, or else empty.
func firstOf(sql string) string {
	sql = strings.TrimLeft(sql, space)
	if start, end := nextWord(sql, 0); start == 0 {
		return sql[:end]
	}
	return ""
}

const space = " \t\n\r\f\v"

// harmlessBefore reports that the parenthesis behind sql is no call of an unknown function.
func harmlessBefore(sql string) bool {
	sql = strings.TrimRight(sql, space)
	start := lastWord(sql)
	if start > 0 && (sql[start-1] == '.' || sql[start-1] == '"') {
		return false // a qualified or quoted name
	}
	return isIn(harmless, sql[start:])
}

// isIn looks a word up, however it is written, without memory of its own.
func isIn(set map[string]bool, word string) bool {
	var lower [24]byte
	if len(word) > len(lower) {
		return false
	}
	for i := range len(word) {
		c := word[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return set[string(lower[:len(word)])]
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// harmless are words that may stand in front of a parenthesis: nothing (an operator or another parenthesis), keywords,
// types, and functions that are stable or immutable.
var harmless = words(`
	all and any array as between by case cast distinct else end except exists filter from full group having ilike in inner
	intersect is join left like limit not null offset on or order outer over partition right row select some then union using
	values when where with within
	bit char character decimal float interval numeric precision time timestamp timestamptz varchar varying zone
	abs age array_agg array_length array_position array_to_string avg bool_and bool_or btrim cardinality ceil ceiling
	char_length clock_timestamp coalesce concat concat_ws count cume_dist current_setting date date_part date_trunc dense_rank
	every exp extract first_value floor format generate_series greatest initcap json_agg json_build_array json_build_object
	jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
	jsonb_each jsonb_each_text jsonb_object_agg jsonb_object_keys jsonb_typeof lag last_value lead least left length ln log
	lower lpad ltrim make_date make_interval max md5 min mod nth_value ntile now nullif overlay percent_rank percentile_cont
	percentile_disc position power quote_ident quote_literal random rank regexp_match regexp_matches regexp_replace
	regexp_split_to_array repeat replace reverse right round row_number row_to_json rpad rtrim sign split_part sqrt
	starts_with string_agg string_to_array strpos substr substring sum to_char to_date to_json to_jsonb to_number
	to_timestamp to_tsquery to_tsvector translate trim trunc unnest upper variance width_bucket
	pg_backend_pid pg_sleep txid_current version`)

// writing are the words that statements begin with which change rows.
var writing = map[string]bool{"insert": true, "update": true, "delete": true, "merge": true}

func words(list string) map[string]bool {
	m := map[string]bool{"": true}
	for word := range strings.FieldsSeq(list) {
		m[word] = true
	}
	return m
}
