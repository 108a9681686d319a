package lease

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

const (
	// crowded bounds the wait for a free connection on a server that has none left.
	crowded = 30 * time.Second
	// leaveStep is what the server is given to notice that a connection has ended.
	leaveStep = 5 * time.Millisecond
	// usageTimeout bounds the question who has all connections.
	usageTimeout = 5 * time.Second
)

// withRoom calls f, and gives up sessions that wait for tests as long as the server has no connection for what f does. One that was
// given back meanwhile may be what f wants.
func (p *Pool) withRoom(f func() error) error {
	for {
		began := time.Now()
		err := f()
		if sqlState(err) != tooManyConnections {
			return err
		}
		l := p.takeColdest(began)
		if l == nil {
			return err
		}
		l.leave()
		l.giveUp()
		time.Sleep(leaveStep)
	}
}

// whenCrowded repeats f while the server has no connection to give. Its patience begins anew whenever a lease is given back:
// as long as tests end, who waits will have his turn.
func (p *Pool) whenCrowded(ctx context.Context, f func() error) error {
	var full error // what a server without connections said last
	seen := p.returnsSoFar()
	for began, pause := time.Now(), 5*time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		err := p.withRoom(f)
		switch {
		case err == nil:
			return nil
		case sqlState(err) == tooManyConnections:
			full = err
		case full == nil || !provision.Ended(ctx):
			return err
		}
		if n := p.returnsSoFar(); n != seen {
			seen, began = n, time.Now()
		}
		if time.Since(began) > crowded {
			return p.crowdedError(fmt.Sprint("for ", crowded), full)
		}
		select {
		case <-ctx.Done():
			return errors.Join(p.crowdedError("until the test's context ended", full), context.Cause(ctx))
		case <-p.returned:
		case <-time.After(pause):
		}
	}
}

func (p *Pool) returnsSoFar() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.returns
}

func (p *Pool) crowdedError(duration string, err error) error {
	p.mu.Lock()
	leased, idle, prov := p.leased, len(p.idle), p.prov
	p.mu.Unlock()
	raise := "raise max_connections, or the role's connection limit"
	if p.Embedded() {
		raise = "let TXISO_DSN name a server with a larger max_connections"
	}
	parents := ""
	if leased > runtime.GOMAXPROCS(0) {
		parents = "; a test that waits for its parallel subtests keeps its connection, whatever -parallel says: ask for a database in the subtests instead"
	}
	return fmt.Errorf("txiso: the server had no free connection %s; this process holds %d for running tests and %d for those to come%s: "+
		"%s, or run fewer tests at once with -parallel or -p%s: %w", duration, leased, idle, usage(prov), raise, parents, err)
}

// usage tells who has the server's connections, if that can be found out.
func usage(prov *provision.Provisioner) string {
	if prov == nil {
		return ""
	}
	ctx, done := context.WithTimeout(context.Background(), usageTimeout)
	defer done()
	users, err := prov.Users(ctx)
	if err != nil || len(users) == 0 {
		return ""
	}
	return " (" + strings.Join(users, ", ") + ")"
}
