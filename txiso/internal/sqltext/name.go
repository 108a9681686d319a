package sqltext

import (
	"strings"
	"unicode/utf8"
)

// maxName is the length in bytes at which the server cuts names (NAMEDATALEN - 1).
const maxName = 63

// name reads an identifier that is not reserved and returns it as the server understands it.
func (p *parser) name() (string, bool) {
	t := p.tok
	raw := p.sql[t.start:t.end]
	switch t.class {
	case word:
		p.advance()
		folded := fold(raw)
		return clip(folded), !reserved(folded)
	case quoted:
		p.advance()
		return p.quotedName(raw)
	}
	return "", false
}

// quotedName unquotes "..." or U&"..." with its optional UESCAPE.
func (p *parser) quotedName(raw string) (string, bool) {
	unicode := raw[0] != '"'
	body, ok := unquote(raw[strings.IndexByte(raw, '"'):], '"', false)
	if unicode && ok {
		body, ok = p.unicodeEscapes(body)
	}
	return clip(body), ok && body != ""
}

// stringConstant reads a string and returns its value.
func (p *parser) stringConstant() (string, bool) {
	if p.tok.class != text {
		return "", false
	}
	raw := p.sql[p.tok.start:p.tok.end]
	p.advance()
	switch raw[0] {
	case '$':
		return undollar(raw)
	case 'e', 'E':
		return unquote(raw[1:], '\'', true)
	case 'u', 'U':
		body, ok := unquote(raw[2:], '\'', false)
		if !ok {
			return "", false
		}
		return p.unicodeEscapes(body)
	}
	return unquote(raw, '\'', p.backslash)
}

// fold lower-cases ASCII letters. It allocates only when there is something to change.
func fold(s string) string {
	for i := range len(s) {
		if lowerByte(s[i]) != s[i] {
			return string(lower(make([]byte, len(s)), s))
		}
	}
	return s
}

// clip cuts a name where the server does, never within a UTF-8 character.
func clip(s string) string {
	if len(s) <= maxName {
		return s
	}
	n := maxName
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
