//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/txiso/txiso-go/benchmarks/faketest"
	"github.com/txiso/txiso-go/benchmarks/measure"
	"github.com/txiso/txiso-go/migrations"
	"github.com/txiso/txiso-go/txiso"
)

// coldVariable makes the test binary a process that asks for its first database and says how long that took.
const coldVariable = "TXISO_BENCH_COLD"

// firstDatabase asks for a database and exits, if this process is one for that.
func firstDatabase() error {
	if os.Getenv(coldVariable) == "" {
		return nil
	}
	began := time.Now()
	iso := txiso.New(txiso.Config{Migrations: migrations.FS})
	t := faketest.New(context.Background(), "first")
	err := t.Try(func() error {
		var one int
		return iso.DB(t).QueryRow("SELECT 1").Scan(&one)
	})
	if err != nil {
		return err
	}
	fmt.Println(time.Since(began).Nanoseconds())
	if err := t.End(); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

// BenchmarkFirstDatabase is what the first iso.DB of a process takes, with nothing in the cache, with the cluster cached
// but stopped, and with the server running; and what initdb, pg_ctl start and goose up take by hand. A process is started
// for each; its own start is not counted.
func BenchmarkFirstDatabase(b *testing.B) {
	if os.Getenv("TXISO_DSN") != "" {
		b.Skip("it is about the embedded server; unset TXISO_DSN")
	}
	bin := binaries(b)
	took := map[string]measure.Sample{}
	for b.Loop() {
		home := homeDir(b)
		took["nothing"] = append(took["nothing"], cold(b, home, "500ms"))
		waitStopped(b, home)
		took["stopped"] = append(took["stopped"], cold(b, home, "1m"))
		took["running"] = append(took["running"], cold(b, home, "1m"))
		stop(b, home)
		took["byhand"] = append(took["byhand"], byHand(b, bin))
	}
	b.ReportMetric(0, "ns/op")
	for name, sample := range took {
		b.ReportMetric(float64(sample.Median().Microseconds())/1e3, name+"-ms")
		b.ReportMetric(sample.Spread(), name+"-spread")
	}
	b.ReportMetric(float64(took["nothing"].Median())/float64(took["byhand"].Median()), "nothing/byhand")
}

// cold runs a process and returns what it says.
func cold(b *testing.B, home, idle string) time.Duration {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), coldVariable+"=1", "TXISO_HOME="+home, "TXISO_IDLE_TIMEOUT="+idle)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(ns)
}

// pidFiles is where servers under home leave their process ids while they run.
func pidFiles(home string) []string {
	files, _ := filepath.Glob(filepath.Join(home, "*", "*", "*", "postmaster.pid")) // the pattern is well formed
	return files
}

func waitStopped(b *testing.B, home string) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); len(pidFiles(home)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("the embedded server did not stop by itself")
		}
	}
}

// stop ends the server that the benchmark has started under home.
func stop(b *testing.B, home string) {
	b.Helper()
	files := pidFiles(home)
	if len(files) != 1 {
		b.Fatalf("want one server under %s, got %q", home, files)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		b.Fatal(err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		b.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		b.Fatal(err)
	}
	waitStopped(b, home)
}

// binaries returns the folder of the programs that the embedded server uses.
func binaries(b *testing.B) (dir string) {
	b.Helper()
	iso := txiso.New(txiso.Config{})
	defer iso.Close()
	if err := iso.DB(b).QueryRow("SELECT setting FROM pg_config WHERE name = 'BINDIR'").Scan(&dir); err != nil {
		b.Fatal(err)
	}
	return dir
}

// byHand does what one would do without txiso.
func byHand(b *testing.B, bin string) time.Duration {
	b.Helper()
	dir := homeDir(b)
	as := unprivileged(b, dir)
	data := filepath.Join(dir, "data")
	began := time.Now()
	run := func(name string, args ...string) {
		cmd := exec.CommandContext(b.Context(), filepath.Join(bin, name), args...)
		cmd.SysProcAttr = as
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
	run("pg_ctl", "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", "-F -h '' -k "+dir, "start")
	defer run("pg_ctl", "-D", data, "-w", "-m", "fast", "stop")
	gooseUp(b, dir)
	return time.Since(began)
}

func gooseUp(b *testing.B, socket string) {
	b.Helper()
	cfg, err := pgx.ParseConfig("host=" + socket + " user=postgres dbname=postgres port=5432")
	if err != nil {
		b.Fatal(err)
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := provider.Up(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// unprivileged gives dir to somebody who may run PostgreSQL, and says who that is: nil for the user who runs the benchmark.
func unprivileged(b *testing.B, dir string) *syscall.SysProcAttr {
	b.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	somebody, err := user.Lookup("postgres")
	if err != nil {
		somebody, err = user.Lookup("nobody")
	}
	if err != nil {
		b.Fatal(err)
	}
	uid, err := strconv.Atoi(somebody.Uid)
	if err != nil {
		b.Fatal(err)
	}
	gid, err := strconv.Atoi(somebody.Gid)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		b.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
