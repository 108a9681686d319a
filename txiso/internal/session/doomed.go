package session

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// When the context of a transaction of database/sql ends, a goroutine of database/sql rolls it back, a moment later. On a
// database of its own, the test would see nothing of the transaction in that moment. Here its statements would run inside
// it: so they wait for the rollback, which must come.

// doomedPatience is for a context that was not the transaction's: that of DB.Conn, on which another one began it.
const doomedPatience = 500 * time.Millisecond

// reset is a stdlib.OptionResetSession: it is called when database/sql takes a connection from its pool.
func (s *Session) reset(ctx context.Context, taken *pgx.Conn) error {
	s.take(taken, ctx.Done())
	return nil
}

// doomed reports that database/sql is about to roll back the app transaction that is open. Caller must hold mu.
func (s *Session) doomed() bool {
	if s.tx.owner == nil || s.tx.spared {
		return false
	}
	select {
	case <-s.tx.owner.done:
		return true
	default:
		return false
	}
}
