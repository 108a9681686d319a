package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBenchmarksArePastedIntoTheirSection(t *testing.T) {
	readme := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(readme, []byte("a\n<!-- price: begin -->\nold\n<!-- price: end -->\nz\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	in := "goos: linux\nBenchmarkTest/work=insert-2 \t 12 \t 1.0789 txiso/floor \t 1.1 txiso/floor-p10\nPASS\n"
	if err := paste(readme, "price", strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"a\n<!-- price: begin -->\n", "| `Test/work=insert-2` | 12 | txiso/floor 1.08 |", "<!-- price: end -->\nz\n"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("got %s\nwithout %s", text, part)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Error("the old section is still there")
	}
}

func TestWhatCannotBePasted(t *testing.T) {
	readme := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(readme, []byte("no section\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, readme, in, want string }{
		{"no README", "", "", "-paste needs -readme"},
		{"no benchmark", readme, "PASS\n", "no benchmark on standard input"},
		{"no section", readme, "BenchmarkX 1 2 ns/op\n", "add the two lines"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := paste(tt.readme, "price", strings.NewReader(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}
