package main

import (
	"context"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/txiso/txiso-go/benchmarks/host"
	"github.com/txiso/txiso-go/benchmarks/report"
)

// moreSections adds what is not a cell.
func moreSections(ctx context.Context, h *host.Host, p plan, r *report.Run) error {
	if p.cellsOnly {
		return nil
	}
	steps := len(suites()) + 2*processes + len(p.strategies) + bloatSteps + len(sizes)
	bar := progressbar.NewOptions(steps, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish())
	for _, section := range []func() (report.Section, error){
		func() (report.Section, error) { return growth(ctx, p.budget, describe(bar, "sizes")) },
		func() (report.Section, error) { return replay(ctx, p.share, describe(bar, "published suites")) },
		func() (report.Section, error) { return servicesIfAny(ctx, p.share, describe(bar, "processes")) },
		func() (report.Section, error) { return footprints(ctx, h, p, describe(bar, "server")) },
		func() (report.Section, error) { return bloat(ctx, p.rolledBack, describe(bar, "bloat")) },
	} {
		s, err := section()
		if err != nil {
			return err
		}
		r.Sections = append(r.Sections, s)
		_ = bar.Clear() // only a picture
		if err := s.Terminal(os.Stdout); err != nil {
			return err
		}
	}
	return nil
}

// describe shows on the bar what is being done.
func describe(bar *progressbar.ProgressBar, what string) func(string) {
	return func(detail string) {
		bar.Describe(what + ": " + detail)
		_ = bar.Add(1) // only a picture
	}
}
