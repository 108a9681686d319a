package report

import (
	"fmt"
	"os"
	"strings"
)

// Markdown is the part of the README that the command writes. plots is the folder of the plots, seen from the README, and
// base the cell whose plot comes first.
func (r *Run) Markdown(plots string, base Result) string {
	var md strings.Builder
	fmt.Fprintf(&md, "Written by `%s` on %s: %s; %s. %s\n\n", r.Command, r.When.UTC().Format("2006-01-02"), r.Machine, r.Server, r.Noise())
	for _, name := range []string{"cost", "tables", "throughput"} {
		fmt.Fprintf(&md, "![%s](%s/%s.svg)\n\n", name, plots, name)
	}
	for _, cell := range r.cells() {
		CellSection(cell).Markdown(&md)
	}
	for _, s := range r.Sections {
		s.Markdown(&md)
	}
	return md.String()
}

// cells returns the results cell by cell.
func (r *Run) cells() (cells [][]Result) {
	for _, result := range r.Results {
		if n := len(cells); n > 0 && CellTitle(cells[n-1][0]) == CellTitle(result) {
			cells[n-1] = append(cells[n-1], result)
		} else {
			cells = append(cells, []Result{result})
		}
	}
	return cells
}

// WriteREADME replaces what stands between a README's markers of that name.
func WriteREADME(path, name, text string) error {
	before, after, err := around(path, name)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(before+text+after), 0o644)
}

// CheckREADME reports what would keep WriteREADME from it.
func CheckREADME(path, name string) error {
	_, _, err := around(path, name)
	return err
}

// around returns what stands in a file ahead of a section and behind it, markers included.
func around(path, name string) (before, after string, err error) {
	whole, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->"
	before, rest, found := strings.Cut(string(whole), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", "", fmt.Errorf("%s has no section between %q and %q; add the two lines where the results belong", path, strings.TrimSpace(begin), end)
	}
	return before + begin, end + after, nil
}
