package provision

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Kept is a database that was left for somebody to look into.
type Kept struct {
	Name string
	// Conninfo is a connection string for psql and libpq (PostgreSQL manual, 34.1.1.1) without the password.
	Conninfo string
}

// Keep gives the database a name and a marker that keep it from being leased, cloned from or collected; only [Clean] drops
// it, and Keep itself, the oldest ones, so that there are most at most, whatever process has kept them. Those that
// somebody is connected to are spared. test is told by the marker. It ends the lease, whatever comes of it, as Discard does.
//
// What the database holds must have been committed, and Spoil called before that.
func (w *WorkerDB) Keep(ctx context.Context, test string, most int) (*Kept, error) {
	if !w.done.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("txiso: the worker database %s was given back already", w.name)
	}
	return w.p.keep(ctx, w.keeper, w.name, test, most)
}

// Keep is [WorkerDB.Keep] for a clone, instead of Drop.
func (c *CloneDB) Keep(ctx context.Context, test string, most int) (*Kept, error) {
	if !c.done.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("txiso: the clone %s was dropped already", c.name)
	}
	c.p.stock.givenBack()
	return c.p.keep(ctx, c.keeper, c.name, test, most)
}

// keep gives a database whose lock k holds its new name, and the lock of the old one back.
func (p *Provisioner) keep(ctx context.Context, k *keeper, name, test string, most int) (*Kept, error) {
	if err := k.check(ctx); err != nil {
		return nil, err
	}
	admin, err := p.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer admin.hangUp()
	kept := keptName(test)
	if err := p.rename(ctx, admin, name, kept, test, most); err != nil {
		return nil, doing("keeping "+name, err)
	}
	k.release(name)
	return &Kept{Name: kept, Conninfo: conninfo(p.base, p.encrypted, kept)}, nil
}

// keptLock is locked like a database name, so that one process counts what is kept at a time.
const keptLock = "kept"

func (p *Provisioner) rename(ctx context.Context, admin *link, name, kept, test string, most int) error {
	if err := admin.lock(ctx, keptLock); err != nil {
		return err
	}
	c := collector{link: admin}
	latest, err := c.makeRoom(ctx, most)
	if err != nil {
		return err
	}
	if err := admin.empty(ctx, name, strangersTimeout); err != nil {
		return err
	}
	mark := marker{Kind: kindKept, Fingerprint: p.fingerprint, Home: p.home, Created: admin.now(), Test: test}
	if !mark.Created.After(latest) { // another process knows the server's clock only about
		mark.Created = latest.Add(time.Millisecond)
	}
	// Two statements in one string are one transaction: it has both or neither.
	_, err = admin.exec(ctx, "ALTER DATABASE "+name+" RENAME TO "+kept+"; "+comment(kept, mark))
	return err
}

// makeRoom drops the oldest kept databases, so that with another one there are most, and tells when the latest was kept.
func (c *collector) makeRoom(ctx context.Context, most int) (latest time.Time, err error) {
	s, err := c.link.survey(ctx)
	if err != nil {
		return latest, err
	}
	kept := slices.DeleteFunc(s.databases, func(d *database) bool { return !d.kept() })
	tooMany := len(kept) + 1 - most
	slices.SortFunc(kept, func(a, b *database) int { return a.mark.Created.Compare(b.mark.Created) })
	for _, d := range kept {
		latest = d.mark.Created
		if tooMany <= 0 || d.busy || s.locked(d.name) {
			continue
		}
		if err := c.dropIf(ctx, d.name, (*database).kept); err != nil {
			return latest, err
		}
		tooMany--
	}
	return latest, nil
}

// kept reports whether d is what a failed test has left.
func (d *database) kept() bool { return d.complete() && d.mark.Kind == kindKept }

// ourKeptName matches the names of kept databases: of the test, as far as that goes, and random.
var ourKeptName = regexp.MustCompile(`^txiso_kept_([a-z0-9_]{0,40}_)?[0-9a-f]{6}$`)

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

func keptName(test string) string {
	words := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(test), "_"), "_")
	words = strings.TrimRight(words[:min(len(words), 40)], "_")
	return prefix + "kept_" + strings.TrimLeft(words+"_", "_") + randomHex(3)
}

// conninfo is a connection string in libpq's own form, without a password.
func conninfo(base *pgx.ConnConfig, encrypted bool, database string) string {
	var b strings.Builder
	add := func(name, value string) {
		fmt.Fprintf(&b, " %s=%s", name, conninfoEscaper.Replace(value))
	}
	add("host", base.Host)
	add("port", strconv.Itoa(int(base.Port)))
	add("user", base.User)
	add("dbname", database)
	if !isSocket(base.Host) {
		settings := sslSettings(base.ConnString(), encrypted)
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			add(name, settings[name])
		}
	}
	if options := runtimeOptions(base.RuntimeParams); options != "" {
		add("options", options)
	}
	return b.String()[1:]
}

// A backslash makes any character part of a value.
var conninfoEscaper = strings.NewReplacer(`\`, `\\`, `'`, `\'`, ` `, `\ `)
