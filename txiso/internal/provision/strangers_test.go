package provision_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// visit connects to a database as a superuser.
func visit(t *testing.T, name string) *pgx.Conn {
	t.Helper()
	as := server(t).Config()
	as.Database = name
	return connect(t, as)
}

// A program that watches over all databases of a server stays connected to each. Every run made more databases because of that, as
// a plain role cannot send it away.
func TestADatabaseWithAnIdleVisitorIsLeased(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	first := lease(t, p)
	first.Release()
	visitor := visit(t, first.Name())
	if again := lease(t, p); again.Name() != first.Name() {
		t.Errorf("leased %s, want %s, whose visitor does nothing", again.Name(), first.Name())
	}
	execute(t, visitor, "SELECT")
	_ = visitor.Close(t.Context())
}

// A login that acts as the owner of the databases (cloud providers have it so) may not end its own connections by that role's rights.
// The template was built or not, by how fast the server noticed that one had been closed.
func TestALoginThatActsAsAnotherRole(t *testing.T) {
	t.Parallel()
	owner := uniqueTable()
	execute(t, server(t), "CREATE ROLE "+owner+" CREATEDB")
	t.Cleanup(func() { execute(t, server(t), "DROP ROLE "+owner) })
	dsn := asRole(t, "LOGIN IN ROLE "+owner)
	if isURL(dsn) {
		t.Skip("the server is named by a URL")
	}
	for range 5 {
		cfg := config(t)
		cfg.DSN = dsn + " role=" + owner
		p := open(t, cfg)
		w := lease(t, p)
		conn := connect(t, w.Config())
		_ = conn.Close(t.Context())
		if err := w.Discard(t.Context()); err != nil {
			t.Error(err)
		}
		c := clone(t, p)
		conn = connect(t, c.Config())
		_ = conn.Close(t.Context())
		giveBack(t, c)
		awaitGone(t, c.Name())
		closeNow(t, p)
	}
}

// Who connects again as soon as he is sent away, such as a worker that a test has left running, kept a clone from being dropped.
func TestACloneIsDroppedUnderClientsThatComeBack(t *testing.T) {
	t.Parallel()
	p := open(t, config(t))
	c := clone(t, p)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	var connected atomic.Int32
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				conn, err := pgx.ConnectConfig(ctx, c.Config())
				if err != nil {
					continue
				}
				connected.Add(1)
				_, _ = conn.Exec(ctx, "SELECT pg_sleep(10)")
				_ = conn.Close(context.Background())
			}
		})
	}
	await(t, "nobody has connected", func() bool { return connected.Load() >= 8 })
	giveBack(t, c)
	awaitGone(t, c.Name())
	stop()
	clients.Wait()
}
