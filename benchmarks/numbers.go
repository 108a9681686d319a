package main

import (
	"errors"
	"fmt"

	"github.com/txiso/txiso-go/benchmarks/report"
)

// headlines are the lines of the project's README: what is measured in words, and by which benchmark.
var headlines = []struct{ what, benchmark string }{
	{"a test with one insert", "Test/work=insert/schema=plain/workers=1"},
	{"a test with ten inserts outside transactions", "Test/work=10inserts/schema=plain/workers=1"},
	{"the same with deferred constraints in the schema", "Test/work=10inserts/schema=sample/workers=1"},
	{"one insert, 8 tests at once", "Test/work=insert/schema=plain/workers=8"},
	{"ten inserts, 8 tests at once", "Test/work=10inserts/schema=plain/workers=8"},
}

// numbers is what the project's README shows of the benchmarks.
func numbers(all []benchmark) (string, error) {
	d := digest{all: all}
	s := report.Section{Header: []string{"what", "txiso", "plain go-txdb"}}
	for _, h := range headlines {
		s.Rows = append(s.Rows, []string{h.what, d.get("%.2f × floor", h.benchmark, "txiso/floor"), d.get("%.0f ×", h.benchmark, "txdb/floor")})
	}
	s.Rows = append(s.Rows,
		[]string{"`SELECT 1`", d.get("%.2f × plain pgx", "Select1/workers=1", "txiso/pgx"), ""},
		[]string{"server connections of 1,000 tests one after the other", d.get("%.0f", "Connections", "connections/1000-tests"), ""})
	text := written(s) + fmt.Sprintf("The first `iso.DB(t)` of a process takes %s when the server runs, %s when its cluster is cached, %s when nothing is;\n"+
		"initdb, start and goose up by hand take %s.\n",
		d.get("%.0f ms", "FirstDatabase", "running-ms"), d.get("%.0f ms", "FirstDatabase", "stopped-ms"),
		d.get("%.0f ms", "FirstDatabase", "nothing-ms"), d.get("%.0f ms", "FirstDatabase", "byhand-ms"))
	return text, errors.Join(d.missing...)
}

// digest looks figures up, and collects what is not there.
type digest struct {
	all     []benchmark
	missing []error
}

func (d *digest) get(format, name, unit string) string {
	for _, b := range d.all {
		for _, f := range b.figures {
			if b.name == name && f.unit == unit {
				return fmt.Sprintf(format, f.value)
			}
		}
	}
	d.missing = append(d.missing, fmt.Errorf("there is no figure %s of Benchmark%s on standard input", unit, name))
	return ""
}
