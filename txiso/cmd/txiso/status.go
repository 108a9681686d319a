package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

const statusHelp = `txiso status [-json] [-dsn DSN]

Shows the server and the databases that txiso has there. It starts nothing, changes nothing and shows no password.

    template     migrated and seeded once; all others are cloned from it
    worker       leased by one process at a time, kept for the next; "held by" is the one that has it now
    clone        a private database of a test, dropped when it ends
    kept         what a failed test has left (TXISO_KEEP=1): txiso psql NAME opens it, txiso clean drops it
    incomplete   left by a process that was killed; later runs drop it

Examples:

    txiso status
    txiso status -json | jq -r '.servers[].databases.kept[].name'
    TXISO_DSN='host=db.example user=tester dbname=postgres' txiso status

In JSON there is one object with a list of servers: the external one, or all embedded ones, running or not.

    servers[]    kind ("embedded", "external"), running, version, address, started (RFC 3339), connections, max_connections,
                 databases (null if it does not run); of an embedded one name, process, data, log, programs
    databases    templates[], workers[], clones[], kept[], incomplete[], others (how many have a name like txiso's, but are
                 not its own or belong to another role or maintenance database)
    each         name, kind, template, test (kept), created, used (templates), size (bytes), connections, holders[]
    holders[]    process, program, user, client, backend, application, since

Fields may be added; these stay.
`

func status(c *call) func(context.Context) error {
	asJSON := c.flags.Bool("json", false, "")
	return func(ctx context.Context) error {
		if err := c.noArguments(); err != nil {
			return err
		}
		servers, err := c.servers(ctx)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.out, map[string]any{"servers": servers})
		}
		return printServers(c.out, servers, time.Now())
	}
}

func printJSON(out io.Writer, v any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

func printServers(out io.Writer, servers []*server, now time.Time) error {
	if len(servers) == 0 {
		text, err := nowhere()
		fmt.Fprintln(out, text)
		return err
	}
	for i, s := range servers {
		if i > 0 {
			fmt.Fprintln(out)
		}
		s.printTo(out, now)
	}
	return nil
}

func (s *server) printTo(out io.Writer, now time.Time) {
	state := "stopped"
	if s.Running {
		state = fmt.Sprintf("running for %s, since %s", age(now.Sub(s.Started)), s.Started.Format(time.DateTime))
	}
	fmt.Fprintf(out, "%s: PostgreSQL %s, %s\n", s.title(), s.Version, state)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "  address\t%s\n", s.Address)
	if s.Kind == "embedded" {
		fmt.Fprintf(table, "  data\t%s\n  log\t%s\n", s.Data, s.Log)
	}
	if s.Running {
		fmt.Fprintf(table, "  connections\t%d of %d\n", s.Connections, s.MaxConnections)
	}
	_ = table.Flush() // as out does with errors
	if s.Running {
		s.printDatabases(out, now)
	}
}

func (s *server) title() string {
	if s.Process == 0 {
		return strings.TrimSpace(s.Kind + " server " + s.Name)
	}
	return fmt.Sprintf("%s server %s (process %d)", s.Kind, s.Name, s.Process)
}

func (s *server) printDatabases(out io.Writer, now time.Time) {
	all := s.Databases.All()
	if len(all) == 0 {
		fmt.Fprintln(out, "\n  no databases: the first test makes them")
	} else {
		fmt.Fprintln(out)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "  KIND\tNAME\tAGE\tUSED\tSIZE\tHELD BY")
		for _, d := range all {
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\n", d.Kind, d.Name, since(now, d.Created), since(now, d.Used), bytes(d.Size), whose(d))
		}
		_ = table.Flush()
	}
	if n := s.Databases.Others; n > 0 {
		fmt.Fprintf(out, "\n  %d more with a name like txiso's: not its own, or of another role or another maintenance database\n", n)
	}
}

// whose says who has a database, or of which test it was kept.
func whose(d provision.Database) string {
	if d.Test != "" {
		return "of " + d.Test
	}
	return holders(d.Holders)
}

func holders(all []provision.Holder) string {
	if len(all) == 0 {
		return "-"
	}
	var who []string
	for _, h := range all {
		who = append(who, holder(h))
	}
	return strings.Join(who, ", ")
}

func holder(h provision.Holder) string {
	if h.Process == 0 {
		return fmt.Sprintf("%q as %s (backend %d)", h.Application, h.User, h.Backend)
	}
	text := fmt.Sprintf("%s (process %d) as %s", h.Program, h.Process, h.User)
	if h.Client != "" {
		text += " from " + h.Client
	}
	return text
}

// since is an age, for a moment that is known.
func since(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	return age(now.Sub(then))
}

// age rounds a duration down to its largest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds()))) // clocks of other machines may be ahead
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func bytes(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
}
