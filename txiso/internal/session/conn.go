package session

import (
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// conn is a virtual connection: the client's end of a PostgreSQL connection whose server is the session. All fields are
// guarded by Session.mu.
type conn struct {
	s       *Session
	id      uint32 // what it was told as its backend's process id
	secret  uint32
	level   *Nested // that it belongs to
	started bool    // the startup handshake is over

	frontend *frontend // the client's end, if pgx has asked us for it
	orderly  bool      // the client has closed it and refers to nothing of it

	out     outgoing // from the client, not yet sent on
	in      []byte   // to the client, not yet read
	inStart int

	closed        error // why Read and Write fail; nil while open
	eof           bool  // the conversation is over; what is in `in` may still be read
	readDeadline  time.Time
	writeDeadline time.Time
	hurry         chan struct{} // wakes who waits for a write aside, see awaitWritten; nil if nobody ever has
	wake          chan struct{} // not nil once a goroutine has waited here

	wish     *wish             // what its startup message asks for, until that is granted
	startup  map[string]string // what was granted
	settings map[string]string // what it has set, if another connection has spoken since

	statements map[string]*statement // by the name the client uses
	unnamed    *statement
	parsed     bool               // it has sent a Parse for that
	portals    map[string]*portal // by the name the client uses
	portal     portal             // the unnamed one
	made       names              // see orphans.go
	unparked   []string           // settings that a failed exchange may have set and not parked, see park.go
	temporary  bool               // it has created something temporary, by the look of it
	zombie     bool               // its failed app transaction has been undone already, see transaction.go
	roleless   bool               // the test was told that its role is gone
	chained    sqltext.Mode       // what that has left for AND CHAIN
	waitsSince time.Time          // when its BEGIN began to wait
	site       *site              // who sent the BEGIN that is next
	turnedAway bool               // up to its Sync, see nested.go
	done       <-chan struct{}    // closed when the context ends by which database/sql has taken it, see doomed.go
	taken      place              // where it was taken from a pool, see places.go
	uses       int                // batches since then that executed something, until taken is known
	inside     int                // goroutines that wait in Read
}

var _ net.Conn = (*conn)(nil)

// number is its id as text.
func (c *conn) number() string { return strconv.FormatUint(uint64(c.id), 10) }

// Write takes what the client sends. It never waits for the session: what cannot be sent now is sent by Read, because
// whoever sends a statement reads its answer. It does wait for the server to take large amounts of data.
func (c *conn) Write(p []byte) (int, error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.closed != nil:
		return 0, c.closed
	case c.eof:
		return 0, io.ErrClosedPipe
	case s.err != nil:
		return 0, s.err
	case past(c.writeDeadline):
		return 0, os.ErrDeadlineExceeded
	}
	c.out.buf = append(c.out.buf, p...)
	if !c.started {
		s.handshake(c)
	} else {
		s.scan(c)
	}
	s.advance(c)
	if s.owner == c && len(s.waiting) > 0 {
		s.wakeAll() // who waited for this has to read the answer, if c does not
	}
	if c.wake != nil {
		c.nudge() // pgx reads on another goroutine when a write takes long, maybe since before this one; the flush may need it
	}
	s.flush(c)
	s.watch()
	return len(p), nil
}

// Read returns what the server has to say to this client, and does whatever is needed to get there: it starts what
// waits to be sent, reads from the server, or waits for the goroutine that does.
func (c *conn) Read(p []byte) (int, error) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	c.inside++
	defer func() {
		c.inside--
		s.stopWaiting(c)
	}()
	for {
		switch {
		case s.readable(c):
			n := copy(p, c.in[c.inStart:])
			if c.inStart += n; c.inStart == len(c.in) {
				c.in, c.inStart = recycle(c.in), 0
			}
			return n, nil
		case c.closed != nil:
			return 0, c.closed
		case c.eof:
			return 0, io.EOF
		case s.err != nil:
			return 0, s.err
		case past(c.readDeadline):
			return 0, os.ErrDeadlineExceeded
		}
		s.progress(c)
	}
}

// Close ends the virtual connection, as the end of the client's process would end a real one: a transaction it holds is
// rolled back, a statement it runs runs on unless it was cancelled before.
func (c *conn) Close() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.close(net.ErrClosed)
	return nil
}

// close makes every later call on c fail with why. Caller must hold Session.mu.
func (c *conn) close(why error) {
	if c.closed != nil {
		return
	}
	c.closed = why
	c.s.leave(c)
	c.leavePortals()
	if c.s.owner != c { // else what is left of its exchange may need them
		c.leaveStatements()
	}
	c.orphan()
	c.s.interrupt(c)
	delete(c.s.conns, c.id)
	c.s.keepBuffers(c)
}

func (c *conn) SetDeadline(t time.Time) error      { return c.setDeadlines(&t, &t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.setDeadlines(&t, nil) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(nil, &t) }

func (c *conn) setDeadlines(read, write *time.Time) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.closed != nil {
		return c.closed
	}
	if read != nil {
		c.readDeadline = *read
	}
	if write != nil {
		c.writeDeadline = *write
	}
	c.s.interrupt(c)
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return address{} }
func (c *conn) RemoteAddr() net.Addr { return address{} }

// address is the address of both ends of a virtual connection: there is no network.
type address struct{}

func (address) Network() string { return "txiso" }
func (address) String() string  { return "txiso" }

func past(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

// recycle empties a buffer and lets it go when a large result has blown it up.
func recycle(b []byte) []byte {
	if cap(b) > 256<<10 {
		return nil
	}
	return b[:0]
}
