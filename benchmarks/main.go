// Command benchmarks compares what a test pays for a clean database, strategy by strategy, all in one run on one server.
//
//	go run ./benchmarks -quick               # under a minute
//	go run ./benchmarks -out results         # under ten; also CSV and plots
//	TXISO_DSN=… go run ./benchmarks          # on an external server
//	go run ./benchmarks -guard               # only: does txiso cost less than twice the floor?
//
// README.md says how to read what it prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/txiso/txiso-go/benchmarks/host"
	"github.com/txiso/txiso-go/benchmarks/report"
)

// options are the flags.
type options struct {
	quick, guard bool
	out, readme  string
	paste        string
}

func main() {
	if err := child(); err != nil {
		fail(err)
	}
	var o options
	flag.BoolVar(&o.quick, "quick", false, "three combinations only, under a minute")
	flag.BoolVar(&o.guard, "guard", false, "only check that txiso costs less than twice the floor; exit status 1 if not")
	flag.StringVar(&o.out, "out", "", "a `folder` for results.csv and the plots; none is written without")
	flag.StringVar(&o.readme, "readme", "", "a README `file` whose marked sections are written anew")
	flag.StringVar(&o.paste, "paste", "", "write standard input into the README's section of that `name`, and do nothing else")
	flag.Parse()
	if err := o.check(flag.Args()); err != nil {
		fail(err)
	}
	// The first Ctrl-C ends the run and cleans up; the second ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, o); err != nil {
		fail(err)
	}
}

// check finds out ahead of the run what would keep its results from being written.
func (o options) check(arguments []string) error {
	switch {
	case len(arguments) > 0:
		return fmt.Errorf("%q is no flag; -help lists them", arguments[0])
	case o.paste != "" || o.readme == "" && o.out == "":
		return nil
	case o.out == "":
		return errors.New("-readme shows the plots, so it needs -out")
	case o.readme != "":
		if err := report.CheckREADME(o.readme, "results"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	probe, err := os.CreateTemp(o.out, ".probe")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "benchmarks:", err)
	os.Exit(1)
}

var errInterrupted = errors.New("interrupted; what the run had made on the server is removed")

func run(ctx context.Context, o options) (err error) {
	if o.paste != "" {
		return paste(o.readme, o.paste, os.Stdin)
	}
	h, err := host.Open(ctx, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return err
	}
	defer func() {
		err = errors.Join(err, h.Close())
		if ctx.Err() != nil {
			err = errInterrupted
		}
	}()
	if o.guard {
		return guard(ctx)
	}
	p := fullPlan()
	if o.quick {
		p = quickPlan()
	}
	r, err := measureAll(ctx, h, p)
	if err != nil {
		return err
	}
	r.Command = strings.TrimSpace("go run ./benchmarks " + strings.Join(os.Args[1:], " "))
	return write(r, base, o)
}

// measureAll runs the plan.
func measureAll(ctx context.Context, h *host.Host, p plan) (*report.Run, error) {
	r := &report.Run{Machine: host.Machine(), Server: h.Kind + " PostgreSQL " + h.Version, When: time.Now()}
	fmt.Printf("%s\n%s\n", r.Machine, r.Server)
	bar := progressbar.NewOptions(int(p.until(len(p.cells)).Milliseconds()), progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
	for i, c := range p.cells {
		bar.Describe(fmt.Sprintf("%d/%d", i+1, len(p.cells)))
		results, err := runCell(ctx, c, withWork(p.strategies), p.of(i), func(spent time.Duration) {
			_ = bar.Set(int((p.until(i) + min(spent, p.of(i))).Milliseconds())) // only a picture
		})
		if err != nil {
			return nil, err
		}
		r.Results = append(r.Results, results...)
		r.Load = append(r.Load, host.Load()...)
		_ = bar.Clear()
		if err := report.CellSection(results).Terminal(os.Stdout); err != nil {
			return nil, err
		}
	}
	_ = bar.Finish()
	fmt.Printf("\n%s\n", r.Noise())
	return r, moreSections(ctx, h, p, r)
}

// write puts the results into files. Plots are about what differs from first in one dimension.
func write(r *report.Run, first cell, o options) error {
	if o.out != "" {
		if err := writeFiles(r, first, o.out); err != nil {
			return err
		}
	}
	if o.readme == "" {
		return nil
	}
	plots, err := filepath.Rel(filepath.Dir(o.readme), o.out)
	if err != nil {
		return err
	}
	return report.WriteREADME(o.readme, "results", r.Markdown(filepath.ToSlash(plots), resultOf(first)))
}

func writeFiles(r *report.Run, first cell, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(dir, "results.csv"))
	if err != nil {
		return err
	}
	if err := errors.Join(r.CSV(file), file.Close()); err != nil {
		return err
	}
	if _, err := r.Plots(dir, resultOf(first)); err != nil {
		return err
	}
	fmt.Printf("\nCSV and plots are in %s\n", dir)
	return nil
}

// resultOf is a result without figures, to say which cell is meant.
func resultOf(c cell) report.Result {
	return report.Result{Tables: c.tables, Rows: c.rows, Statements: c.statements, Workers: c.workers}
}
