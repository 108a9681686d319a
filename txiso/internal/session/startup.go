package session

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// The codes that take the place of a protocol version in the first message of a connection (manual 55.2.10, 55.7).
const (
	cancelRequestCode = 80877102
	sslRequestCode    = 80877103
	gssEncRequestCode = 80877104
	// The server's own limit for a startup message (MAX_STARTUP_PACKET_LENGTH).
	maxStartupLen = 10000
	// Virtual connections have process ids behind the last that a system gives to a process (on Linux 2^22). Who ends what he
	// takes for the backend of his own connection must not hit somebody else's.
	lastPID = 1 << 30
)

// nowhere is the connection string of virtual connections, which cannot be reached by one. That of the physical connection would lead
// to the server, where nothing of the test is to be seen and everything is committed.
const nowhere = "host='/iso.DB and iso.Pool have no address; iso.Clone has one' port=5432 user=nobody dbname=nothing"

// virtualConfig is cfg for connections that end in this process: no network, no TLS, nothing left to authenticate.
func (s *Session) virtualConfig(cfg *pgx.ConnConfig) (*pgx.ConnConfig, error) {
	v, err := pgx.ParseConfig(nowhere)
	if err != nil {
		return nil, err
	}
	v.Config, v.Tracer, v.DefaultQueryExecMode = *cfg.Config.Copy(), cfg.Tracer, cfg.DefaultQueryExecMode
	v.DialFunc = func(context.Context, string, string) (net.Conn, error) { return nil, errClosed } // a lease's or level's takes its place
	v.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	v.TLSConfig, v.Fallbacks = nil, nil
	v.SSLNegotiation, v.SSLCertMode, v.ChannelBinding, v.RequireAuth = "", "", "", ""
	v.BuildFrontend = s.buildFrontend
	v.ValidateConnect, v.AfterConnect, v.AfterNetConnect = nil, nil, nil
	v.ConnectTimeout = 0 // there is nothing to wait for, and a timer costs more than the connecting
	v.KerberosSrvName, v.KerberosSpn = "", ""
	descriptions := few
	if cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheDescribe {
		descriptions = enough
	}
	v.StatementCacheCapacity = fewer(cfg.StatementCacheCapacity, enough)
	v.DescriptionCacheCapacity = fewer(cfg.DescriptionCacheCapacity, descriptions)
	return v, nil
}

// What pgx's caches hold on a virtual connection. pgx allocates them whole, and a virtual connection lives as long as a test. A
// statement that falls out of the cache is still known to the session, which answers for it without asking the server. But pgx does
// not find out then that it has become stale, as code with fewer statements than its default would: so there is room for what a
// test may be expected to say on one connection.
const (
	pgxDefault = 512
	enough     = 56 // as many as fit a map of 64 slots
	few        = 8  // where the cache serves single queries that ask for it
)

// fewer replaces pgx's default capacity.
func fewer(capacity, instead int) int {
	if capacity == pgxDefault {
		return instead
	}
	return capacity
}

// config is what connections that dial opens are opened with.
func (s *Session) config(dial pgconn.DialFunc) *pgx.ConnConfig {
	cfg := *s.virtual
	cfg.DialFunc = dial
	return &cfg
}

// dialer is the pgconn.DialFunc of virtual connections of the lease that has been started last.
func (s *Session) dialer() pgconn.DialFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dial(s.leases)
}

// dial is the pgconn.DialFunc of virtual connections of a lease. What a test has left behind, a goroutine or a variable that
// holds its configuration, must not get into the next test.
func (s *Session) dial(lease uint64) pgconn.DialFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err != nil {
			return nil, s.err
		}
		if lease != s.leases || s.ending || !s.begun && !s.held {
			return nil, errClosed
		}
		return s.newConn(nil), nil
	}
}

// newConn adds a virtual connection of a level. Caller must hold mu.
func (s *Session) newConn(level *Nested) *conn {
	s.ids++
	c := &conn{s: s, level: level, id: s.ids, secret: rand.Uint32(), in: s.buffer(), out: outgoing{buf: s.buffer()}}
	s.conns[c.id] = c
	return c
}

// handshake answers the messages that come ahead of the protocol proper. Caller must hold mu.
func (s *Session) handshake(c *conn) {
	for !c.started && !c.eof {
		buf := c.out.rest()
		if len(buf) < 8 {
			return
		}
		size := int(binary.BigEndian.Uint32(buf))
		if size < 8 || size > maxStartupLen {
			s.refuse(c, "invalid length of startup packet")
			return
		}
		if len(buf) < size {
			return
		}
		s.startup(c, binary.BigEndian.Uint32(buf[4:]), buf[8:size])
		if c.eof {
			return
		}
		c.out.take(size)
	}
	if c.wish != nil {
		c.queueWish()
	}
	if c.started {
		s.scan(c)
	}
}

func (s *Session) startup(c *conn, code uint32, body []byte) {
	switch code {
	case sslRequestCode, gssEncRequestCode:
		c.in = append(c.in, 'N')
	case cancelRequestCode:
		if len(body) >= 8 {
			s.cancelVirtual(binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:]))
		}
		c.eof = true
	default:
		if code>>16 != pgproto3.ProtocolVersion30>>16 {
			s.refuse(c, "unsupported frontend protocol")
			return
		}
		s.open(c, code&0xffff, body)
	}
}

// open completes the startup as a server that trusts the client does, at once if there is nothing to ask the server.
func (s *Session) open(c *conn, minor uint32, body []byte) {
	if minor > 0 {
		c.in = encode(c.in, &pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: 0})
	}
	asked, refusal := s.parameters(body)
	granted := s.wished(asked)
	switch {
	case refusal != "":
		s.refuseWith(c, "0A000", fmt.Sprintf("txiso: the connection asks for %q, but all connections of a test share one connection to the server; "+
			"put it into Config.DSN, or, if it is another user, let the role parameter or SET ROLE name it", refusal))
	case len(asked) == 0:
		c.started = true
		c.in = appendReady(c.greet(c.in, s.phys.hello), 'I')
	case granted != nil:
		c.started, c.startup = true, granted.lasting
		c.in = appendReady(c.greet(c.in, granted.greeting), 'I')
	default:
		c.started, c.wish = true, &wish{asked: asked}
	}
}

func (c *conn) greet(b, greeting []byte) []byte {
	b = append(b, greeting...)
	b = append(b, 'K', 0, 0, 0, 12)
	b = binary.BigEndian.AppendUint32(b, c.id)
	return binary.BigEndian.AppendUint32(b, c.secret)
}

// refuse ends a virtual connection that does not speak the protocol, in the words of the server.
func (s *Session) refuse(c *conn, message string) { s.refuseWith(c, "08P01", message) }

func (s *Session) refuseWith(c *conn, code, message string) {
	c.in = encode(c.in, &pgproto3.ErrorResponse{
		Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message,
	})
	c.eof = true
	s.leave(c)
}

// cancelVirtual serves a CancelRequest of a client for the statement of another virtual connection. While the request
// travels nothing else may start, or it could hit that.
func (s *Session) cancelVirtual(id, secret uint32) {
	c := s.conns[id]
	if c == nil || c.secret != secret {
		return // as the server: a wrong key gets no answer
	}
	if s.owner != c {
		s.cancelQueued(c)
		return
	}
	s.awaitOwn(c)
	if s.owner == c {
		s.repeatCancel(c)
	}
	if s.owner == c && s.cancellable() {
		s.cancelRunning()
	}
}

// repeatCancel sends the CancelRequest for c's exchange again as long as that lasts, if c is gone: the server ignores one that comes before
// it has got to the statement, as it may where processors are busy. On a server of its own c's backend would go on alone, here all others
// wait for it. Caller must hold mu.
func (s *Session) repeatCancel(c *conn) {
	if s.ex.repeat != nil {
		return
	}
	var repeat *time.Timer
	repeat = time.AfterFunc(cancelAgain, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ex.repeat == repeat && s.err == nil && c.closed != nil && s.canceling == 0 && s.cancellable() {
			s.cancelRunning()
		}
		if s.ex.repeat == repeat && s.err == nil {
			repeat.Reset(cancelAgain)
		}
	})
	s.ex.repeat = repeat
}

// getOver is how long the server is given for statements of the session's own that share the Sync of a client's (see ready), because
// it answers them only with that. They take microseconds, but where processors are busy it may not get to them for some milliseconds.
const getOver = 50 * time.Millisecond

// cancellable reports that the server is at a statement of the client's, or at the check that is its commit. A CancelRequest
// must hit nothing else: the error of a statement of the session's own would undo more than the client's. Caller must hold mu.
func (s *Session) cancellable() bool {
	own, client := s.underWay()
	return client && !own
}

// underWay reports whether the server has yet to answer statements of the client's, and whether it has yet to get over some of the
// session's own ahead of them.
func (s *Session) underWay() (own, client bool) {
	late := s.ahead || time.Now().Before(s.reached)
	for i := s.steps.head; i < len(s.steps.queue) && s.owner != nil; i++ {
		switch st := &s.steps.queue[i]; {
		case st.kind == 0:
		case !st.drop || st.tell || st.collect:
			return own, true
		default:
			own = own || late || st.kind == 'Q' || st.kind == 'S'
		}
	}
	return own, false
}

// awaitOwn waits until the server is at c's statement. Caller must hold mu, which is given up meanwhile.
func (s *Session) awaitOwn(c *conn) {
	helper := &conn{s: s}
	for s.err == nil && s.owner == c {
		if own, client := s.underWay(); !own || !client {
			return
		}
		if helper.readDeadline = s.reached; past(s.reached) {
			helper.readDeadline = time.Time{}
		}
		s.await(helper)
	}
}

// cancelRunning sends the server a CancelRequest for the exchange that is under way. It gives up mu meanwhile, and nothing
// is written until the request has arrived.
func (s *Session) cancelRunning() {
	s.canceling++
	s.ex.cancelled = true
	s.mu.Unlock()
	err := s.phys.cancel()
	s.mu.Lock()
	s.canceling--
	if err != nil {
		s.lose("%v", err)
	}
	s.wakeAll()
	if s.due() {
		s.flushAside() // who reads waits for it
	}
}

// cancelQueued answers a client whose statement waits for the session as the server answers a cancelled statement.
func (s *Session) cancelQueued(c *conn) {
	for c.out.ready() && isCopy(c.out.batches[0].first) { // of a COPY that has failed
		c.out.dropBatch()
	}
	if !c.out.ready() {
		return
	}
	s.answerUnsent(c, pgError("57014", "canceling statement due to user request"))
	s.interrupt(c)
}
