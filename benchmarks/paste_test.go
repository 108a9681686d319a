package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pasted returns what a README becomes.
func pasted(t *testing.T, readme, section, in string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(file, []byte(readme), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := paste(file, section, strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func wantParts(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("got %s\nwithout %s", text, part)
		}
	}
}

func TestBenchmarksArePastedIntoTheirSection(t *testing.T) {
	text := pasted(t, "a\n<!-- price: begin -->\nold\n<!-- price: end -->\nz\n", "price",
		"goos: linux\nBenchmarkTest/work=insert-2 \t 12 \t 1.0789 txiso/floor \t 1.1 txiso/floor-p10\nPASS\n")
	wantParts(t, text, "a\n<!-- price: begin -->\n", "| `Test/work=insert` | 12 | txiso/floor 1.08 |", "<!-- price: end -->\nz\n")
	if strings.Contains(text, "old") {
		t.Error("the old section is still there")
	}
}

func TestWhatCannotBePasted(t *testing.T) {
	readme := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(readme, []byte("no section\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const line = "BenchmarkTest/work=insert/schema=plain/workers=1-2 1 2 txiso/floor\n"
	tests := []struct{ name, section, readme, in, want string }{
		{"no README", "price", "", "", "-paste needs -readme"},
		{"no benchmark", "price", readme, "PASS\n", "no benchmark on standard input"},
		{"no section", "price", readme, line, "add the two lines"},
		{"unknown section", "prices", readme, line, `does not know the section "prices"`},
		{"no figure", "numbers", readme, line, "no figure txdb/floor of BenchmarkTest/work=insert/schema=plain/workers=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := paste(tt.readme, tt.section, strings.NewReader(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestTheNumbersOfTheProjectsREADME(t *testing.T) {
	var in strings.Builder
	for _, h := range headlines {
		in.WriteString("Benchmark" + h.benchmark + "-16 9 1.077 txiso/floor 40.7 txdb/floor\n")
	}
	in.WriteString("BenchmarkSelect1/workers=1 9 0.981 txiso/pgx\nBenchmarkConnections-16 1 2 connections/1000-tests\n" +
		"BenchmarkFirstDatabase-16 5 17.2 running-ms 73 stopped-ms 840 nothing-ms 650 byhand-ms\n")
	text := pasted(t, "<!-- numbers: begin -->\n<!-- numbers: end -->\n", "numbers", in.String())
	wantParts(t, text, "| a test with one insert | 1.08 × floor | 41 × |", "| 0.98 × plain pgx |", "takes 17 ms when the server runs, 73 ms")
}
