//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// state is what a look at a server found.
type state int

const (
	absent   state = iota // nobody answers
	starting              // or recovering
	stopping
	silent    // says that it is ready, but lets nobody in
	unguarded // answers, but has no watchdog
	up
)

// postmaster is what its postmaster.pid says (src/include/utils/pidfile.h).
type postmaster struct {
	pid       int
	started   time.Time
	socketDir string
	status    string // starting, ready, stopping, standby
}

func (c *cluster) postmaster() (postmaster, error) {
	data, err := os.ReadFile(c.pidFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // no file: no postmaster
		return postmaster{}, unclear(err)
	}
	lines := strings.Split(string(data), "\n")
	if len(lines) < 8 { // written line by line while it starts
		lines = append(lines, make([]string, 8-len(lines))...)
	}
	pid, _ := strconv.Atoi(lines[0])
	return postmaster{pid: pid, started: epoch(lines[2]), socketDir: lines[4], status: strings.TrimSpace(lines[7])}, nil
}

// The advisory locks of the maintenance database: class "txis" in ASCII, and in it the watchdog's life (exclusive, by the watchdog) and the
// decision to stop (exclusive by the watchdog that decides, shared by who starts to use the server). watchdog.sql uses them too.
const (
	tellInUse = `
SELECT pg_try_advisory_xact_lock_shared(1954048371, 2);
INSERT INTO txiso.server AS s VALUES (true, clock_timestamp(), '%[1]d ms')
	ON CONFLICT (one) DO UPDATE SET last_start = excluded.last_start, idle_timeout = excluded.idle_timeout;
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1954048371 AND objid = 1 AND objsubid = 2 AND granted)`
	setUp = `
CREATE SCHEMA IF NOT EXISTS txiso;
CREATE TABLE IF NOT EXISTS txiso.server (one boolean PRIMARY KEY CHECK (one), last_start timestamptz NOT NULL, idle_timeout interval NOT NULL)`
	watch = `SELECT pg_try_advisory_lock(1954048371, 1)`
)

//go:embed watchdog.sql
var watchdog string

// adopt connects to the server if it runs and tells it that it is in use, which gives the caller the whole idle timeout to connect.
// It returns an error only for an answer that no waiting will change.
func (c *cluster) adopt(ctx context.Context) (state, error) {
	switch p, err := c.postmaster(); {
	case err != nil:
		return absent, err
	case p.status == "ready":
		return c.greet(ctx, p.socketDir)
	case p.status == "stopping":
		return stopping, nil
	case p.pid != 0:
		return starting, nil
	}
	return absent, nil
}

func (c *cluster) greet(ctx context.Context, socketDir string) (state, error) {
	conn, err := c.connect(ctx, socketDir)
	if err != nil {
		return c.judge(ctx, err)
	}
	c.socket = socketDir
	found, err := c.tellInUse(ctx, conn)
	if found == up && c.keep {
		c.kept = conn
	} else {
		closeSoon(conn)
	}
	return found, err
}

func (c *cluster) tellInUse(ctx context.Context, conn *pgconn.PgConn) (state, error) {
	results, err := conn.Exec(ctx, fmt.Sprintf(tellInUse, c.idle.Milliseconds())).ReadAll()
	switch {
	case err != nil:
		return c.judge(ctx, err)
	case !isTrue(results[0]):
		return stopping, nil
	case !isTrue(results[2]):
		return unguarded, nil
	}
	return up, nil
}

// judge decides what a failed connection or greeting says about the server.
func (c *cluster) judge(ctx context.Context, err error) (state, error) {
	var answer *pgconn.PgError
	switch {
	case ctx.Err() != nil:
		return absent, fmt.Errorf("txiso: connecting to the embedded server: %w", context.Cause(ctx))
	case errors.As(err, &answer):
		return c.judgeAnswer(answer)
	case errors.Is(err, errNowhere):
		return absent, err
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return absent, nil
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, context.DeadlineExceeded):
		return absent, fmt.Errorf("txiso: the embedded server does not answer (log in %s): %w: stop its process, or set TXISO_DSN to another server",
			c.logFile(), err)
	}
	return silent, nil // it hung up: it goes down, or cannot make a process for us
}

func (c *cluster) judgeAnswer(answer *pgconn.PgError) (state, error) {
	switch answer.Code {
	case "57P03": // cannot_connect_now
		if strings.Contains(answer.Message, "starting up") {
			return starting, nil
		}
		return stopping, nil
	case "57P01", "57P02": // admin_shutdown, crash_shutdown
		return stopping, nil
	case "3F000", "42P01": // no schema, no table: it was never guarded
		return unguarded, nil
	case "53300": // too_many_connections
		return absent, fmt.Errorf("txiso: the embedded server has no connection left: %w: run fewer test processes at once (go test -p), "+
			"or close connections that the tests do not need", answer)
	}
	return absent, fmt.Errorf("txiso: the embedded server refuses us (log in %s): %w: stop it and remove %s, or set TXISO_DSN to another server",
		c.logFile(), answer, c.data())
}

func isTrue(r *pgconn.Result) bool {
	return len(r.Rows) == 1 && string(r.Rows[0][0]) == "t"
}

var errNowhere = errors.New("txiso: the embedded server does not say where its socket is")

// connect gives a connection that no setting of a role or database gets in the way of.
func (c *cluster) connect(ctx context.Context, socketDir string) (*pgconn.PgConn, error) {
	if !filepath.IsAbs(socketDir) { // pgconn would look for a server of the machine's own
		return nil, fmt.Errorf("%w (%q in %s): stop its process, or set TXISO_HOME to another directory", errNowhere, socketDir, c.pidFile())
	}
	config, err := pgconn.ParseConfig(socketDSN(socketDir))
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = 30 * time.Second
	config.RuntimeParams = map[string]string{
		"application_name": "txiso", "client_min_messages": "error", "default_transaction_read_only": "off", "search_path": "pg_catalog",
		"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "client_connection_check_interval": "0",
	}
	return pgconn.ConnectConfig(ctx, config)
}

// closeSoon says goodbye without waiting for the server's end of the socket.
func closeSoon(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// guard leaves a watchdog in a server that has none. The caller holds the lock.
func (c *cluster) guard(ctx context.Context) error {
	conn, err := c.connect(ctx, c.socket)
	if err != nil {
		return fmt.Errorf("txiso: connecting to the embedded server: %w", err)
	}
	defer closeSoon(conn)
	for _, sql := range []string{setUp, fmt.Sprintf(tellInUse, c.idle.Milliseconds()), watch} {
		results, err := conn.Exec(ctx, sql).ReadAll()
		if err != nil {
			return fmt.Errorf("txiso: starting the embedded server's watchdog: %w", err)
		}
		if sql == watch && !isTrue(results[0]) {
			return nil // there is one now
		}
	}
	return leave(conn, watchdog)
}

// leave sends a statement and goes. The server reads it before it could see that nobody is there, and does not look again while it runs.
func leave(conn *pgconn.PgConn, sql string) error {
	query, err := (&pgproto3.Query{String: sql}).Encode(nil)
	if err != nil {
		return fmt.Errorf("txiso: encoding the watchdog: %w", err)
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		return fmt.Errorf("txiso: leaving the watchdog: %w", err)
	}
	defer hijacked.Conn.Close()
	if _, err := hijacked.Conn.Write(query); err != nil {
		return fmt.Errorf("txiso: leaving the watchdog: %w", err)
	}
	return nil
}
