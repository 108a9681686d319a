package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// statement is a prepared statement as one virtual connection sees it.
type statement struct {
	*meaning
	backend *backendStatement
}

// backendStatement is a prepared statement on the server. The virtual connections share them, and they outlive the
// tests: a statement that is known is not parsed and described again.
type backendStatement struct {
	*meaning
	name     string
	key      string // query and parameter types
	prepared bool   // the server knows it
	describe []byte // the answer to Describe, once known
	lasting  bool   // it means the same as long as the schema is the same, so that others may use it
}

// statementCache knows what is prepared on the server.
type statementCache struct {
	byKey map[string]*backendStatement // what may be used for a new Parse
	names map[string]*backendStatement // every name the server knows
	due   []*backendStatement          // they are to be closed
	made  int
}

// maxStatements bounds what a session keeps prepared beyond a test.
const maxStatements = 1000

func (k *statementCache) init() { k.forget() }

// forget is called when the server has forgotten all prepared statements, or will have.
func (k *statementCache) forget() {
	k.doubt()
	*k = statementCache{byKey: make(map[string]*backendStatement), names: make(map[string]*backendStatement), made: k.made}
}

// doubt is called when the server may have forgotten any of the statements. The names stay taken until they are prepared anew.
func (k *statementCache) doubt() {
	for _, b := range k.names {
		b.prepared = false
	}
	k.invalidate()
}

// invalidate is called when the schema has changed: descriptions may be wrong, so that statements must be parsed anew.
// Those that are in use keep what they have, as on a connection of their own: the server tells when that is stale.
func (k *statementCache) invalidate() { clear(k.byKey) }

// passing calls f for the statements that must not be kept beyond a test: utility statements with rows, such as FETCH,
// mean something else or crash the server when what they were prepared for is gone.
func (k *statementCache) passing(f func(name string)) {
	for name, b := range k.names {
		if !b.lasting {
			f(name)
			delete(k.names, name)
			b.prepared = false
		}
	}
}

// own reports that a statement is of use to nobody but its connection, and has its name on the server.
func (k *statementCache) own(b *backendStatement) bool { return !b.lasting && k.names[b.name] == b }

// freeName returns the name that a statement is to have on the server: the client's own if it is free.
func (k *statementCache) freeName(want string) string {
	for name := want; ; k.made++ {
		if _, taken := k.names[name]; !taken {
			return name
		}
		name = fmt.Sprintf("%.40s_txiso%d", want, k.made)
	}
}

func (s *Session) parse(c *conn, m message) {
	name, rest, ok := bytes.Cut(m.body(), []byte{0})
	if !ok {
		s.forward(c, m, step{kind: 'P'}) // malformed: let the server say so
		return
	}
	if len(name) > 0 {
		s.parseNamed(c, string(name), rest)
		return
	}
	s.parseUnnamed(c, rest)
}

// parseUnnamed prepares c's unnamed statement. It has a name on the server, where another connection's would take its place: in a
// failed transaction it could not be prepared again.
func (s *Session) parseUnnamed(c *conn, rest []byte) {
	s.ready(c)
	s.bind()
	s.noteParse(c, text(rest))
	b := &backendStatement{meaning: meaningOf(text(rest)), name: s.names.unnamedOf(c), key: string(rest), prepared: true}
	if c.parsed {
		had := s.statements.names[b.name]
		if had != nil {
			had.prepared = false
		}
		s.wbuf = appendNamed(s.wbuf, 'C', 'S', b.name)
		s.push(step{kind: 'C', drop: true, conn: c, was: c.unnamed, backend: had})
	}
	c.parsed = true
	s.statements.names[b.name] = b
	s.sendParse(c, b.name, rest, step{kind: 'P', conn: c, was: c.unnamed, backend: b})
	c.unnamed = b.statement()
}

// noteParse notes that the server reads a statement of c.
func (s *Session) noteParse(c *conn, sql string) {
	if s.modes(c).queried {
		return
	}
	kind, _ := sqltext.Simple(sql)
	s.noteSnapshot(c, queriesWhenParsed(kind))
}

func (c *conn) remember(name string, stmt *statement) {
	if c.statements == nil {
		c.statements = make(map[string]*statement)
	}
	c.statements[name] = stmt
}

func (s *Session) parseNamed(c *conn, name string, rest []byte) {
	s.noteParse(c, text(rest))
	if had := c.statements[name]; had != nil {
		s.parseTaken(c, name, rest, had.backend)
		return
	}
	named := namedByQuery(name)
	b := s.statements.byKey[string(rest)]
	if b != nil && named && b.prepared && !s.prepared && s.status(c) != 'E' {
		c.remember(name, b.statement())
		s.emitBytes(c, []byte{'1', 0, 0, 0, 4})
		if s.ex.bound {
			answer := s.steps.last()
			answer.conn, answer.name, answer.backend = c, name, b
		}
		return
	}
	kind, _ := sqltext.Simple(text(rest))
	b = &backendStatement{
		meaning: meaningOf(text(rest)), name: s.statements.freeName(name), key: string(rest), prepared: true, lasting: named && lasts(kind, text(rest)),
	}
	s.statements.names[b.name] = b
	c.remember(name, b.statement())
	s.sendParse(c, b.name, rest, step{kind: 'P', conn: c, name: name, backend: b})
}

// parseTaken lets the server refuse a Parse, in its own words: it knows c's statement, or comes to know it again.
func (s *Session) parseTaken(c *conn, name string, rest []byte, b *backendStatement) {
	s.ensure(c, b)
	s.sendParse(c, b.name, rest, step{kind: 'P'}.as([]byte(name), b.name))
}

// namedByQuery reports that pgx has made the name from the query. Such a name means the same for everybody; others are the
// client's own, as are those of SQL's PREPARE, and are free again for the next test.
func namedByQuery(name string) bool {
	digest, cached := strings.CutPrefix(name, "stmtcache_")
	if !cached {
		digest, _ = strings.CutPrefix(name, "stmt_")
	}
	return len(digest) == digestLength && len(name) > digestLength && strings.Trim(digest, "0123456789abcdef") == ""
}

// digestLength is that of the hexadecimal digest in a name that pgx has made.
const digestLength = 48

// lasts reports that a statement means the same as long as the schema is the same. Words like 'now' are read as a time when the
// statement is prepared (manual 8.5.1.4).
func lasts(k sqltext.Kind, sql string) bool {
	if k != sqltext.Select && k != sqltext.Show && k != sqltext.With && k != sqltext.Write {
		return false
	}
	return !sqltext.SaysNow(sql)
}

func (b *backendStatement) statement() *statement {
	return &statement{meaning: b.meaning, backend: b}
}

// sendParse sends a Parse message with another name. rest is the message behind the name.
func (s *Session) sendParse(c *conn, name string, rest []byte, st step) {
	s.ready(c)
	s.bind()
	s.wbuf = appendParse(s.wbuf, name, rest)
	s.push(st)
}

func appendParse(b []byte, name string, rest []byte) []byte {
	b = append(b, 'P')
	b = binary.BigEndian.AppendUint32(b, uint32(4+len(name)+1+len(rest)))
	b = append(append(b, name...), 0)
	return append(b, rest...)
}

// parsed is called when the server has accepted the Parse of a step.
func (s *Session) parsed(st step) {
	if st.conn != nil && st.backend != nil && st.backend.lasting && len(s.statements.byKey) < maxStatements {
		s.statements.byKey[st.backend.key] = st.backend
	}
}

// notParsed is called when the server has refused the Parse of a step (failed), or skipped it behind an error.
func (s *Session) notParsed(st step, failed bool) {
	switch {
	case st.backend != nil:
		st.backend.prepared = false
		if st.conn == nil && !failed {
			return // the server may know the name as before; its connection tries again
		}
		if s.statements.names[st.backend.name] == st.backend {
			delete(s.statements.names, st.backend.name)
		}
		if st.conn == nil {
			return
		}
		switch stmt := st.conn.statements[st.name]; {
		case st.name == "" && failed:
			st.conn.unnamed = nil // as on the server
		case st.name == "":
			st.conn.unnamed = st.was
		case stmt != nil && stmt.backend == st.backend:
			delete(st.conn.statements, st.name)
		}
	case st.drop && st.name != "": // one of the session's own, behind an error
		s.names.prepared = s.names.prepared && (st.name == s.names.restore || st.name == s.names.others)
		s.deferred.changed = true
	}
}

// notClosed is called when the server has skipped the Close of a step behind an error.
func (s *Session) notClosed(st step) {
	if st.name == "" {
		st.conn.unnamed = st.was
		if st.backend != nil {
			st.backend.prepared = true
			s.statements.names[st.backend.name] = st.backend
		}
		return
	}
	st.conn.remember(st.name, st.was)
	if b := st.was.backend; b.prepared && !b.lasting {
		s.statements.names[b.name] = b
	}
}

// ensure makes the server know a statement again that it has forgotten, for instance through DEALLOCATE ALL. It may have become
// wrong since: the client is told what is wrong with it, as by a server that looks at it again.
func (s *Session) ensure(c *conn, b *backendStatement) {
	if b.prepared {
		return
	}
	if other := s.statements.names[b.name]; other != nil && other != b { // prepared since, by another connection
		b.name = s.statements.freeName(b.name)
	}
	b.prepared = true
	s.statements.names[b.name] = b
	s.ready(c)
	s.bind()
	s.closeOnServer('S', b.name)
	s.wbuf = appendParse(s.wbuf, b.name, []byte(b.key))
	s.push(step{kind: 'P', drop: true, tell: true, backend: b})
}

// leaveStatements is called when c is closed: what nobody else can use is closed with it.
func (c *conn) leaveStatements() {
	k := &c.s.statements
	for _, stmt := range c.statements {
		if b := stmt.backend; k.own(b) {
			k.due = append(k.due, b)
		}
	}
	if b := k.names[c.s.names.unnamedOf(c)]; b != nil {
		k.due = append(k.due, b)
	}
}

// closeStatements closes on the server what closed connections have left.
func (s *Session) closeStatements() {
	k := &s.statements
	for _, b := range k.due {
		if k.names[b.name] != b {
			continue // the name is another's by now
		}
		s.closeOnServer('S', b.name)
		delete(k.names, b.name)
		b.prepared = false
	}
	k.due = k.due[:0]
}

// lookup returns c's statement of that name, or nil.
func (c *conn) lookup(name []byte) *statement {
	if len(name) == 0 {
		return c.unnamed
	}
	return c.statements[string(name)]
}

// boundStatement returns the statement that a Bind message is about, or nil.
func (c *conn) boundStatement(m message) *statement {
	return c.lookup(boundName(m))
}

// boundName is the name of the statement that a Bind is of.
func boundName(m message) []byte {
	_, rest, _ := bytes.Cut(m.body(), []byte{0})
	name, _, _ := bytes.Cut(rest, []byte{0})
	return name
}

// parsedName is the name of the statement that a Parse prepares.
func parsedName(m message) []byte {
	name, _, _ := bytes.Cut(m.body(), []byte{0})
	return name
}

// query is the text of a statement, and possibly more.
func (st *statement) query() string { return st.backend.key }

func missing(name []byte) string {
	if len(name) == 0 {
		return "unnamed prepared statement does not exist"
	}
	return fmt.Sprintf("prepared statement %q does not exist", name)
}

func (s *Session) describe(c *conn, m message) {
	body := m.body()
	if len(body) < 2 {
		s.forward(c, m, step{kind: 'D'})
		return
	}
	name := bytes.TrimSuffix(body[1:], []byte{0})
	if body[0] == 'P' {
		p, err := s.lookupPortal(c, name)
		if err != nil {
			s.emitNoPortal(c, name, err)
			return
		}
		if p != nil && mayControl(p.stmt.st.Kind) { // the server may know nothing of it
			s.emit(c, &pgproto3.NoData{})
			return
		}
		s.forwardPortal(c, m, name, p)
		return
	}
	stmt := c.lookup(name)
	switch {
	case stmt == nil && (len(name) == 0 || s.statements.names[string(name)] != nil):
		s.emitError(c, pgError("26000", missing(name)))
	case stmt == nil:
		s.forward(c, m, step{kind: 'D'})
	default:
		s.describeKnown(c, name, stmt.backend)
	}
}

func (s *Session) describeKnown(c *conn, name []byte, b *backendStatement) {
	current := b.lasting && s.statements.byKey[b.key] == b
	if current && b.describe != nil && s.status(c) != 'E' {
		s.emitBytes(c, b.describe)
		return
	}
	s.ensure(c, b)
	s.ready(c)
	s.bind()
	s.wbuf = appendNamed(s.wbuf, 'D', 'S', b.name)
	s.push(step{kind: 'D', backend: b}.as(name, b.name))
}

func (s *Session) closeMessage(c *conn, m message) {
	body := m.body()
	if len(body) < 2 {
		s.forward(c, m, step{kind: 'C'})
		return
	}
	name := bytes.TrimSuffix(body[1:], []byte{0})
	if body[0] == 'P' {
		s.closePortal(c, m, name)
		return
	}
	had := c.lookup(name)
	st := step{kind: 'C', conn: c, name: string(name), was: had}
	switch {
	case len(name) == 0:
		c.unnamed = nil
		s.emitClosed(c, st)
	case had != nil && s.statements.own(had.backend):
		delete(c.statements, string(name))
		s.closeOwn(c, had.backend, st)
	case had != nil, s.statements.names[string(name)] != nil:
		delete(c.statements, string(name)) // the server keeps it for the next who wants it
		s.emitClosed(c, st)
	default:
		s.forward(c, m, step{kind: 'C'})
	}
}

// closeOwn closes a statement of c's own on the server. st is the step that takes it back if an error turns out to be ahead of it.
func (s *Session) closeOwn(c *conn, b *backendStatement, st step) {
	delete(s.statements.names, b.name)
	s.ready(c)
	s.bind()
	s.wbuf = appendNamed(s.wbuf, 'C', 'S', b.name)
	s.push(st)
}

// deallocates reports that a statement of c deallocates one that c has prepared by the extended protocol.
func (s *Session) deallocates(c *conn, st sqltext.Statement) bool {
	return st.Kind == sqltext.Deallocate && !st.All && c.statements[st.Name] != nil && s.status(c) != 'E'
}

// deallocate answers a DEALLOCATE in the place of the server, which knows the statement by another name, or keeps it for the next
// who wants it.
func (s *Session) deallocate(c *conn, name string) {
	had := c.statements[name]
	b := had.backend
	delete(c.statements, name)
	switch {
	case !s.ex.open && !b.lasting:
		s.statements.due = append(s.statements.due, b)
	case !s.ex.open:
	case s.statements.own(b): // what follows in the pipeline must not find it
		s.closeOwn(c, b, step{kind: 'C', drop: true, conn: c, name: strings.Clone(name), was: had})
	case s.ex.bound: // an error may turn out to be ahead of it
		s.push(step{conn: c, name: strings.Clone(name), was: had})
	}
	s.emitComplete(c, "DEALLOCATE")
}

// emitClosed answers a Close in the place of the server. st takes it back if an error turns out to be ahead of it.
func (s *Session) emitClosed(c *conn, st step) {
	closed := []byte{'3', 0, 0, 0, 4}
	if !s.ex.bound {
		c.in = append(c.in, closed...)
		return
	}
	st.kind, st.inject = 0, closed
	s.push(st)
}
