// Package report says what was measured: in the terminal, as CSV, as plots and in a README.
package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/txiso/txiso-go/benchmarks/measure"
)

// Result is what one strategy took in one cell.
type Result struct {
	Strategy                          string
	Tables, Rows, Statements, Workers int
	Sample                            measure.Sample // time per test, one value a turn
	Tests                             int
	Floor, Work                       time.Duration // medians of the same cell
}

// Ratio is the strategy's median as a multiple of floor's.
func (r Result) Ratio() float64 { return float64(r.Sample.Median()) / float64(r.Floor) }

// Isolation is what the strategy takes beyond the work itself.
func (r Result) Isolation() time.Duration { return r.Sample.Median() - r.Work }

// Throughput is tests a second.
func (r Result) Throughput() float64 { return float64(time.Second) / float64(r.Sample.Median()) }

// Run is everything that a run of the command has found.
type Run struct {
	Results  []Result
	Sections []Section // beside the cells
	Machine  string
	Server   string
	Command  string
	Load     []string // the machine's load average, now and then
	When     time.Time
}

// Section is a table of its own.
type Section struct {
	Title  string
	Text   []string // paragraphs above the table
	Header []string
	Rows   [][]string
	After  []string // paragraphs below
}

// Where returns the results that keep tells to keep.
func (r *Run) Where(keep func(Result) bool) (kept []Result) {
	for _, result := range r.Results {
		if keep(result) {
			kept = append(kept, result)
		}
	}
	return kept
}

// Strategies returns the strategies in the order in which they appear.
func Strategies(results []Result) (names []string) {
	for _, result := range results {
		if !slices.Contains(names, result.Strategy) {
			names = append(names, result.Strategy)
		}
	}
	return names
}

// calm is up to which half of floor's turns may differ by how much of its median.
const calm = 0.4

// Noise says how quiet the machine was: its load and the cells in which floor itself varied too much to be a yardstick.
func (r *Run) Noise() string {
	noisy, cells := 0, 0
	for _, result := range r.Results {
		if result.Strategy == "floor" {
			cells++
			if result.Sample.Spread() > calm {
				noisy++
			}
		}
	}
	text := fmt.Sprintf("The middle half of floor's turns was wider than %.0f %% of their median in %d of %d combinations", 100*calm, noisy, cells)
	if noisy > 0 {
		text += ": do not trust ratios near 1 there, the machine was busy with something else"
	}
	if len(r.Load) > 0 {
		text += "; load average between combinations: " + strings.Join(r.Load, ", ")
	}
	return text + "."
}
