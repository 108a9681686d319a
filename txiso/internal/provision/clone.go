package provision

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// CloneDB is a private database, cloned from the template, until Drop. If the process dies, a
// later run drops it.
type CloneDB struct {
	p      *Provisioner
	keeper *keeper
	name   string
	done   atomic.Bool
}

// Clone returns a fresh private database with the template's content. If no spare slot is there it takes as long as
// CREATE DATABASE does; while tests run, others are made for those who ask next. Errors and
// concurrency are as for [Provisioner.Lease].
func (p *Provisioner) Clone(ctx context.Context) (*CloneDB, error) {
	return retried(ctx, p, p.clone)
}

func (p *Provisioner) clone(ctx context.Context, k *keeper) (*CloneDB, error) {
	slot, err := p.stock.take(ctx, k)
	if err != nil {
		return nil, err
	}
	c := &CloneDB{p: p, keeper: k, name: cloneName(p.fingerprint)}
	err = c.takeOver(ctx, slot.name)
	k.release(slot.name)
	if err != nil {
		k.release(c.name)
		p.stock.givenBack()
		return nil, doing("making a clone of "+slot.name, err)
	}
	return c, nil
}

// takeOver gives a spare slot the clone's name, which nobody else ever has: a program that goes on using it when its test
// has ended does not find itself in another test's database. Statements in one string are one transaction.
func (c *CloneDB) takeOver(ctx context.Context, slot string) error {
	return c.keeper.do(ctx, func(ctx context.Context, l *link) error {
		template := c.keeper.template
		if template == nil {
			return errNoTemplate // another goroutine found out
		}
		c.keeper.mine[c.name] = true
		if err := l.lock(ctx, c.name); err != nil {
			return err
		}
		mark := marker{Kind: kindClone, Fingerprint: c.p.fingerprint, Home: c.p.home, Created: l.now()}
		_, err := l.exec(ctx, "ALTER DATABASE "+slot+" RENAME TO "+c.name+"; "+template.alter(c.name)+comment(c.name, mark))
		return err
	})
}

// Name returns the database's name.
func (c *CloneDB) Name() string { return c.name }

// Config returns a configuration for connections to the database: a copy, the caller's to change.
func (c *CloneDB) Config() *pgx.ConnConfig { return c.p.configFor(c.name) }

// DSN returns a URL for the database that any client understands, in any process that can reach
// the server. It contains the password if there is one: keep it out of logs.
func (c *CloneDB) DSN() string { return dsnFor(c.p.base, c.p.encrypted, c.name) }

// Drop drops the database, ending connections to it, in the background if few others are waiting there;
// [Provisioner.Close] waits for that. Only the first call counts. It returns [ErrLost] if the database is no longer
// ours. What keeps it from being dropped in the background is for [Provisioner.Leftovers] to tell.
func (c *CloneDB) Drop(ctx context.Context) error {
	if !c.done.CompareAndSwap(false, true) {
		return nil
	}
	c.p.stock.givenBack()
	if err := c.keeper.check(ctx); err != nil {
		return err
	}
	return c.p.drops.drop(ctx, c)
}

// Leftovers returns why clones that were given back could not be dropped, each once: a later run drops them. Nil if there is
// nothing to tell. What nobody has asked for [Provisioner.Close] returns.
func (p *Provisioner) Leftovers() error { return p.drops.failed() }
