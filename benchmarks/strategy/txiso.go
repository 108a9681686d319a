package strategy

import (
	"context"
	"errors"

	"github.com/txiso/txiso-go/benchmarks/faketest"
	"github.com/txiso/txiso-go/txiso"
)

// isolated is txiso: a database of its own for every test, rolled back at its end.
type isolated struct {
	iso   *txiso.Iso
	open  func(*txiso.Iso, *faketest.T) DB
	tests []*faketest.T
}

// NewTxiso is iso.DB.
func NewTxiso(_ context.Context, env *Env) (Strategy, error) {
	return newIsolated(env, func(iso *txiso.Iso, t *faketest.T) DB { return sqlDB{iso.DB(t)} })
}

// NewTxisoPool is iso.Pool.
func NewTxisoPool(_ context.Context, env *Env) (Strategy, error) {
	return newIsolated(env, func(iso *txiso.Iso, t *faketest.T) DB { return pgxDB{iso.Pool(t)} })
}

// NewTxisoClone is iso.Clone.
func NewTxisoClone(_ context.Context, env *Env) (Strategy, error) {
	return newIsolated(env, func(iso *txiso.Iso, t *faketest.T) DB { return sqlDB{iso.Clone(t).DB} })
}

func newIsolated(env *Env, open func(*txiso.Iso, *faketest.T) DB) (Strategy, error) {
	return &isolated{iso: txiso.New(env.Config), open: open, tests: make([]*faketest.T, env.Workers)}, nil
}

func (s *isolated) Begin(ctx context.Context, worker int) (db DB, err error) {
	t := faketest.New(ctx, "test")
	s.tests[worker] = t
	err = t.Try(func() error {
		db = s.open(s.iso, t)
		return nil
	})
	return db, err
}

func (s *isolated) End(_ context.Context, worker int) error {
	t := s.tests[worker]
	s.tests[worker] = nil
	return t.End()
}

// Close ends tests that were interrupted.
func (s *isolated) Close() (err error) {
	for _, t := range s.tests {
		if t != nil {
			err = errors.Join(err, t.End())
		}
	}
	return errors.Join(err, s.iso.Close())
}
