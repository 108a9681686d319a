//go:build unix && !solaris && !aix

package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const oldestMajor = 14

// binaries is a directory with initdb and postgres that run.
type binaries struct {
	dir          string
	version      string // "15.18"
	major, minor int
}

func (b binaries) newer(than binaries) bool {
	if b.major != than.major {
		return b.major > than.major
	}
	return b.minor > than.minor
}

// places is where a search looks.
type places struct {
	path  string   // like $PATH
	globs []string // patterns of bin directories
}

func usualPlaces() places {
	return places{path: os.Getenv("PATH"), globs: []string{
		"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                   // Fedora, RHEL (PGDG)
		"/usr/bin",                                           // Fedora, Arch
		"/usr/libexec/postgresql*",                           // Alpine
		"/usr/lib/postgresql*",                               // Alpine, older
		"/usr/local/pgsql/bin",                               // from source
		"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew, Apple silicon
		"/usr/local/opt/postgresql@*/bin",                    // Homebrew, Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew, Linux
		"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	}}
}

// dirs lists the directories that may hold binaries, each once, symbolic links resolved: /usr/local/bin/postgres may be a link into one.
func (p places) dirs(ctx context.Context, known *probes) []string {
	var programs []string
	for _, dir := range filepath.SplitList(p.path) {
		if !filepath.IsAbs(dir) { // another one for each package, and the server runs in none of them
			continue
		}
		if out, err := known.ask(ctx, filepath.Join(dir, "pg_config"), "--bindir"); err == nil {
			programs = append(programs, filepath.Join(out, "postgres"))
		}
		programs = append(programs, filepath.Join(dir, "postgres"))
	}
	for _, glob := range p.globs {
		found, _ := filepath.Glob(filepath.Join(glob, "postgres")) // the only error is a bad pattern
		programs = append(programs, found...)
	}
	var dirs []string
	seen := map[string]bool{}
	for _, program := range programs {
		real, err := filepath.EvalSymlinks(program)
		if dir := filepath.Dir(real); err == nil && !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// search finds the newest binaries of the machine. If there are none it returns what was wrong with each place that had a postgres.
func (p places) search(ctx context.Context, known *probes) (binaries, []error) {
	var best binaries
	var wrong []error
	for _, dir := range p.dirs(ctx, known) {
		b, err := inspectBinaries(ctx, dir, known)
		if err != nil {
			wrong = append(wrong, err)
		} else if best.dir == "" || b.newer(best) {
			best = b
		}
	}
	return best, wrong
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.(\d+))?\S*`)

// inspectBinaries checks that dir has what a server needs. The errors are parts of the caller's sentence.
func inspectBinaries(ctx context.Context, dir string, known *probes) (binaries, error) {
	if err := isProgram(filepath.Join(dir, "initdb")); err != nil {
		return binaries{}, err
	}
	out, err := known.ask(ctx, filepath.Join(dir, "postgres"), "--version")
	if err != nil {
		return binaries{}, err
	}
	m := versionPattern.FindStringSubmatch(out)
	if m == nil {
		return binaries{}, fmt.Errorf("%s --version says %q, which is not PostgreSQL's answer", filepath.Join(dir, "postgres"), out)
	}
	b := binaries{dir: dir, version: strings.TrimPrefix(m[0], "(PostgreSQL) ")}
	b.major, _ = strconv.Atoi(m[1]) // digits by the pattern
	b.minor, _ = strconv.Atoi(m[2])
	if b.major < oldestMajor {
		return binaries{}, fmt.Errorf("%s is PostgreSQL %s, older than %d, the oldest supported", dir, b.version, oldestMajor)
	}
	return b, nil
}

func isProgram(path string) error {
	info, err := os.Stat(path)
	if err == nil && (info.IsDir() || info.Mode()&0o111 == 0) {
		return fmt.Errorf("%s is not a program", path)
	}
	return err
}

// findBinaries gives the binaries to run: those asked for, else the newest of the machine, else downloaded ones. If there are none that run, it
// may be that nothing does for this account.
func findBinaries(ctx context.Context, cfg Config, home string, where places, known *probes) (binaries, error) {
	if dir := orEnv(cfg.BinDir, "TXISO_POSTGRES_BIN"); dir != "" {
		b, err := givenBinaries(ctx, dir, known)
		if err != nil && ctx.Err() == nil {
			err = cmp.Or(known.account.try(ctx), err)
		}
		return b, err
	}
	found, wrong := where.search(ctx, known)
	if found.dir != "" {
		return found, nil
	}
	if ctx.Err() != nil {
		return binaries{}, fmt.Errorf("txiso: looking for PostgreSQL: %w", context.Cause(ctx))
	}
	if err := known.account.try(ctx); err != nil {
		return binaries{}, err
	}
	downloaded, err := thisMachine().get(ctx, orEnv(cfg.DownloadURL, "TXISO_POSTGRES_URL"), home, known)
	if err == nil {
		return downloaded, nil
	}
	return binaries{}, noBinariesError(where, wrong, err)
}

func givenBinaries(ctx context.Context, dir string, known *probes) (binaries, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return binaries{}, fmt.Errorf("txiso: TXISO_POSTGRES_BIN %q: %w", dir, err)
	}
	b, err := inspectBinaries(ctx, abs, known)
	if err != nil {
		return b, fmt.Errorf("txiso: the PostgreSQL binaries in %s (TXISO_POSTGRES_BIN) cannot be used: %w: set TXISO_POSTGRES_BIN to the "+
			"directory of a PostgreSQL %d or later that has initdb and postgres, or unset it", dir, err, oldestMajor)
	}
	return b, nil
}

func noBinariesError(where places, wrong []error, download error) error {
	var text strings.Builder
	fmt.Fprintf(&text, "looked for pg_config and postgres in PATH (%s)\n", where.path)
	fmt.Fprintf(&text, "\tlooked for postgres in %s\n", strings.Join(where.globs, ", "))
	for _, err := range wrong {
		fmt.Fprintf(&text, "\tfound, but cannot be used: %v\n", err)
	}
	return fmt.Errorf("txiso: no PostgreSQL to run:\n\t%s\tdownload: %w\n"+
		"Install PostgreSQL %d or later (its server package), set TXISO_POSTGRES_BIN to the directory of its initdb and postgres, "+
		"or set TXISO_DSN to a server that runs", &text, download, oldestMajor)
}

var errNoDownload = errors.New("not tried: TXISO_POSTGRES_URL is not set to the base URL of a Maven repository with the embedded-postgres-binaries artifacts")
