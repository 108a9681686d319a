package provision

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// lockKey is the advisory lock key of a database name. Applications may use advisory locks in
// the same maintenance database: 64 bits of a hash with a prefix of ours keep out of their way
// (PostgreSQL manual, 13.3.5 Advisory Locks).
func lockKey(name string) int64 {
	sum := sha256.Sum256([]byte("txiso database " + name))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// lock waits until it has the lock of name, or until ctx ends (which costs the connection).
func (l *link) lock(ctx context.Context, name string) error {
	_, err := l.exec(ctx, fmt.Sprintf("SELECT pg_advisory_lock(%d)", lockKey(name)))
	return err
}

// try takes the lock of name unless somebody has it.
func (l *link) try(ctx context.Context, name string) (bool, error) {
	results, err := l.exec(ctx, fmt.Sprintf("SELECT pg_try_advisory_lock(%d)", lockKey(name)))
	if err != nil {
		return false, err
	}
	return text(results[0], 0, 0) == "t", nil
}

// claim tries to take the lock of name and then looks at the database of that name. The look is
// a statement of its own because it must see what the lock's last holder did. Beware: a
// connection that already holds the lock is given it once more.
func (l *link) claim(ctx context.Context, name string) (locked bool, db *database, err error) {
	results, err := l.exec(ctx, fmt.Sprintf("SELECT pg_try_advisory_lock(%d); %s", lockKey(name), selectDatabase(name)))
	if err != nil {
		return false, nil, err
	}
	return text(results[0], 0, 0) == "t", l.first(results[1]), nil
}

// share is like claim for a lock that others may share, and looks at everything.
func (l *link) share(ctx context.Context, name string) (locked bool, s *survey, err error) {
	results, err := l.exec(ctx, fmt.Sprintf("SELECT pg_try_advisory_lock_shared(%d); %s", lockKey(name), selectSurvey))
	if err != nil {
		return false, nil, err
	}
	return text(results[0], 0, 0) == "t", l.readSurvey(results[1:]), nil
}

func (l *link) unlock(ctx context.Context, name string) error {
	_, err := l.exec(ctx, fmt.Sprintf("SELECT pg_advisory_unlock(%d)", lockKey(name)))
	return err
}

func (l *link) unlockShared(ctx context.Context, name string) error {
	_, err := l.exec(ctx, fmt.Sprintf("SELECT pg_advisory_unlock_shared(%d)", lockKey(name)))
	return err
}
