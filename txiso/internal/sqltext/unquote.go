package sqltext

import "strings"

// unquote returns the value of a string or name quoted with q: doubled quotes become one, continuations are joined and, if asked for, backslash
// escapes replaced. It reports false when the closing quote is missing or an escape is invalid. A plain one is returned without allocating.
func unquote(raw string, q byte, escapes bool) (string, bool) {
	if body := raw[1:]; !escapes && strings.IndexByte(body, q) == len(body)-1 && body != "" {
		return body[:len(body)-1], true
	}
	var b strings.Builder
	for s := (scanner{sql: raw, pos: 1}); s.pos < len(raw); {
		switch c := raw[s.pos]; {
		case c == q && s.at(1, q):
			b.WriteByte(q)
			s.pos += 2
		case c == q:
			s.pos++
			if s.pos == len(raw) {
				return b.String(), true
			}
			if !s.continues() {
				return "", false
			}
		case c == '\\' && escapes:
			if !s.backslashEscape(&b) {
				return "", false
			}
		default:
			b.WriteByte(c)
			s.pos++
		}
	}
	return "", false
}

// undollar returns what stands between the two tags of a dollar-quoted string.
func undollar(raw string) (string, bool) {
	n := strings.IndexByte(raw[1:], '$') + 2
	if len(raw) < 2*n || raw[len(raw)-n:] != raw[:n] {
		return "", false
	}
	return raw[n : len(raw)-n], true
}
