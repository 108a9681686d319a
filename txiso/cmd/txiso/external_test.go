//go:build unix

package main_test

import (
	"fmt"
	"strings"
	"testing"
)

const password = "hush"

// external is a server that a DSN names, with a role that is no superuser and a password.
func external(t *testing.T) (admin, dsn string) {
	t.Helper()
	admin = newHome(t).start("")
	execute(t, admin, "CREATE ROLE tester LOGIN CREATEDB PASSWORD '"+password+"'")
	return admin, admin + " user=tester password=" + password
}

func TestAnExternalServer(t *testing.T) {
	t.Parallel()
	_, dsn := external(t)
	s := newSuite(t, dsn)
	for way, r := range map[string]*result{
		"by flag":     txiso(t, nil, "status", "-dsn", dsn),
		"by variable": txiso(t, []string{"TXISO_DSN=" + dsn}, "status"),
		"both":        txiso(t, []string{"TXISO_DSN=host=/nowhere"}, "status", "-dsn="+dsn),
	} {
		r.expect(0, "external server: PostgreSQL ", "running for", s.Template(), s.held.Name(), " as tester")
		if strings.Contains(r.out, password) {
			t.Errorf("%s: status prints the password:\n%s", way, r.out)
		}
	}
	r := txiso(t, nil, "status", "-json", "-dsn", dsn)
	if o := r.decode(); len(o.Servers) != 1 || o.Servers[0].Kind != "external" || !o.Servers[0].Running || len(o.Servers[0].Databases.Workers) != 2 {
		t.Errorf("got %+v", o)
	}
	if strings.Contains(r.out, password) {
		t.Errorf("the JSON has the password:\n%s", r.out)
	}
	url := strings.TrimSpace(txiso(t, nil, "dsn", "-dsn", dsn, s.free).expect(0, "tester:"+password+"@").out)
	execute(t, url, "SELECT n FROM t")
	txiso(t, nil, "psql", "-dsn", dsn, s.Template(), "-Atc", "SELECT current_user, n FROM t").expectOut(0, "tester|42\n")
}

func TestAnEmbeddedServerLooksTheSameByItsDSN(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dsn := h.start("")
	newSuite(t, dsn)
	if here, there := table(h.run("status")), table(txiso(t, nil, "status", "-dsn", dsn)); here != there || here == "" {
		t.Errorf("by itself:\n%s\nby its DSN:\n%s", here, there)
	}
	planned := h.run("clean", "-all", "-dry-run").expect(0, "would drop ").out
	if there := txiso(t, nil, "clean", "-all", "-dry-run", "-dsn", dsn).expect(0).out; there != planned {
		t.Errorf("by itself:\n%s\nby its DSN:\n%s", planned, there)
	}
}

// table is what status says about databases, without their ages.
func table(r *result) string {
	_, databases, _ := strings.Cut(r.expect(0).out, "KIND ")
	var b strings.Builder
	for line := range strings.Lines(databases) {
		if columns := strings.Fields(line); len(columns) > 4 {
			fmt.Fprintln(&b, columns[:2], columns[4:])
		}
	}
	return b.String()
}

func TestAServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"status", "clean", "dsn x", "psql x"} {
		args := strings.Fields(command)
		args = append([]string{args[0], "-dsn", "host=/nowhere user=u password=" + password}, args[1:]...)
		r := txiso(t, nil, args...).expect(1, "txiso: failed to connect", "check that the server runs")
		if strings.Contains(r.errOut+r.out, password) {
			t.Errorf("%s prints the password:\n%s%s", command, r.out, r.errOut)
		}
	}
}

func TestAnExternalServerIsNotStopped(t *testing.T) {
	t.Parallel()
	_, dsn := external(t)
	txiso(t, nil, "stop", "-force", "-dsn", dsn).expect(1, "txiso: the DSN (-dsn or TXISO_DSN) names a server that txiso has not started", "unset TXISO_DSN")
	txiso(t, nil, "status", "-dsn", dsn).expect(0, "running")
}
