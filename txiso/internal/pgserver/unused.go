//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// StopUnused is [Stop] for the servers that nobody uses. The others go on, and it returns an [InUseError] for each of them, joined. A
// test that has just been told of a server and connects to it a moment later finds it stopped and starts it again.
func StopUnused(ctx context.Context, cfg Config) error {
	all, _, err := clusters(cfg)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, c.holding(ctx, c.endUnused))
	}
	return errors.Join(errs...)
}

// farewell is how long a backend may take to end when its client has gone.
const farewell = 500 * time.Millisecond

// endUnused asks the server itself whether it is in use. The caller holds the lock.
func (c *cluster) endUnused(ctx context.Context) error {
	p, alive, err := c.running()
	if err != nil {
		return err
	}
	if !alive || p.status != "ready" {
		return c.end(ctx)
	}
	conn, err := c.connect(ctx, p.socketDir)
	if err != nil {
		return c.endOr(ctx, err)
	}
	defer closeSoon(conn)
	users, err := usersOf(ctx, conn)
	for began := time.Now(); len(users) > 0 && time.Since(began) < farewell && sleep(ctx, 5*time.Millisecond) == nil; {
		users, err = usersOf(ctx, conn)
	}
	if err != nil {
		return c.endOr(ctx, err)
	}
	if len(users) > 0 {
		return &InUseError{Server: filepath.Base(c.dir), Users: users}
	}
	return c.end(ctx) // conn still holds the decision to stop, so nobody is told to use the server
}

// endOr ends a server that is about to stop or to start, and leaves any other that answers with an error, or that cannot be asked.
func (c *cluster) endOr(ctx context.Context, err error) error {
	found, final := c.judge(ctx, err)
	if (found == absent || found == silent) && final == nil {
		final = c.outOfReach(found)
	}
	if final != nil {
		return final
	}
	return c.end(ctx)
}

// decideAndLook takes the watchdog's decision to stop, which is free but for the moment in which somebody starts to use the server, and
// then lists who is connected beside the watchdog and us.
// It may be repeated: the lock is taken once more.
const decideAndLook = `SELECT pg_advisory_lock(1954048371, 2);
SELECT pid, application_name, datname FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND pid NOT IN
	(SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1954048371 AND objid = 1 AND objsubid = 2 AND granted)
ORDER BY backend_start`

func usersOf(ctx context.Context, conn *pgconn.PgConn) ([]User, error) {
	results, err := conn.Exec(ctx, decideAndLook).ReadAll()
	if err != nil {
		return nil, err
	}
	var users []User
	for _, row := range results[1].Rows {
		backend, _ := strconv.Atoi(string(row[0])) // a pid is a number
		users = append(users, User{Backend: backend, Application: string(row[1]), Database: string(row[2])})
	}
	return users, nil
}

// holding calls f with the lock, which keeps everybody else from starting or stopping the server.
func (c *cluster) holding(ctx context.Context, f func(context.Context) error) error {
	l, err := openLock(c.lockFile())
	if err != nil {
		return err
	}
	defer l.release()
	if _, err := l.take(ctx, func() bool { return false }); err != nil {
		return err
	}
	return f(ctx)
}

// end is a fast shutdown. What outlives its patience, or has lost its postmaster, is killed: the data is worth nothing.
// The caller holds the lock.
func (c *cluster) end(ctx context.Context) error {
	patience := absent.patience()
	p, alive, err := c.running()
	if err != nil {
		return err
	}
	if alive {
		c.signal(syscall.SIGINT, p.pid)
		patience = stopping.patience()
	}
	return c.awaitEnd(ctx, patience)
}
