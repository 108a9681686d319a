// Command repository compares what `go test ./...` takes for a whole repository: packages that are processes, each with its
// tests, run by each strategy in turn.
//
//	go run ./benchmarks/repository                                     # 8 packages, 160 tests
//	go run ./benchmarks/repository -full -readme benchmarks/README.md  # 40 packages, 5,000 tests, an hour of clones
//
// It writes the packages into a temporary folder and removes them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/txiso/txiso-go/benchmarks/host"
	"github.com/txiso/txiso-go/benchmarks/report"
)

// size is what a repository has.
type size struct{ packages, tests int }

var (
	small = size{packages: 8, tests: 160}
	full  = size{packages: 40, tests: 5000}
)

func main() {
	isFull := flag.Bool("full", false, "40 packages with 5,000 tests together, instead of 8 with 160")
	readme := flag.String("readme", "", "a README `file` whose section repository is written anew")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the process
	s := small
	if *isFull {
		s = full
	}
	if err := run(ctx, s, *readme); err != nil {
		fmt.Fprintln(os.Stderr, "repository:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s size, readme string) (err error) {
	h, err := host.Open(ctx, func(string, ...any) {})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	machine := fmt.Sprintf("%s; %s PostgreSQL %s", host.Machine(), h.Kind, h.Version)
	fmt.Println(machine)
	table, err := compare(ctx, s, func(what string) { fmt.Fprintln(os.Stderr, what) })
	if err != nil {
		return err
	}
	if err := table.Terminal(os.Stdout); err != nil || readme == "" {
		return err
	}
	var md strings.Builder
	fmt.Fprintf(&md, "Written by `go run ./benchmarks/repository %s` on %s: %s.\n\n",
		strings.Join(os.Args[1:], " "), time.Now().UTC().Format("2006-01-02"), machine)
	table.Markdown(&md)
	return report.WriteREADME(readme, "repository", md.String())
}
