package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/txiso/txiso-go/benchmarks/host"
	"github.com/txiso/txiso-go/benchmarks/report"
)

// benchmark is a line of what go test -bench prints.
type benchmark struct {
	name, rounds string // the name without Benchmark and -GOMAXPROCS
	figures      []figure
}

type figure struct {
	unit  string
	value float64
}

// sections are what -paste can write, by name.
var sections = map[string]func([]benchmark) (string, error){"price": price, "numbers": numbers}

// paste turns the output of go test -bench into the README's section of that name.
func paste(readme, name string, in io.Reader) error {
	if readme == "" {
		return errors.New("-paste needs -readme")
	}
	section, ok := sections[name]
	if !ok {
		return fmt.Errorf("-paste does not know the section %q; it writes price or numbers", name)
	}
	all, err := readBenchmarks(in)
	if err != nil {
		return err
	}
	text, err := section(all)
	if err != nil {
		return err
	}
	return report.WriteREADME(readme, name, text)
}

// price is all of it.
func price(all []benchmark) (string, error) {
	s := report.Section{Header: []string{"benchmark", "rounds", "figures"}}
	for _, b := range all {
		var texts []string
		for _, f := range b.figures {
			if !strings.HasSuffix(f.unit, "p10") { // left to those who run the benchmark
				texts = append(texts, fmt.Sprintf("%s %.3g", f.unit, f.value))
			}
		}
		s.Rows = append(s.Rows, []string{"`" + b.name + "`", b.rounds, strings.Join(texts, ", ")})
	}
	return written(s), nil
}

func written(s report.Section) string {
	var md strings.Builder
	fmt.Fprintf(&md, "Written on %s: %s.\n\n", time.Now().UTC().Format("2006-01-02"), host.Machine())
	s.Table(&md)
	return md.String()
}

var benchmarkLine = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+(\d+)\s+(.+)$`)

func readBenchmarks(in io.Reader) (all []benchmark, err error) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		m := benchmarkLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		b := benchmark{name: m[1], rounds: m[2]}
		for pairs := strings.Fields(m[3]); len(pairs) >= 2; pairs = pairs[2:] {
			if value, err := strconv.ParseFloat(pairs[0], 64); err == nil {
				b.figures = append(b.figures, figure{pairs[1], value})
			}
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		err = errors.New("there is no benchmark on standard input; pipe the output of go test -bench into it")
	}
	return all, errors.Join(lines.Err(), err)
}
