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

// Clone returns a fresh private database with the template's content. The first takes as long as
// CREATE DATABASE does; from the one that Config.AheadFrom says, clones are
// prepared while tests run. Errors and
// concurrency are as for [Provisioner.Lease].
func (p *Provisioner) Clone(ctx context.Context) (*CloneDB, error) {
	return retried(ctx, p, p.clone)
}

func (p *Provisioner) clone(ctx context.Context, k *keeper) (*CloneDB, error) {
	c, err := p.stock.take(ctx, k)
	switch {
	case err != nil:
	case c == nil:
		c, err = p.makeClone(ctx, k)
	default:
		err = k.check(ctx) // whether its lock is still ours
	}
	if err != nil {
		p.stock.notTaken()
		return nil, err
	}
	return c, nil
}

func (p *Provisioner) makeClone(ctx context.Context, k *keeper) (*CloneDB, error) {
	name := cloneName(p.fingerprint)
	err := k.do(ctx, func(ctx context.Context, l *link) error {
		k.mine[name] = true // a name nobody else has, so its lock is free
		return l.lock(ctx, name)
	})
	if err == nil {
		err = p.create(ctx, k, name, kindClone, false)
	}
	if err != nil {
		k.release(name)
		return nil, err
	}
	return &CloneDB{p: p, keeper: k, name: name}, nil
}

// Name returns the database's name.
func (c *CloneDB) Name() string { return c.name }

// Config returns a configuration for connections to the database: a copy, the caller's to change.
func (c *CloneDB) Config() *pgx.ConnConfig { return c.p.configFor(c.name) }

// DSN returns a URL for the database that any client understands, in any process that can reach
// the server. It contains the password if there is one: keep it out of logs.
func (c *CloneDB) DSN() string { return dsnFor(c.p.base, c.p.encrypted, c.name) }

// Drop drops the database, ending connections to it. Only the first call counts. If it fails,
// a later run drops the database. It returns [ErrLost] if the database is no longer ours.
func (c *CloneDB) Drop(ctx context.Context) error {
	if !c.done.CompareAndSwap(false, true) {
		return nil
	}
	c.p.stock.notTaken()
	return c.p.dispose(ctx, c.keeper, c.name)
}
