package lease_test

import (
	"bytes"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
)

// A server that is restarted while a session is opened on it was restarted for that session alone: another is opened, and the
// tests that follow are not told of it.
func TestASessionWhoseServerGoesAwayWhileItIsOpened(t *testing.T) {
	for name, moment := range map[string]string{
		"while its database is looked at": "pg_stat_get_mod_since_analyze",
		"while it is prepared":            "server_version_num",
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			first := open(t, cfg)
			play(t, first, "SELECT") // so that there is a database to look at
			closeNow(t, first)
			var cut atomic.Bool
			cfg.Provision.DSN = relay(t, cfg.Provision.DSN, func(_ net.Conn, said []byte) bool {
				return !bytes.Contains(said, []byte(moment)) || !cut.CompareAndSwap(false, true)
			})
			play(t, open(t, cfg), "SELECT")
			if !cut.Load() {
				t.Error("the connection was not cut")
			}
		})
	}
}

// A server that was still starting when the first test asked for it failed that test, although it says itself that it is on its way.
func TestTheFirstTestWaitsForAServerThatStarts(t *testing.T) {
	cfg := config(t)
	var asked atomic.Int32
	cfg.Provision.DSN = relay(t, cfg.Provision.DSN, func(client net.Conn, _ []byte) bool {
		return asked.Add(1) > 3 || refuse(t, client, "57P03", "the database system is starting up")
	})
	play(t, open(t, cfg), "SELECT")
	if n := asked.Load(); n <= 3 {
		t.Errorf("the server was asked %d times, want more than 3", n)
	}
}

// The end of that wait is remembered: the tests that follow fail at once. They polled the memory instead, and renewed it.
func TestAServerThatNeverStartsIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	var asked atomic.Int32
	cfg.Provision.DSN = relay(t, cfg.Provision.DSN, func(client net.Conn, _ []byte) bool {
		asked.Add(1)
		return refuse(t, client, "57P03", "the database system is starting up")
	})
	p := open(t, cfg)
	for range 3 {
		before := asked.Load()
		began := time.Now()
		_, err := p.Get(bounded(t), t.Logf)
		if err == nil || !strings.Contains(err.Error(), "starting up") {
			t.Errorf("%v, want that the server is starting up", err)
		}
		if before > 0 && asked.Load() > before {
			t.Errorf("the server was asked %d times more, in %v", asked.Load()-before, time.Since(began))
		}
	}
}

// A connection that was lost while the pool was opened failed all tests of the next ten seconds.
func TestAServerThatGoesAwayOnceIsAskedAgain(t *testing.T) {
	cfg := config(t)
	var asked atomic.Int32
	cfg.Provision.DSN = relay(t, cfg.Provision.DSN, func(client net.Conn, _ []byte) bool {
		return asked.Add(1) > 1 || refuse(t, client, "57P01", "terminating connection due to administrator command")
	})
	p := open(t, cfg)
	if _, err := p.Get(bounded(t), t.Logf); err == nil {
		t.Error("nobody was told")
	}
	play(t, p, "SELECT")
}

// refuse ends a client's connection with the word of a server, and returns false.
func refuse(t *testing.T, client net.Conn, code, message string) bool {
	answer, err := (&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: message}).Encode(nil)
	if err != nil {
		t.Error(err)
	}
	_, _ = client.Write(answer)
	return false
}

// relay returns a DSN of the same server, whose clients are cut off as soon as what one of them says is not let through.
func relay(t *testing.T, dsn string, through func(client net.Conn, said []byte) bool) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Path: cfg.Database,
		Host:     pgtest.Relay{Through: through}.Listen(t, cfg.Host, cfg.Port).String(),
		RawQuery: "sslmode=disable", // the relay reads what is said
	}
	return u.String()
}
