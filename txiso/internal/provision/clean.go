package provision

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Cleaning says what [Clean] drops.
type Cleaning struct {
	// StaleAfter is as in [Config].
	StaleAfter time.Duration
	// All drops every database that no living process holds, whatever its age.
	All bool
	// DryRun drops nothing.
	DryRun bool
}

// Clean drops what [Provisioner.Collect] does and the kept databases, or with [Cleaning.All]
// everything that is not in use, and returns the names in order. In a dry run these are the names
// of what it would drop now. It waits for another process that collects, until ctx ends.
//
// Like Collect it drops nothing that is not ours and nothing whose lock a living process holds.
// A failure does not keep it from the rest: the names are what was dropped nevertheless.
// Its other errors are those of [Open].
func Clean(ctx context.Context, dsn string, what Cleaning) ([]string, error) {
	o, err := observe(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer o.link.hangUp()
	s, err := o.link.survey(ctx)
	if err != nil {
		return nil, doing("looking at the server", err)
	}
	oldest, err := what.oldest(o.link.now())
	if err != nil {
		return nil, err
	}
	c := cleaner{collector{link: o.link, oldest: oldest}, what.All}
	if what.DryRun {
		return c.plan(s), nil
	}
	err = c.clean(ctx)
	slices.Sort(c.dropped)
	return c.dropped, doing("dropping unused databases", err)
}

// oldest is when a template must have been used last so as not to be stale.
func (what Cleaning) oldest(now time.Time) (time.Time, error) {
	if what.All {
		return now.Add(time.Hour), nil // what another process has used just now is old enough
	}
	after, err := staleAfter(what.StaleAfter)
	return now.Add(-after), err
}

// cleaner is a collector that somebody has asked for.
type cleaner struct {
	collector
	all bool
}

func (c *cleaner) clean(ctx context.Context) error {
	if err := c.link.lock(ctx, collectorLock); err != nil {
		return err
	}
	failures := []error{c.collect(ctx)}
	s, err := c.link.survey(ctx)
	if err != nil {
		return errors.Join(append(failures, err)...)
	}
	for _, d := range s.databases {
		if c.unneeded(d) && !s.locked(d.name) {
			failures = append(failures, c.dropIf(ctx, d.name, c.unneeded))
		}
	}
	return errors.Join(failures...)
}

// unneeded reports whether a database that does not belong to a stale template is to go as well.
func (c *cleaner) unneeded(d *database) bool {
	return d.complete() && (d.kept() || c.all && d.mark.Kind == kindSlot)
}

// plan lists what clean would drop.
func (c *cleaner) plan(s *survey) []string {
	stale := s.stale(c.oldest)
	var names []string
	for _, d := range s.databases {
		old := d.droppable() && slices.Contains(stale, fingerprintOf(d.name))
		if old || (d.litter() || c.unneeded(d)) && !s.locked(d.name) {
			names = append(names, d.name)
		}
	}
	slices.Sort(names)
	return names
}
