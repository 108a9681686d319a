package session

import (
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A test opens a connection or two, and most of what that allocates is buffers. Those of a connection that its client has
// closed in good order serve the next one of the session: the buffers of conn, and pgx's end of the wire with its own.

// maxSpare bounds what is kept of each.
const maxSpare = 4

// frontend is pgx's end of a virtual connection, which reads and writes whatever connection it serves at the time.
type frontend struct {
	*pgproto3.Frontend
	r io.Reader
	w io.Writer
}

func (f *frontend) Read(p []byte) (int, error)  { return f.r.Read(p) }
func (f *frontend) Write(p []byte) (int, error) { return f.w.Write(p) }

// nobody is what a frontend reads and writes while it serves nobody.
type nobody struct{}

func (nobody) Read([]byte) (int, error)  { return 0, net.ErrClosed }
func (nobody) Write([]byte) (int, error) { return 0, net.ErrClosed }

// buildFrontend is the pgconn.BuildFrontendFunc of virtual connections.
func (s *Session) buildFrontend(r io.Reader, w io.Writer) *pgproto3.Frontend {
	c, ok := w.(*conn)
	if !ok {
		return pgproto3.NewFrontend(r, w)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.spareFrontend()
	f.r, f.w = r, w
	c.frontend = f
	return f.Frontend
}

// spareFrontend returns a frontend that is as good as new. Caller must hold mu.
func (s *Session) spareFrontend() *frontend {
	n := len(s.frontends)
	if n == 0 {
		f := &frontend{}
		f.Frontend = pgproto3.NewFrontend(f, f)
		return f
	}
	f := s.frontends[n-1]
	s.frontends = s.frontends[:n-1]
	f.Untrace()
	f.SetMaxBodyLen(maxLargeMessage) // pgproto3's own default
	return f
}

// terminated is called when c's client says goodbye, on the goroutine that says it. In good order means that the client has
// taken all that it was sent: then no row of it is open, and nothing refers to the buffers any more.
func (s *Session) terminated(c *conn) {
	c.orderly = s.owner != c && c.inStart == len(c.in) && len(c.out.batches) == 0 &&
		(c.frontend == nil || c.frontend.ReadBufferLen() == 0)
}

// keepBuffers keeps what a closed connection has used, if it was closed in good order. Caller must hold mu.
func (s *Session) keepBuffers(c *conn) {
	if !c.orderly {
		return
	}
	if len(s.buffers) < 2*maxSpare {
		s.buffers = append(s.buffers, recycle(c.in), recycle(c.out.buf))
	}
	c.in, c.inStart, c.out = nil, 0, outgoing{}
	if f := c.frontend; f != nil && len(s.frontends) < maxSpare {
		f.r, f.w = nobody{}, nobody{}
		s.frontends = append(s.frontends, f)
	}
	c.frontend = nil
}

// buffer returns an empty buffer. Caller must hold mu.
func (s *Session) buffer() []byte {
	n := len(s.buffers)
	if n == 0 {
		return nil
	}
	b := s.buffers[n-1]
	s.buffers = s.buffers[:n-1]
	return b
}
