package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// repository is a module with packages in a temporary folder.
type repository struct{ dir string }

// generate writes a repository that uses this module and the library as they are here.
func generate(s size) (*repository, error) {
	dir, err := os.MkdirTemp("", "txisorepository")
	if err != nil {
		return nil, err
	}
	r := &repository{dir}
	if err := r.fill(s); err != nil {
		_ = r.remove() // the error says what matters
		return nil, err
	}
	return r, nil
}

func (r *repository) fill(s size) error {
	if err := r.module(); err != nil {
		return err
	}
	for pkg := range s.packages {
		name := fmt.Sprintf("p%02d", pkg)
		if err := os.Mkdir(filepath.Join(r.dir, name), 0o755); err != nil {
			return err
		}
		file := filepath.Join(r.dir, name, name+"_test.go")
		if err := os.WriteFile(file, []byte(source(name, pkg, share(s, pkg))), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// share is how many of the tests a package has.
func share(s size, pkg int) int { return s.tests*(pkg+1)/s.packages - s.tests*pkg/s.packages }

func source(name string, pkg, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n\nimport (\n\t\"testing\"\n\n\t\"github.com/txiso/txiso-go/benchmarks/repository/tests\"\n)\n", name)
	for i := range n {
		fmt.Fprintf(&b, "\nfunc Test%03d(t *testing.T) { tests.Run(t, %d, %d) }\n", i, pkg, i)
	}
	return b.String()
}

// module makes the repository a module whose dependencies are those of this one.
func (r *repository) module() error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/txiso/txiso-go/benchmarks").Output()
	if err != nil {
		return fmt.Errorf("where is this module? run it in a clone: %w", err)
	}
	here := strings.TrimSpace(string(out))
	text, err := os.ReadFile(filepath.Join(here, "go.mod"))
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(here, "go.sum"))
	if err != nil {
		return err
	}
	text = append(text, fmt.Sprintf("\nrequire github.com/txiso/txiso-go/benchmarks v0.0.0\nreplace github.com/txiso/txiso-go/benchmarks => %q\n", here)...)
	mod := strings.Replace(string(text), "module github.com/txiso/txiso-go/benchmarks\n", "module example.com/repository\n", 1)
	mod = strings.Replace(mod, "github.com/txiso/txiso-go => ../", fmt.Sprintf("github.com/txiso/txiso-go => %q", filepath.Dir(here)), 1)
	if err := os.WriteFile(filepath.Join(r.dir, "go.mod"), []byte(mod), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir, "go.sum"), sums, 0o644)
}

func (r *repository) remove() error { return os.RemoveAll(r.dir) }
