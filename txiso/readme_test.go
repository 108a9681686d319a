package txiso_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// fenced returns the blocks of a Markdown file that have the given language.
func fenced(t *testing.T, file, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split("\n"+string(text), "\n```") {
		if body, ok := strings.CutPrefix(part, language+"\n"); ok && i%2 == 1 {
			blocks = append(blocks, body+"\n")
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no block of %s", file, language)
	}
	return blocks
}

// A user copies a block into a test file of a module of his own, beside a clone of this repository.
func TestEveryGoBlockOfThePagesIsATestThatPasses(t *testing.T) {
	module := usersModule(t)
	blocks := slices.Concat(fenced(t, "../README.md", "go"), fenced(t, "../docs/recipes.md", "go"))
	for i, block := range blocks {
		if !strings.HasPrefix(block, "package ") {
			t.Errorf("block %d is not a whole file, so nobody can tell whether it works:\n%s", i+1, block)
		}
		dir := filepath.Join(module, fmt.Sprint("block", i+1))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "readme_test.go"), block)
	}
	out := inModule(t, module, "go", "test", "-count=1", "-v", "./...")
	for i := range blocks {
		if !strings.Contains(out, fmt.Sprintf("ok  \texample.com/shop/block%d", i+1)) {
			t.Errorf("block %d did not pass:\n%s", i+1, out)
		}
	}
	if tests := strings.Count(out, "--- PASS: "); tests < len(blocks) {
		t.Errorf("%d tests in %d blocks:\n%s", tests, len(blocks), out)
	}
}

// usersModule makes a module, with a clone of this repository beside it, by the README's commands.
func usersModule(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the README's commands want a Unix shell")
	}
	parent := t.TempDir()
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(repository, filepath.Join(parent, "txiso-go")); err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(parent, "shop")
	if err := os.Mkdir(module, 0o700); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(module, "go.sum"), string(sums)) // so that nothing has to be looked up
	inModule(t, module, "go", "mod", "init", "example.com/shop")
	for command := range strings.Lines(setUp(t)) {
		if command != tidy { // that is for networks
			inModule(t, module, "sh", "-c", command)
		}
	}
	return module
}

const tidy = "go mod tidy\n"

// setUp is the block of commands that makes a module use a clone.
func setUp(t *testing.T) string {
	t.Helper()
	for _, block := range fenced(t, "../README.md", "sh") {
		if strings.Contains(block, "-replace=") {
			return block
		}
	}
	t.Fatal("the README does not say how to use a clone")
	return ""
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// inModule runs a command as a user does, who has no workspace, and returns what it prints.
func inModule(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// A command in the README is one that .ci/run runs word for word, or one that the test above does.
func TestEveryCommandOfTheREADMEIsRunByATest(t *testing.T) {
	ci, err := os.ReadFile("../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	commands := setUp(t)
	for _, block := range fenced(t, "../README.md", "sh") {
		for line := range strings.Lines(block) {
			command := strings.TrimSpace(line)
			if !strings.Contains(string(ci), "='"+command+"'\n") && !strings.Contains(commands, line) {
				t.Errorf("neither .ci/run nor a test runs this command of the README: %s", command)
			}
		}
	}
}
