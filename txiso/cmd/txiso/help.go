package main

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// command is one of the things that txiso does. prepare declares its flags and returns what to do once they are parsed.
type command struct {
	name, summary, help string
	prepare             func(*call) func(context.Context) error
}

func commands() []command {
	return []command{
		{"status", "show the server, templates, who holds which database, what was kept", statusHelp, status},
		{"psql", "open psql on a database", psqlHelp, psql},
		{"dsn", "print the address of a database", dsnHelp, dsn},
		{"clean", "drop databases that nobody needs any more", cleanHelp, clean},
		{"stop", "stop the embedded server", stopHelp, stop},
	}
}

func commandNamed(name string) (command, error) {
	var names []string
	for _, c := range commands() {
		if c.name == name {
			return c, nil
		}
		names = append(names, c.name)
	}
	return command{}, usageError{fmt.Errorf("there is no command %q, only %s and help", name, strings.Join(names, ", "))}
}

func help(out io.Writer, topic []string) error {
	if len(topic) == 0 {
		fmt.Fprint(out, overview())
		return nil
	}
	c, err := commandNamed(topic[0])
	if err != nil {
		return err
	}
	fmt.Fprint(out, c.help, serverHelp)
	return nil
}

func overview() string {
	var b strings.Builder
	b.WriteString("txiso looks after the PostgreSQL that Go tests share.\n\nUsage:\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "    txiso %-8s %s\n", c.name, c.summary)
	}
	b.WriteString(`    txiso help     say more about a command: txiso help psql

A test failed and kept its database (TXISO_KEEP=1):

    txiso status
    txiso psql txiso_kept_testtransfer_3fa2c1

Everything is to begin anew:

    txiso clean -all
    txiso stop
`)
	b.WriteString(serverHelp)
	b.WriteString("\nThe exit status is 0 when all went well, 1 when something did not, 2 when the command line is wrong.\n")
	return b.String()
}

const serverHelp = `
The server is the one that tests use:

    -dsn DSN              a server that runs, keyword/value or URL; default: the variable TXISO_DSN
    TXISO_HOME            where the embedded server lives if there is no DSN; default: txiso in the user's cache directory
    TXISO_POSTGRES_BIN    the directory with its programs
`
