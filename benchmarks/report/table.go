package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

var cellHeader = []string{"strategy", "per test", "± half of the runs", "× floor", "isolation", "tests", "turns"}

// CellTitle describes the cell of a result.
func CellTitle(r Result) string {
	return fmt.Sprintf("%d tables, %d rows in each, %d statements a test, %d %s",
		r.Tables, r.Rows, r.Statements, r.Workers, plural(r.Workers, "worker"))
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// CellSection is the table of one cell.
func CellSection(results []Result) Section {
	s := Section{Title: CellTitle(results[0]), Header: cellHeader}
	for _, r := range results {
		s.Rows = append(s.Rows, []string{
			r.Strategy, Duration(r.Sample.Median()), fmt.Sprintf("%.0f %%", 50*r.Sample.Spread()),
			fmt.Sprintf("%.2f", r.Ratio()), Duration(r.Isolation()), fmt.Sprint(r.Tests), fmt.Sprint(len(r.Sample)),
		})
	}
	return s
}

// Duration writes d with three digits.
func Duration(d time.Duration) string {
	unit, name := time.Microsecond, "µs"
	switch {
	case d.Abs() >= time.Second:
		unit, name = time.Second, "s"
	case d.Abs() >= time.Millisecond:
		unit, name = time.Millisecond, "ms"
	}
	v := float64(d) / float64(unit)
	digits := 0
	switch {
	case v < 0:
	case v < 10:
		digits = 2
	case v < 100:
		digits = 1
	}
	return fmt.Sprintf("%.*f %s", digits, v, name)
}

// Terminal writes s for reading in a terminal.
func (s Section) Terminal(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n%s\n", s.Title)
	fmt.Fprintln(t, strings.Join(s.Header, "\t"))
	for _, row := range s.Rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// Markdown writes s for a README.
func (s Section) Markdown(w io.Writer) {
	fmt.Fprintf(w, "### %s\n\n", s.Title)
	for _, text := range s.Text {
		fmt.Fprintf(w, "%s\n\n", text)
	}
	if len(s.Header) > 0 {
		s.Table(w)
	}
	for _, text := range s.After {
		fmt.Fprintf(w, "%s\n\n", text)
	}
}

// Table writes the table of s alone.
func (s Section) Table(w io.Writer) {
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(s.Header, " | "), strings.Repeat(" --- |", len(s.Header)))
	for _, row := range s.Rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintln(w)
}
