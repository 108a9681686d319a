package main

import (
	"context"

	"github.com/txiso/txiso-go/benchmarks/host"
	"github.com/txiso/txiso-go/benchmarks/report"
)

// moreSections adds what is not a cell.
func moreSections(ctx context.Context, h *host.Host, p plan, r *report.Run) error { return nil }

func child() error { return nil }
