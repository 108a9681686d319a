package txiso_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/txiso/txiso-go/txiso"
)

func TestAMigrationWithASyntaxErrorIsToldWithItsPlaceAndCanBeMended(t *testing.T) {
	t.Parallel()
	schema := table(t)
	schema["00002_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE u (n int);\n\nCREAT TABLE v (n int);\n")}
	for range 2 { // the first failure must leave nothing behind
		failure(t, txiso.Config{Migrations: schema}).expectFatal(t,
			"migration 00002_broken.sql failed at line 4, character 1 (CREAT TABLE v (n int);)",
			`syntax error at or near "CREAT"`, "SQLSTATE 42601", "correct the file and run again")
	}
	schema["00002_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE u (n int);\n\nCREATE TABLE v (n int);\n")}
	mended := fresh(t, txiso.Config{Migrations: schema})
	playTest(t, func(tb *fakeTB) { execute(t, mended.DB(tb), "INSERT INTO v VALUES (1)") }).expectPass(t)
}

// A suite of hundreds of tests should not migrate hundreds of times in vain.
func TestAFailedMigrationIsNotRepeatedForEveryTest(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	schema := txiso.New(txiso.Config{Migrator: failing{unique(t), &runs}})
	defer closeIso(t, schema)
	for range 20 {
		playTest(t, func(tb *fakeTB) { schema.DB(tb) }).expectFatal(t, "as planned")
	}
	if n := runs.Load(); n != 1 {
		t.Errorf("the migration ran %d times", n)
	}
}

func TestMigrationsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	up := &fstest.MapFile{Data: []byte("-- +goose Up\nSELECT 1;\n")}
	for name, c := range map[string]struct {
		cfg   txiso.Config
		texts []string
	}{
		"two of one version": {txiso.Config{Migrations: fstest.MapFS{"00001_a.sql": up, "1_b.sql": up}},
			[]string{"00001_a.sql and 1_b.sql have the same version 1", "give one of them another number"}},
		"empty directory": {txiso.Config{Migrations: os.DirFS(t.TempDir())}, []string{"there are no migrations", "pass fs.Sub(fsys, folder)"}},
		"in a folder":     {txiso.Config{Migrations: fstest.MapFS{"sql/00001_a.sql": up}}, []string{"there are no migrations", "pass fs.Sub(fsys, folder)"}},
		"missing directory": {txiso.Config{Migrations: os.DirFS(filepath.Join(t.TempDir(), "migratoins"))},
			[]string{"no such file or directory", "check Config.Migrations"}},
	} {
		t.Run(name, func(t *testing.T) { failure(t, c.cfg).expectFatal(t, c.texts...) })
	}
}

func TestDSNsThatDoNotParseAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://ann:" + password + "@localhost:port/db",
		"postgres://ann:" + password + "@[::1/db",
		"host=localhost port=5432x user=ann password=" + password,
		"host=localhost password='" + password,
		"not a dsn " + password,
		"postgres://ann:" + password + "@" + password + "@localhost/db",
	} {
		failure(t, txiso.Config{DSN: dsn}).expectFatal(t, "DSN")
	}
}

// silent accepts connections and never says a word.
func silent(t *testing.T) (address *net.TCPAddr, accepted *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = new(atomic.Int32)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l.Addr().(*net.TCPAddr), accepted
}

func TestAHostThatDoesNotAnswerIsGivenUpOnceForAllTests(t *testing.T) {
	t.Parallel()
	address, accepted := silent(t)
	dead := txiso.New(txiso.Config{DSN: "connect_timeout=1 sslmode=disable host=127.0.0.1 user=ann dbname=x password=" + password + " port=" + portOf(address)})
	defer closeIso(t, dead)
	for range 3 {
		playTest(t, func(tb *fakeTB) { dead.DB(tb) }).expectFatal(t,
			"nobody answered within 1s", "check host and port in the DSN (Config.DSN or TXISO_DSN)", "connect_timeout")
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d connections for three tests", n)
	}
}

func portOf(address *net.TCPAddr) string {
	_, port, _ := strings.Cut(address.String(), ":")
	return port
}

func TestATestWhoseContextEndsDoesNotWaitForTheServer(t *testing.T) {
	t.Parallel()
	address, _ := silent(t)
	dead := txiso.New(txiso.Config{DSN: "sslmode=disable host=127.0.0.1 user=ann dbname=x port=" + portOf(address)})
	defer closeIso(t, dead)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	playTestWith(t, ctx, func(tb *fakeTB) { dead.DB(tb) }).expectFatal(t, "give the test more time")
}

func TestAHostThatRefusesIsTriedAgainByTheNextTest(t *testing.T) {
	t.Parallel()
	refusing := txiso.New(txiso.Config{DSN: "host=127.0.0.1 port=1 user=ann dbname=x password=" + password})
	defer closeIso(t, refusing)
	playTest(t, func(tb *fakeTB) { refusing.DB(tb) }).expectFatal(t,
		"127.0.0.1:1", "connection refused", "check that the server runs and that host and port in the DSN (Config.DSN or TXISO_DSN) are right")
}

// What the embedded server says about its directory is tested beside it; here, that it reaches the test.
func TestWhatIsWrongWithTheEmbeddedServerReachesTheTest(t *testing.T) {
	t.Setenv("TXISO_DSN", "")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for variable, texts := range map[string][]string{
		"TXISO_HOME":         {file, "set TXISO_HOME to another directory"},
		"TXISO_IDLE_TIMEOUT": {"TXISO_IDLE_TIMEOUT", "set it to a duration such as 90s"},
		"TXISO_POSTGRES_BIN": {"the PostgreSQL binaries in " + file, "set TXISO_POSTGRES_BIN to the directory"},
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, file)
			failure(t, txiso.Config{}).expectFatal(t, texts...)
		})
	}
}
