package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// find returns the database of a name and its server, which it starts if it is the embedded one.
func (c *call) find(ctx context.Context, name string) (*server, *provision.Database, error) {
	servers, err := c.started(ctx)
	if err != nil {
		return nil, nil, err
	}
	var all []string
	for _, s := range servers {
		if !s.Running {
			continue
		}
		if d := s.Databases.Named(name); d != nil {
			return s, d, usable(d)
		}
		for _, d := range s.Databases.All() {
			all = append(all, d.Name)
		}
	}
	return nil, nil, fmt.Errorf("txiso: there is no database %s among those that txiso has made; %s", name, instead(name, all, servers))
}

// usable says what a client would find out by itself, in other words.
func usable(d *provision.Database) error {
	if d.Kind == provision.Incomplete {
		return fmt.Errorf("txiso: the database %s is not complete: its process was killed or is still at work; choose another of txiso status", d.Name)
	}
	return nil
}

// instead is what to do when there is no database of a name.
func instead(name string, all []string, servers []*server) string {
	if near := nearest(name, all); len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	for _, s := range servers {
		if !s.Running {
			return fmt.Sprintf("%s is stopped: with TXISO_POSTGRES_BIN=%s it is looked at, too", s.title(), s.Programs)
		}
	}
	return "run a test that makes one"
}

// nearest returns up to five names that are most like one: those that contain it, then those that begin as it does.
func nearest(name string, all []string) []string {
	name = strings.TrimPrefix(name, "txiso_")
	likeness := func(other string) int {
		other = strings.TrimPrefix(other, "txiso_")
		if strings.Contains(other, name) {
			return len(other)
		}
		return common(other, name)
	}
	near := slices.Clone(all)
	slices.SortStableFunc(near, func(a, b string) int { return cmp.Compare(likeness(b), likeness(a)) })
	return near[:min(len(near), 5)]
}

// common is the length of what two strings begin with.
func common(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
