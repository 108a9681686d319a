package session

import (
	"context"
	"database/sql/driver"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Every test opens a connection, so what that allocates counts: a configuration is nearly a kilobyte, and what watches a context
// costs as much as a handshake that nobody waits for. Hence one opener of pgx's serves all tests of a session. What differs is
// told by the context that it is called with.

// connector opens virtual connections for database/sql.
type connector struct {
	driver.Connector
	s    *Session
	dial pgconn.DialFunc
}

func (s *Session) connector(dial pgconn.DialFunc) driver.Connector {
	return connector{s.opener, s, dial}
}

// Connect tells the session by whose context database/sql takes a new connection, see doomed.go.
func (k connector) Connect(ctx context.Context) (driver.Conn, error) {
	o := &opening{Context: ctx, dial: k.dial}
	if len(k.s.virtual.RuntimeParams) > 0 || ctx.Err() != nil {
		o.done = ctx.Done()
	}
	opened, err := k.Connector.Connect(o)
	if err != nil {
		return nil, err
	}
	if c, ok := opened.(*stdlib.Conn).Conn().PgConn().Conn().(*conn); ok {
		k.s.mu.Lock()
		c.done = ctx.Done()
		k.s.mu.Unlock()
	}
	return opened, nil
}

// opening is the context of a connection that is being opened. Its end is not watched where there is nothing to wait for.
type opening struct {
	context.Context
	done <-chan struct{}
	dial pgconn.DialFunc
}

func (o *opening) Done() <-chan struct{} { return o.done }

func (s *Session) newOpener() driver.Connector {
	return stdlib.GetConnector(*s.virtual, stdlib.OptionBeforeConnect(dialOfOpening),
		stdlib.OptionResetSession(s.reset), stdlib.OptionShouldPing(noPing))
}

// dialOfOpening is a stdlib.OptionBeforeConnect.
func dialOfOpening(ctx context.Context, cfg *pgx.ConnConfig) error {
	cfg.DialFunc = ctx.(*opening).dial
	return nil
}

// noPing spares pgx the ping that it sends at the second use of a connection, and whenever one was idle for a second, to have
// dead ones replaced. A new one would be no better here, because all share one connection to the server.
func noPing(context.Context, stdlib.ShouldPingParams) bool { return false }
