package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// keeperTimeout bounds a statement of the keeper. They all take well under a millisecond; a
// server that needs this long is gone.
const keeperTimeout = 30 * time.Second

// keeper is the connection that holds a process's locks, and so all its leases. When it is
// lost, they are lost: a new keeper starts with nothing.
type keeper struct {
	mu       sync.Mutex      // serialises use of link, guards what follows
	link     *link           //
	mine     map[string]bool // databases whose lock is ours; a second try for one would succeed
	template *marker         // of the template, once we share its lock
	seen     *survey         // what holding the template showed; the first lease chooses from it
	closed   bool            // by us
}

func newKeeper(l *link) *keeper { return &keeper{link: l, mine: make(map[string]bool)} }

// do runs statements on the keeper's connection. They never end with ctx: a statement that is
// given up costs the connection, and with it every lease of the process.
func (k *keeper) do(ctx context.Context, f func(ctx context.Context, l *link) error) error {
	if err := ctx.Err(); err != nil {
		return waitError("the server", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return ErrClosed
	case k.link.lost():
		return ErrLost
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keeperTimeout)
	defer cancel()
	err := f(ctx, k.link)
	if err != nil && k.link.lost() && !errors.Is(err, ErrLost) { // it has not answered in time
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// choose takes a lock unless somebody has it.
func (k *keeper) choose(ctx context.Context, name string) (chosen bool, err error) {
	err = k.do(ctx, func(ctx context.Context, l *link) (err error) {
		if chosen, err = l.try(ctx, name); chosen {
			k.mine[name] = true
		}
		return err
	})
	return chosen, err
}

// release gives the lock of name back. On a lost connection the server has done so already.
func (k *keeper) release(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.mine[name] {
		return
	}
	delete(k.mine, name)
	ctx, cancel := context.WithTimeout(context.Background(), keeperTimeout)
	defer cancel()
	_ = k.link.unlock(ctx, name) // fails only when the connection is lost
}

// check makes a round trip to find out whether the keeper still holds its locks.
func (k *keeper) check(ctx context.Context) error {
	return k.do(ctx, func(ctx context.Context, l *link) error {
		_, err := l.exec(ctx, "")
		return err
	})
}

func (k *keeper) lost() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.link.lost()
}

// held returns the marker of the template whose lock we share, nil if we do not yet.
func (k *keeper) held() *marker {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.template
}

// choices returns what to choose a slot from: a survey is old news at once, so the one made
// while looking for the template is as good as another, once. The caller holds k.mu.
func (k *keeper) choices(ctx context.Context) (*survey, error) {
	if s := k.seen; s != nil {
		k.seen = nil
		return s, nil
	}
	return k.link.survey(ctx)
}

// forgetTemplate makes the next call look again whether the template exists.
func (k *keeper) forgetTemplate() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.template = nil
}

// close gives the locks back and ends the connection. The server would do the former for the latter, but a moment later,
// and who leases next would make another database.
func (k *keeper) close(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	if !k.link.lost() {
		_, _ = k.link.conn.Exec(ctx, "SELECT pg_advisory_unlock_all()").ReadAll()
	}
	return k.link.close(ctx)
}
