package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// touchAfter is how old the recorded last use of a template may become, or a quarter of Config.StaleAfter if that is
// less. It bounds how often processes write it.
const touchAfter = time.Hour

// staleVariable sets what Config.StaleAfter leaves open.
const staleVariable = "TXISO_STALE_AFTER"

func staleAfter(configured time.Duration) (time.Duration, error) {
	value := os.Getenv(staleVariable)
	if configured != 0 || value == "" {
		return cmp.Or(configured, defaultStaleAfter), nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("txiso: %s is %q; set it to a duration such as 72h, or unset it for seven days", staleVariable, value)
	}
	return d, nil
}

// collectorLock is locked like a database name, so that one process collects at a time.
const collectorLock = "collector"

// Collect drops what nobody uses any more and returns the names: databases that killed processes
// left incomplete, clones of dead processes, and templates unused for Config.StaleAfter with all
// their worker databases. It drops nothing that is not ours and nothing whose lock a living
// process holds, and returns at once if another process is collecting.
//
// It is called in the background after the first Lease or Clone if there is something to
// collect; errors are then left to the next run. Calling it is never necessary.
func (p *Provisioner) Collect(ctx context.Context) ([]string, error) {
	admin, err := p.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer admin.hangUp()
	locked, _, err := admin.claim(ctx, collectorLock)
	if err != nil || !locked {
		return nil, doing("collecting unused databases", err)
	}
	c := collector{link: admin, oldest: admin.now().Add(-p.cfg.StaleAfter)}
	err = c.collect(ctx)
	return c.dropped, doing("collecting unused databases", err)
}

// collector drops databases. One failure does not keep it from the others.
type collector struct {
	link    *link
	oldest  time.Time // templates last used before are stale
	dropped []string
}

func (c *collector) collect(ctx context.Context) error {
	s, err := c.link.survey(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, d := range s.litter() {
		failures = append(failures, c.dropLitter(ctx, d.name))
	}
	for _, fp := range s.stale(c.oldest) {
		failures = append(failures, c.dropStale(ctx, fp))
	}
	return errors.Join(failures...)
}

// litter lists what dead processes left: any database that is ours and cannot be used again.
func (s *survey) litter() []*database {
	return slices.DeleteFunc(slices.Clone(s.databases), func(d *database) bool {
		return !d.litter() || s.locked(d.name)
	})
}

func (d *database) litter() bool {
	if d.dropping || !d.droppable() || d.mark != nil && d.mark.Kind == kindTemplate && !d.building() {
		return false
	}
	return !d.complete() || d.building() || d.mark.Kind == kindClone
}

// building reports whether d has the name of a template that is not finished.
func (d *database) building() bool { return strings.HasPrefix(d.name, prefix+"build_") }

// stale lists the fingerprints that nobody holds and whose databases were all last used before
// oldest. Slots that lost their template count as well.
func (s *survey) stale(oldest time.Time) []string {
	newest := make(map[string]time.Time)
	for _, d := range s.databases {
		if d.mark == nil || d.kept() {
			continue
		}
		used, seen := newest[d.mark.Fingerprint]
		if !seen || d.mark.lastUse().After(used) { // spare slots have no date
			newest[d.mark.Fingerprint] = d.mark.lastUse()
		}
	}
	var stale []string
	for fp, used := range newest {
		if used.Before(oldest) && !s.locked(templateName(fp)) {
			stale = append(stale, fp)
		}
	}
	return stale
}

// dropLitter drops what dead processes have left. One that has a template's name is replaced by who builds the template, with
// the build lock alone.
func (c *collector) dropLitter(ctx context.Context, name string) error {
	drop := func() error { return c.dropIf(ctx, name, (*database).litter) }
	if fp := fingerprintOf(name); name == templateName(fp) {
		return c.holding(ctx, buildName(fp), drop)
	}
	return drop()
}

// dropIf drops a database if its lock is free and it still is what it looked like.
func (c *collector) dropIf(ctx context.Context, name string, still func(*database) bool) error {
	locked, db, err := c.link.claim(ctx, name)
	if err != nil || !locked {
		return err
	}
	if db != nil && still(db) {
		err = c.drop(ctx, db)
	}
	return errors.Join(err, c.link.unlock(ctx, name))
}

// dropStale drops a template and what was cloned from it. Who uses any of it shares the lock of
// the template; who builds it holds the build lock.
func (c *collector) dropStale(ctx context.Context, fp string) error {
	return c.holding(ctx, buildName(fp), func() error {
		return c.holding(ctx, templateName(fp), func() error {
			s, err := c.link.survey(ctx)
			if err != nil {
				return err
			}
			return c.dropAll(ctx, s, fp)
		})
	})
}

// holding calls f with the lock of name, if that is free.
func (c *collector) holding(ctx context.Context, name string, f func() error) error {
	locked, _, err := c.link.claim(ctx, name)
	if err != nil || !locked {
		return err
	}
	return errors.Join(f(), c.link.unlock(ctx, name))
}

// dropAll drops the databases of a fingerprint if they are stale now that the lock is held, the
// template last: as long as it exists, a later run finds the rest.
func (c *collector) dropAll(ctx context.Context, s *survey, fp string) error {
	s.held = nil // the locks are ours
	if !slices.Contains(s.stale(c.oldest), fp) {
		return nil
	}
	template := s.named(templateName(fp))
	var failures []error
	for _, d := range s.databases {
		if d.droppable() && fingerprintOf(d.name) == fp && d != template {
			failures = append(failures, c.drop(ctx, d))
		}
	}
	if err := errors.Join(failures...); err != nil || !template.droppable() { // there was none, or it is a stranger's
		return err
	}
	return c.drop(ctx, template)
}

// drop drops a database whose lock is held, unless somebody who asks for no lock was faster. One that is half dropped has lost
// its birthmark, so a spare slot gets a marker first.
func (c *collector) drop(ctx context.Context, d *database) (err error) {
	if d.spare {
		err = c.link.spoil(ctx, d.name)
	}
	if err == nil {
		err = c.link.drop(ctx, d.name, passTimeout)
	}
	if sqlState(err) == unknownDatabase {
		return nil
	}
	if err == nil {
		c.dropped = append(c.dropped, d.name)
	}
	return err
}

const (
	// fewLitter is how many dead databases may be left to housekeeping, which tests do not wait for.
	fewLitter = 4
	// maxHelp is how many of more than that are dropped for every database that is made, so that however
	// short processes live, they do not leave ever more.
	maxHelp = 2
)

// help drops some of what dead processes have left if it is too much. What fails is left to a later run.
func (l *link) help(ctx context.Context, litter []*database) {
	c := collector{link: l}
	n := min(maxHelp, max(0, len(litter)-fewLitter))
	for _, i := range rand.Perm(len(litter))[:n] { // not the same ones each time: they may be those that cannot be dropped
		_ = c.dropLitter(ctx, litter[i].name)
	}
}

// housekeepOnce looks once, after the first database was handed out, whether there is anything to
// tidy up. In most runs there is not, and this is one short query on the keeper's connection.
func (p *Provisioner) housekeepOnce(k *keeper) {
	p.housekeeping.Do(func() {
		p.background.Go(func() { _ = p.housekeep(p.running, k) }) // the next run tries again
	})
}

func (p *Provisioner) housekeep(ctx context.Context, k *keeper) error {
	var s *survey
	err := k.do(ctx, func(ctx context.Context, l *link) (err error) {
		s, err = l.survey(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := p.touch(ctx, s, k.link.now()); err != nil {
		return err
	}
	if len(s.litter()) > 0 || len(s.stale(k.link.now().Add(-p.cfg.StaleAfter))) > 0 {
		_, err = p.Collect(ctx)
	}
	return err
}

// touch records that the template is in use, unless that was done not long ago.
func (p *Provisioner) touch(ctx context.Context, s *survey, now time.Time) error {
	template := s.named(p.template)
	if !template.complete() || now.Sub(template.mark.lastUse()) < min(touchAfter, p.cfg.StaleAfter/4) {
		return nil
	}
	admin, err := p.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.hangUp()
	mark := *template.mark
	mark.Used = now
	_, err = admin.exec(ctx, comment(p.template, mark))
	return err
}
