package txiso

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/txiso/txiso-go/txiso/internal/lease"
	"github.com/txiso/txiso-go/txiso/internal/session"
)

// Register makes cfg available to database/sql under a driver name:
//
//	txiso.Register("txiso", txiso.Config{Migrations: migrations.FS})
//	db, err := sql.Open("txiso", t.Name())
//
// The data source name says which test it is: databases opened with the same name share one session and see the same
// data; other names see nothing of it. When the last of them is closed everything is rolled back. Check the error of that
// Close: it has what [Iso.DB] would fail the test with, such as a transaction that is still open. Until then the session is
// held, so forgetting Close keeps the data for the next who opens that name.
//
// An address (postgres://…, host=…) is no such name: sql.Open refuses it. An empty name is refused by the first statement. sql.Open
// also returns what is wrong with cfg. KeepFailed, MaxKept, TXISO_KEEP, NestedTimeout and the log of statements need a test and have
// no effect here.
//
// Sessions stay warm for the next name until the process ends. A leak checker may want them ended before: the driver is an
// [io.Closer], whose Close does what [Iso.Close] does:
//
//	db.Driver().(io.Closer).Close()
//
// Register panics if the name is taken, as sql.Register does. Prefer [New] and [Iso.DB] where a *testing.T is at hand.
func Register(name string, cfg Config) {
	sql.Register(name, &registered{iso: New(cfg)})
}

// registered is the driver.
type registered struct{ iso *Iso }

// shared is the session of a data source name. users is guarded by Iso.mu, what follows mu by that.
type shared struct {
	users   int // open connectors that have connected
	mu      sync.Mutex
	opening *opening // of its lease; nil until it is needed
	left    bool     // by its last user: a Connect that was on its way must not lease anything any more
}

// opening is a lease, once done is closed, or why there is none.
type opening struct {
	cancel context.CancelFunc
	done   chan struct{}
	lease  *lease.Lease
	opener driver.Connector // of the lease's connections
	err    error
}

// connector is one *sql.DB.
type connector struct {
	driver *registered
	name   string

	mu     sync.Mutex
	shared *shared
	closed bool
}

var (
	_ driver.Driver        = (*registered)(nil)
	_ driver.DriverContext = (*registered)(nil)
	_ io.Closer            = (*registered)(nil)
	_ driver.Connector     = (*connector)(nil)
	_ io.Closer            = (*connector)(nil)
)

// address is how the connection strings of PostgreSQL begin (manual 34.1.1), and no name of a test.
var address = regexp.MustCompile(`^\s*(postgres(ql)?://|(host|hostaddr|port|user|password|dbname|sslmode|service)\s*=)`)

// OpenConnector does no I/O. It refuses an address, which code that takes its data source name from the environment would give all tests.
func (d *registered) OpenConnector(name string) (driver.Connector, error) {
	if d.iso.err != nil {
		return nil, d.iso.err
	}
	if address.MatchString(name) {
		return nil, errors.New("txiso: the data source name is an address, so all tests that open it would share one session; " +
			"open t.Name(), or another name for each test, and put the address into Config.DSN or TXISO_DSN")
	}
	return &connector{driver: d, name: name}, nil
}

// Open is what database/sql would call if the driver had no connectors. A connection alone cannot tell when the test
// has ended.
func (d *registered) Open(string) (driver.Conn, error) {
	return nil, errors.New("txiso: Driver.Open is not supported; use sql.Open or OpenConnector")
}

// Close gives back everything that the driver has on the server.
func (d *registered) Close() error { return d.iso.Close() }

func (c *connector) Driver() driver.Driver { return c.driver }

// Connect refuses the empty name, which is that of a variable that is not set. OpenConnector takes it, for the driver's sake.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if strings.TrimSpace(c.name) == "" {
		return nil, errors.New("txiso: the data source name is empty, so all tests that open it would share one session; open t.Name()")
	}
	s, err := c.join()
	if err != nil {
		return nil, err
	}
	o := s.open(ctx, c.driver.iso)
	if o == nil {
		return nil, sql.ErrConnDone
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if o.err != nil {
		return nil, o.err
	}
	return o.opener.Connect(ctx)
}

// open begins to lease what s stands on, unless that is there or has begun. It may take as long as all migrations, so it does not end with
// the context of the query that happens to be the first.
func (s *shared) open(ctx context.Context, iso *Iso) *opening {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return nil
	}
	if s.opening == nil || s.opening.failed() {
		o := &opening{done: make(chan struct{}), err: errors.New("txiso: the migrations or the seed have ended their goroutine (runtime.Goexit, as by t.FailNow); return an error instead")}
		ctx, o.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.opening = o
		go func() {
			defer close(o.done)
			if o.lease, o.err = iso.pool.Get(ctx, func(string, ...any) {}); o.err == nil {
				o.opener = o.lease.Connector()
			}
		}()
	}
	return s.opening
}

// failed reports whether there is no lease and will not be.
func (o *opening) failed() bool {
	select {
	case <-o.done:
		return o.err != nil
	default:
		return false
	}
}

// join makes the connector one of those that hold its name's session.
func (c *connector) join() (*shared, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, sql.ErrConnDone
	}
	if c.shared != nil {
		return c.shared, nil
	}
	iso := c.driver.iso
	iso.mu.Lock()
	defer iso.mu.Unlock()
	s := iso.named[c.name]
	if s == nil {
		s = &shared{}
		iso.named[c.name] = s
	}
	s.users++
	c.shared = s
	return s, nil
}

// Close is called by sql.DB.Close.
func (c *connector) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shared
	c.shared, c.closed = nil, true
	if s == nil || !c.driver.iso.leave(c.name, s) {
		return nil
	}
	held := s.leave()
	if held == nil {
		return nil
	}
	var leaks []session.Leak
	if !c.driver.iso.allowLeaks {
		leaks = held.Leaks(leakPatience, func() {}) // database/sql has closed the connections that nobody uses
	}
	findings, err := held.End(endTimeout)
	for _, f := range findings {
		err = errors.Join(err, errors.New(f))
	}
	for _, leak := range leaks {
		err = errors.Join(err, leakError(leak))
	}
	return err
}

// leave returns the lease that is to be ended, or nil. One that is on its way is given up.
func (s *shared) leave() *lease.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = true
	if s.opening == nil {
		return nil
	}
	s.opening.cancel()
	<-s.opening.done
	return s.opening.lease
}

// leave reports whether the last user of s has left.
func (iso *Iso) leave(name string, s *shared) bool {
	iso.mu.Lock()
	defer iso.mu.Unlock()
	if s.users--; s.users > 0 {
		return false
	}
	delete(iso.named, name)
	return true
}
