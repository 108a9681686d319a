package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/txiso/txiso-go/benchmarks/host"
	"github.com/txiso/txiso-go/benchmarks/measure"
	"github.com/txiso/txiso-go/benchmarks/report"
	"github.com/txiso/txiso-go/benchmarks/schema"
	"github.com/txiso/txiso-go/benchmarks/strategy"
	"github.com/txiso/txiso-go/benchmarks/work"
)

// footprint is what a strategy's tests do to the server and to this process.
type footprint struct {
	connections, wal float64 // counted by the server
	cpu              time.Duration
	allocated        float64 // bytes, in this process
}

// footprints looks at every strategy alone.
func footprints(ctx context.Context, h *host.Host, p plan, done func(string)) (s report.Section, err error) {
	s = report.Section{
		Title: "What a test does to the server",
		Text: []string{"Per test, " + report.CellTitle(resultOf(base)) + ". Connections and WAL are counted by the server, which " +
			"forgets the connections to a database when that is dropped: a clone costs one more than it says here. The " +
			"processor time is that of all its processes (Linux, server on this machine); memory is what this process allocates. " +
			"All but the connections are the median of five looks, where there are ten tests or more."},
		Header: []string{"strategy", "connections", "WAL", "server's processor time", "allocated here", "tests"},
	}
	for _, named := range p.strategies {
		done(named.Name)
		tests := max(1, int(p.share*float64(lookTests(named.Name))))
		f, err := look(ctx, h, named, tests)
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			return s, err
		}
		cpu := "–"
		if f.cpu > 0 {
			cpu = report.Duration(f.cpu)
		}
		s.Rows = append(s.Rows, []string{named.Name, fmt.Sprintf("%.3f", f.connections), bytes(f.wal), cpu, bytes(f.allocated), fmt.Sprint(tests)})
	}
	return s, nil
}

// lookTests is how many tests of a strategy take about a second.
func lookTests(name string) int {
	switch name {
	case "floor", "txiso", "txiso-pgxpool":
		return 1000
	case "txdb", "delete":
		return 200
	default:
		return 10
	}
}

func look(ctx context.Context, h *host.Host, named strategy.Named, tests int) (f footprint, err error) {
	env := strategy.NewEnv(ctx, schema.New(base.tables, base.rows), 1, func(string, ...any) {})
	defer func() { err = errors.Join(err, env.Close()) }()
	s, err := named.New(ctx, env)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	test := work.Plain.Mixed(base.statements)
	if _, err := measure.Suite(ctx, s, test, 1, 1); err != nil { // the first test is another's business
		return f, err
	}
	opened, err := connections(ctx, h.Admin)
	if err != nil {
		return f, err
	}
	looks := parts(tests)
	each := tests / looks
	var wal, memory []float64
	var cpu []time.Duration
	for range looks {
		before, err := state(ctx, h.Admin)
		if err != nil {
			return f, err
		}
		had := allocated() // last, and first again: to look takes memory, too
		if _, err := measure.Suite(ctx, s, test, 1, each); err != nil {
			return f, err
		}
		memory = append(memory, allocated()-had)
		after, err := state(ctx, h.Admin)
		if err != nil {
			return f, err
		}
		wal, cpu = append(wal, after.wal-before.wal), append(cpu, after.cpu-before.cpu)
	}
	f.wal = measure.Quantile(wal, 0.5) / float64(each)
	f.cpu = measure.Quantile(cpu, 0.5) / time.Duration(each)
	f.allocated = measure.Quantile(memory, 0.5) / float64(each)
	all, err := connections(ctx, h.Admin)
	f.connections = (all - opened) / float64(tests)
	return f, err
}

// parts is how many times a strategy is looked at, so that what the server does in the background (a database that is made
// ahead, autovacuum) is no strategy's in the middle one.
func parts(tests int) int {
	if tests < 10 {
		return 1
	}
	return 5
}

// state reads the counters that the server keeps at once.
func state(ctx context.Context, db *sql.DB) (f footprint, err error) {
	var pid int
	err = db.QueryRowContext(ctx, `SELECT pg_backend_pid(), pg_current_wal_insert_lsn() - '0/0'`).Scan(&pid, &f.wal)
	f.cpu = serverTime(pid)
	return f, err
}

// allocated is how many bytes this process has allocated so far.
func allocated() float64 {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return float64(memory.TotalAlloc)
}

// connections is how many there have been to the databases that the server has. Its processes report them late.
func connections(ctx context.Context, db *sql.DB) (n float64, err error) {
	time.Sleep(200 * time.Millisecond)
	err = db.QueryRowContext(ctx, `SELECT coalesce(sum(sessions), 0) FROM pg_stat_database`).Scan(&n)
	return n, err
}

// bytes writes a number of bytes with its unit.
func bytes(n float64) string {
	for _, unit := range []string{"B", "kB", "MB"} {
		if n < 1000 {
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.3g GB", n)
}
