package session

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// Statement is one that a test has sent, made ready to be told.
type Statement struct {
	Conn   int           // of those that are told, from 1
	SQL    string        // as it was sent
	Args   []string      // as SQL has them, shortened
	Took   time.Duration // from when its turn came to the server's last word, or to now if there is none yet
	Result string        // a number of rows, a command tag, or an error
	Failed bool
}

// Statements returns the last statements of the lease, oldest first. Whatever may be a password is left out. Call it between
// Start and End.
func (s *Session) Statements() []Statement { return s.told(0) }

// Statements returns the last statements since the level began.
func (n *Nested) Statements() []Statement { return n.s.told(n.statements) }

// told returns the statements that are kept and were sent behind the first n.
func (s *Session) told(n int) []Statement {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, conns := &s.journal, map[uint32]int{}
	t := newTeller(s)
	var told []Statement
	for number := max(n, j.n-j.keep) + 1; number <= j.n; number++ {
		e := j.at(number)
		if e == nil || e.hidden {
			continue
		}
		if conns[e.conn] == 0 {
			conns[e.conn] = len(conns) + 1
		}
		st := t.tell(e)
		st.Conn = conns[e.conn]
		told = append(told, st)
	}
	return told
}

// Troubled reports that End will have something to tell that makes the test fail.
func (s *Session) Troubled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil || len(s.lost) > 0 || s.tx.foreignWrites > 0
}

// Troubled is [Session.Troubled] for a level.
func (n *Nested) Troubled() bool { return n.s.Troubled() }

// teller puts entries of a journal into words.
type teller struct {
	types    *pgtype.Map
	epoch    time.Time // what entries' times count from
	password string    // of the server
}

func newTeller(s *Session) *teller {
	return &teller{types: pgtype.NewMap(), epoch: s.journal.epoch, password: s.virtual.Password}
}

func (t *teller) tell(e *entry) Statement {
	sql := e.text()
	st := Statement{SQL: sql, Took: e.took, Result: e.result(), Failed: e.failed}
	if e.cut && e.kind != 'B' {
		st.SQL += "…"
	}
	if e.kind == 'B' {
		st.Args = t.args(e)
	}
	if e.running() {
		st.Took = time.Since(t.epoch) - e.sent
	}
	if secret.MatchString(sql) {
		st.hide(e)
	}
	if t.password != "" {
		st.SQL, st.Result = t.censor(st.SQL), t.censor(st.Result)
		for i := range st.Args {
			st.Args[i] = t.censor(st.Args[i])
		}
	}
	return st
}

// censor leaves out the server's password, wherever it comes from.
func (t *teller) censor(text string) string { return strings.ReplaceAll(text, t.password, "…") }

// secret finds statements that deal with passwords, as their text or their arguments.
var secret = regexp.MustCompile(`(?i)passw|passphrase|pwd|secret`)

// literals are SQL's strings, in all spellings: '…', E'…' and the like, $tag$…$tag$.
var literals = regexp.MustCompile(`(?s)'(?:[^'\\]|''|\\.)*'?|\$\w*\$.*`)

// hide leaves out whatever may be a secret. An error may repeat it.
func (st *Statement) hide(e *entry) {
	st.SQL = literals.ReplaceAllString(st.SQL, "'…'")
	for i := range st.Args {
		st.Args[i] = "…"
	}
	if e.failed {
		st.Result = "error " + errorField(e.answer, 'C')
	}
}

func (e *entry) text() string {
	switch e.kind {
	case 'B':
		return text([]byte(e.sql))
	case 'F':
		return "(a function call of the protocol)"
	}
	return string(e.copied)
}

// running reports that the server has said nothing yet.
func (e *entry) running() bool { return !e.failed && !e.answered && len(e.answer) == 0 }

// result is what the server has answered.
func (e *entry) result() string {
	switch {
	case e.failed:
		told := fmt.Sprintf("%s (SQLSTATE %s)", errorField(e.answer, 'M'), errorField(e.answer, 'C'))
		if hint := errorField(e.answer, 'H'); hint != "" { // pgx's Error() leaves it out
			told += "; hint: " + hint
		}
		return told
	case e.running():
		return "no answer yet"
	case len(e.answer) == 0 && e.gone, len(e.answer) == 0 && e.kind != 'B':
		return "no answer"
	case len(e.answer) == 0:
		return "not executed, because of the error before it"
	}
	return rows(string(e.answer))
}

// rows puts a command tag into words where it has a number of rows.
func rows(tag string) string {
	words := strings.Fields(tag)
	n := words[len(words)-1]
	switch {
	case strings.Trim(n, "0123456789") != "":
		return tag
	case n == "1":
		return "1 row"
	}
	return n + " rows"
}

const (
	maxToldArg   = 64  // characters
	maxToldBytes = 24  // of binary values that nobody can read
	maxToldArgs  = 100 // of one statement
)

// args are the arguments of a Bind message. Its rest consists of the formats of the parameters, one for each or one for all
// or none, their values, each behind its length, and the formats of the results (manual 55.7).
func (t *teller) args(e *entry) (told []string) {
	r := reader{e.copied}
	formats := r.int16s()
	n := r.int16()
	for i := range n {
		if i == maxToldArgs {
			return append(told, "…")
		}
		size, ok := r.int32()
		if !ok {
			return append(told, "…") // not copied
		}
		if size < 0 {
			told = append(told, "NULL")
			continue
		}
		value := r.bytes(size)
		told = append(told, t.arg(value, format(formats, i), oid(e.types, i), size-len(value)))
	}
	return told
}

func format(formats []int16, i int) int16 {
	switch {
	case len(formats) == 1:
		return formats[0]
	case i < len(formats):
		return formats[i]
	}
	return pgtype.TextFormatCode
}

// oid is the type of a parameter by the body of a ParameterDescription.
func oid(types []byte, i int) uint32 {
	if at := 2 + 4*i; at+4 <= len(types) {
		return binary.BigEndian.Uint32(types[at:])
	}
	return 0
}

// arg puts a value into words: as SQL would have it, or in hexadecimal. missing bytes of it have not been copied.
func (t *teller) arg(value []byte, format int16, oid uint32, missing int) string {
	if format == pgtype.TextFormatCode {
		return quote(string(value), missing)
	}
	if missing == 0 {
		if text, ok := t.decode(value, oid); ok {
			return text
		}
	}
	if oid == pgtype.TextOID || oid == pgtype.VarcharOID {
		return quote(string(value), missing)
	}
	shown := value[:min(len(value), maxToldBytes)]
	return `'\x` + hex.EncodeToString(shown) + "'" + more(len(value)-len(shown)+missing)
}

// decode reads a value in its type's binary format and returns it as SQL has it.
func (t *teller) decode(value []byte, oid uint32) (string, bool) {
	typ, ok := t.types.TypeForOID(oid)
	if !ok || oid == pgtype.ByteaOID {
		return "", false
	}
	v, err := typ.Codec.DecodeValue(t.types, oid, pgtype.BinaryFormatCode, value)
	if err != nil {
		return "", false
	}
	text, err := t.types.Encode(oid, pgtype.TextFormatCode, v, nil)
	if err != nil || text == nil {
		return "", false
	}
	switch oid {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID, pgtype.OIDOID:
		return string(text), true
	case pgtype.BoolOID:
		return fmt.Sprint(v), true
	}
	return quote(string(text), 0), true
}

// quote makes a text an SQL literal on one line, shortened.
func quote(value string, missing int) string {
	short := value
	if utf8.RuneCountInString(value) > maxToldArg {
		short = string([]rune(value)[:maxToldArg])
	}
	return "'" + strings.ReplaceAll(printable(short), "'", "''") + "'" + more(len(value)-len(short)+missing)
}

// printable replaces what a log cannot show.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return utf8.RuneError
	}, text)
}

func more(bytes int) string {
	if bytes == 0 {
		return ""
	}
	return fmt.Sprintf("… (%d more bytes)", bytes)
}

// reader reads the parts of a message of which the end may be missing.
type reader struct{ b []byte }

func (r *reader) bytes(n int) []byte {
	b := r.b[:min(n, len(r.b))]
	r.b = r.b[len(b):]
	return b
}

func (r *reader) int16() int {
	if b := r.bytes(2); len(b) == 2 {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int16s() []int16 {
	values := make([]int16, r.int16())
	for i := range values {
		values[i] = int16(r.int16())
	}
	return values
}

func (r *reader) int32() (int, bool) {
	b := r.bytes(4)
	if len(b) < 4 {
		return 0, false
	}
	return int(int32(binary.BigEndian.Uint32(b))), true
}
