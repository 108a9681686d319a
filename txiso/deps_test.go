package txiso_test

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/txiso/txiso-go"

// dependencies says why a program that tests with txiso gets each module.
// CONTRIBUTING.md says it at more length for those that the library imports itself.
var dependencies = map[string]string{
	"github.com/DATA-DOG/go-txdb":     "opens and rolls back each test's outer transaction",
	"github.com/jackc/pgx/v5":         "the driver of the code under test; pgconn and pgproto3 are what a session speaks",
	"github.com/jackc/pgpassfile":     "pgx: ~/.pgpass",
	"github.com/jackc/pgservicefile":  "pgx: pg_service.conf",
	"github.com/jackc/puddle/v2":      "pgx: pgxpool, which iso.Pool returns",
	"golang.org/x/sync":               "puddle and goose",
	"golang.org/x/text":               "pgx: SCRAM's normalisation of passwords",
	"github.com/pressly/goose/v3":     "applies the migrations to the template",
	"github.com/mfridman/interpolate": "goose: environment variables in migrations",
	"github.com/sethvargo/go-retry":   "goose: its locks",
	"go.uber.org/multierr":            "goose: errors",
	"github.com/ulikunitz/xz":         "unpacks downloaded PostgreSQL binaries, which come as .txz",
}

// testDependencies says the same of modules that only the library's own tests use.
var testDependencies = map[string]string{
	"go.uber.org/goleak": "no test leaves a goroutine behind",
}

// layers are the folders of the library from top to bottom: each imports only from below itself.
var layers = []string{
	"./txiso/internal/conformance", // tests only, of everything below
	"./txiso/internal/property",    // the same
	"./txiso/cmd/txiso",
	"./txiso",
	"./txiso/internal/lease",
	"./txiso/internal/session",
	"./txiso/internal/provision",
	"./txiso/internal/pgserver",
	"./txiso/internal/sqltext",
}

// What is imported differs between systems.
var systems = []string{"linux", "darwin", "windows"}

func TestEachDependencyHasAReason(t *testing.T) {
	used := modules(t)
	for _, path := range missing(used, dependencies) {
		t.Errorf("the library imports %s: do without it, or give its reason here and in CONTRIBUTING.md", path)
	}
	for _, path := range missing(dependencies, used) {
		t.Errorf("the library does not import %s any more: remove it here and from CONTRIBUTING.md", path)
	}
}

func TestEachDependencyOfTheTestsHasAReason(t *testing.T) {
	used := modules(t, "-test")
	maps.DeleteFunc(used, func(path, _ string) bool { return dependencies[path] != "" })
	for _, path := range missing(used, testDependencies) {
		t.Errorf("the library's tests import %s: do without it, or give its reason here and in CONTRIBUTING.md", path)
	}
	for _, path := range missing(testDependencies, used) {
		t.Errorf("the library's tests do not import %s any more: remove it here and from CONTRIBUTING.md", path)
	}
}

func TestContributingGivesAReasonForEachDirectRequirement(t *testing.T) {
	text, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range goList(t, "linux", "-m", "-f", `{{if not (or .Main .Indirect)}}{{.Path}}{{end}}`, "all") {
		if !strings.Contains(string(text), "| `"+path+"` |") {
			t.Errorf("CONTRIBUTING.md has no line for %s", path)
		}
	}
}

func TestLayersImportOnlyDownward(t *testing.T) {
	for _, system := range systems {
		t.Run(system, func(t *testing.T) {
			for _, line := range goList(t, system, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
				fields := strings.Fields(strings.ReplaceAll(line, module+"/", "./"))
				expectDownward(t, fields[0], fields[1:])
			}
		})
	}
}

func expectDownward(t *testing.T, importer string, imports []string) {
	t.Helper()
	above := layer(importer)
	if above < 0 {
		t.Errorf("%s belongs to no layer: give it one here and in CONTRIBUTING.md", importer)
	}
	for _, imported := range imports {
		switch below := layer(imported); {
		case !strings.HasPrefix(imported, "./"):
			// The standard library or a dependency.
		case below < 0:
			t.Errorf("%s imports %s, which is no part of the library", importer, imported)
		case below < above:
			t.Errorf("%s imports %s, which is above it", importer, imported)
		}
	}
}

// layer returns the number of the layer that a package belongs to, or -1.
// A folder inside a layer's folder belongs to that layer, unless it is one itself.
func layer(pkg string) int {
	best := -1
	for i, folder := range layers {
		inside := pkg == folder || strings.HasPrefix(pkg, folder+"/") && folder != "./txiso"
		if inside && (best < 0 || len(folder) > len(layers[best])) {
			best = i
		}
	}
	return best
}

// modules returns the modules, other than the standard library and this one, that the library is built from.
func modules(t *testing.T, flags ...string) map[string]string {
	t.Helper()
	used := map[string]string{}
	for _, system := range systems {
		args := append(slices.Clone(flags), "-deps", "-f", `{{with .Module}}{{.Path}}{{end}}`, "./...")
		for _, path := range goList(t, system, args...) {
			if path != module {
				used[path] = "imported"
			}
		}
	}
	return used
}

// missing returns the keys of a that are not in b, sorted.
func missing(a, b map[string]string) (paths []string) {
	for path := range a {
		if _, ok := b[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// goList runs `go list` for a system, outside any workspace: what counts is what a user of the module gets.
func goList(t *testing.T, system string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOOS="+system)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}
