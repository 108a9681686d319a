//go:build unix && !solaris && !aix

package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestStartCreatesOnceAndAdoptsAfterwards(t *testing.T) {
	h := newHome(t)
	first := h.start()
	conn := connect(t, first)
	started := query[time.Time](t, conn, "SELECT pg_postmaster_start_time()")
	second := h.start()
	if *first != *second || !started.Equal(query[time.Time](t, connect(t, second), "SELECT pg_postmaster_start_time()")) {
		t.Errorf("second Start gave another server: %q, first %q", second.DSN(), first.DSN())
	}
	if n := h.created.Load(); n != 1 {
		t.Errorf("%d data directories created, want 1", n)
	}
}

// A process that finds a server looks whether it lives, and goes on with that connection.
func TestConnectHandsOverTheConnectionThatFoundTheServer(t *testing.T) {
	h := newHome(t)
	started, conn, err := Connect(t.Context(), h.config())
	if err != nil || conn != nil {
		t.Fatalf("with a server that had to be started: connection %v, %v", conn, err)
	}
	found, conn, err := Connect(t.Context(), h.config())
	if err != nil || conn == nil || *found != *started {
		t.Fatalf("with a server that runs: %v, connection %v, %v", found, conn, err)
	}
	defer conn.Close(t.Context())
	if n := query[int](t, connect(t, found), "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND datname = 'postgres'", conn.PID()); n != 1 {
		t.Errorf("the connection is not one to the maintenance database")
	}
	results, err := conn.Exec(t.Context(), "SHOW statement_timeout").ReadAll()
	if err != nil || string(results[0].Rows[0][0]) != "0" {
		t.Errorf("it does not work: %v", err)
	}
}

func TestStartKeepsTheDataDirectory(t *testing.T) {
	h := newHome(t)
	_, err := connect(t, h.start()).Exec(t.Context(), "CREATE TABLE kept AS SELECT 42 AS n")
	if err != nil {
		t.Fatal(err)
	}
	if err := Stop(t.Context(), h.config()); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, connect(t, h.start()), "SELECT n FROM kept"); n != 42 || h.created.Load() != 1 {
		t.Errorf("after the second start: %d, %d data directories created", n, h.created.Load())
	}
}

func TestServerIsForThrowawayData(t *testing.T) {
	conn := connect(t, newHome(t).start())
	for name, want := range map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0",
		"listen_addresses": "", "restart_after_crash": "off", "autovacuum": "on", "max_connections": "1000", "server_encoding": "UTF8",
		"TimeZone": "UTC", "lc_messages": "C", "default_transaction_isolation": "read committed", "log_min_messages": "log",
	} {
		if got := query[string](t, conn, "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if collation := query[string](t, conn, "SELECT datcollate FROM pg_database WHERE datname = 'template1'"); collation != "C.UTF-8" && collation != "C" {
		t.Errorf("collation is %q", collation)
	}
}

func TestOnlyTheOwnerGetsToTheSocket(t *testing.T) {
	h := newHome(t)
	h.start()
	c := h.cluster()
	info, err := os.Stat(postmasterOf(t, c).socketDir)
	if err != nil || info.Mode().Perm() != 0o700 || !c.account.owns(info) {
		t.Errorf("socket directory: %v %v", info, err)
	}
}

func TestLongHomeGetsAShortSocket(t *testing.T) {
	h := newHome(t)
	h.home = filepath.Join(h.home, strings.Repeat("long-", 20))
	if got := query[string](t, connect(t, h.start()), "SHOW unix_socket_directories"); len(got) > maxSocketDir {
		t.Errorf("socket directory %s", got)
	}
}

func TestHomeMayHaveAnyName(t *testing.T) {
	h := newHome(t)
	for _, name := range []string{`it's, "a\b" %s [*`, "white space", "ümlaut=1;"} {
		h.home = filepath.Join(h.home, name)
		connect(t, h.start())
		if err := Stop(t.Context(), h.config()); err != nil {
			t.Fatal(err)
		}
		c := h.cluster()
		if left := processesOf(t, c); len(left) > 0 {
			t.Errorf("%s: processes %v are left", name, left)
		}
		_ = os.Remove(c.socketDir(nameOf(t, c)))
	}
}

func TestManyProcessesStartOneServer(t *testing.T) {
	h := newHome(t)
	children := make([]*process, 16)
	for i := range children {
		children[i] = startChild(t, h.home)
	}
	servers, created := map[int64]bool{}, 0
	for _, p := range children {
		startedAt, n := p.connected(t)
		servers[startedAt] = true
		created += n
	}
	for _, p := range children { // all at once: the race detector takes a second to exit
		_ = p.stdin.Close()
	}
	for _, p := range children {
		p.finish(t)
	}
	if len(servers) != 1 || created != 1 {
		t.Errorf("%d servers started, %d data directories created, want one of each", len(servers), created)
	}
}

func TestManyGoroutinesStartOneServer(t *testing.T) {
	h := newHome(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := Start(t.Context(), h.config()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := h.created.Load(); n != 1 {
		t.Errorf("%d data directories created, want 1", n)
	}
}

func TestServerOutlivesItsStarterInASessionOfItsOwn(t *testing.T) {
	h := newHome(t)
	p := startChild(t, h.home)
	started, _ := p.connected(t)
	p.finish(t) // hangs if the server holds the child's standard output
	pid := postmasterOf(t, h.cluster()).pid
	if sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0); errno != 0 || int(sid) == mySession(t) {
		t.Errorf("session of the server: %d, %v", sid, errno)
	}
	if again := query[time.Time](t, connect(t, h.start()), "SELECT pg_postmaster_start_time()"); again.UnixMicro() != started {
		t.Error("the server did not outlive the process that started it")
	}
}

func mySession(t *testing.T) int {
	sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return int(sid)
}

func TestServerInheritsNoFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	h := newHome(t)
	ours, err := os.Create(filepath.Join(h.home, "ours"))
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	h.start()
	c := h.cluster()
	fds := fmt.Sprintf("/proc/%d/fd", postmasterOf(t, c).pid)
	entries, err := os.ReadDir(fds)
	if err != nil {
		t.Skip(err) // another account's, and we may not look
	}
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join(fds, e.Name()))
		if target == ours.Name() || target == c.lockFile() || e.Name() <= "2" && target != os.DevNull && target != c.logFile() {
			t.Errorf("the server holds %s open as %s", target, e.Name())
		}
	}
}

func TestStartAfterTheServerWasKilled(t *testing.T) {
	h := newHome(t)
	for range 3 {
		h.start()
		c := h.cluster()
		c.signal(syscall.SIGKILL, processesOf(t, c)...)
		connect(t, h.start())
	}
	if n := h.created.Load(); n != 1 {
		t.Errorf("%d data directories created: the server recovers from a kill", n)
	}
}

// Errors send who reads them to the server's log for the reason. The next start had emptied it.
func TestTheLogOfACrashOutlivesTheNextStart(t *testing.T) {
	h := newHome(t)
	_, err := connect(t, h.start()).Exec(t.Context(), "DO $$ BEGIN RAISE LOG 'the last words'; END $$")
	if err != nil {
		t.Fatal(err)
	}
	c := h.cluster()
	c.signal(syscall.SIGKILL, processesOf(t, c)...)
	h.start()
	if log, err := os.ReadFile(c.logFile() + ".1"); err != nil || !bytes.Contains(log, []byte("the last words")) {
		t.Errorf("%s: %v", log, err)
	}
}

func TestStartAfterOnlyThePostmasterWasKilled(t *testing.T) {
	h := newHome(t)
	busy := connect(t, h.start())
	done := make(chan error)
	go func() { // a backend that does not notice
		_, err := busy.Exec(context.Background(), "DO $$BEGIN LOOP END LOOP; END$$")
		done <- err
	}()
	for query[int](t, connect(t, h.start()), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO $$BEGIN LOOP%'") == 0 {
		time.Sleep(time.Millisecond)
	}
	c := h.cluster()
	c.signal(syscall.SIGKILL, postmasterOf(t, c).pid)
	connect(t, h.start())
	if err := <-done; err == nil {
		t.Error("the old server's backend lives on")
	}
	if n := h.created.Load(); n != 1 {
		t.Errorf("%d data directories created: the server recovers from a kill", n)
	}
}

func TestStartAfterThePidWasGivenToSomebodyElse(t *testing.T) {
	h := newHome(t)
	h.start()
	c := h.cluster()
	pidFile, err := os.ReadFile(c.pidFile())
	if err != nil {
		t.Fatal(err)
	}
	c.signal(syscall.SIGKILL, processesOf(t, c)...)
	_, rest, _ := strings.Cut(string(pidFile), "\n")
	if err := os.WriteFile(c.pidFile(), []byte(fmt.Sprintf("%d\n%s", os.Getpid(), rest)), 0o600); err != nil {
		t.Fatal(err)
	}
	connect(t, h.start())
	if n := h.created.Load(); n != 1 {
		t.Errorf("%d data directories created, want 1", n)
	}
}

func TestStartAfterAStarterWasKilledAtAnyMoment(t *testing.T) {
	h := newHome(t)
	for range 20 {
		p := startChild(t, h.home)
		time.Sleep(time.Duration(rand.IntN(600)) * time.Millisecond)
		p.kill()
		if rand.IntN(3) == 0 {
			connect(t, h.start())
			if err := Stop(t.Context(), h.config()); err != nil {
				t.Fatal(err)
			}
		}
	}
	connect(t, h.start())
}

func TestServerOfAStarterThatWasKilledStops(t *testing.T) {
	h := newHome(t)
	h.start()
	if err := Stop(t.Context(), h.config()); err != nil {
		t.Fatal(err)
	}
	for range 10 { // the start takes about 40 ms
		p := startChild(t, h.home)
		time.Sleep(time.Duration(10+rand.IntN(60)) * time.Millisecond)
		p.kill()
		h.awaitEnd()
	}
}

func TestBrokenDataDirectoryIsRebuilt(t *testing.T) {
	for name, destroy := range map[string]func(data string) error{
		"no control file": func(data string) error { return os.Remove(filepath.Join(data, "global", "pg_control")) },
		"empty files":     func(data string) error { return truncateAll(filepath.Join(data, "global")) },
		"no databases":    func(data string) error { return os.RemoveAll(filepath.Join(data, "base")) },
		"empty":           func(data string) error { return removeContent(data) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			h.start()
			if err := Stop(t.Context(), h.config()); err != nil {
				t.Fatal(err)
			}
			if err := destroy(h.cluster().data()); err != nil {
				t.Fatal(err)
			}
			connect(t, h.start())
			if n := h.created.Load(); n != 2 {
				t.Errorf("%d data directories created, want 2", n)
			}
			wantOnlyData(t, h.cluster())
		})
	}
}

// Any error on the way to a server cost the data, though new data was no help and what was in it had to be migrated again.
func TestDataThatIsNotToBlameIsKept(t *testing.T) {
	h := newHome(t)
	h.start()
	if err := Stop(t.Context(), h.config()); err != nil {
		t.Fatal(err)
	}
	log := h.cluster().logFile()
	if err := os.Mkdir(log+".1", 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), h.config())
	wantError(t, err, nil, log, "set TXISO_HOME")
	if err := os.Remove(log + ".1"); err != nil {
		t.Fatal(err)
	}
	connect(t, h.start())
	if n := h.created.Load(); n != 1 {
		t.Errorf("%d data directories created, want 1", n)
	}
}

func truncateAll(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		err = os.Truncate(f, 0)
	}
	return err
}

func removeContent(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		err = os.RemoveAll(f)
	}
	return err
}

// wantOnlyData checks that no half-made or discarded data directory is left.
func wantOnlyData(t *testing.T, c *cluster) {
	t.Helper()
	if found := append(entries(c.private(), "new-"), entries(c.private(), "old-")...); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
}

func TestHalfMadeDataDirectoriesAreNotUsedAndRemoved(t *testing.T) {
	h := newHome(t)
	c := h.cluster()
	if err := errors.Join(c.makeDir(), c.makePrivate()); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(c.private(), "new-1", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	connect(t, h.start())
	wantOnlyData(t, c)
}

func TestDataThatWasInUseWhenTheMachineWentDownIsRebuilt(t *testing.T) {
	h := newHome(t)
	h.start()
	c := h.cluster()
	c.signal(syscall.SIGKILL, processesOf(t, c)...)
	if err := os.WriteFile(c.bootFile(), []byte("another boot"), 0o600); err != nil {
		t.Fatal(err)
	}
	connect(t, h.start())
	if n := h.created.Load(); n != 2 {
		t.Errorf("%d data directories created, want 2", n)
	}
}

func TestStartStopsWhenItsContextEnds(t *testing.T) {
	for _, after := range []time.Duration{0, 5, 50, 200, 350, 400} {
		t.Run(fmt.Sprint(after*time.Millisecond), func(t *testing.T) {
			h := newHome(t)
			ctx, cancel := context.WithTimeout(t.Context(), after*time.Millisecond)
			defer cancel()
			if _, err := Start(ctx, h.config()); err != nil {
				wantError(t, err, context.DeadlineExceeded)
				if left := processesOf(t, h.cluster()); len(left) > 0 {
					t.Errorf("processes %v are left", left)
				}
			}
			connect(t, h.start())
			wantOnlyData(t, h.cluster())
		})
	}
}

func TestStartGivesUpWaitingForTheLockWhenItsContextEnds(t *testing.T) {
	h := newHome(t)
	c := h.cluster()
	if err := errors.Join(c.makeDir(), c.makePrivate()); err != nil {
		t.Fatal(err)
	}
	l, err := openLock(c.lockFile())
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	if taken, err := l.try(); !taken || err != nil {
		t.Fatal(taken, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = Start(ctx, h.config())
	wantError(t, err, context.DeadlineExceeded, "waiting for the process that starts the server")
}

func TestStartSaysThatNoConnectionIsLeft(t *testing.T) {
	h := newHome(t)
	s := h.start()
	c := h.cluster()
	if err := Stop(t.Context(), h.config()); err != nil {
		t.Fatal(err)
	}
	l, err := c.launchSized(t.Context(), []string{"max_connections=4", "superuser_reserved_connections=0", "max_worker_processes=0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.guard(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.keep(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		connect(t, s)
	}
	_, err = Start(t.Context(), h.config())
	wantError(t, err, nil, "no connection left", "too many clients", "go test -p")
}

func TestStopAndInspect(t *testing.T) {
	h := newHome(t)
	before, err := Inspect(t.Context(), h.config())
	if err != nil || before.Running || before.PID != 0 || before.DSN != "" {
		t.Errorf("before: %+v, %v", before, err)
	}
	s := h.start()
	connect(t, s)
	running, err := Inspect(t.Context(), h.config())
	c := h.cluster()
	want := Status{
		Name: filepath.Base(c.dir), Running: true, Version: c.bin.version, BinDir: c.bin.dir, DataDir: c.data(), LogFile: c.logFile(),
		SocketDir: c.socketDir(nameOf(t, c)), PID: postmasterOf(t, c).pid, Started: postmasterOf(t, c).started, DSN: s.DSN(),
	}
	if err != nil || running != want || running.PID == 0 {
		t.Errorf("running: %+v, %v, want %+v", running, err, want)
	}
	for range 2 { // the second time nothing runs
		if err := Stop(t.Context(), h.config()); err != nil {
			t.Fatal(err)
		}
		if left := processesOf(t, c); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
	}
	if after, err := Inspect(t.Context(), h.config()); err != nil || after != before {
		t.Errorf("after: %+v, %v, want %+v", after, err, before)
	}
}
