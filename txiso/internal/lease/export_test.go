package lease

import "context"

func (p *Pool) WhenCrowded(ctx context.Context, f func() error) error { return p.whenCrowded(ctx, f) }

// Crowded is how long a test waits for a connection that nobody gives back.
const Crowded = crowded
