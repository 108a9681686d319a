// Package host gives a run of the benchmarks a PostgreSQL, and leaves nothing behind.
package host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/txiso/txiso-go/benchmarks/faketest"
	"github.com/txiso/txiso-go/txiso"
)

// Host is the server of a run: the external one that TXISO_DSN names, or an embedded one of the run's own, whose data
// directory is made for the run and removed behind it.
type Host struct {
	Kind    string  // "embedded" or "external"
	Version string  // of PostgreSQL
	Admin   *sql.DB // on a database that nobody clones

	home   string // of an embedded server
	iso    *txiso.Iso
	hold   *faketest.T
	before map[string]bool // databases of an external server
}

// Open starts the server or connects to it. When ctx ends an embedded server ends at once. Open sets TXISO_HOME and TXISO_IDLE_TIMEOUT for an embedded one.
func Open(ctx context.Context, logf func(string, ...any)) (*Host, error) {
	h := &Host{Kind: "external", hold: faketest.New(ctx, "host"), iso: txiso.New(txiso.Config{})}
	h.hold.Log = logf
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *Host) open(ctx context.Context) error {
	if dsn := os.Getenv("TXISO_DSN"); dsn == "" {
		if err := h.makeHome(); err != nil {
			return err
		}
	} else if err := h.remember(ctx, dsn); err != nil {
		return err
	}
	var dsn string
	if err := h.hold.Try(func() error { dsn = h.iso.Clone(h.hold).DSN; return nil }); err != nil {
		return err
	}
	var err error
	if h.Admin, err = sql.Open("pgx", dsn); err != nil {
		return err
	}
	if h.home != "" {
		context.AfterFunc(ctx, h.kill)
	}
	return h.Admin.QueryRowContext(ctx, "SELECT current_setting('server_version')").Scan(&h.Version)
}

func (h *Host) makeHome() (err error) {
	h.Kind = "embedded"
	if h.home, err = MakeHome(); err != nil {
		return err
	}
	return errors.Join(os.Setenv("TXISO_HOME", h.home), os.Setenv("TXISO_IDLE_TIMEOUT", "1s"))
}

// MakeHome makes a directory for TXISO_HOME that the user whom root runs PostgreSQL as can reach.
func MakeHome() (string, error) {
	dir, err := os.MkdirTemp("", "txisobench")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// remember notes which databases an external server has.
func (h *Host) remember(ctx context.Context, dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	names, err := databases(ctx, db)
	h.before = make(map[string]bool)
	for _, name := range names {
		h.before[name] = true
	}
	return err
}

func databases(ctx context.Context, db *sql.DB) (names []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT datname FROM pg_database WHERE starts_with(datname, 'txiso_') ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // rows.Err says what went wrong
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// Close removes what the run has made: the embedded server and its data, or the databases that were not on the external
// server before. It does not drop those that are in use.
func (h *Host) Close() error {
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	var err error
	if h.Admin != nil {
		err = h.Admin.Close()
	}
	err = errors.Join(err, h.hold.End(), h.iso.Close())
	if h.home != "" {
		return errors.Join(err, RemoveHome(ctx, h.home))
	}
	return errors.Join(err, h.dropNew(ctx))
}

// RemoveHome waits until the server under home, which nobody uses any more, has stopped, and removes it.
func RemoveHome(ctx context.Context, home string) error {
	for Running(home) && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
	}
	if Running(home) {
		return fmt.Errorf("the embedded server in %s does not stop; stop it and remove that directory", home)
	}
	return os.RemoveAll(home)
}

// kill ends the run's own embedded server at once, with all its databases: nobody waits for them to be dropped one by one
// (manual 19.5, immediate shutdown).
func (h *Host) kill() {
	for _, file := range pidFiles(h.home) {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has stopped meanwhile
		}
		line, _, _ := strings.Cut(string(content), "\n")
		if pid, err := strconv.Atoi(line); err == nil && pid > 0 {
			if process, err := os.FindProcess(pid); err == nil {
				_ = process.Signal(syscall.SIGQUIT) // without effect where there are no signals: then the databases are dropped
			}
		}
	}
}

// pidFiles is where servers under home leave their process ids while they run.
func pidFiles(home string) []string {
	files, err := filepath.Glob(filepath.Join(home, "*", "*", "*", "postmaster.pid"))
	if err != nil {
		return nil
	}
	return files
}

// Running reports whether a server runs under a TXISO_HOME: it leaves its process id there.
func Running(home string) bool { return len(pidFiles(home)) > 0 }

func (h *Host) dropNew(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(os.Getenv("TXISO_DSN"))
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	names, err := databases(ctx, db)
	for _, name := range names {
		if !h.before[name] {
			err = errors.Join(err, drop(ctx, db, name))
		}
	}
	return err
}

func drop(ctx context.Context, db *sql.DB, name string) error {
	quoted := pgx.Identifier{name}.Sanitize()
	if _, err := db.ExecContext(ctx, "ALTER DATABASE "+quoted+" IS_TEMPLATE false"); err != nil && !gone(err) {
		return err
	}
	if _, err := db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+quoted); err != nil && !gone(err) {
		return err
	}
	return nil
}

// gone reports whether the database has been dropped by somebody else, or is in use.
func gone(err error) bool {
	return strings.Contains(err.Error(), "3D000") || strings.Contains(err.Error(), "55006")
}
