//go:build unix && !solaris && !aix

package pgserver

import (
	"os"
	"testing"
)

// OpenShift and docker run -u give a process a uid that nobody has told the system about. initdb looks it up.
func TestUidWithoutAPasswdEntry(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root switches to another account")
	}
	h := newHome(t)
	c := newCluster(h.home, h.cluster().bin, account{uid: 54321, gid: 54321, name: "54321", switched: true})
	_, err := c.start(t.Context())
	wantError(t, err, nil, "uid 54321 has no entry in /etc/passwd", "x:54321:54321:", "set TXISO_DSN")
}

// In a container root may lack what it takes to become somebody else. It was told to install PostgreSQL.
func TestRootThatMayNotSwitchIsTold(t *testing.T) {
	home := publicDir(t)
	known := loadProbes(home, account{uid: -1, gid: -1, name: "nowhere", switched: true}) // nobody can be -1
	r := newRepository(t, nil)
	where := usualPlaces()
	for name, cfg := range map[string]Config{
		"search": {DownloadURL: r.URL},
		"given":  {BinDir: fakeBinaries(t, publicDir(t), "16.1", "")},
	} {
		if name == "search" {
			t.Setenv("TXISO_POSTGRES_BIN", "")
		}
		_, err := findBinaries(t.Context(), cfg, home, where, known)
		wantError(t, err, nil, "running a program as user nowhere", "as another user than root", "set TXISO_DSN")
	}
	if n := r.jars.Load(); n != 0 {
		t.Errorf("%d downloads", n)
	}
}
