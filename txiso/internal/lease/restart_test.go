package lease_test

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
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
			cfg.Provision.DSN = relay(t, cfg.Provision.DSN, func(_ net.Conn, said string) bool {
				return !strings.Contains(said, moment) || !cut.CompareAndSwap(false, true)
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
	var refusals atomic.Int32
	cfg.Provision.DSN = relay(t, cfg.Provision.DSN, func(client net.Conn, _ string) bool {
		if refusals.Add(1) > 3 {
			return true
		}
		starting := pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "the database system is starting up"}
		message, err := starting.Encode(nil)
		if err != nil {
			t.Error(err)
		}
		_, _ = client.Write(message)
		return false
	})
	play(t, open(t, cfg), "SELECT")
	if n := refusals.Load(); n <= 3 {
		t.Errorf("%d connections were refused or let through, want more than 3", n)
	}
}

// relay returns a DSN of the same server, whose clients are cut off as soon as what one of them says is not let through.
func relay(t *testing.T, dsn string, through func(client net.Conn, said string) bool) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				t.Error(err)
				client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(client, server)
				client.Close()
			}()
			go func() {
				defer server.Close()
				defer client.Close()
				said := make([]byte, 64<<10)
				for {
					n, err := client.Read(said)
					if n > 0 && !through(client, string(said[:n])) {
						return
					}
					if _, failed := server.Write(said[:n]); err != nil || failed != nil {
						return
					}
				}
			}()
		}
	}()
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: listener.Addr().String(), Path: cfg.Database,
		RawQuery: "sslmode=disable", // the relay reads what is said
	}
	return u.String()
}
