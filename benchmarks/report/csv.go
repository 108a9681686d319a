package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"time"
)

// CSV writes a line for each result. Times are in microseconds per test.
func (r *Run) CSV(w io.Writer) error {
	out := csv.NewWriter(w)
	lines := [][]string{{"strategy", "tables", "rows", "statements", "workers", "tests", "turns",
		"median_us", "p25_us", "p75_us", "p10_us", "p90_us", "ratio_to_floor", "isolation_us"}}
	for _, result := range r.Results {
		lines = append(lines, result.csv())
	}
	if err := out.WriteAll(lines); err != nil {
		return fmt.Errorf("benchmarks: cannot write the CSV: %w", err)
	}
	return nil
}

func (r Result) csv() []string {
	line := []string{r.Strategy}
	for _, n := range []int{r.Tables, r.Rows, r.Statements, r.Workers, r.Tests, len(r.Sample)} {
		line = append(line, fmt.Sprint(n))
	}
	for _, q := range []float64{0.5, 0.25, 0.75, 0.1, 0.9} {
		line = append(line, microseconds(r.Sample.Quantile(q)))
	}
	return append(line, fmt.Sprintf("%.3f", r.Ratio()), microseconds(r.Isolation()))
}

func microseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Microsecond))
}
