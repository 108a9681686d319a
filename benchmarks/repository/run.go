package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// command prepares a program that works on the repository. An interrupt ends it with all it has started.
func (r *repository) command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.dir
	cmd.Env = append(env, "GOWORK=off", "GOFLAGS=-mod=mod")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// timed runs a command that has nothing to say unless it fails.
func timed(ctx context.Context, cmd *exec.Cmd) (time.Duration, error) {
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err != nil:
		return 0, fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out)
	}
	return took, nil
}

func (r *repository) programsDir() string { return filepath.Join(r.dir, "programs") }

// build compiles everything and links the packages' test programs.
func (r *repository) build(ctx context.Context) error {
	if err := os.Mkdir(r.programsDir(), 0o755); err != nil {
		return err
	}
	_, err := timed(ctx, r.command(ctx, os.Environ(), "go", "test", "-c", "-o", r.programsDir(), "./..."))
	return err
}

// goTest is what a user runs.
func (r *repository) goTest(ctx context.Context, strategy string, dbs *databases) (time.Duration, error) {
	return timed(ctx, r.command(ctx, dbs.environment(strategy), "go", "test", "-count=1", "-timeout=30m", "./..."))
}

// programs runs the test programs as go test does, as many at once as there are processors.
func (r *repository) programs(ctx context.Context, strategy string, dbs *databases) (time.Duration, error) {
	programs, err := filepath.Glob(filepath.Join(r.programsDir(), "*"))
	if err != nil || len(programs) == 0 {
		return 0, fmt.Errorf("no test programs: %w", errors.Join(err, os.ErrNotExist))
	}
	began := time.Now()
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	failures := make(chan error, len(programs))
	for _, program := range programs {
		free <- struct{}{}
		go func() {
			_, err := timed(ctx, r.command(ctx, dbs.environment(strategy), program, "-test.timeout=30m"))
			failures <- err
			<-free
		}()
	}
	for range programs {
		err = errors.Join(err, <-failures)
	}
	return time.Since(began), err
}
