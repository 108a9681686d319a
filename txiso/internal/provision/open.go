package provision

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	oldestSupported       = 14 // major version of PostgreSQL
	defaultConnectTimeout = 10 * time.Second
	defaultStaleAfter     = 7 * 24 * time.Hour
	defaultGrowth         = 64 << 20
)

// Config says which server to use and what a template consists of.
type Config struct {
	// DSN is any connection string pgx understands, keyword/value or URL. Its database is the
	// maintenance database: txiso keeps its locks there and nothing else. All processes that
	// share databases must name the same one; with another name they get databases of their own.
	// Without connect_timeout in it, connecting is given up after 10 seconds.
	DSN string

	// Conn, if not nil, is an open connection to that database as that role. Open uses it in the
	// place of one of its own, and closes it if it fails.
	Conn *pgconn.PgConn

	// Migrator fills the template. It must not be nil.
	Migrator Migrator

	// Seed, if not nil, runs once after the migrations, into the template. SeedVersion names
	// what it does: a new version builds a new template. It must not be empty if Seed is set.
	Seed        func(ctx context.Context, db *sql.DB) error
	SeedVersion string

	// StaleAfter is how long a template must have been unused before [Provisioner.Collect]
	// drops it with its worker databases. Zero means the TXISO_STALE_AFTER variable (a Go duration),
	// without that seven days.
	StaleAfter time.Duration

	// Growth is how many bytes a worker database may be larger than twice its template before
	// [WorkerDB.Outgrown] says so. Zero means 64 MB.
	Growth int64
}

// Migrator creates a schema. [Goose] is the usual one.
type Migrator interface {
	// Fingerprint returns a text that changes whenever the result of Migrate may change. It is
	// called once per Open and must not need a database.
	Fingerprint() (string, error)

	// Migrate fills the empty database behind db, which it must not close. The connections
	// are ordinary ones: nothing is rolled back.
	Migrate(ctx context.Context, db *sql.DB) error
}

// Provisioner hands out databases of one template on one server. Its methods may be called from
// many goroutines at once, and many Provisioners in many processes may share a server.
//
// It holds one server connection from Open to Close; a second one exists while a database is
// being created or dropped.
type Provisioner struct {
	cfg       Config
	base      *pgx.ConnConfig // never modified; copy before use
	home      string          // the maintenance database, as the server names it
	encrypted bool            // connections use TLS

	described   string // what was passed and decides the content of the template
	fingerprint string // of that and of the server
	template    string // name of the template database

	// turn is a mutex whose waiters can give up: it is held while the keeper is replaced or the
	// template is ensured. It guards the next four.
	turn     chan struct{}
	keeper   *keeper
	closed   bool
	failure  error     // why there was no other keeper, or no template
	failedAt time.Time // when that was found out

	creating chan struct{} // bounds the admin connections that create databases
	stock    stock
	drops    drops

	housekeeping sync.Once
	background   background
	running      context.Context // ends when Close is called
	stop         context.CancelFunc
}

// ErrClosed is returned by every method of a Provisioner, and of what it has handed out, after Close.
var ErrClosed = errors.New("txiso: Close was called; call it when no test uses a database any more")

// Open connects to the server and checks that it can be used: PostgreSQL 14 or newer, a primary,
// and a role that may create databases. Nothing is created yet. ctx bounds Open alone.
//
// Its errors name the next step and never contain a password; those of the server wrap a
// *pgconn.PgError.
func Open(ctx context.Context, cfg Config) (*Provisioner, error) {
	p, err := open(ctx, cfg)
	if err != nil && cfg.Conn != nil {
		_ = cfg.Conn.Close(ctx)
	}
	return p, err
}

func open(ctx context.Context, cfg Config) (*Provisioner, error) {
	var err error
	if cfg.StaleAfter, err = staleAfter(cfg.StaleAfter); err != nil {
		return nil, err
	}
	if cfg.Growth == 0 {
		cfg.Growth = defaultGrowth
	}
	described, err := describe(cfg)
	if err != nil {
		return nil, err
	}
	base, err := parseDSN(cfg.DSN)
	if err != nil {
		return nil, err
	}
	p := &Provisioner{cfg: cfg, described: described, base: base, turn: make(chan struct{}, 1), creating: make(chan struct{}, maxCreating)}
	p.stock = stock{p: p}
	p.drops = drops{p: p, waiting: make(chan struct{}, maxDropping)}
	link, err := firstLink(ctx, cfg.Conn, base)
	if err != nil {
		return nil, err
	}
	p.base = pinned(ctx, base, link.conn)
	link.base = p.base
	p.home, p.encrypted = link.home, encrypted(link)
	p.fingerprint = fingerprint(described, link, base)
	p.template = templateName(p.fingerprint)
	p.keeper = newKeeper(link)
	p.running, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	return p, nil
}

// describe checks what the caller passed and returns a text of all of it that decides the
// content of the template.
func describe(cfg Config) (string, error) {
	if cfg.Migrator == nil {
		return "", errors.New("txiso: there is nothing to build a template from; set Config.Migrations or Config.Migrator")
	}
	if cfg.Seed != nil && cfg.SeedVersion == "" {
		return "", errors.New("txiso: Config.Seed has no version, so a changed seed would go unnoticed; set Config.SeedVersion and change it with the seed")
	}
	print, err := cfg.Migrator.Fingerprint()
	if err != nil {
		return "", doing("reading the migrations", err)
	}
	return fmt.Sprintf("migrations %q seed %q", print, cfg.SeedVersion), nil
}

// Close gives back every lease and clone that is still held (it does not drop those), ends the
// background work and closes the connection. It returns what kept clones that were given back from being dropped. Calling
// it again does nothing.
func (p *Provisioner) Close(ctx context.Context) error {
	p.stop()
	if err := p.lockTurn(ctx); err != nil {
		return err
	}
	defer p.unlockTurn()
	if p.closed {
		return nil
	}
	p.closed = true
	return errors.Join(p.background.close(ctx), p.drops.failed(), p.keeper.close(ctx))
}

// ready returns a keeper that holds the template, which exists from then on. A keeper whose
// connection was lost is replaced: what it held is no longer ours, see [ErrLost].
func (p *Provisioner) ready(ctx context.Context) (*keeper, error) {
	asked := time.Now()
	if err := p.lockTurn(ctx); err != nil {
		return nil, err
	}
	defer p.unlockTurn()
	switch {
	case p.closed:
		return nil, ErrClosed
	case !p.keeper.lost() && p.keeper.held() != nil:
		return p.keeper, nil
	case p.failure != nil && p.failedAt.After(asked): // who waited for that must not wait for the same again
		return nil, p.failure
	}
	if p.keeper.lost() {
		link, err := dial(ctx, p.base, "keeper")
		if err != nil {
			return nil, p.failed(ctx, err)
		}
		p.keeper = newKeeper(link)
	}
	err := p.ensureTemplate(ctx, p.keeper)
	var build *BuildError
	if errors.As(err, &build) {
		return nil, p.failed(ctx, err)
	}
	return p.keeper, err
}

// failed notes a failure for those who wait, unless it may be one of ctx. The caller holds p's turn.
func (p *Provisioner) failed(ctx context.Context, err error) error {
	if !Ended(ctx) {
		p.failure, p.failedAt = err, time.Now()
	}
	return err
}

func (p *Provisioner) lockTurn(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return waitError("the template", context.Cause(ctx))
	}
}

func (p *Provisioner) unlockTurn() { <-p.turn }

// Template returns the name of the template database, whether or not it exists yet.
func (p *Provisioner) Template() string { return p.template }
