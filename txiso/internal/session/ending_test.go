package session_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// redial opens connections without end, as the goroutine of a job queue does whose connection was closed, and returns
// them when stopped.
func redial(dial pgconn.DialFunc) (stop func() []net.Conn) {
	over, all := make(chan struct{}), make(chan []net.Conn)
	go func() {
		var opened []net.Conn
		for {
			select {
			case <-over:
				all <- opened
				return
			default:
			}
			if c, err := dial(context.Background(), "", ""); err == nil {
				opened = append(opened, c)
				time.Sleep(100 * time.Microsecond)
			}
		}
	}()
	return func() []net.Conn { close(over); return <-all }
}

// A connection that was opened while a test's statement was being cancelled at its end was closed by nobody: what it sent
// ran in the next test.
func TestNoConnectionIsOpenedWhileATestEnds(t *testing.T) {
	s := open(t, session.Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	cfg := s.Config()
	slow := stdlib.OpenDB(*cfg)
	defer slow.Close()
	slept := make(chan error, 1)
	go func() { _, err := slow.Exec("SELECT pg_sleep(60)"); slept <- err }()
	time.Sleep(20 * time.Millisecond) // the statement runs, as a rule
	stop := redial(cfg.DialFunc)
	if _, err := s.End(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	expectClosed(t, stop())
	if err := <-slept; err == nil {
		t.Error("the statement has run to its end")
	}
	if _, err := s.End(30 * time.Second); err != nil {
		t.Fatal(err)
	}
}

// A connection of a nested test that had ended made the process panic.
func TestNoConnectionIsOpenedWhileANestedTestEnds(t *testing.T) {
	s := open(t, session.Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		n, err := s.Nest(t.Context(), nil, session.Names{})
		if err != nil {
			t.Fatal(err)
		}
		stop := redial(n.Config().DialFunc)
		if _, err := n.End(30 * time.Second); err != nil {
			t.Fatal(err)
		}
		expectClosed(t, stop())
	}
	if _, err := s.End(30 * time.Second); err != nil {
		t.Fatal(err)
	}
}

func expectClosed(t *testing.T, conns []net.Conn) {
	t.Helper()
	for _, c := range conns {
		if _, err := c.Write([]byte{0}); err == nil {
			t.Error("a connection of a test that has ended can be written to")
		}
		_ = c.Close()
	}
}
