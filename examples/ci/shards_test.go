package ci_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/txiso/txiso-go/txiso"
)

// machine is a checkout of a module with suites: the other examples.
type machine struct {
	t   *testing.T
	dir string
	env []string
}

func newMachine(t *testing.T, env ...string) *machine {
	t.Helper()
	dir := t.TempDir()
	examples, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum", "bank", "parallel", "quickstart", "register"} {
		copyTree(t, filepath.Join(examples, name), filepath.Join(dir, name))
	}
	m := &machine{t, dir, append(env, "GOWORK=off", "GOFLAGS=")}
	m.run("go mod edit -replace=github.com/txiso/txiso-go='"+filepath.Dir(examples)+"'", nil)
	return m
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return copyFile(path, filepath.Join(to, rest))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

// shell runs commands as GitHub's and GitLab's runners do.
func (m *machine) shell(commands string, env []string) (string, error) {
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", commands)
	cmd.Dir = m.dir
	cmd.Env = append(append(os.Environ(), m.env...), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *machine) run(commands string, env []string) {
	m.t.Helper()
	if out, err := m.shell(commands, env); err != nil {
		m.t.Errorf("%v\n%s\n%s", err, commands, out)
	}
}

// upload gives another machine the results, as artifacts do.
func (m *machine) upload(to *machine) {
	m.t.Helper()
	copyTree(m.t, filepath.Join(m.dir, "results"), filepath.Join(to.dir, "results"))
}

// scripts are the commands of the three jobs, and how a shard is told which one it is.
type scripts struct {
	split, shard, merge string
	tell                func(id int, packages string) []string
}

func githubScripts(t *testing.T) scripts {
	workflow := parse[github](t, "github.yml")
	return scripts{workflow.script(t, "split"), workflow.script(t, "shard"), workflow.script(t, "merge"), func(id int, packages string) []string {
		return []string{fmt.Sprint("SHARD=", id), "PACKAGES=" + packages}
	}}
}

func gitlabScripts(t *testing.T) scripts {
	jobs := parse[gitlab](t, "gitlab.yml").Jobs
	return scripts{jobs["split"].script(), jobs["shard"].script(), jobs["merge"].script(), func(id int, _ string) []string {
		return []string{fmt.Sprint("CI_NODE_INDEX=", id+1), "CI_NODE_TOTAL=2"}
	}}
}

// matrix is what gotestsum writes: shards with their packages.
type matrix struct {
	Include []struct {
		ID       int
		Packages string
	}
}

func TestTwoShardsOfGitHubWithAServerEach(t *testing.T) {
	long(t)
	homes := []string{home(t), home(t)}
	testShards(t, githubScripts(t), func(id int) []string { return []string{"TXISO_DSN=", "TXISO_HOME=" + homes[id]} })
	for id, home := range homes {
		if servers, err := filepath.Glob(filepath.Join(home, "pg*", "log")); err != nil || len(servers) != 1 {
			t.Errorf("shard %d had the servers %v, %v", id, servers, err)
		}
	}
}

func TestTwoShardsOfGitLabOnOneServer(t *testing.T) {
	long(t)
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip(err)
	}
	dsn := oneServer(t)
	testShards(t, gitlabScripts(t), func(int) []string { return []string{"TXISO_DSN=" + dsn} })
}

// long skips tests that build and run many packages, unless TXISO_LONG is set as .ci/run does.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("TXISO_LONG") == "" {
		t.Skip("takes long: set TXISO_LONG=1 to run it")
	}
	if runtime.GOOS == "windows" {
		t.Skip("the commands want a Unix shell")
	}
}

// home is a directory for an embedded server, which stops by itself.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "txiso-ci-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // root runs the server as somebody else
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop := exec.Command("go", "run", "github.com/txiso/txiso-go/txiso/cmd/txiso", "stop")
		stop.Env = append(os.Environ(), "TXISO_DSN=", "TXISO_HOME="+dir)
		if out, err := stop.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// oneServer is the server that this test's own databases are on.
func oneServer(t *testing.T) string {
	t.Helper()
	if dsn := os.Getenv("TXISO_DSN"); dsn != "" {
		return dsn
	}
	clone, err := url.Parse(txiso.New(txiso.Config{}).Clone(t).DSN) // keeps the server
	if err != nil {
		t.Fatal(err)
	}
	clone.Path = "/postgres"
	return clone.String()
}

// testShards runs the three jobs.
func testShards(t *testing.T, s scripts, env func(id int) []string) {
	first := newMachine(t)
	output := filepath.Join(t.TempDir(), "output")
	first.run(s.split, []string{"SHARDS=2", "GITHUB_OUTPUT=" + output})
	plan := readMatrix(t, first, output)
	merged := newMachine(t)
	shards := make([]*machine, len(plan.Include))
	var all sync.WaitGroup
	for id, part := range plan.Include {
		if part.Packages == "" || part.ID != id {
			t.Fatalf("the matrix is %+v", plan)
		}
		shards[id] = newMachine(t, env(id)...)
		if err := copyFile(filepath.Join(first.dir, "matrix.json"), filepath.Join(shards[id].dir, "matrix.json")); err != nil {
			t.Fatal(err)
		}
		all.Go(func() { shards[id].run(s.shard, s.tell(id, part.Packages)) })
	}
	all.Wait()
	for _, shard := range shards {
		shard.upload(merged)
	}
	merged.run(s.merge, nil)
	if t.Failed() {
		return
	}
	expectEveryTestOnce(t, merged, shards)
	expectAllCoverage(t, merged, shards)
	expectTimings(t, s, merged)
	expectFailure(t, s, merged)
}

func readMatrix(t *testing.T, m *machine, output string) (plan matrix) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "matrix.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &plan); err != nil || len(plan.Include) != 2 {
		t.Fatalf("the matrix is %s, %v", text, err)
	}
	if told, err := os.ReadFile(output); err == nil && string(told) != "matrix="+string(text) {
		t.Errorf("GitHub is told %q", told)
	}
	return plan
}

// junit is a report.
type junit struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Suites   []struct {
		Name  string `xml:"name,attr"`
		Cases []struct {
			Name string `xml:"name,attr"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func (m *machine) junit(pattern string) (report junit) {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.dir, pattern))
	if err != nil || len(files) != 1 {
		m.t.Fatalf("reports %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		m.t.Fatal(err)
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		m.t.Fatal(err)
	}
	return report
}

func (r junit) names() (names []string) {
	for _, suite := range r.Suites {
		for _, test := range suite.Cases {
			names = append(names, suite.Name+" "+test.Name)
		}
	}
	slices.Sort(names)
	return names
}

func expectEveryTestOnce(t *testing.T, merged *machine, shards []*machine) {
	t.Helper()
	var want []string
	for _, shard := range shards {
		want = append(want, shard.junit("results/junit-*.xml").names()...)
	}
	slices.Sort(want)
	report := merged.junit("junit.xml")
	if got := report.names(); !slices.Equal(got, want) || report.Tests != len(want) || report.Failures != 0 {
		t.Errorf("the merged report has %d tests and %d failures: %q\nthe shards': %q", report.Tests, report.Failures, got, want)
	}
	if once := slices.Compact(slices.Clone(want)); len(once) != len(want) || len(want) < 20 {
		t.Errorf("the shards ran %d tests, %d of them once", len(want), len(once))
	}
	for _, suite := range []string{"quickstart", "parallel", "register"} {
		if !slices.ContainsFunc(want, func(name string) bool { return strings.Contains(name, "/"+suite+" Test") }) {
			t.Errorf("no shard ran a test of %s", suite)
		}
	}
}

// covered returns the blocks of a coverage profile that were executed.
func (m *machine) covered() map[string]bool {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "coverage.txt"))
	if err != nil {
		m.t.Fatal(err)
	}
	blocks := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line) // block, statements, count
		if len(fields) == 3 && fields[2] != "0" {
			blocks[fields[0]] = true
		}
	}
	return blocks
}

func expectAllCoverage(t *testing.T, merged *machine, shards []*machine) {
	t.Helper()
	union := make(map[string]bool)
	for _, shard := range shards {
		shard.run("go tool covdata textfmt -i=results/coverage -o=coverage.txt", nil)
		maps.Copy(union, shard.covered())
	}
	got := merged.covered()
	if !maps.Equal(got, union) {
		t.Errorf("merged are %d blocks, the shards covered %d", len(got), len(union))
	}
	if len(slices.Collect(maps.Keys(got))) < 20 || !slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(block string) bool { return strings.Contains(block, "/bank/ledger.go:") }) {
		t.Errorf("covered are %d blocks, none of the code under test", len(got))
	}
}

// expectTimings wants the next split to know how long packages took.
func expectTimings(t *testing.T, s scripts, merged *machine) {
	t.Helper()
	merged.run(s.split, []string{"SHARDS=2", "GITHUB_OUTPUT=" + os.DevNull})
	text, err := os.ReadFile(filepath.Join(merged.dir, "matrix.json"))
	if err != nil || strings.Contains(string(text), `"estimatedRuntime":"0s"`) {
		t.Errorf("the next run's matrix is %s, %v", text, err)
	}
}

// expectFailure wants a shard with a test that fails to fail, and the merged report to have it.
func expectFailure(t *testing.T, s scripts, merged *machine) {
	t.Helper()
	m := newMachine(t)
	const broken = "package broken\n\nimport \"testing\"\n\nfunc TestBroken(t *testing.T) { t.Error(\"as planned\") }\n"
	if err := os.Mkdir(filepath.Join(m.dir, "broken"), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"broken/broken_test.go": broken,
		"matrix.json":           `{"include":[{},{},{"id":2,"packages":"./broken"}]}`,
	} {
		if err := os.WriteFile(filepath.Join(m.dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := m.shell(s.shard, s.tell(2, "./broken")); err == nil || !strings.Contains(out, "as planned") {
		t.Errorf("a shard whose test fails ends with %v\n%s", err, out)
	}
	m.upload(merged)
	_, _ = merged.shell(s.merge, nil) // may fail as the shard did
	if report := merged.junit("junit.xml"); report.Failures != 1 {
		t.Errorf("the merged report has %d failures, want 1", report.Failures)
	}
}
