package sqltext

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// backslashEscape replaces the escape of an E'...' string that starts here (PostgreSQL manual 4.1.2.2).
func (s *scanner) backslashEscape(b *strings.Builder) bool {
	s.pos++
	if s.pos >= len(s.sql) {
		return false
	}
	c := s.sql[s.pos]
	switch {
	case c >= '0' && c <= '7':
		b.WriteByte(byte(s.digits(3, 8)))
		return true
	case c == 'x' && s.pos+1 < len(s.sql) && isHex(s.sql[s.pos+1]):
		s.pos++
		b.WriteByte(byte(s.digits(2, 16)))
		return true
	case c == 'u':
		s.pos++
		return s.codePoint(b, '\\', 4, "u")
	case c == 'U':
		s.pos++
		return s.codePoint(b, '\\', 8, "u")
	}
	s.pos++
	b.WriteByte(control(c))
	return true
}

func control(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// digits reads up to n digits of the given base.
func (s *scanner) digits(n, base int) uint64 {
	end := s.pos
	for end < len(s.sql) && end < s.pos+n && (base == 16 && isHex(s.sql[end]) || s.sql[end] >= '0' && s.sql[end] <= '7') {
		end++
	}
	v, _ := strconv.ParseUint(s.sql[s.pos:end], base, 64)
	s.pos = end
	return v
}

// codePoint reads a code point of exactly n hexadecimal digits. A first surrogate takes the second with it: esc, prefix and four digits.
func (s *scanner) codePoint(b *strings.Builder, esc byte, n int, prefix string) bool {
	r, ok := s.hex(n)
	if ok && utf16.IsSurrogate(r) {
		ok = s.at(0, esc) && strings.HasPrefix(s.sql[s.pos+1:], prefix)
		if ok {
			s.pos += 1 + len(prefix)
			var low rune
			low, ok = s.hex(4)
			r = utf16.DecodeRune(r, low)
			ok = ok && r != utf8.RuneError
		}
	}
	if !ok || r == 0 || !utf8.ValidRune(r) {
		return false
	}
	b.WriteRune(r)
	return true
}

func (s *scanner) hex(n int) (rune, bool) {
	if s.pos+n > len(s.sql) {
		return 0, false
	}
	v, err := strconv.ParseUint(s.sql[s.pos:s.pos+n], 16, 32)
	s.pos += n
	return rune(v), err == nil && v <= utf8.MaxRune
}

// unicodeEscapes replaces the escapes of a U&"..." or U&'...', whose escape character a following UESCAPE may change.
func (p *parser) unicodeEscapes(body string) (string, bool) {
	esc := byte('\\')
	if p.words("uescape") {
		c, ok := p.escapeCharacter()
		if !ok {
			return "", false
		}
		esc = c
	}
	var b strings.Builder
	for s := (scanner{sql: body}); s.pos < len(body); {
		if !s.unicodeEscape(&b, esc) {
			return "", false
		}
	}
	return b.String(), true
}

func (p *parser) escapeCharacter() (byte, bool) {
	raw := p.sql[p.tok.start:p.tok.end]
	if p.tok.class != text || len(raw) != 3 || raw[0] != '\'' {
		return 0, false
	}
	p.advance()
	c := raw[1]
	return c, !isHex(c) && !isSpace(c) && c != '+' && c != '\'' && c != '"'
}

func (s *scanner) unicodeEscape(b *strings.Builder, esc byte) bool {
	switch {
	case !s.at(0, esc):
		b.WriteByte(s.sql[s.pos])
		s.pos++
		return true
	case s.at(1, esc):
		b.WriteByte(esc)
		s.pos += 2
		return true
	case s.at(1, '+'):
		s.pos += 2
		return s.codePoint(b, esc, 6, "")
	}
	s.pos++
	return s.codePoint(b, esc, 4, "")
}

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
