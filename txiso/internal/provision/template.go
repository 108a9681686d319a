package provision

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// builtStep is the first pause before who waits for a builder looks again. It doubles up to builtStepMax.
	builtStep    = 2 * time.Millisecond
	builtStepMax = 100 * time.Millisecond
)

// ensureTemplate makes sure that the template exists and shares its lock, so that no collector
// drops it. The caller holds p's turn.
func (p *Provisioner) ensureTemplate(ctx context.Context, k *keeper) error {
	for pause := builtStep; ; pause = min(2*pause, builtStepMax) {
		found, err := p.holdTemplate(ctx, k)
		if err != nil || found {
			return err
		}
		chosen, err := k.choose(ctx, p.builder())
		if err != nil {
			return doing("waiting for another process to build the template", err)
		}
		if chosen {
			defer k.release(p.builder())
			return p.buildAndHold(ctx, k)
		}
		if err := sleep(ctx, pause); err != nil {
			return waitError("another process to build the template", err)
		}
	}
}

// builder names the lock of the only process that connects to build the template. All others wait on the connection that
// they have: if each took another one, a server with few would have none left for the migrations.
func (p *Provisioner) builder() string { return "builder of " + p.template }

// buildAndHold is ensureTemplate for the process that has been chosen.
func (p *Provisioner) buildAndHold(ctx context.Context, k *keeper) error {
	admin, err := p.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.hangUp()
	if err := p.buildOnce(ctx, admin); err != nil {
		return err
	}
	// The admin connection still has the build lock, so no collector is at work.
	found, err := p.holdTemplate(ctx, k)
	if err == nil && !found {
		err = fmt.Errorf("txiso: the template %s vanished while it was built; do not drop databases that start with txiso_ while tests run", p.template)
	}
	return err
}

// holdTemplate shares the template's lock and reports whether the template is there. This is all
// that happens when the server knows the fingerprint: one round trip.
func (p *Provisioner) holdTemplate(ctx context.Context, k *keeper) (found bool, err error) {
	err = k.do(ctx, func(ctx context.Context, l *link) error {
		locked, s, err := l.share(ctx, p.template)
		if err != nil || !locked {
			return err
		}
		template := s.named(p.template)
		if template.complete() {
			found, k.template, k.seen = true, template.mark, s
			return nil
		}
		if err := l.unlockShared(ctx, p.template); err != nil {
			return err
		}
		return strangerError(template)
	})
	return found, doing("looking for the template", err)
}

// strangerError refuses to touch a database that has a name of ours but is not ours.
func strangerError(db *database) error {
	if db == nil || db.droppable() {
		return nil
	}
	why := ""
	if db.building() {
		why = " (or a migration has given it a comment, a connection limit or another owner, which tells: let migrations leave their database's own alone)"
	}
	return fmt.Errorf("the database %s is not one that txiso created%s; rename or drop it", db.name, why)
}

// buildOnce builds the template unless another process has done it by the time we hold the
// build lock. The lock stays with the admin connection.
func (p *Provisioner) buildOnce(ctx context.Context, admin *link) error {
	build := buildName(p.fingerprint)
	if err := admin.lock(ctx, build); err != nil {
		return doing("waiting for another process to build the template", err)
	}
	template, err := admin.look(ctx, p.template)
	if err != nil || template.complete() {
		return doing("looking for the template", err)
	}
	// What killed builders and collectors left. Collectors need the build lock, too.
	for _, rest := range []string{p.template, build} {
		if err := admin.dropRest(ctx, rest); err != nil {
			return doing("building the template", err)
		}
	}
	if err := p.build(ctx, admin, build); err != nil {
		return errors.Join(err, p.dropFailed(ctx, admin, build))
	}
	return nil
}

// dropRest drops a database that is ours and incomplete, if there is one.
func (l *link) dropRest(ctx context.Context, name string) error {
	db, err := l.look(ctx, name)
	if err != nil || db == nil {
		return err
	}
	if err := strangerError(db); err != nil {
		return err
	}
	return l.drop(ctx, name, strangersTimeout)
}

// dropFailed drops a build that failed. If it failed because ctx ended, the admin connection may
// be gone and the build lock with it; then another process may have begun to build under the
// same name, and we drop nothing that we cannot lock.
func (p *Provisioner) dropFailed(ctx context.Context, admin *link, build string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keeperTimeout)
	defer cancel()
	if !admin.lost() {
		return admin.dropRest(ctx, build)
	}
	another, err := p.admin(ctx)
	if err != nil {
		return err
	}
	defer another.hangUp()
	locked, _, err := another.claim(ctx, build)
	if err != nil || !locked {
		return err
	}
	return another.dropRest(ctx, build)
}

// build fills a database under the build name. The last step gives it its name, so a template
// that exists is complete.
func (p *Provisioner) build(ctx context.Context, admin *link, build string) error {
	encoding := ""
	if admin.ascii { // what a server that was made without a locale has, and what nobody wants who does not say so
		encoding = "ENCODING 'UTF8'"
	}
	if err := admin.create(ctx, build, "template0", encoding); err != nil {
		return doing("creating the template", err)
	}
	if err := p.fill(ctx, build); err != nil {
		if _, silent := admin.exec(ctx, ""); silent == nil && !full(err, build) {
			return &BuildError{err}
		}
		return err
	}
	if err := p.unchanged(); err != nil {
		return err
	}
	if err := admin.empty(ctx, build, strangersTimeout); err != nil { // temporary tables end with those who have them
		return err
	}
	sequences, err := p.movedSequences(ctx, build)
	if err != nil {
		return err
	}
	if err := admin.empty(ctx, build, strangersTimeout); err != nil {
		return err
	}
	return p.finish(ctx, admin, build, sequences)
}

// BuildError says that migrations or seed have failed although the server answers. What it wraps may be about any server that they talk to.
type BuildError struct{ err error }

func (e *BuildError) Error() string { return e.err.Error() }
func (e *BuildError) Unwrap() error { return e.err }

// full tells that our own server had no connection left for a database.
func full(err error, name string) bool {
	var refused *pgconn.ConnectError
	return errors.As(err, &refused) && refused.Config.Database == name && sqlState(err) == tooManyConnections
}

// unchanged makes sure that the migrations that have run are those that the template is named by: they may be files that somebody has
// saved, or a version control system replaced, meanwhile.
func (p *Provisioner) unchanged() error {
	described, err := describe(p.cfg)
	if err == nil && described != p.described {
		err = errors.New("txiso: the migrations have changed since this process looked at them first, so there is no template; run the tests again")
	}
	return err
}

func (p *Provisioner) finish(ctx context.Context, admin *link, build string, sequences []Sequence) error {
	size, err := admin.size(ctx, build)
	if err != nil {
		return doing("finishing the template", err)
	}
	now := admin.now()
	mark := marker{Kind: kindTemplate, Fingerprint: p.fingerprint, Home: p.home, Created: now, Used: now, Size: size, Sequences: sequences}
	if err := admin.own(ctx, &mark, build); err != nil {
		return doing("finishing the template", err)
	}
	for _, step := range []string{
		comment(build, mark),
		// Nobody can get in the way of a clone (55006) and no test can change the template.
		"ALTER DATABASE " + build + " ALLOW_CONNECTIONS false",
		"ALTER DATABASE " + build + " RENAME TO " + p.template,
	} {
		if _, err := admin.exec(ctx, step); err != nil {
			return doing("finishing the template", err)
		}
	}
	return nil
}

// fill runs migrations and seed on connections that are all closed when it returns.
func (p *Provisioner) fill(ctx context.Context, name string) (err error) {
	cfg := p.base.Copy()
	cfg.Database = name
	cfg.Tracer = statementTracer{}
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := p.cfg.Migrator.Migrate(ctx, db); err != nil {
		return doing("building the template", err)
	}
	return p.seed(ctx, db)
}

func (p *Provisioner) seed(ctx context.Context, db *sql.DB) error {
	if p.cfg.Seed == nil {
		return nil
	}
	if err := p.cfg.Seed(ctx, db); err != nil {
		return fmt.Errorf("txiso: Config.Seed failed, so there is no template: %w; correct the seed and run again", err)
	}
	return nil
}
