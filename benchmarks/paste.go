package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/txiso/txiso-go/benchmarks/host"
	"github.com/txiso/txiso-go/benchmarks/report"
)

// paste turns the output of go test -bench into the README's section of that name.
func paste(readme, name string, in io.Reader) error {
	if readme == "" {
		return errors.New("-paste needs -readme")
	}
	s := report.Section{Header: []string{"benchmark", "rounds", "figures"}}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		s.Rows = append(s.Rows, []string{"`" + strings.TrimPrefix(fields[0], "Benchmark") + "`", fields[1], figures(fields[2:])})
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(s.Rows) == 0 {
		return errors.New("there is no benchmark on standard input; pipe the output of go test -bench into it")
	}
	var md strings.Builder
	fmt.Fprintf(&md, "Written on %s: %s.\n\n", time.Now().UTC().Format("2006-01-02"), host.Machine())
	s.Table(&md)
	return report.WriteREADME(readme, name, md.String())
}

// figures rounds pairs of a value and its unit. Spreads are left to those who run the benchmark.
func figures(fields []string) string {
	var texts []string
	for i := 0; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil || strings.HasSuffix(fields[i+1], "p10") {
			continue
		}
		texts = append(texts, fmt.Sprintf("%s %.3g", fields[i+1], value))
	}
	return strings.Join(texts, ", ")
}
