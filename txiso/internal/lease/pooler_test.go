package lease_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// PgBouncer lets nobody in who asks for a parameter at startup that it does not know, and it knows few (its
// ignore_startup_parameters). Nothing of txiso's own may need one, from the template to a clone.
func TestAPoolerThatRefusesParameters(t *testing.T) {
	cfg := config(t)
	cfg.Provision.DSN = relay(t, cfg.Provision.DSN, func(client net.Conn, said []byte) bool {
		var startup pgproto3.StartupMessage
		if len(said) < 8 || startup.Decode(said[4:]) != nil {
			return true
		}
		for name := range startup.Parameters {
			switch name {
			case "user", "database", "application_name", "client_encoding":
			default:
				return refuse(t, client, "08P01", "unsupported startup parameter: "+name)
			}
		}
		return true
	})
	p := open(t, cfg)
	play(t, p, "SELECT")
	clone, err := p.Clone(bounded(t), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	if err := clone.Drop(bounded(t)); err != nil {
		t.Error(err)
	}

	shared := cfg
	shared.Shared = true
	_, err = open(t, shared).Get(bounded(t), t.Logf)
	wantText(t, err, "unsupported startup parameter: lock_timeout", "Config.Shared does not work through a pooler")

	cfg.Provision.DSN += "&work_mem=4096"
	_, err = open(t, cfg).Get(bounded(t), t.Logf)
	wantText(t, err, "unsupported startup parameter: work_mem", "ignore_startup_parameters")
}

func wantText(t *testing.T, err error, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		if !strings.Contains(fmt.Sprint(err), piece) {
			t.Errorf("%v, want %q", err, piece)
		}
	}
}
