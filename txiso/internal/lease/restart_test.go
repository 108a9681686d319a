package lease_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
			dsn, cut := relay(t, cfg.Provision.DSN, moment)
			cfg.Provision.DSN = dsn
			play(t, open(t, cfg), "SELECT")
			if !cut.Load() {
				t.Error("the connection was not cut")
			}
		})
	}
}

// relay returns a DSN of the same server whose first connection that a client says a text on ends there.
func relay(t *testing.T, dsn, text string) (through string, cut *atomic.Bool) {
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
	cut = new(atomic.Bool)
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
				said := make([]byte, 64<<10)
				for {
					n, err := client.Read(said)
					if bytes.Contains(said[:n], []byte(text)) && cut.CompareAndSwap(false, true) {
						client.Close()
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
	return u.String(), cut
}
