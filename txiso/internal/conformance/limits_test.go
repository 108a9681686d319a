package conformance_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const limitsFile = "../../../docs/limits.md"

// pages are the places of docs/limits.md where the reasons of marks are explained.
var pages = map[string]string{
	plpgsqlContext:  "where",
	nested:          "where",
	oneTransaction:  "one-transaction",
	twoTransactions: "two-transactions",
	oneBackend:      "one-backend",
	advisoryEnd:     "held",
	descriptors:     "held",
	holdCursor:      "held",
	sequences:       "sequences",
	notify:          "notify",
	now:             "now",
	isolation:       "isolation",
	procedures:      "outside",
	twoPhase:        "two-phase",
	placeholder:     "placeholder",
	enum:            "enum",
	outside:         "outside",
	copyWaits:       "copy",
	onCommit:        "on-commit",
}

// limit is a section of the page.
type limit struct{ anchor, text string }

func readLimits(t *testing.T) (all []limit) {
	t.Helper()
	page, err := os.ReadFile(limitsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range strings.Split(string(page), "<a id=\"")[1:] {
		anchor, text, _ := strings.Cut(section, "\"></a>\n## ")
		all = append(all, limit{anchor, text})
	}
	return all
}

func TestEveryLimitIsToldWholeAndThereAreFew(t *testing.T) {
	all := readLimits(t)
	if len(all) == 0 || len(all) >= 20 {
		t.Errorf("%d limits; there are to be fewer than 20", len(all))
	}
	seen := map[string]bool{}
	for _, l := range all {
		if seen[l.anchor] {
			t.Errorf("two limits have the anchor %s", l.anchor)
		}
		seen[l.anchor] = true
		for _, part := range []string{"Cause", "Tried", "Remedy", "Price", "Test"} {
			if strings.Count(l.text, "- **"+part+".** ") != 1 {
				t.Errorf("the limit %s does not tell its %s, or more than once", l.anchor, part)
			}
		}
	}
}

func TestEveryMarkLeadsToALimit(t *testing.T) {
	told := map[string]bool{}
	for _, l := range readLimits(t) {
		told[l.anchor] = true
	}
	for name, reason := range limits {
		if !told[pages[reason]] {
			t.Errorf("the mark of %q leads to %q, which docs/limits.md does not have", name, pages[reason])
		}
	}
}

var (
	namedTest      = regexp.MustCompile("`(Test\\w+)`")
	namedBehaviour = regexp.MustCompile(`“([^”]+)”`)
)

func TestEveryTestThatALimitNamesExists(t *testing.T) {
	tests, behaviours := testNames(t), map[string]bool{}
	for _, a := range areas {
		for _, b := range a.behaviours {
			behaviours[b.name] = true
		}
	}
	for _, l := range readLimits(t) {
		_, names, _ := strings.Cut(l.text, "- **Test.** ")
		names = strings.Join(strings.Fields(names), " ")
		n := 0
		for _, m := range namedTest.FindAllStringSubmatch(names, -1) {
			if n++; !tests[m[1]] {
				t.Errorf("the limit %s names %s, which is no test", l.anchor, m[1])
			}
		}
		for _, m := range namedBehaviour.FindAllStringSubmatch(names, -1) {
			if n++; !behaviours[m[1]] {
				t.Errorf("the limit %s names %q, which is no behaviour", l.anchor, m[1])
			}
		}
		if n == 0 {
			t.Errorf("the limit %s has no test", l.anchor)
		}
	}
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testNames finds the tests of the library.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
