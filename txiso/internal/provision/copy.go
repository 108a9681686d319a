package provision

import (
	"context"
	"errors"
	"fmt"
)

// Copy is a private copy of a template for somebody to look into, until Drop. If the process
// dies, a later run drops it.
type Copy struct {
	Database
	link *link
}

// OpenCopy copies a template of the server that dsn names. Nobody can connect to a template itself. It takes as long as CREATE DATABASE does.
// Its errors are those of [Open] and of the server.
func OpenCopy(ctx context.Context, dsn, template string) (*Copy, error) {
	o, err := observe(ctx, dsn)
	if err != nil {
		return nil, err
	}
	c := &Copy{Database{Name: cloneName(fingerprintOf(template)), Kind: kindClone, Template: template}, o.link}
	if err := c.fill(ctx); err != nil {
		return nil, errors.Join(doing("copying "+template, err), c.Drop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// fill makes the copy. The template's lock keeps collectors away.
func (c *Copy) fill(ctx context.Context) error {
	if err := c.link.lock(ctx, c.Name); err != nil {
		return err
	}
	locked, s, err := c.link.share(ctx, c.Template)
	if err != nil {
		return err
	}
	template := s.named(c.Template)
	if !locked || !template.complete() || template.mark.Kind != kindTemplate {
		return fmt.Errorf("txiso: there is no template %s any more; run a test that builds it", c.Template)
	}
	if err := c.link.create(ctx, c.Name, c.Template, strategy(c.link.major, template.mark.Size)); err != nil {
		return err
	}
	mark := marker{Kind: kindClone, Fingerprint: template.mark.Fingerprint, Home: c.link.home, Created: c.link.now()}
	_, err = c.link.exec(ctx, template.mark.alter(c.Name)+comment(c.Name, mark))
	return err
}

// Drop drops the copy, ending connections to it, and closes the connection that held it.
func (c *Copy) Drop(ctx context.Context) error {
	defer c.link.hangUp()
	if c.link.lost() {
		return nil // a later run drops it
	}
	return c.link.drop(ctx, c.Name, strangersTimeout)
}
