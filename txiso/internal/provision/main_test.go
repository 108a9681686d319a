package provision_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// The test binary runs itself for tests with several processes: childVariable names what a child
// does, childDSN and childTable say where and with which migrations.
const (
	childVariable = "TXISO_TEST_CHILD"
	childDSN      = "TXISO_TEST_DSN"
	childTable    = "TXISO_TEST_TABLE"
	childLog      = "TXISO_TEST_LOG"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childVariable); role != "" {
		if err := children[role](context.Background()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

var children = map[string]func(context.Context) error{
	"contend": contend,
	"hold":    hold,
	"clone":   holdClone,
	"build":   buildForever,
	"collect": collectAllTheTime,

	"two clones": useTwoClones,
}

// child prepares a process that does role with the migrations of table.
func child(tb testing.TB, cfg provision.Config, role, table, log string) *exec.Cmd {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), self)
	cmd.Env = append(os.Environ(), childVariable+"="+role, childDSN+"="+cfg.DSN, childTable+"="+table, childLog+"="+log)
	return cmd
}

// startAndWaitFor starts a process and waits until it has printed a line.
func startAndWaitFor(tb testing.TB, cmd *exec.Cmd) (line string) {
	tb.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, &line); err != nil {
		tb.Fatal(err)
	}
	return line
}

// kill ends a process as kill -9 does.
func kill(tb testing.TB, cmd *exec.Cmd) {
	tb.Helper()
	if err := cmd.Process.Kill(); err != nil {
		tb.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
}

// childConfig is the configuration a child shares with its parent and siblings. Each run of its
// migrations adds a line to a file.
func childConfig() provision.Config {
	return loggedConfig(os.Getenv(childDSN), os.Getenv(childTable), os.Getenv(childLog))
}

func loggedConfig(dsn, table, log string) provision.Config {
	goose := provision.Goose(oneTable(table))
	return provision.Config{DSN: dsn, Migrator: loggedMigrator{goose, log}}
}

type loggedMigrator struct {
	provision.Migrator
	log string
}

func (m loggedMigrator) Migrate(ctx context.Context, db *sql.DB) error {
	f, err := os.OpenFile(m.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		return err
	}
	return m.Migrator.Migrate(ctx, db)
}

func lines(tb testing.TB, file string) int {
	tb.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Count(content, []byte("\n"))
}

// runAll runs the processes at once and fails with what they print: they have nothing to say.
func runAll(tb testing.TB, cmds []*exec.Cmd) {
	tb.Helper()
	outputs := make([]strings.Builder, len(cmds))
	for i, cmd := range cmds {
		cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil || outputs[i].Len() > 0 {
			tb.Errorf("process %d: %v\n%s", i, err, outputs[i].String())
		}
	}
}
