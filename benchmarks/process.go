package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/txiso/txiso-go/benchmarks/host"
	"github.com/txiso/txiso-go/benchmarks/measure"
	"github.com/txiso/txiso-go/benchmarks/report"
	"github.com/txiso/txiso-go/benchmarks/schema"
	"github.com/txiso/txiso-go/benchmarks/strategy"
	"github.com/txiso/txiso-go/benchmarks/work"
)

// childVariable makes the command one of a suite's processes. Its value is how many tests that runs.
const childVariable = "TXISO_BENCH_TESTS"

const (
	processes       = 5 // as of a suite with five packages
	testsPerProcess = 20
)

// child runs a process's share of a suite and exits, if this process is one.
func child() error {
	value := os.Getenv(childVariable)
	if value == "" {
		return nil
	}
	tests, err := strconv.Atoi(value)
	if err != nil {
		return err
	}
	env := strategy.NewEnv(context.Background(), schema.New(replayTables, 0), 1, func(string, ...any) {})
	s, err := strategy.NewTxiso(context.Background(), env)
	if err != nil {
		return err
	}
	if _, err := measure.Suite(context.Background(), s, work.Plain.Mixed(base.statements), 1, tests); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

// services compares a server for each process with one that all processes share.
func services(ctx context.Context, share float64, done func(string)) (report.Section, error) {
	s := report.Section{
		Title: "A server per process or per session",
		Text: []string{fmt.Sprintf("%d test processes one after the other, %d tests each: every process with a server of its own, "+
			"as when each starts its services itself, and all with the one that txiso shares between them.", processes, testsPerProcess)},
		Header: []string{"server", "took", "servers started"},
	}
	var homes []string
	defer func() {
		for _, home := range homes {
			_ = host.RemoveHome(context.Background(), home) // the server goes away by itself
		}
	}()
	for _, shared := range []bool{false, true} {
		began, started := time.Now(), 0
		for i := range max(1, int(share*processes)) {
			done("")
			if i == 0 || !shared {
				home, err := host.MakeHome()
				if err != nil {
					return s, err
				}
				homes = append(homes, home)
				started++
			}
			if err := runChild(ctx, homes[len(homes)-1]); err != nil {
				return s, err
			}
		}
		name := map[bool]string{false: "one per process", true: "one for all"}[shared]
		s.Rows = append(s.Rows, []string{name, report.Duration(time.Since(began)), strconv.Itoa(started)})
	}
	return s, nil
}

// servicesIfAny is services, left out of a run on an external server when this machine starts none: nothing else needs PostgreSQL here.
func servicesIfAny(ctx context.Context, share float64, done func(string)) (report.Section, error) {
	s, err := services(ctx, share, done)
	if err == nil || ctx.Err() != nil || os.Getenv("TXISO_DSN") == "" {
		return s, err
	}
	fmt.Fprintf(os.Stderr, "left out: %s: %v\n", s.Title, err)
	return report.Section{Title: s.Title, Header: []string{"left out"}, Rows: [][]string{{"it starts servers of its own, which this machine does not"}}}, nil
}

func runChild(ctx context.Context, home string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childVariable+"="+strconv.Itoa(testsPerProcess), "TXISO_HOME="+home, "TXISO_DSN=", "TXISO_IDLE_TIMEOUT=2s")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("a test process failed: %w: %s", err, out)
	}
	return nil
}
