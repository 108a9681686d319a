package lease

import "context"

func (p *Pool) WhenCrowded(ctx context.Context, f func() error) error { return p.whenCrowded(ctx, f) }
