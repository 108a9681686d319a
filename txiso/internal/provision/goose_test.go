package provision_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// leaseError leases from a configuration that cannot work.
func leaseError(t *testing.T, cfg provision.Config) error {
	t.Helper()
	p := open(t, cfg)
	_, err := p.Lease(t.Context())
	if got := databases(t, p.Template()); len(got) != 0 {
		t.Errorf("databases left: %v", got)
	}
	return err
}

// A full disk is the server's business, but what txiso has there can go. A container's /dev/shm is no disk: Docker gives it 64 MB.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for message, remedy := range map[string]string{
		"could not extend file": "make room on the server's disk: txiso clean drops",
		`could not resize shared memory segment "/PostgreSQL.7" to 8388608 bytes: No space left on device`: "more shared memory (docker run --shm-size=1g)",
	} {
		cfg := config(t)
		cfg.Migrator = provision.Goose(migrations("00001_full.sql", "-- +goose Up\n-- +goose StatementBegin\n"+
			"DO $$ BEGIN RAISE disk_full USING MESSAGE = '"+message+"'; END $$;\n-- +goose StatementEnd\n"+
			"-- "+uniqueTable()+"\n"))
		mustContain(t, leaseError(t, cfg), message, "SQLSTATE 53100", remedy)
	}
}

func TestSyntaxErrorNamesFileAndPosition(t *testing.T) {
	t.Parallel()
	table := uniqueTable()
	files := oneTable(table)
	files["00002_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\n-- a remark\nSELECT 1;\n\nCREATE TABLE x (\n  id int,\n  nam text nonsense\n);\n")}
	cfg := config(t)
	cfg.Migrator = provision.Goose(files)
	err := leaseError(t, cfg)
	mustContain(t, err, "migration 00002_broken.sql failed at line 7, character 12 (nam text nonsense)", `syntax error at or near "nonsense"`, "correct the file and run again")
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "42601" {
		t.Errorf("%v does not wrap the server's error", err)
	}
	files["00002_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE x (id int);\n")}
	lease(t, open(t, cfg))
}

func TestErrorWithoutPositionNamesTheFile(t *testing.T) {
	t.Parallel()
	table := uniqueTable()
	files := oneTable(table)
	files["00002_again.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE " + table + " (id int);\n")}
	cfg := config(t)
	cfg.Migrator = provision.Goose(files)
	mustContain(t, leaseError(t, cfg), "migration 00002_again.sql failed: ", "already exists")
}

// What a migration meets in the data, or says itself, is in DETAIL and HINT.
func TestErrorOfAMigrationTellsDetailAndHint(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Migrator = provision.Goose(migrations("00001_raise.sql", "-- +goose Up\n-- +goose StatementBegin\n"+
		"DO $$ BEGIN RAISE 'no' USING DETAIL = 'Key (i)=(1) already exists.', HINT = 'Try another.'; END $$;\n-- +goose StatementEnd\n"+
		"-- "+uniqueTable()+"\n"))
	mustContain(t, leaseError(t, cfg), "(SQLSTATE P0001) (Key (i)=(1) already exists.) (hint: Try another.); correct the file")
}

func TestMigrationsThatGooseCannotUse(t *testing.T) {
	t.Parallel()
	up := "-- +goose Up\nSELECT 1;\n"
	for name, test := range map[string]struct {
		fsys fs.FS
		want string
	}{
		"same version":     {migrations("00001_a.sql", up, "1_b.sql", up), "the migrations 00001_a.sql and 1_b.sql have the same version 1; give one of them another number"},
		"no file":          {fstest.MapFS{}, "no file at the root"},
		"in a folder":      {migrations("migrations/00001_a.sql", up), "pass fs.Sub(fsys, folder)"},
		"without a number": {migrations("schema.sql", up), "no file at the root of the fs.FS is named like 00001_name.sql"},
		"missing folder":   {os.DirFS(filepath.Join(t.TempDir(), "missing")), "reading the migrations: open ."},
		"in Go":            {migrations("00001_a.sql", up, "00002_b.go", "package migrations", "00002_b_test.go", ""), "00002_b.go is a migration written in Go"},
		"nil":              {nil, "set Config.Migrations"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := provision.Open(t.Context(), provision.Config{DSN: "host=/unused", Migrator: provision.Goose(test.fsys)})
			mustContain(t, err, test.want)
		})
	}
}

func TestFileThatGooseCannotParse(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Migrator = provision.Goose(migrations("00001_a.sql", "CREATE TABLE "+uniqueTable()+" (id int);\n"))
	mustContain(t, leaseError(t, cfg), "00001_a.sql", "correct the migrations")
}

func TestMigrationWithoutTransaction(t *testing.T) {
	t.Parallel()
	table := uniqueTable()
	files := oneTable(table)
	files["00002_index.sql"] = &fstest.MapFile{Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON " + table + " (id);\n")}
	cfg := config(t)
	cfg.Migrator = provision.Goose(files)
	execute(t, connect(t, lease(t, open(t, cfg)).Config()), "DROP INDEX i")
}

func TestFingerprintCoversNamesAndContents(t *testing.T) {
	t.Parallel()
	a, b := "-- +goose Up\nSELECT 1;\n", "-- +goose Up\nSELECT 2;\n"
	seen := map[string]string{}
	for name, files := range map[string]fstest.MapFS{
		"one":             migrations("00001_a.sql", a),
		"another name":    migrations("00001_b.sql", a),
		"another content": migrations("00001_a.sql", b),
		"two":             migrations("00001_a.sql", a, "00002_b.sql", b),
		"swapped":         migrations("00001_a.sql", b, "00002_b.sql", a),
	} {
		print, err := provision.Goose(files).Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[print]; ok {
			t.Errorf("%q and %q have the same fingerprint", name, other)
		}
		seen[print] = name
	}
}

func TestFingerprintCoversTheEnvironmentThatGoosePutsIn(t *testing.T) {
	const sql = "-- +goose Up\n-- +goose ENVSUB ON\nINSERT INTO t VALUES ('$TXISO_TEST_A', '${TXISO_TEST_B:-b}');\n"
	print := func(sql string) string {
		t.Helper()
		print, err := provision.Goose(migrations("00001_a.sql", sql)).Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		return print
	}
	seen := []string{print(sql)}
	for _, variable := range []string{"TXISO_TEST_A=1", "TXISO_TEST_A=2", "TXISO_TEST_B=1", "TXISO_TEST_B="} {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
		if again := print(sql); slices.Contains(seen, again) {
			t.Errorf("with %s the fingerprint is one that was there before", variable)
		} else {
			seen = append(seen, again)
		}
	}
	for _, spelling := range []string{"--+goose envsub on", "-- +goose Envsub On -- "} {
		sql := strings.Replace(sql, "-- +goose ENVSUB ON", spelling, 1)
		t.Setenv("TXISO_TEST_A", "x")
		before := print(sql)
		t.Setenv("TXISO_TEST_A", "y")
		if print(sql) == before {
			t.Errorf("the environment does not count behind %q", spelling)
		}
	}
	plain := strings.Replace(sql, "ENVSUB ON", "ENVSUB OFF", 1)
	before := print(plain)
	t.Setenv("TXISO_TEST_A", "3")
	if print(plain) != before {
		t.Error("the environment counts where goose does not put it in")
	}
}
