package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// statement is a prepared statement as one virtual connection sees it.
type statement struct {
	backend *backendStatement // nil for transaction control, which never reaches the server
	control sqltext.Statement
	text    string // of control
	parse   []byte // the Parse message of an unnamed statement
	types   []byte // the body of its ParameterDescription, once known
	writes  bool
	set     bool                // SET CONSTRAINTS
	state   []sqltext.Statement // what it does to the state of the session
	alone   bool
}

// backendStatement is a prepared statement on the server. The virtual connections share them, and they outlive the
// tests: a statement that is known is not parsed and described again.
type backendStatement struct {
	name     string
	key      string // query and parameter types
	prepared bool   // the server knows it
	describe []byte // the answer to Describe, once known
	writes   bool
	set      bool
	alone    bool
	lasting  bool // it means the same as long as the schema is the same, so that others may use it
	state    []sqltext.Statement
}

// statementCache knows what is prepared on the server.
type statementCache struct {
	byKey   map[string]*backendStatement // what may be used for a new Parse
	names   map[string]*backendStatement // every name the server knows
	made    int
	unnamed *conn // whose unnamed statement the server has
}

// maxStatements bounds what a session keeps prepared beyond a test.
const maxStatements = 1000

func (k *statementCache) init() { k.forget() }

// forget is called when the server has forgotten all prepared statements, or will have.
func (k *statementCache) forget() {
	for _, b := range k.names {
		b.prepared = false
	}
	*k = statementCache{byKey: make(map[string]*backendStatement), names: make(map[string]*backendStatement), made: k.made}
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
	kind, single := sqltext.Simple(text(rest))
	if mayControl(kind) && single && s.parseControl(c, string(name), rest) {
		return
	}
	if c.zombie {
		s.emitAborted(c)
		return
	}
	if len(name) == 0 {
		c.unnamed = &statement{
			state: stateOf(kind, text(rest)), parse: bytes.Clone(m), writes: writes(kind, text(rest)), set: kind == sqltext.SetConstraints, alone: alone(kind),
		}
		s.forward(c, m, step{kind: 'P', conn: c})
		s.statements.unnamed = c
		return
	}
	s.parseNamed(c, string(name), rest, kind)
}

// parseControl keeps a transaction control statement to itself. It reports whether st is one.
func (s *Session) parseControl(c *conn, name string, rest []byte) bool {
	query := strings.Clone(text(rest)) // the message goes, the statement stays
	st := sqltext.Statements(nil, query)[0]
	switch st.Kind {
	case sqltext.Savepoint, sqltext.Release, sqltext.RollbackTo:
		if s.tx.owner == c || c.zombie && st.Kind != sqltext.RollbackTo {
			return false
		}
	case sqltext.SetConstraints, sqltext.SetLocal, sqltext.SetTransaction:
		if s.tx.owner == c && (st.Kind != sqltext.SetTransaction || s.guard == guardRunning) {
			return false
		}
	}
	stmt := &statement{control: st, text: st.Text(query)}
	if s.status(c) == 'E' && st.Kind != sqltext.Commit && st.Kind != sqltext.Rollback && st.Kind != sqltext.RollbackTo {
		s.emitAborted(c)
		return true
	}
	if name == "" {
		c.unnamed = stmt
	} else if _, taken := c.statements[name]; taken {
		s.emitError(c, pgError("42P05", fmt.Sprintf("prepared statement %q already exists", name)))
		return true
	} else {
		c.remember(name, stmt)
	}
	s.emitBytes(c, []byte{'1', 0, 0, 0, 4})
	return true
}

func (c *conn) remember(name string, stmt *statement) {
	if c.statements == nil {
		c.statements = make(map[string]*statement)
	}
	c.statements[name] = stmt
}

func (s *Session) parseNamed(c *conn, name string, rest []byte, kind sqltext.Kind) {
	if had := c.statements[name]; had != nil {
		if had.backend == nil || had.backend.name != name {
			s.emitError(c, pgError("42P05", fmt.Sprintf("prepared statement %q already exists", name)))
			return
		}
		s.ensure(c, had.backend)
		s.sendParse(c, had.backend.name, rest, step{kind: 'P'}) // the server refuses it, in its own words
		return
	}
	named := namedByQuery(name)
	b := s.statements.byKey[string(rest)]
	if b != nil && named && b.prepared && !s.prepared && s.status(c) != 'E' {
		c.remember(name, b.statement())
		s.emitBytes(c, []byte{'1', 0, 0, 0, 4})
		return
	}
	b = &backendStatement{
		name: s.statements.freeName(name), key: string(rest), prepared: true,
		writes: writes(kind, text(rest)), set: kind == sqltext.SetConstraints, alone: alone(kind),
		state: stateOf(kind, text(rest)), lasting: named && lasts(kind),
	}
	s.statements.names[b.name] = b
	c.remember(name, b.statement())
	s.sendParse(c, b.name, rest, step{kind: 'P', conn: c, name: name, backend: b})
}

// stateOf returns what a prepared statement does to the state of the session, apart from the database.
func stateOf(kind sqltext.Kind, sql string) []sqltext.Statement {
	switch kind {
	case sqltext.Set, sqltext.SetSessionCharacteristics, sqltext.SetLocal, sqltext.Declare:
		return sqltext.Statements(nil, strings.Clone(sql))
	}
	return configCalls(writes(kind, sql), sql)
}

// configCalls returns the settings that calls of set_config in a statement change.
func configCalls(writes bool, sql string) []sqltext.Statement {
	if !writes { // as all that call it do, by the look of it
		return nil
	}
	return sqltext.Settings(sql)
}

// namedByQuery reports that pgx has made the name from the query. Such a name means the same for everybody; others are the
// client's own, as are those of SQL's PREPARE, and are free again for the next test.
func namedByQuery(name string) bool {
	return strings.HasPrefix(name, "stmtcache_") || strings.HasPrefix(name, "stmt_")
}

// lasts reports that a statement of this kind means the same as long as the schema is the same.
func lasts(k sqltext.Kind) bool {
	return k == sqltext.Select || k == sqltext.With || k == sqltext.Write
}

func (b *backendStatement) statement() *statement {
	return &statement{backend: b, state: b.state, writes: b.writes, set: b.set, alone: b.alone}
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

// parsed is called when the server has accepted (or not) the Parse of a step.
func (s *Session) parsed(st step, ok bool) {
	switch {
	case st.backend != nil && ok:
		if st.conn != nil && st.backend.lasting && len(s.statements.byKey) < maxStatements {
			s.statements.byKey[st.backend.key] = st.backend
		}
	case st.backend != nil:
		st.backend.prepared = false
		if s.statements.names[st.backend.name] == st.backend {
			delete(s.statements.names, st.backend.name)
		}
		if st.conn == nil {
			return // its connection keeps it, and tries again
		}
		if stmt := st.conn.statements[st.name]; stmt != nil && stmt.backend == st.backend {
			delete(st.conn.statements, st.name)
		}
	case st.drop && st.name != "" && !ok: // one of the session's own, behind an error
		s.names.prepared = s.names.prepared && st.name == s.names.restore
		s.deferred.changed = true
	case st.conn != nil && !ok:
		st.conn.unnamed = nil
		s.statements.unnamed = nil
	}
}

// ensure makes the server know a statement again that it has forgotten, for instance through DEALLOCATE ALL. It may have become
// wrong since: the client is told what is wrong with it, as by a server that looks at it again.
func (s *Session) ensure(c *conn, b *backendStatement) {
	if b.prepared {
		return
	}
	b.prepared = true
	s.statements.names[b.name] = b
	s.ready(c)
	s.bind()
	s.wbuf = appendClose(s.wbuf, b.name)
	s.push(step{kind: 'C', drop: true})
	s.wbuf = appendParse(s.wbuf, b.name, []byte(b.key))
	s.push(step{kind: 'P', drop: true, tell: true, backend: b})
}

func appendClose(b []byte, name string) []byte {
	b = append(b, 'C')
	b = binary.BigEndian.AppendUint32(b, uint32(4+1+len(name)+1))
	b = append(b, 'S')
	return append(append(b, name...), 0)
}

// ensureUnnamed makes the server's unnamed statement be c's.
func (s *Session) ensureUnnamed(c *conn) {
	s.ready(c) // may make the server drop it
	if s.statements.unnamed == c || c.unnamed == nil || c.unnamed.parse == nil {
		return
	}
	s.bind()
	s.wbuf = append(s.wbuf, c.unnamed.parse...)
	s.push(step{kind: 'P', drop: true, tell: true})
	s.statements.unnamed = c
}

// lookup returns c's statement of that name, or nil.
func (c *conn) lookup(name []byte) *statement {
	if len(name) == 0 {
		return c.unnamed
	}
	return c.statements[string(name)]
}

// boundStatement returns the transaction control statement that a Bind message is about, or nil.
func (c *conn) boundStatement(m message) *statement {
	_, rest, ok := bytes.Cut(m.body(), []byte{0})
	if !ok {
		return nil
	}
	name, _, ok := bytes.Cut(rest, []byte{0})
	if stmt := c.lookup(name); ok && stmt != nil && stmt.isControl() {
		return stmt
	}
	return nil
}

// lasting reports whether the server may keep st when its connection is done with it.
func (st *statement) lasting() bool { return st.backend == nil || st.backend.lasting }

// query is the text of a statement that is no transaction control, and possibly more.
func (st *statement) query() string {
	if st.backend != nil {
		return st.backend.key
	}
	return text(message(st.parse).body()[1:])
}

func (st *statement) isControl() bool { return st.backend == nil && st.parse == nil }

func (s *Session) bindMessage(c *conn, m message) {
	portal, rest, _ := bytes.Cut(m.body(), []byte{0})
	name, rest, ok := bytes.Cut(rest, []byte{0})
	stmt := c.lookup(name)
	switch {
	case stmt != nil && stmt.isControl():
		if c.portals == nil {
			c.portals = make(map[string]*statement)
		}
		c.portals[string(portal)] = stmt
		s.emitBytes(c, []byte{'2', 0, 0, 0, 4})
		return
	case c.zombie:
		s.emitAborted(c)
		return
	}
	delete(c.portals, string(portal))
	if stmt == nil || !ok { // let the server say that there is no such statement
		s.bindUnknown(c, portal, name, rest, m, ok)
		return
	}
	s.noteWrites(stmt.writes)
	s.ex.alone = s.ex.alone || stmt.alone
	s.tx.constraints = s.tx.constraints || stmt.set
	s.noteTx(c)
	if stmt.state != nil || s.settings.parked != nil {
		s.ready(c)
		s.noteState(c, stmt.state)
		s.unpark(c, stmt.query())
	}
	if stmt.backend == nil {
		s.ensureUnnamed(c)
		s.forward(c, m, step{kind: 'B'})
		return
	}
	s.ensure(c, stmt.backend)
	if string(name) == stmt.backend.name {
		s.forward(c, m, step{kind: 'B'})
		return
	}
	s.sendBind(c, portal, stmt.backend.name, rest)
}

// bindUnknown binds a statement that this connection has not prepared with Parse: one of SQL's PREPARE, which the server
// knows by that name, or none. A statement that another connection prepared under that name must not be found.
func (s *Session) bindUnknown(c *conn, portal, name, rest []byte, m message, wellFormed bool) {
	s.noteWrites(true)
	s.noteTx(c)
	if !wellFormed || s.statements.names[string(name)] == nil && len(name) > 0 {
		s.forward(c, m, step{kind: 'B'})
		return
	}
	s.emitError(c, pgError("26000", missing(name)))
}

func missing(name []byte) string {
	if len(name) == 0 {
		return "unnamed prepared statement does not exist"
	}
	return fmt.Sprintf("prepared statement %q does not exist", name)
}

func (s *Session) sendBind(c *conn, portal []byte, name string, rest []byte) {
	s.ready(c)
	s.bind()
	s.wbuf = append(s.wbuf, 'B')
	s.wbuf = binary.BigEndian.AppendUint32(s.wbuf, uint32(4+len(portal)+1+len(name)+1+len(rest)))
	s.wbuf = append(append(s.wbuf, portal...), 0)
	s.wbuf = append(append(s.wbuf, name...), 0)
	s.wbuf = append(s.wbuf, rest...)
	s.push(step{kind: 'B'})
}

func (s *Session) describe(c *conn, m message) {
	body := m.body()
	if len(body) < 2 {
		s.forward(c, m, step{kind: 'D'})
		return
	}
	name := bytes.TrimSuffix(body[1:], []byte{0})
	if body[0] == 'P' {
		if c.portals[string(name)] != nil {
			s.emitBytes(c, []byte{'n', 0, 0, 0, 4})
			return
		}
		s.forward(c, m, step{kind: 'D'})
		return
	}
	stmt := c.lookup(name)
	switch {
	case stmt != nil && stmt.isControl():
		s.emitBytes(c, []byte{'t', 0, 0, 0, 6, 0, 0, 'n', 0, 0, 0, 4})
	case c.zombie:
		s.emitAborted(c)
	case stmt == nil && (len(name) == 0 || s.statements.names[string(name)] != nil):
		s.emitError(c, pgError("26000", missing(name)))
	case stmt == nil:
		s.forward(c, m, step{kind: 'D'})
	case stmt.backend == nil:
		s.ensureUnnamed(c)
		s.forward(c, m, step{kind: 'D', unnamed: stmt})
	default:
		s.describeNamed(c, stmt.backend)
	}
}

func (s *Session) describeNamed(c *conn, b *backendStatement) {
	current := b.lasting && s.statements.byKey[b.key] == b
	if current && b.describe != nil && s.status(c) != 'E' {
		s.emitBytes(c, b.describe)
		return
	}
	s.ensure(c, b)
	s.ready(c)
	s.bind()
	s.wbuf = append(s.wbuf, 'D')
	s.wbuf = binary.BigEndian.AppendUint32(s.wbuf, uint32(4+1+len(b.name)+1))
	s.wbuf = append(s.wbuf, 'S')
	s.wbuf = append(append(s.wbuf, b.name...), 0)
	s.push(step{kind: 'D', backend: b})
}

// execute returns true when the portal is transaction control that has to wait for what is ahead of it.
func (s *Session) execute(c *conn, m message) (paused bool) {
	portal, _, _ := bytes.Cut(m.body(), []byte{0})
	stmt := c.portals[string(portal)]
	if stmt == nil {
		if c.zombie {
			s.emitAborted(c)
			return false
		}
		s.forward(c, m, step{kind: 'E'})
		return false
	}
	if s.ex.bound { // the server's answers so far decide what it does
		s.ex.pending = stmt
		s.wbuf = append(s.wbuf, syncMessage...)
		s.push(step{kind: 'S', end: true})
		return true
	}
	return s.transact(c, stmt.control, stmt.text)
}

func (s *Session) closeMessage(c *conn, m message) {
	body := m.body()
	if len(body) < 2 {
		s.forward(c, m, step{kind: 'C'})
		return
	}
	name := bytes.TrimSuffix(body[1:], []byte{0})
	closed := []byte{'3', 0, 0, 0, 4}
	switch {
	case body[0] == 'P' && c.portals[string(name)] != nil:
		delete(c.portals, string(name))
		s.emitBytes(c, closed)
	case body[0] == 'S' && len(name) == 0:
		c.unnamed = nil
		s.emitBytes(c, closed)
	case body[0] == 'S' && c.statements[string(name)] != nil && !c.statements[string(name)].lasting():
		b := c.statements[string(name)].backend
		delete(c.statements, string(name))
		delete(s.statements.names, b.name)
		s.ready(c)
		s.bind()
		s.wbuf = appendClose(s.wbuf, b.name)
		s.push(step{kind: 'C'})
	case body[0] == 'S' && c.statements[string(name)] != nil, body[0] == 'S' && s.statements.names[string(name)] != nil:
		delete(c.statements, string(name)) // the server keeps it for the next who wants it
		s.emitBytes(c, closed)
	default:
		s.forward(c, m, step{kind: 'C'})
	}
}
