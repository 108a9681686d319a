package provision

import (
	"context"
	"iter"
	"slices"
)

// A spare slot is one that nobody has used yet, so that it still is what a clone of the template must be, its sequences
// and the size of its tables included. It needs no marker that says so, only the birthmark, and that it gets with its name:
// a process that is killed while the server creates one leaves a spare slot or nothing. Who uses it in any other way
// than as a clone gives it a marker before.

// takeSpare takes the lock of a spare slot and returns how many are left; no name if there is none.
func (p *Provisioner) takeSpare(ctx context.Context, k *keeper) (slot claimed, left int, err error) {
	names := func(s *survey) iter.Seq[string] {
		free := slices.DeleteFunc(slices.Collect(s.slots(p.fingerprint, true)), s.locked)
		left = len(free) - 1
		return slices.Values(free)
	}
	slot, err = p.claimSlot(ctx, k, names, func(d *database) bool { return d != nil && d.spare }, (*link).pass)
	return slot, left, err
}

// spoilVisited makes a spare slot that somebody has connected to an incomplete one: nobody can tell what he did there.
// PostgreSQL 14 tells of one who has left half a second later.
func (k *keeper) spoilVisited(ctx context.Context, slot claimed) (visited bool, err error) {
	err = k.do(ctx, func(ctx context.Context, l *link) error {
		results, err := l.exec(ctx, "SELECT pg_stat_get_db_sessions(oid) > 0 FROM pg_database WHERE datname = "+literal(slot.name))
		if err != nil {
			return err
		}
		if visited = slot.db.busy || text(results[0], 0, 0) == "t"; visited {
			err = l.spoil(ctx, slot.name)
		}
		return err
	})
	return visited && err == nil, err
}

// makeSpare clones the template into a new spare slot, whose lock it has.
func (p *Provisioner) makeSpare(ctx context.Context, k *keeper) (claimed, error) {
	return p.claimSlot(ctx, k, p.numbers, func(d *database) bool { return !d.complete() }, (*link).pass)
}

// use says that a slot is spare no more.
func (p *Provisioner) use(ctx context.Context, k *keeper, slot claimed) error {
	if slot.db.complete() && !slot.db.spare {
		return nil
	}
	return k.do(ctx, func(ctx context.Context, l *link) error {
		if k.template == nil {
			return errNoTemplate // another goroutine found out
		}
		_, err := l.exec(ctx, k.template.alter(slot.name)+comment(slot.name, marker{Kind: kindSlot, Fingerprint: p.fingerprint, Home: p.home, Created: l.now()}))
		return err
	})
}
