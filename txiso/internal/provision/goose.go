package provision

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// Goose returns a Migrator that applies the goose SQL files at the root of fsys, with goose's
// Provider: nothing global is used and nothing is printed. NO TRANSACTION migrations work.
// The fingerprint covers names and contents of all .sql files at the root, and the environment variables that
// goose puts into them (ENVSUB). Its errors name the file, and line and character where PostgreSQL gave a position.
func Goose(fsys fs.FS) Migrator { return gooseMigrator{fsys} }

type gooseMigrator struct{ fsys fs.FS }

func (g gooseMigrator) Fingerprint() (string, error) {
	names, err := g.files()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range names {
		content, err := fs.ReadFile(g.fsys, name)
		if err != nil {
			return "", fmt.Errorf("%w; check Config.Migrations", err)
		}
		fmt.Fprintf(h, "%q %d\n%s\n", name, len(content), content)
		for _, variable := range substituted(content) {
			value, set := os.LookupEnv(variable)
			fmt.Fprintf(h, "%s %v %q\n", variable, set, value)
		}
	}
	return "goose " + hex.EncodeToString(h.Sum(nil)), nil
}

var (
	substitutes = regexp.MustCompile(`(?mi)^--.*\+goose.*ENVSUB ON`) // as goose reads it
	dollarName  = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)
)

// substituted returns the names of the environment variables that goose may replace in a file by their values. Some may be none:
// those of strings between dollars, for one.
func substituted(content []byte) (names []string) {
	if !substitutes.Match(content) {
		return nil
	}
	for _, match := range dollarName.FindAllSubmatch(content, -1) {
		names = append(names, string(match[1]))
	}
	return names
}

// files lists the .sql files at the root, sorted, and refuses what goose would refuse later,
// when a database has been created for it.
func (g gooseMigrator) files() ([]string, error) {
	if g.fsys == nil {
		return nil, errors.New("there are no migrations: the fs.FS is nil; set Config.Migrations")
	}
	if _, err := fs.ReadDir(g.fsys, "."); err != nil {
		return nil, fmt.Errorf("%w; check Config.Migrations", err)
	}
	names, err := fs.Glob(g.fsys, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("%w; check Config.Migrations", err)
	}
	return names, errors.Join(checkVersions(names), g.refuseGo())
}

// refuseGo refuses migrations written in Go, which would be missing: goose has those from a registry of the whole process.
func (g gooseMigrator) refuseGo() error {
	names, err := fs.Glob(g.fsys, "*.go")
	for _, name := range names {
		if _, numbered := goose.NumericComponent(name); numbered == nil && !strings.HasSuffix(name, "_test.go") {
			return fmt.Errorf("%s is a migration written in Go, and Config.Migrations runs SQL files only; write it in SQL, or run all of them by a Config.Migrator", name)
		}
	}
	return err
}

func checkVersions(names []string) error {
	seen := make(map[int64]string)
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			continue // goose ignores such files, too
		}
		if other, ok := seen[version]; ok {
			return fmt.Errorf("the migrations %s and %s have the same version %d; give one of them another number", other, name, version)
		}
		seen[version] = name
	}
	if len(seen) == 0 {
		return errors.New("there are no migrations: no file at the root of the fs.FS is named like 00001_name.sql; if they are in a folder below, pass fs.Sub(fsys, folder)")
	}
	return nil
}

func (g gooseMigrator) Migrate(ctx context.Context, db *sql.DB) error {
	provider, err := goose.NewProvider(goose.DialectPostgres, db, g.fsys,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("goose does not accept the migrations: %w; correct them and run again", err)
	}
	ctx, failed := withFailedStatement(ctx)
	if _, err := provider.Up(ctx); err != nil {
		return g.migrationError(err, failed)
	}
	return nil
}

// migrationError says which file failed and where in it.
func (g gooseMigrator) migrationError(err error, failed *failedStatement) error {
	var partial *goose.PartialError
	if !errors.As(err, &partial) {
		return fmt.Errorf("goose could not migrate: %w; correct the migrations and run again", err)
	}
	file := partial.Failed.Source.Path
	return fmt.Errorf("migration %s failed%s: %w%s; correct the file and run again", file, g.place(file, err, failed), partial.Err, furthermore(err))
}

// furthermore is what PostgreSQL says of an error beside its message.
func furthermore(err error) (text string) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return ""
	}
	if pg.Detail != "" {
		text = " (" + pg.Detail + ")"
	}
	if pg.Hint != "" {
		text += " (hint: " + pg.Hint + ")"
	}
	return text
}

// place names the line of a file that PostgreSQL complained about: " at line 3, character 8 (CREAT TABLE t)".
func (g gooseMigrator) place(file string, err error, failed *failedStatement) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Position < 1 || failed.sql == "" {
		return ""
	}
	line, column, source := locate(failed.sql, int(pg.Position))
	content, _ := fs.ReadFile(g.fsys, file)
	source = strings.TrimRight(source, "\r")
	n := lineInFile(string(content), failed.sql, line, source)
	if n == 0 {
		return fmt.Sprintf(" at character %d of the line %q", column, source)
	}
	return fmt.Sprintf(" at line %d, character %d (%s)", n, column, strings.TrimSpace(source))
}

// locate turns a position, which counts characters from 1, into a line and column, both from 1.
func locate(sql string, position int) (line, column int, source string) {
	runes := []rune(sql)
	before := string(runes[:min(position-1, len(runes))])
	line = strings.Count(before, "\n") + 1
	column = len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
	return line, column, strings.Split(sql, "\n")[line-1]
}

// lineInFile finds a line of a statement in the file it came from. goose may have dropped
// comments from the statement; then the line itself tells, unless it occurs more than once.
func lineInFile(content, sql string, line int, source string) int {
	if at := strings.Index(content, strings.TrimSpace(sql)); at >= 0 {
		skipped := strings.Count(sql[:strings.Index(sql, strings.TrimSpace(sql))], "\n")
		return strings.Count(content[:at], "\n") + line - skipped
	}
	found := 0
	for i, candidate := range strings.Split(content, "\n") {
		if strings.TrimRight(candidate, "\r") == source {
			if found > 0 {
				return 0
			}
			found = i + 1
		}
	}
	return found
}
