package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

const cleanHelp = `txiso clean [-all] [-dry-run] [-unused DURATION] [-json] [-dsn DSN]

Drops what failed tests have kept, what killed processes have left, and templates that nobody has used for a while (a week) with all
that was cloned from them. Tests do the latter two by themselves, now and then. Nothing is dropped that a live process
holds, and nothing that txiso has not made. What failed tests have kept goes even if psql is open on it. It prints what it
dropped.

    -all               every database that no live process holds, whatever its age: the next test makes them anew
    -dry-run           only print what would be dropped
    -unused DURATION   how long a template must be unused to be dropped, for instance 24h; default: the variable
                       TXISO_STALE_AFTER, else 168h
    -json              print a JSON object: dry_run, and in databases the names of what was, or would be, dropped

An embedded server that is stopped is started for it.

Examples:

    txiso clean -dry-run
    txiso clean -all
    txiso clean -json | jq -r '.databases[]'
`

func clean(c *call) func(context.Context) error {
	var what provision.Cleaning
	asJSON := c.flags.Bool("json", false, "")
	c.flags.BoolVar(&what.All, "all", false, "")
	c.flags.BoolVar(&what.DryRun, "dry-run", false, "")
	c.flags.DurationVar(&what.StaleAfter, "unused", 0, "")
	return func(ctx context.Context) error {
		switch {
		case what.StaleAfter < 0:
			return usageError{fmt.Errorf("-unused %v is negative; see txiso help clean", what.StaleAfter)}
		case what.All && what.StaleAfter != 0:
			return usageError{errors.New("-all drops whatever the age: leave out -unused")}
		}
		if err := c.noArguments(); err != nil {
			return err
		}
		names, err := c.clean(ctx, what)
		switch {
		case *asJSON:
			return errors.Join(err, printJSON(c.out, map[string]any{"dry_run": what.DryRun, "databases": append([]string{}, names...)}))
		case len(names) == 0 && err == nil:
			fmt.Fprintln(c.out, "nothing to drop")
		}
		for _, name := range names {
			fmt.Fprintln(c.out, map[bool]string{true: "would drop", false: "dropped"}[what.DryRun], name)
		}
		return err
	}
}

// clean returns what was dropped, which may be something when it fails.
func (c *call) clean(ctx context.Context, what provision.Cleaning) (dropped []string, err error) {
	servers, err := c.started(ctx)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, s := range servers {
		if !s.Running {
			fmt.Fprintf(c.errOut, "txiso: %s is stopped and keeps its databases: with TXISO_POSTGRES_BIN=%s they can be dropped\n", s.title(), s.Programs)
			continue
		}
		names, err := provision.Clean(ctx, s.dsn, what)
		failures = append(failures, err)
		dropped = append(dropped, names...)
	}
	return dropped, errors.Join(failures...)
}
