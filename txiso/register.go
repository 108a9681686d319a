package txiso

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"regexp"
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
// An address (postgres://…, host=…) is no such name: sql.Open refuses it, and returns what is wrong with cfg. KeepFailed,
// MaxKept, TXISO_KEEP, NestedTimeout and the log of statements need a test and have no effect here.
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

// shared is the session of a data source name. users is guarded by Iso.mu, what follows ready by that.
type shared struct {
	users  int // open connectors that have connected
	ready  sync.Mutex
	lease  *lease.Lease
	opener driver.Connector // of the lease's connections
	left   bool             // by its last user: a Connect that was on its way must not lease anything any more
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

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	s, err := c.join()
	if err != nil {
		return nil, err
	}
	opener, err := s.open(ctx, c.driver.iso)
	if err != nil {
		return nil, err
	}
	return opener.Connect(ctx)
}

// open leases what s stands on at the first call.
func (s *shared) open(ctx context.Context, iso *Iso) (driver.Connector, error) {
	s.ready.Lock()
	defer s.ready.Unlock()
	switch {
	case s.left:
		return nil, sql.ErrConnDone
	case s.opener != nil:
		return s.opener, nil
	}
	l, err := iso.pool.Get(ctx, func(string, ...any) {})
	if err != nil {
		return nil, err
	}
	s.lease, s.opener = l, l.Connector()
	return s.opener, nil
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
	s.ready.Lock()
	defer s.ready.Unlock()
	s.left = true
	if s.lease == nil {
		return nil
	}
	var leaks []session.Leak
	if !c.driver.iso.allowLeaks {
		leaks = s.lease.Leaks(leakPatience, func() {}) // database/sql has closed the connections that nobody uses
	}
	findings, err := s.lease.End(endTimeout)
	for _, f := range findings {
		err = errors.Join(err, errors.New(f))
	}
	for _, leak := range leaks {
		err = errors.Join(err, leakError(leak))
	}
	return err
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
