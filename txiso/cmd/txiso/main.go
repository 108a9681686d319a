// Command txiso shows what txiso has on its server, stops the server, drops what is not needed any more, and leads to a
// database that a failed test has left.
//
//	go run github.com/txiso/txiso-go/txiso/cmd/txiso status
//	go install github.com/txiso/txiso-go/txiso/cmd/txiso
//
// Both work in a module that requires txiso.
//
//	txiso status [-json]            the server, its templates, who holds which database, what was kept
//	txiso psql NAME [ARGUMENTS]     psql on one of them
//	txiso dsn NAME                  its address, for any other client
//	txiso clean [-all] [-dry-run]   drops what is stale and what was kept
//	txiso stop [-force]             stops the embedded server
//
// `txiso help COMMAND` says more. The exit status is 0 when all went well, 1 when something did not, 2 when the command line
// is wrong; of psql it is psql's own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit statuses.
const (
	success = 0
	failure = 1
	misuse  = 2
)

// usageError is a command line that means nothing. What it repeats of that has no password.
type usageError struct{ error }

func (e usageError) Error() string {
	text := e.error.Error()
	if !mayTellPassword(text) {
		return text
	}
	return "what may be the address of a server stands where none belongs, and is not repeated because of its password; use `txiso status -dsn …`"
}

// mayTellPassword recognises addresses of servers, whole or in parts.
func mayTellPassword(text string) bool {
	return strings.Contains(text, "://") || strings.Contains(text, "@") || strings.Contains(strings.ToLower(text), "password")
}

// exited is the exit status of a program that ran in our place.
type exited int

func (e exited) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// call is one command on its way.
type call struct {
	flags  *flag.FlagSet
	out    io.Writer
	errOut io.Writer
	dsn    string // of an external server; "" means the embedded one
}

// run is main, but for the process.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	err := dispatch(ctx, args, out, errOut)
	var wrong usageError
	var other exited
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return success
	case errors.As(err, &other):
		return int(other)
	case errors.As(err, &wrong):
		fmt.Fprintf(errOut, "txiso: %v\n", err)
		return misuse
	}
	fmt.Fprintln(errOut, err)
	return failure
}

func dispatch(ctx context.Context, args []string, out, errOut io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(errOut, overview())
		return exited(misuse)
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(out, rest)
	}
	if strings.HasPrefix(name, "-") {
		return usageError{errors.New("flags come behind the command; use `txiso status -dsn …`")}
	}
	cmd, err := commandNamed(name)
	if err != nil {
		return err
	}
	c := &call{flags: flag.NewFlagSet(name, flag.ContinueOnError), out: out, errOut: errOut}
	c.flags.SetOutput(io.Discard) // what it says is said by us
	c.flags.StringVar(&c.dsn, "dsn", os.Getenv("TXISO_DSN"), "")
	begin := cmd.prepare(c)
	switch err := c.flags.Parse(rest); {
	case errors.Is(err, flag.ErrHelp):
		return help(out, []string{name})
	case err != nil:
		return usageError{fmt.Errorf("%w; see txiso help %s", err, name)}
	}
	return begin(ctx)
}

// noArguments refuses what is left on the command line.
func (c *call) noArguments() error {
	if c.flags.NArg() == 0 {
		return nil
	}
	return usageError{fmt.Errorf("%s takes no %q; see txiso help %[1]s", c.flags.Name(), strings.Join(c.flags.Args(), " "))}
}

// database is the argument of a command that works on one.
func (c *call) database() (string, error) {
	if c.flags.NArg() == 0 {
		return "", usageError{fmt.Errorf("%s needs the NAME of a database, which txiso status shows; see txiso help %[1]s", c.flags.Name())}
	}
	if name := c.flags.Arg(0); mayTellPassword(name) {
		return "", usageError{fmt.Errorf("%q is no NAME of a database", name)}
	}
	return c.flags.Arg(0), nil
}
