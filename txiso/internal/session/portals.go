package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// Portals belong to a connection and end with its transaction (manual 55.2.3). The server has them in the outer transaction, so
// the session keeps account of which there are, and closes those that have names. Inside an app transaction the server
// knows as well as the session which of them its savepoints have taken.

// portal is a portal as one virtual connection sees it.
type portal struct {
	stmt   *statement // nil for the unnamed portal when there is none
	server string     // its name on the server
	ran    bool       // transaction control, or what is warned of: it has been executed
}

// serverPortals are those of the virtual connections on the server.
type serverPortals struct {
	unnamed *conn            // whose the server's unnamed portal is
	named   map[string]*conn // whose the others are; nil as long as there are none
	due     []string         // they are to be closed
	made    int
}

// name returns the name that c's portal is to have on the server: its own if it is free.
func (k *serverPortals) name(c *conn, want string) string {
	for name := want; ; k.made++ {
		if owner := k.named[name]; owner == nil || owner == c {
			return name
		}
		name = fmt.Sprintf("%.40s_txiso%d", want, k.made)
	}
}

// bound notes that c binds a portal, and returns its name on the server.
func (s *Session) bound(c *conn, name []byte, stmt *statement) string {
	if len(name) == 0 {
		c.portal = portal{stmt: stmt}
		s.portals.unnamed = c
		return ""
	}
	server := s.portals.name(c, string(name))
	if s.portals.named == nil {
		s.portals.named = make(map[string]*conn)
	}
	if c.portals == nil {
		c.portals = make(map[string]*portal)
	}
	s.portals.named[server] = c
	c.portals[string(name)] = &portal{stmt: stmt, server: server}
	return server
}

// notBound is called when the server has refused the Bind of a step, or skipped it behind an error: the name stands for what it did.
// The server may have bound it to something of the session's own since.
func (s *Session) notBound(st step) {
	c := st.conn
	p := c.portals[st.binds]
	switch {
	case st.binds == "":
		c.portal = st.had
	case p == nil: // its transaction has ended
	case st.had.stmt != nil:
		*p = st.had
	default:
		delete(c.portals, st.binds)
		delete(s.portals.named, p.server)
	}
}

// failedQuery is what a Query that has failed in a transaction leaves in the place of an unnamed portal: one that cannot be run, or
// none. The server knows.
var failedQuery = &statement{meaning: &meaning{}}

// endPortals is called where a transaction of c ends.
func (c *conn) endPortals() {
	c.portal = portal{}
	k := &c.s.portals
	for _, p := range c.portals {
		k.due = append(k.due, p.server)
		delete(k.named, p.server)
	}
	clear(c.portals)
}

// leavePortals is called when c is closed: its cursors WITH HOLD end, too.
func (c *conn) leavePortals() {
	c.endPortals()
	c.s.portals.due = append(c.s.portals.due, c.made.cursors...)
	c.made.cursors = nil
}

// closePortals closes on the server what has ended. Closing what is gone already is no error.
func (s *Session) closePortals() {
	for _, name := range s.portals.due {
		s.closeOnServer('P', name)
	}
	s.portals.due = s.portals.due[:0]
}

// closeUnnamed closes the server's unnamed portal if its transaction has ended: its tables would be in use as long as nothing takes its place.
func (s *Session) closeUnnamed() {
	if c := s.portals.unnamed; c != nil && c.portal.stmt == nil {
		s.closeOnServer('P', "")
		s.portals.unnamed = nil
	}
}

var (
	errNoPortal = errors.New("there is no such portal")
	errTaken    = errors.New("the server's unnamed portal is another by now")
)

// lookupPortal returns c's portal of that name, or an error if there is none. Both are nil for a name that may be that of a cursor.
func (s *Session) lookupPortal(c *conn, name []byte) (p *portal, err error) {
	if len(name) > 0 {
		p = c.portals[string(name)]
		if p == nil && s.portals.named[string(name)] != nil {
			return nil, errNoPortal
		}
		return p, nil
	}
	if c.portal.stmt == nil {
		return nil, errNoPortal
	}
	if s.portals.unnamed != c && !s.controls(c, c.portal.stmt.st) {
		return nil, errTaken
	}
	return &c.portal, nil
}

// emitNoPortal answers for a portal that is not there.
func (s *Session) emitNoPortal(c *conn, name []byte, why error) {
	e := pgError("34000", fmt.Sprintf("portal \"%s\" does not exist", name))
	if errors.Is(why, errTaken) {
		e.Detail = "txiso: something else has run on the server since this portal was bound."
		e.Hint = "Give the portal a name if it is to be executed later than it is bound, or give this test a database of its own: Clone."
	}
	s.emitError(c, e)
}

// forwardPortal sends a Describe, Execute or Close of a portal on, under the name that the server knows.
func (s *Session) forwardPortal(c *conn, m message, name []byte, p *portal) {
	st := step{kind: m.kind()}
	if p == nil || p.server == string(name) {
		s.forward(c, m, st)
		return
	}
	s.ready(c)
	s.bind()
	s.push(st.as(name, p.server))
	if m.kind() != 'E' {
		s.wbuf = appendNamed(s.wbuf, m.kind(), 'P', p.server)
		return
	}
	s.wbuf = appendExecute(s.wbuf, p.server, m.body()[len(name)+1:])
}

// closePortal closes a portal of c. What is not there is closed, too.
func (s *Session) closePortal(c *conn, m message, name []byte) {
	p, err := s.lookupPortal(c, name)
	if err != nil {
		s.emitClosed(c, step{})
		return
	}
	s.forwardPortal(c, m, name, p)
	if len(name) == 0 {
		c.portal = portal{}
	} else if p != nil {
		delete(s.portals.named, p.server)
		delete(c.portals, string(name))
	}
}

// closeOnServer closes a statement ('S') or portal ('P') of the session's own, or of a client that is not told. It is no error if there is none.
func (s *Session) closeOnServer(of byte, name string) {
	s.wbuf = appendNamed(s.wbuf, 'C', of, name)
	s.push(step{kind: 'C', drop: true})
}

// appendNamed appends a Describe or Close message.
func appendNamed(b []byte, kind, of byte, name string) []byte {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(4+1+len(name)+1))
	b = append(b, of)
	return append(append(b, name...), 0)
}

// noParameters is the rest of a Bind message of a statement without any, allRows that of an Execute message.
var noParameters, allRows = make([]byte, 6), make([]byte, 4)

// appendBind appends a Bind message. rest is what comes behind the names.
func appendBind(b []byte, portal, statement string, rest []byte) []byte {
	b = append(b, 'B')
	b = binary.BigEndian.AppendUint32(b, uint32(4+len(portal)+1+len(statement)+1+len(rest)))
	b = append(append(b, portal...), 0)
	b = append(append(b, statement...), 0)
	return append(b, rest...)
}

// appendExecute appends an Execute message. rest is what comes behind the name.
func appendExecute(b []byte, portal string, rest []byte) []byte {
	b = append(b, 'E')
	b = binary.BigEndian.AppendUint32(b, uint32(4+len(portal)+1+len(rest)))
	b = append(append(b, portal...), 0)
	return append(b, rest...)
}

// execute returns true when the portal is transaction control that has to wait for what is ahead of it.
func (s *Session) execute(c *conn, m message) (paused bool) {
	name, _, _ := bytes.Cut(m.body(), []byte{0})
	p, err := s.lookupPortal(c, name)
	switch {
	case err != nil:
		s.emitNoPortal(c, name, err)
	case p != nil && s.controls(c, p.stmt.st):
		return s.executeControl(c, name, p)
	case p != nil && blockOnly(p.stmt.st) != "" && !s.inBlock(c):
		s.emitBlockOnly(c, blockOnly(p.stmt.st))
	case p != nil && p.stmt.st.Kind == sqltext.Deallocate && p.ran:
		s.emitRan(c, name)
	case p != nil && s.deallocates(c, p.stmt.st):
		p.ran = true
		s.deallocate(c, p.stmt.st.Name)
	default:
		var before *appTx
		if p != nil && !p.ran {
			s.warnOutside(c, p.stmt.st)
			if s.tx.owner == c && changesSavepoints(p.stmt.st.Kind) {
				tx := s.tx
				tx.savepoints = slices.Clone(tx.savepoints)
				before = &tx
			}
			s.noteSavepoint(c, p.stmt.st)
			p.ran = mayControl(p.stmt.st.Kind) && s.status(c) != 'E' // a second time the server refuses it
			s.noteSnapshot(c, p.stmt.queries)
		}
		s.forwardPortal(c, m, name, p)
		s.steps.last().tx = before
		if p != nil && s.status(c) != 'E' {
			if list := c.restartsOf(p.stmt.state); len(list) > 0 {
				s.restart(c, list)
			}
		}
		s.ex.pipelined = s.phys.version >= pipelinesAreBlocks
	}
	return false
}

// pipelinesAreBlocks is the version from which on the statements behind the first one of a pipeline are in a transaction block
// that ends with it, as those of a string of several are; before, they were in its transaction, but in no block.
const pipelinesAreBlocks = 18_00_00

// executeControl executes transaction control. The server's answers so far decide what it does.
func (s *Session) executeControl(c *conn, name []byte, p *portal) (paused bool) {
	if p.ran {
		s.emitRan(c, name)
		return false
	}
	p.ran = true
	if s.ex.bound {
		s.ex.pending = p.stmt
		s.wbuf = append(s.wbuf, syncMessage...)
		s.push(step{kind: 'S', end: true})
		return true
	}
	return s.transact(c, p.stmt.st, p.stmt.text)
}

// emitRan refuses to run a portal a second time.
func (s *Session) emitRan(c *conn, name []byte) {
	s.emitError(c, pgError("55000", fmt.Sprintf("portal \"%s\" cannot be run", name)))
}

func (s *Session) emitBlockOnly(c *conn, what string) {
	s.emitError(c, pgError("25P01", what+" can only be used in transaction blocks"))
}

func (s *Session) bindMessage(c *conn, m message) {
	portal, rest, _ := bytes.Cut(m.body(), []byte{0})
	name, rest, ok := bytes.Cut(rest, []byte{0})
	stmt := c.lookup(name)
	if stmt == nil || !ok { // let the server say that there is no such statement
		s.bindUnknown(c, portal, name, rest, ok, m)
		return
	}
	s.ready(c)
	if !s.controls(c, stmt.st) {
		s.announce(c, stmt.bound(), stmt.state, stmt.query())
	}
	s.ensure(c, stmt.backend)
	s.sendBind(c, portal, rest, stmt, step{kind: 'B'}.as(name, stmt.backend.name))
}

// bindUnknown binds a statement that this connection has not prepared with Parse: one of SQL's PREPARE, which the server
// knows by that name, or none. A statement that another connection prepared under that name must not be found.
func (s *Session) bindUnknown(c *conn, portal, name, rest []byte, wellFormed bool, m message) {
	s.note(c, anything)
	switch {
	case !wellFormed:
		s.forward(c, m, step{kind: 'B'})
	case len(name) == 0, s.statements.names[string(name)] != nil:
		s.emitError(c, pgError("26000", missing(name)))
	default:
		s.ready(c)
		s.secure()
		s.setupTx(c, anything)
		s.sendBind(c, portal, rest, &statement{meaning: &meaning{}, backend: &backendStatement{name: string(name)}}, step{kind: 'B'})
	}
}

// sendBind sends a Bind message with the names that the server knows. rest is the message behind the names.
func (s *Session) sendBind(c *conn, portal, rest []byte, stmt *statement, st step) {
	st.conn, st.binds = c, string(portal)
	if p := c.portals[st.binds]; p != nil {
		st.had = *p
	} else if st.binds == "" {
		st.had = c.portal
	}
	if len(portal) > 0 {
		s.closeUnnamed()
	}
	server := s.bound(c, portal, stmt)
	s.bind()
	s.wbuf = appendBind(s.wbuf, server, stmt.backend.name, rest)
	s.push(st)
}
