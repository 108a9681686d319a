package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

const psqlHelp = `txiso psql [-dsn DSN] NAME [ARGUMENTS OF psql]

Opens psql on one of txiso's databases, which txiso status lists. An embedded server is started if need be.

    kept       what a failed test has left, for you alone
    clone      the private database of a test that runs
    worker     transactions are read only, because the next test trusts it to be as its template is; what a test that runs
               has done there is in a transaction that nobody else sees
    template   psql gets a copy, dropped afterwards, because nobody may change a template

The exit status is psql's.

Examples:

    txiso psql txiso_kept_testtransfer_3fa2c1
    txiso psql txiso_4f1c0a9be27d3358 -c '\d customers'
    TXISO_HOME=/tmp/other txiso psql txiso_4f1c0a9be27d3358_2 -At -c 'TABLE accounts'
`

const dsnHelp = `txiso dsn [-dsn DSN] NAME

Prints a URL of one of txiso's databases that any client of PostgreSQL understands, with the password if there is one.
An embedded server is started if need be, and stops again when nobody has been connected for a minute. Of a worker database
the URL makes transactions read only, as txiso psql does. Nobody can connect to a template.

Examples:

    txiso dsn txiso_kept_testtransfer_3fa2c1
    pg_dump "$(txiso dsn txiso_kept_testtransfer_3fa2c1)" > failed.sql
`

func dsn(c *call) func(context.Context) error {
	return func(ctx context.Context) error {
		name, err := c.database()
		if err != nil {
			return err
		}
		if c.flags.NArg() > 1 {
			return usageError{fmt.Errorf("dsn takes one NAME, and flags before it, not %q; see txiso help dsn", c.flags.Args())}
		}
		s, d, err := c.find(ctx, name)
		if err != nil {
			return err
		}
		if d.Kind == "template" {
			return fmt.Errorf("txiso: nobody can connect to the template %s, so that nobody changes it: txiso psql opens a copy of it", name)
		}
		fmt.Fprintln(c.out, s.report.DSN(*d))
		return nil
	}
}

func psql(c *call) func(context.Context) error {
	return func(ctx context.Context) error {
		name, err := c.database()
		if err != nil {
			return err
		}
		s, d, err := c.find(ctx, name)
		if err != nil {
			return err
		}
		program, err := s.psql()
		if err != nil {
			return err
		}
		c.explain(d)
		if d.Kind == "template" {
			return c.psqlOnCopy(ctx, s, d.Name, program)
		}
		return c.runPsql(program, s, *d)
	}
}

// psql is the one in PATH, or the one that came with an embedded server.
func (s *server) psql() (string, error) {
	program, err := exec.LookPath("psql")
	if err == nil {
		return program, nil
	}
	if s.Programs != "" {
		if program, err := exec.LookPath(filepath.Join(s.Programs, "psql")); err == nil {
			return program, nil
		}
	}
	return "", fmt.Errorf("txiso: there is no psql to run: %w; install PostgreSQL's client programs, or give another client what txiso dsn prints", err)
}

// explain says what is not obvious.
func (c *call) explain(d *provision.Database) {
	switch {
	case d.Kind == "template":
		fmt.Fprintf(c.errOut, "txiso: this is a copy of %s and will be dropped\n", d.Name)
	case d.Kind == provision.Worker && len(d.Holders) > 0:
		fmt.Fprintf(c.errOut, "txiso: %s uses this database: what its test has done is not visible here; transactions are read only\n", holders(d.Holders))
	case d.Kind == provision.Worker:
		fmt.Fprintln(c.errOut, "txiso: the next test trusts this database: transactions are read only, and it ends them when it comes")
	}
}

func (c *call) psqlOnCopy(ctx context.Context, s *server, template, program string) error {
	copied, err := provision.OpenCopy(ctx, s.dsn, template)
	if err != nil {
		return err
	}
	ran := c.runPsql(program, s, copied.Database)
	// ctx has ended if psql got an interrupt.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer done()
	if err := copied.Drop(ctx); err != nil {
		return errors.Join(ran, fmt.Errorf("txiso: dropping the copy %s: %w; txiso clean drops it", copied.Name, err))
	}
	return ran
}

// runPsql gives psql the terminal, and returns its exit status if that is not 0.
func (c *call) runPsql(program string, s *server, d provision.Database) error {
	url, password := s.report.Login(d)
	cmd := exec.Command(program, append([]string{url}, c.flags.Args()[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, c.out, c.errOut
	if password != "" {
		cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
	}
	err := runAlone(cmd)
	if ended := new(exec.ExitError); errors.As(err, &ended) && ended.Exited() {
		return exited(ended.ExitCode())
	}
	return err
}

// runAlone leaves interrupts to the program, which the terminal sends to both of us, and hands on what only we are told.
func runAlone(cmd *exec.Cmd) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGTERM {
					_ = cmd.Process.Signal(s) // it may have ended by now
				}
			case <-ended:
				return
			}
		}
	}()
	return cmd.Wait()
}
