package txiso_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/txiso/txiso-go/txiso"
)

func TestCloseGivesBackEveryConnectionAndGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	cfg := txiso.Config{Migrations: table(t)}
	private := txiso.New(cfg)
	t.Cleanup(func() { dropTemplate(t, cfg) })
	var backends []int
	playTest(t, func(one *fakeTB) {
		backends = append(backends, backend(t, private.DB(one)))
		playTest(t, func(two *fakeTB) { backends = append(backends, backend(t, private.DB(two))) }).expectPass(t)
	}).expectPass(t)
	closeIso(t, private)
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	observer := connect(t, "")
	for _, pid := range backends {
		awaitEnd(t, observer, pid)
	}
}

// awaitEnd waits until a backend is gone: the server notices a moment after its client has left.
func awaitEnd(t *testing.T, observer *pgx.Conn, pid int) {
	t.Helper()
	for alive := true; alive; {
		err := observer.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid).Scan(&alive)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAfterCloseThereAreNoDatabases(t *testing.T) {
	t.Parallel()
	used, unused := fresh(t, txiso.Config{Migrations: table(t)}), txiso.New(txiso.Config{})
	playTest(t, func(tb *fakeTB) { used.DB(tb) }).expectPass(t)
	for _, iso := range []*txiso.Iso{used, unused} {
		for range 2 {
			closeIso(t, iso)
		}
		playTest(t, func(tb *fakeTB) { iso.DB(tb) }).expectFatal(t, "Close was called", "no database can be had after it")
		playTest(t, func(tb *fakeTB) { iso.Pool(tb) }).expectFatal(t, "Close was called")
		playTest(t, func(tb *fakeTB) { iso.Clone(tb) }).expectFatal(t, "Close was called")
	}
}

// Against the advice, but it must not hang or panic.
func TestATestThatIsStillRunningAtCloseEnds(t *testing.T) {
	t.Parallel()
	private := fresh(t, txiso.Config{Migrations: table(t)})
	var pid int
	playTest(t, func(tb *fakeTB) {
		pid = backend(t, private.DB(tb))
		closeIso(t, private)
	}).expectPass(t)
	awaitEnd(t, connect(t, ""), pid)
}

// Close and the first use of an Iso may meet, in TestMain and a goroutine that a test has left behind.
func TestCloseAtTheMomentOfTheFirstUseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	cfg := txiso.Config{Migrations: table(t)}
	private := txiso.New(cfg)
	playTest(t, func(tb *fakeTB) { private.DB(tb) }).expectPass(t)
	closeIso(t, private)
	t.Cleanup(func() { dropTemplate(t, cfg) })
	observer := connect(t, "")
	awaitKeepers(t, observer, keepersOfOthers)
	all := make([]*txiso.Iso, 30) // kept, because the garbage collector would close connections
	for i := range all {
		all[i] = txiso.New(cfg)
		closeWhileOpening(t, all[i])
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	awaitKeepers(t, observer, keepersOfOthers)
	runtime.KeepAlive(all)
}

func closeWhileOpening(t *testing.T, private *txiso.Iso) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		time.Sleep(rand.N(6 * time.Millisecond))
		closeIso(t, private)
	}()
	playTest(t, func(tb *fakeTB) { private.DB(tb) })
	<-closed
}

// keepersOfOthers are those of iso and of the registered driver.
const keepersOfOthers = 2

// awaitKeepers waits until this process has at most n connections that hold its leases.
func awaitKeepers(t *testing.T, observer *pgx.Conn, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for left := n + 1; left > n; {
		err := observer.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, $1)",
			fmt.Sprintf("txiso keeper %d ", os.Getpid())).Scan(&left)
		if err != nil {
			t.Fatalf("%d connections are left of %d: %v", left, n, err)
		}
	}
}
