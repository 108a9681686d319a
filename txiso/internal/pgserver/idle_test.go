//go:build unix && !solaris && !aix

package pgserver

import (
	"testing"
	"time"
)

func TestIdleServerStopsByItself(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.start()
	h.awaitEnd()
	connect(t, h.start())
	if n := h.created.Load(); n != 1 {
		t.Errorf("%d data directories created, want 1", n)
	}
}

func TestServerOfKilledUsersStopsByItself(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"idle":    "",
		"waiting": "SELECT pg_sleep(3600)",
		"busy":    "DO $$BEGIN LOOP END LOOP; END$$",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			p := startChild(t, h.home, "PGSERVER_TEST_CHILD_STATEMENT="+statement)
			p.connected(t)
			p.kill()
			h.awaitEnd()
		})
	}
}

func TestServerInUseStays(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	conn := connect(t, h.start())
	started := query[time.Time](t, conn, "SELECT pg_postmaster_start_time()")
	time.Sleep(testIdle + 2*time.Second)
	if now := query[time.Time](t, conn, "SELECT pg_postmaster_start_time()"); !now.Equal(started) {
		t.Error("another server answers")
	}
}

func TestStartKeepsAnIdleServer(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.start()
	pid := postmasterOf(t, h.cluster()).pid
	for range 8 { // together longer than the idle timeout
		time.Sleep(testIdle / 4)
		h.start()
	}
	if now := postmasterOf(t, h.cluster()).pid; now != pid {
		t.Errorf("the server %d was replaced by %d", pid, now)
	}
}

func TestLatestStartDecidesTheIdleTimeout(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	long := h.config()
	long.IdleTimeout = time.Hour
	if _, err := Start(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.awaitEnd()
}

func TestStartsRaceWithTheIdleStop(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for i := range 12 {
		config := h.config()
		config.IdleTimeout = minIdleTimeout
		s, err := Start(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		conn := connect(t, s)
		if n := query[int](t, conn, "SELECT 1"); n != 1 {
			t.Fatal(n)
		}
		_ = conn.Close(t.Context())
		time.Sleep(minIdleTimeout + time.Duration(i*10)*time.Millisecond)
	}
}

func TestStartReplacesAWatchdogThatWasTerminated(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	conn := connect(t, h.start())
	if n := query[int](t, conn, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"); n != 1 {
		t.Errorf("%d backends beside ours, want the watchdog alone", n)
	}
	for query[bool](t, conn, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')") {
		time.Sleep(time.Millisecond)
	}
	started := query[time.Time](t, conn, "SELECT pg_postmaster_start_time()")
	again := connect(t, h.start())
	if !query[time.Time](t, again, "SELECT pg_postmaster_start_time()").Equal(started) {
		t.Error("a server in use was replaced")
	}
	_ = conn.Close(t.Context())
	_ = again.Close(t.Context())
	h.awaitEnd()
}
