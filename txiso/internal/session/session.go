package session

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options of a session. The zero value is usable.
type Options struct {
	// BeginTimeout bounds how long a BEGIN waits for another connection's app transaction to end. 0 means ten seconds.
	BeginTimeout time.Duration

	// Strict makes a finding of a statement on one connection while a transaction is open on another, and keeps the place of
	// every statement.
	Strict bool

	// IgnoreLeaks says that Leaks will not be called, so that no places are kept for it.
	IgnoreLeaks bool

	// ResetSequences makes every lease begin with the values of Sequences, and with first values of all others.
	ResetSequences bool
	Sequences      []Sequence

	// Shared says that the database is not this session's alone: it changes nothing in it by itself.
	Shared bool

	// Committed is called once, before the code under test is told, when the outer transaction was ended by a statement and
	// may have been committed. It must not use the session.
	Committed func()
	// Hints are added to errors of the server, by their SQLSTATE.
	Hints map[string]string
}

const (
	// DefaultBeginTimeout is what Options.BeginTimeout is without being set.
	DefaultBeginTimeout = 10 * time.Second
	// A goroutine that begins a second transaction while it holds the first waits for itself. It could have handed the
	// first one to another goroutine, so it is given a moment, not more.
	selfBeginTimeout = 250 * time.Millisecond
)

// Session multiplexes virtual connections onto one physical connection inside one outer transaction. Its life is a
// sequence of leases: [Session.Start], any number of virtual connections, [Session.End], and again; the physical
// connection, its plan cache and the prepared statements stay warm in between.
//
// Start, End and Close must not be called concurrently with each other; virtual connections and levels ([Session.Nest]) may
// be used from any number of goroutines.
type Session struct {
	opts    Options
	phys    *physical
	virtual *pgx.ConnConfig  // what virtual connections are opened with
	opener  driver.Connector // the same for database/sql, see opener.go
	control *control

	life sync.Mutex // held while a lease or a level begins or ends; to be locked before mu

	mu sync.Mutex // guards everything below, and every field of conn

	err    error    // why the session is no longer usable; nil while it is
	lost   []string // what this lease, or its innermost level, found to complain about
	level  *Nested  // the innermost level; nil if there is none
	leases uint64   // that have been started
	ending bool     // the last of them takes no more connections
	conns  map[uint32]*conn
	ids    uint32

	// schedule.go: who may speak to the server, who listens, who waits
	owner     *conn
	ex        exchange
	reader    *conn // whose goroutine is inside phys.Read
	watching  bool  // unread.go: a timer runs
	pumped    int   // how often the server was read from
	waiting   []*conn
	canceling int

	// guard.go, transaction.go
	guard   guardState
	first   bool // it is the outer transaction itself
	saved   bool // there is a savepoint of it
	tx      appTx
	cleanup []string   // what is left to do of an app transaction that has committed
	foreign guardState // the guard of a statement that runs inside another connection's app transaction

	cleanupForeign string // what is left to do of that statement

	held  bool // go-txdb's BEGIN waits until there is something to send behind it
	begun bool // the outer transaction is open on the server
	names guardNames

	settings   settings
	locals     int // transactions that have used SET LOCAL
	temporary  temporary
	orphans    []*conn // orphans.go: closed connections that have left something
	statements statementCache
	portals    serverPortals
	deferred   deferredConstraints
	aborted    bool // the server's transaction has failed
	touched    bool // this lease has changed something, by the look of it
	ddl        bool // this lease has changed the schema
	altered    bool // it has changed, made or dropped something that is not temporary, which compiled.go has not seen to
	recompiled bool // compiled.go has, and it was not undone
	prepared   bool // this lease has run a PREPARE
	prepares   int  // how many, of all leases

	// recycle.go
	frontends []*frontend
	buffers   [][]byte

	journal journal
	strays  map[[2]string]bool // of Strict: pairs of places that have been told

	// the wire
	steps       steps
	wbuf        []byte // not yet written
	spare       []byte
	writing     bool
	unconfirmed int       // bytes written since the server had answered everything: it may not have read them
	ahead       bool      // there are statements of the session's own in wbuf that the server will not answer by themselves
	reached     time.Time // when it may be taken to have got over those that are written
	rbuf        []byte
	rr, rw      int       // rbuf[rr:rw] is read and not yet processed
	readBy      time.Time // the read deadline that is set on phys
	writeBy     time.Time // the write deadline
	passing     int       // bytes of a message that is passed on piecemeal and still to come
}

// Open connects the physical connection described by cfg, whose database must be used by nobody else. ctx bounds the
// connecting only. The errors are pgconn's.
func Open(ctx context.Context, cfg *pgx.ConnConfig, opts Options) (*Session, error) {
	if opts.BeginTimeout == 0 {
		opts.BeginTimeout = DefaultBeginTimeout
	}
	phys, err := connect(ctx, cfg, opts)
	if err != nil {
		return nil, err
	}
	s := &Session{
		opts:  opts,
		phys:  phys,
		conns: make(map[uint32]*conn),
		ids:   lastPID,
		names: newGuardNames(),
		rbuf:  make([]byte, 16<<10),
	}
	s.statements.init()
	s.deferred = phys.deferred
	if s.virtual, err = s.virtualConfig(cfg); err == nil {
		s.opener = s.newOpener()
		s.control, err = newControl(s)
	}
	if err != nil {
		phys.close()
		return nil, err
	}
	return s, nil
}

// Config returns a configuration whose connections are virtual connections of this lease. They work until its End, and
// none is opened in a later lease; whoever opens them must close them. Who changes it must change a copy.
func (s *Session) Config() *pgx.ConnConfig { return s.config(s.dialer()) }

// Connector is Config for database/sql.
func (s *Session) Connector() driver.Connector { return s.connector(s.dialer()) }

// Start opens the outer transaction: go-txdb's BEGIN, which travels with the first statement that follows, so that
// now() is the moment of that statement.
func (s *Session) Start() error {
	s.mu.Lock()
	err := s.err
	s.lost = nil
	s.strays = nil
	s.journal.start()
	s.leases++
	s.ending = false
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if s.phys.sequences != nil {
		s.awaitMoved()
	}
	return s.control.begin()
}

// End closes the virtual connections that are still open, cancels a statement that still runs, and lets go-txdb roll
// the outer transaction back. The answer of the ROLLBACK is not waited for: a session that did not survive it shows
// that at its next use. Levels that are still open end with it. It takes no longer than within, and returns what went wrong
// in the test in a way that the test could not have seen.
func (s *Session) End(within time.Duration) (findings []string, err error) {
	s.life.Lock()
	defer s.life.Unlock()
	hung := s.hangUp(within, nil)
	err = s.control.rollback()
	s.mu.Lock()
	defer s.mu.Unlock()
	if hung != nil {
		err = hung
	}
	return append(s.uncover(nil), s.lost...), err
}

// Close ends the session and its physical connection. The outer transaction, if one is open, is rolled back by the
// server.
func (s *Session) Close() {
	s.mu.Lock()
	s.fail(errClosed)
	s.mu.Unlock()
	s.control.close()
	s.phys.close()
}

// Err tells why the session cannot be used any more, or nil.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Dirty reports that something may have been really committed: the worker database is not pristine and must go.
func (s *Session) Dirty() bool { return errors.Is(s.Err(), errOuterEnded) }

var (
	errClosed     = errors.New("txiso: this connection belongs to a test that has ended")
	errOuterEnded = errors.New("txiso: the outer transaction was ended by a statement of the test, whose changes may have been committed; use Clone for a test that needs real commits")
)

// fail makes the session unusable. Caller must hold mu.
func (s *Session) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.wakeAll()
}

// lose notes something the test must be told at its end. Caller must hold mu.
func (s *Session) lose(format string, args ...any) {
	s.lost = append(s.lost, fmt.Sprintf(format, args...))
}

// hangUp closes the virtual connections of a level and of those inside it, nil being this lease, and waits until the server
// has nothing to say any more. No other one is opened meanwhile, by a goroutine of the test that goes on.
func (s *Session) hangUp(within time.Duration, level *Nested) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = s.ending || level == nil
	for above := s.level; above.inside(level); above = above.outer {
		above.over = true
	}
	for _, c := range s.conns {
		if level.has(c) {
			c.close(errClosed)
		}
	}
	s.orphans = slices.DeleteFunc(s.orphans, level.has) // what they have left is about to be undone
	return s.drain(within)
}

// aliveTimeout bounds the reading of what has arrived: over TLS it may be nothing for us.
const aliveTimeout = 10 * time.Millisecond

// Alive reports whether the physical connection is still there, as far as that can be told without a round trip: it
// handles what the server has sent since the last lease, such as the word that it shuts down.
func (s *Session) Alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.owner == nil && s.reader == nil {
		data, ended := s.phys.peek()
		if ended {
			s.fail(s.gone(io.ErrUnexpectedEOF))
		}
		if !data {
			break
		}
		s.control.conn.readDeadline = time.Now().Add(aliveTimeout)
		if s.pump(s.control.conn) == 0 { // something of TLS
			break
		}
	}
	s.control.conn.readDeadline = time.Time{}
	return s.err == nil
}
