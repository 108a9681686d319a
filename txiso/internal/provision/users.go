package provision

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
)

// Users tells how many connections to databases of ours each process has, and how many others there are on the server, the
// most first: one phrase each. It needs no connection of its own.
func (p *Provisioner) Users(ctx context.Context) (phrases []string, err error) {
	if err := p.lockTurn(ctx); err != nil {
		return nil, err
	}
	k := p.keeper
	p.unlockTurn()
	count := make(map[string]int)
	err = k.do(ctx, func(ctx context.Context, l *link) error {
		results, err := l.exec(ctx, selectHolders+selectBackends+selectSurvey)
		if err != nil {
			return err
		}
		holders, backends := readHolders(results[0]), readBackends(results[1])
		for _, d := range l.readSurvey(results[2:]).databases {
			if of := holders[lockKey(d.name)]; len(of) == 1 && backends[d.name] > 0 {
				count[of[0].String()] += backends[d.name]
				delete(backends, d.name)
			}
		}
		for _, n := range backends {
			count["others"] += n
		}
		return nil
	})
	who := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(count[b]-count[a], cmp.Compare(a, b)) })
	for _, name := range who {
		phrases = append(phrases, fmt.Sprintf("%d by %s", count[name], name))
	}
	return phrases, doing("asking who is connected", err)
}

// String names the process, as far as that is known.
func (h Holder) String() string {
	if h.Process == 0 {
		return fmt.Sprintf("the holder with backend %d", h.Backend)
	}
	return fmt.Sprintf("process %d (%s)", h.Process, h.Program)
}
