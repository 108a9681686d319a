package provision

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// maxCreating is how many databases one Provisioner creates at a time: each needs a server
// connection, and PostgreSQL gains nothing from more.
const maxCreating = 2

// errNoTemplate says that the template was dropped while it was in use.
var errNoTemplate = errors.New("txiso: the template is gone; do not drop databases that start with txiso_ while tests run")

// WorkerDB is a worker database that is this process's alone, until Release or Discard or until
// the keeper's connection is lost ([WorkerDB.Check]).
type WorkerDB struct {
	p      *Provisioner
	keeper *keeper
	name   string
	fresh  bool // cloned for this lease
	done   atomic.Bool
}

// Lease returns a worker database that nobody else uses: a free one if there is one, else a new
// clone of the template, which it builds first if need be. Nobody is connected to it. Its
// content is what the last holder left: who commits something must Spoil or Discard it, and who
// wants to rely on that asks [WorkerDB.Pristine].
//
// Lease waits for another process that builds the template, until ctx ends. Safe for concurrent
// use. Its errors come from migrations and seed, from the server (a *pgconn.PgError is wrapped)
// or are [ErrLost], [ErrClosed] or ctx's.
func (p *Provisioner) Lease(ctx context.Context) (*WorkerDB, error) {
	return retried(ctx, p, p.lease)
}

// retried calls f once more if the first time shows that the keeper's connection was lost since
// its last use, or that somebody dropped the template. Nothing was promised to the caller yet.
func retried[T any](ctx context.Context, p *Provisioner, f func(context.Context, *keeper) (T, error)) (T, error) {
	result, err := attempt(ctx, p, f)
	if errors.Is(err, ErrLost) || errors.Is(err, errNoTemplate) {
		return attempt(ctx, p, f)
	}
	return result, err
}

func attempt[T any](ctx context.Context, p *Provisioner, f func(context.Context, *keeper) (T, error)) (T, error) {
	k, err := p.ready(ctx)
	if err != nil {
		var none T
		return none, err
	}
	result, err := f(ctx, k)
	switch {
	case errors.Is(err, errNoTemplate):
		k.forgetTemplate()
	case err == nil:
		p.housekeepOnce(k)
	}
	return result, err
}

func (p *Provisioner) lease(ctx context.Context, k *keeper) (*WorkerDB, error) {
	slot, err := p.claimSlot(ctx, k, p.candidates, func(*database) bool { return true }, (*link).vacate)
	if err != nil {
		return nil, err
	}
	if err := p.use(ctx, k, slot); err != nil {
		k.release(slot.name)
		return nil, doing("taking the worker database "+slot.name, err)
	}
	return &WorkerDB{p: p, keeper: k, name: slot.name, fresh: !slot.db.complete()}, nil
}

// claimed is a slot whose lock is ours; db is what was there of it before, nil if nothing was.
type claimed struct {
	name   string
	db     *database
	litter []*database // what dead processes had left when we looked
}

// claimSlot takes the lock of the first of names that nobody holds and that is as wanted, and makes that usable. It returns no
// name if there is none. What dead processes have left may be dropped for it. One that vacate fails for, because somebody is connected to
// it who cannot be sent away (a superuser's psql), is passed over.
func (p *Provisioner) claimSlot(ctx context.Context, k *keeper, names func(*survey) iter.Seq[string], wanted func(*database) bool,
	vacate func(*link, context.Context, string) error,
) (claimed, error) {
	occupied := make(map[string]bool)
	free := func(d *database) bool { return (d == nil || !occupied[d.name]) && wanted(d) }
	for {
		slot, err := k.claimFirst(ctx, names, free)
		if err != nil || slot.name == "" {
			return slot, doing("looking for a free database", err)
		}
		err = p.prepare(ctx, k, slot, vacate)
		if err == nil {
			return slot, nil
		}
		k.release(slot.name)
		var stays *undroppedError
		switch {
		case ctx.Err() != nil, errors.Is(err, ErrLost):
			return claimed{}, err
		case slot.db.complete(), errors.As(err, &stays):
			occupied[slot.name] = true
		// A process that was killed while creating the same slot may be finishing only now.
		case sqlState(err) != duplicateDatabase && sqlState(err) != uniqueViolation:
			return claimed{}, err
		}
	}
}

func (k *keeper) claimFirst(ctx context.Context, names func(*survey) iter.Seq[string], wanted func(*database) bool) (slot claimed, err error) {
	err = k.do(ctx, func(ctx context.Context, _ *link) error {
		s, err := k.choices(ctx)
		if err != nil {
			return err
		}
		for name := range names(s) {
			if k.mine[name] || s.locked(name) || !wanted(s.named(name)) {
				continue
			}
			ok, db, err := k.claimOne(ctx, name, wanted)
			if err != nil {
				return err
			}
			if ok {
				slot = claimed{name, db, s.litter()}
				return nil
			}
		}
		return nil
	})
	return slot, err
}

// candidates yields the existing slots, spare ones last, then all numbers without end.
func (p *Provisioner) candidates(s *survey) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, names := range []iter.Seq[string]{s.slots(p.fingerprint, false), s.slots(p.fingerprint, true), p.numbers(s)} {
			for name := range names {
				if !yield(name) {
					return
				}
			}
		}
	}
}

// numbers yields the names that slots can have, without end.
func (p *Provisioner) numbers(*survey) iter.Seq[string] {
	return func(yield func(string) bool) {
		for n := 1; yield(slotName(p.fingerprint, n)); n++ {
		}
	}
}

// claimOne takes the lock of name unless somebody has it, or the database is a stranger's or not as wanted.
// The caller holds k.mu.
func (k *keeper) claimOne(ctx context.Context, name string, wanted func(*database) bool) (bool, *database, error) {
	locked, db, err := k.link.claim(ctx, name)
	if err != nil || !locked {
		return false, nil, err
	}
	if db != nil && !db.droppable() || !wanted(db) {
		return false, nil, k.link.unlock(ctx, name)
	}
	k.mine[name] = true
	return true, db, nil
}

// prepare makes a claimed slot usable.
func (p *Provisioner) prepare(ctx context.Context, k *keeper, slot claimed, vacate func(*link, context.Context, string) error) error {
	switch {
	case !slot.db.complete():
		return p.create(ctx, k, slot)
	case slot.db.busy: // with backends of a process that was killed
		return k.do(ctx, func(ctx context.Context, l *link) error { return vacate(l, ctx, slot.name) })
	}
	return nil
}

// create clones the template into a spare slot, whose lock the keeper holds. If there is an incomplete database of that
// name, it is dropped first.
func (p *Provisioner) create(ctx context.Context, k *keeper, slot claimed) error {
	select {
	case p.creating <- struct{}{}:
		defer func() { <-p.creating }()
	case <-ctx.Done():
		return waitError("other databases to be created", context.Cause(ctx))
	}
	admin, err := p.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.hangUp()
	admin.help(ctx, slot.litter)
	if slot.db != nil {
		if err := admin.drop(ctx, slot.name, passTimeout); err != nil {
			return &undroppedError{err}
		}
	}
	return p.cloneInto(ctx, admin, k.held(), slot.name)
}

// undroppedError says that what was left of a database could not be dropped.
type undroppedError struct{ error }

func (e *undroppedError) Unwrap() error { return e.error }

func (p *Provisioner) cloneInto(ctx context.Context, admin *link, template *marker, name string) error {
	if template == nil {
		return errNoTemplate // another goroutine found out
	}
	err := admin.create(ctx, name, p.template, strategy(admin.major, template.Size))
	if sqlState(err) == unknownDatabase {
		return fmt.Errorf("%w: %w", errNoTemplate, err)
	}
	return doing("cloning the template", err)
}

// Name returns the database's name.
func (w *WorkerDB) Name() string { return w.name }

// Config returns a configuration for connections to the database: a copy, the caller's to change.
func (w *WorkerDB) Config() *pgx.ConnConfig { return w.p.configFor(w.name) }

func (p *Provisioner) configFor(name string) *pgx.ConnConfig {
	cfg := p.base.Copy()
	cfg.Database = name
	return cfg
}

// Check makes one round trip to find out whether the database is still ours. It returns
// [ErrLost] if the connection that holds the lease is gone.
func (w *WorkerDB) Check(ctx context.Context) error { return w.keeper.check(ctx) }

// Spoil says that the content is about to change for good, or just has. Whoever leases the database
// next, even after this process was killed, gets a new clone in its place. Discard does the same
// at once. A database that is no longer ours is left alone.
func (w *WorkerDB) Spoil(ctx context.Context) error {
	err := w.keeper.do(ctx, func(ctx context.Context, l *link) error {
		if !w.keeper.mine[w.name] {
			return nil
		}
		return l.spoil(ctx, w.name)
	})
	return doing("marking "+w.name+" as changed", err)
}

// spoil gives a slot a marker that makes it an incomplete one. It waits for a lock (the test may have said COMMENT ON DATABASE in the
// transaction that is still open) less long than would cost the connection.
func (l *link) spoil(ctx context.Context, name string) error {
	_, err := l.exec(ctx, "SET LOCAL lock_timeout = '5s';"+comment(name, marker{Kind: kindSpoiled, Fingerprint: fingerprintOf(name), Home: l.home, Created: l.now()}))
	return err
}

// Release gives the database back, for this or another process to lease. Its content must be
// as it was and no connection to it may be in use. Only the first call of Release or Discard counts.
func (w *WorkerDB) Release() {
	if w.done.CompareAndSwap(false, true) {
		w.keeper.release(w.name)
	}
}

// Discard drops the database, ending connections to it, and gives its number back. If dropping
// fails, the database keeps its lock until Close, and who leases it afterwards gets a new clone; Discard may be tried again.
// Otherwise only the first call of Release or Discard counts. If the keeper's connection is lost, the
// database may be another process's by now: then it is left alone and the error is [ErrLost].
func (w *WorkerDB) Discard(ctx context.Context) error {
	if !w.done.CompareAndSwap(false, true) {
		return nil
	}
	err := w.Spoil(ctx)
	if err == nil {
		err = w.p.dispose(ctx, w.keeper, w.name)
	}
	w.done.Store(err == nil)
	return err
}

// dispose drops a database whose lock k holds, then gives the lock back. If k is lost meanwhile, that is the reason to tell
// for whatever failed: the database is not ours to drop any more.
func (p *Provisioner) dispose(ctx context.Context, k *keeper, name string) error {
	if err := k.check(ctx); err != nil {
		return err
	}
	if err := p.drop(ctx, name); err != nil {
		if errors.Is(k.check(context.WithoutCancel(ctx)), ErrLost) {
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		return err
	}
	k.release(name)
	return nil
}

func (p *Provisioner) drop(ctx context.Context, name string) error {
	admin, err := p.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.hangUp()
	return admin.drop(ctx, name, strangersTimeout)
}
