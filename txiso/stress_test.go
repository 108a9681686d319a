//go:build unix

package txiso_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso"
)

// longer is how often a test does something when there is time.
func longer(everyDay, long int) int {
	if isLong() {
		return long
	}
	return everyDay
}

// runAll runs processes at the same instant and wants all of them to pass. It returns what they print.
func runAll(t *testing.T, cmds []*exec.Cmd) []string {
	t.Helper()
	outputs := make([]bytes.Buffer, len(cmds))
	for i, cmd := range cmds {
		cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
	}
	for _, cmd := range cmds {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	said := make([]string, len(cmds))
	for i, cmd := range cmds {
		err := cmd.Wait()
		if said[i] = outputs[i].String(); err != nil {
			t.Errorf("process %d: %v\n%s", i, err, said[i])
		}
	}
	return said
}

// servers counts the servers that processes had, and the clusters that they created.
func servers(said []string) (servers, clusters int) {
	started := map[string]bool{}
	for _, text := range said {
		_, server, _ := strings.Cut(text, "server started at ")
		started[server[:strings.Index(server, "\n")+1]] = true
		clusters += strings.Count(text, "txiso: created")
	}
	return len(started), clusters
}

func children16(t *testing.T) []*exec.Cmd {
	t.Helper()
	cmds := make([]*exec.Cmd, longer(8, 16))
	for i := range cmds {
		cmds[i] = child(t, "tell the server", "-test.parallel=4")
	}
	return cmds
}

// Processes that start at the same instant on a machine where nothing runs: one makes the cluster, one the template.
func TestProcessesStartAtOnceWhereNothingRuns(t *testing.T) {
	home := ownHome(t)
	t.Setenv(childLog, filepath.Join(t.TempDir(), "log"))
	if servers, clusters := servers(runAll(t, children16(t))); servers != 1 || clusters != 1 {
		t.Errorf("the processes had %d servers and created %d clusters", servers, clusters)
	}
	if n := lines(t, os.Getenv(childLog)); n != 1 {
		t.Errorf("the migrations ran %d times", n)
	}
	home.awaitIdleEnd()
}

func TestProcessesStartAtOnceOnAServerThatHasNothingOfOurs(t *testing.T) {
	server := startServer(t)
	t.Setenv("TXISO_DSN", server.socketDSN())
	t.Setenv(childLog, filepath.Join(t.TempDir(), "log"))
	runAll(t, children16(t))
	if n := lines(t, os.Getenv(childLog)); n != 1 {
		t.Errorf("the migrations ran %d times", n)
	}
}

// another is a user who is neither we nor the one that runs the servers of ownServer.
func another(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run processes as another user")
	}
	for _, name := range []string{"nobody", "daemon"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	t.Skip("there is no user nobody or daemon")
	return nil
}

// asOther makes a process another user's, with a directory for the embedded server of his own. He cannot run our binary where it is.
func asOther(t *testing.T, cmd *exec.Cmd, who *syscall.Credential, binary, home string) {
	t.Helper()
	cmd.Path, cmd.Dir = binary, home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	cmd.Env = append(cmd.Env, "TXISO_HOME="+home, "HOME="+home, "TMPDIR=/tmp")
}

// publicBinary is a copy of this test binary that everybody may run.
func publicBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(publicDir(t), "test")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// publicLog is a file for the lines of migrations that everybody may write.
func publicLog(t *testing.T) string {
	t.Helper()
	path := filepath.Join(publicDir(t), "log")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // whatever our umask
		t.Fatal(err)
	}
	return path
}

func TestTwoUsersStartAtOnce(t *testing.T) {
	long(t)
	who := another(t)
	binary := publicBinary(t)
	start := func(t *testing.T) (ours, theirs []string) {
		home := publicDir(t)
		if err := os.Chown(home, int(who.Uid), int(who.Gid)); err != nil {
			t.Fatal(err)
		}
		var cmds []*exec.Cmd
		for i := range longer(8, 16) {
			cmd := child(t, "tell the server", "-test.parallel=2")
			if i%2 == 1 {
				asOther(t, cmd, who, binary, home)
			}
			cmds = append(cmds, cmd)
		}
		for i, said := range runAll(t, cmds) {
			if i%2 == 0 {
				ours = append(ours, said)
			} else {
				theirs = append(theirs, said)
			}
		}
		return ours, theirs
	}
	t.Run("each with an embedded server of his own", func(t *testing.T) {
		ownHome(t)
		t.Setenv(childLog, publicLog(t))
		ours, theirs := start(t)
		for _, said := range [][]string{ours, theirs} {
			if servers, clusters := servers(said); servers != 1 || clusters != 1 {
				t.Errorf("one user's processes had %d servers and created %d clusters", servers, clusters)
			}
		}
		if n := lines(t, os.Getenv(childLog)); n != 2 {
			t.Errorf("the migrations ran %d times on two servers", n)
		}
		time.Sleep(3 * time.Second) // theirs ends by itself; its directory goes with the test
	})
	t.Run("with a server that they share", func(t *testing.T) {
		t.Setenv("TXISO_DSN", startServer(t).socketDSN())
		t.Setenv(childLog, publicLog(t))
		start(t)
		if n := lines(t, os.Getenv(childLog)); n != 1 {
			t.Errorf("the migrations ran %d times", n)
		}
	})
}

// Some of the processes of every run are killed at a moment that nobody has chosen.
func TestProcessesKilledInManyRuns(t *testing.T) {
	const processes, atOnce, ahead = 8, 2, 2 // ahead is how many spare databases a process sees to
	home := ownHome(t)
	t.Setenv(childLog, filepath.Join(t.TempDir(), "log"))
	runChild(t, "use a database")
	observer := connect(t, home.status().DSN)
	most, runs := 0, 0
	for began := time.Now(); runs < longer(4, 100) && time.Since(began) < 12*time.Minute; runs++ { // fewer where a machine is slow
		killSome(t, processes, atOnce)
		awaitNoKeeper(t, observer)
		most = max(most, len(databases(t, observer, "txiso_"))-1)
	}
	expectAllUsedAgain(t, observer)
	all, spare := workers(t, observer), spares(t, observer)
	t.Logf("after %d runs %d databases remain, %d of them spare; at most there were %d after a run", runs, len(all), len(spare), most)
	if used := len(all) - len(spare); used > processes*atOnce {
		t.Errorf("%d worker databases for %d tests at once", used, processes*atOnce)
	}
	// Every process may find all but one of them missing at the same time. One left behind by each run would be far more.
	if len(spare) >= ahead*(processes+1) {
		t.Errorf("%d spare databases of %d processes that see to %d each", len(spare), processes, ahead)
	}
	if n := lines(t, os.Getenv(childLog)); n != 1 {
		t.Errorf("the migrations ran %d times", n)
	}
	_ = observer.Close(context.Background())
	home.awaitIdleEnd()
}

// spares lists the worker databases that nobody has used yet.
func spares(t *testing.T, observer *pgx.Conn) []string {
	t.Helper()
	return slices.DeleteFunc(workers(t, observer), func(name string) bool {
		var used bool
		err := observer.QueryRow(t.Context(), "SELECT shobj_description(oid, 'pg_database') IS NOT NULL FROM pg_database WHERE datname = $1", name).Scan(&used)
		if err != nil {
			t.Fatal(err)
		}
		return used
	})
}

// killSome is a run of which three processes are killed; the others must pass.
func killSome(t *testing.T, processes, atOnce int) {
	t.Helper()
	cmds, outputs := make([]*exec.Cmd, processes), make([]bytes.Buffer, processes)
	for i := range cmds {
		cmds[i] = child(t, "run a few tests", fmt.Sprintf("-test.parallel=%d", atOnce))
		cmds[i].Stdout, cmds[i].Stderr = &outputs[i], &outputs[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	victims := rand.Perm(processes)[:3]
	for _, i := range victims {
		time.Sleep(rand.N(100 * time.Millisecond))
		_ = cmds[i].Process.Kill() // it may have ended
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil && !slices.Contains(victims, i) {
			t.Errorf("process %d: %v\n%s", i, err, &outputs[i])
		}
	}
}

// awaitNoKeeper waits until the server has noticed the end of all processes.
func awaitNoKeeper(t *testing.T, observer *pgx.Conn) {
	t.Helper()
	for left := -1; left != 0; {
		err := observer.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'txiso keeper %'").Scan(&left)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// expectAllUsedAgain wants everything but the template and worker databases to be collected by later runs.
func expectAllUsedAgain(t *testing.T, observer *pgx.Conn) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		runChild(t, "use a database")
		awaitNoKeeper(t, observer)
		all, used := databases(t, observer, "txiso_"), workers(t, observer)
		if len(all) == len(used)+1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("databases of killed processes are not collected: %v are more than the template and %v", all, used)
		}
	}
}

func runAFewTests(t *testing.T) {
	for i := range 6 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			theSame(t, processIso().DB(t))
			if i%3 == 0 {
				execute(t, processIso().Clone(t).DB, "INSERT INTO t VALUES (1)")
			}
		})
	}
}

// A server is restarted while a process runs its tests: those that run fail and say why, the rest pass.
func TestASuiteSurvivesARestartOfTheServer(t *testing.T) {
	strikes := map[string]func(t *testing.T, server *ownServer){
		"restart": func(_ *testing.T, server *ownServer) { server.pgCtl("restart", "-m", "immediate") },
		"all connections terminated": func(t *testing.T, server *ownServer) {
			run(t, connect(t, server.socketDSN()), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
		},
	}
	for name, strike := range strikes {
		t.Run(name, func(t *testing.T) {
			server := startServer(t)
			t.Setenv("TXISO_DSN", server.socketDSN())
			t.Setenv(childLog, filepath.Join(t.TempDir(), "log"))
			runChild(t, "use a database")
			cmd := child(t, "run a suite", "-test.parallel=4")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if said := readUntil(out, "waits to be struck"); said != "" {
				t.Fatalf("the process ended before:\n%s", said)
			}
			strike(t, server)
			if err := os.WriteFile(os.Getenv(childLog)+struck, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(out)
			if err != nil {
				t.Fatal(err)
			}
			expectSomeStruck(t, string(rest), cmd.Wait())
			runChild(t, "use a database")
		})
	}
}

// expectSomeStruck wants the tests that ran to have failed for the reason that there is, and no others.
func expectSomeStruck(t *testing.T, said string, ended error) {
	t.Helper()
	failed := strings.Count(said, "--- FAIL: TestInChild/")
	if ended == nil || failed == 0 || failed > 4 {
		t.Errorf("of four tests that ran %d failed: %v\n%s", failed, ended, said)
	}
	if n := strings.Count(said, "the server went away"); n < failed {
		t.Errorf("of %d failures %d say that the server went away:\n%s", failed, n, said)
	}
}

// struck is added to the name of a process's log: a file that is there when the server has been restarted.
const struck = ".struck"

func isStruck() bool {
	_, err := os.Stat(os.Getenv(childLog) + struck)
	return err == nil
}

func runASuite(t *testing.T) {
	for i := range 60 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := processIso().DB(t)
			theSame(t, db)
			fmt.Printf("test %d runs\n", i)
			execute(t, db, "SELECT pg_sleep(0.05)")
			if i < 9 {
				return
			}
			for fmt.Printf("test %d waits to be struck\n", i); !isStruck(); { // however long that takes
				execute(t, db, "SELECT pg_sleep(0.05)")
			}
		})
	}
}

// A server that has gone for good is waited for once, not by every test.
func TestAServerThatDoesNotComeBack(t *testing.T) {
	long(t)
	server := startServer(t)
	private := txiso.New(txiso.Config{DSN: server.socketDSN(), Migrations: table(t)})
	defer closeIso(t, private)
	playTest(t, func(tb *fakeTB) { private.DB(tb) }).expectPass(t)
	server.run("pg_ctl", "stop", "-D", server.data(), "-m", "immediate", "-w")
	for range 100 {
		playTest(t, func(tb *fakeTB) { private.DB(tb) }).expectFatal(t, "check that the server runs")
	}
}

// largeSchema is 200 migrations that make 300 tables, or a tenth of that.
func largeSchema() fstest.MapFS {
	files := fstest.MapFS{}
	for i := range longer(20, 200) {
		var sql strings.Builder
		sql.WriteString("-- +goose Up\n")
		for j := range 1 + i%2 { // 1.5 on average
			fmt.Fprintf(&sql, "CREATE TABLE t%d_%d (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);\n", i, j)
		}
		files[fmt.Sprintf("%05d_t%d.sql", i+1, i)] = &fstest.MapFile{Data: []byte(sql.String())}
	}
	return files
}

func TestALargeSchemaIsBuiltOnceForAllProcesses(t *testing.T) {
	server := startServer(t, "log_statement = 'ddl'")
	t.Setenv("TXISO_DSN", server.socketDSN())
	for range longer(2, 5) {
		cmds := make([]*exec.Cmd, 4)
		for i := range cmds {
			cmds[i] = child(t, "use a large schema")
		}
		runAll(t, cmds)
	}
	log, err := os.ReadFile(filepath.Join(server.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(log, []byte("CREATE DATABASE txiso_build_")); n != 1 {
		t.Errorf("the template was built %d times", n)
	}
	if n, want := bytes.Count(log, []byte("CREATE TABLE t")), longer(30, 300); n != want {
		t.Errorf("%d tables were created, want %d", n, want)
	}
}

func useALargeSchema(t *testing.T) {
	iso := txiso.New(txiso.Config{Migrations: largeSchema()})
	if n, want := query[int](t, iso.DB(t), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version'"), longer(30, 300); n != want {
		t.Errorf("%d tables, want %d", n, want)
	}
}
