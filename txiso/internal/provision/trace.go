package provision

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// failedStatement receives the text of the last statement that failed on a context, which
// PostgreSQL's error position counts in and no error carries.
type failedStatement struct{ sql string }

type (
	failedKey    struct{}
	statementKey struct{}
)

func withFailedStatement(ctx context.Context) (context.Context, *failedStatement) {
	failed := new(failedStatement)
	return context.WithValue(ctx, failedKey{}, failed), failed
}

// statementTracer fills the failedStatement of a context.
type statementTracer struct{}

var _ pgx.QueryTracer = statementTracer{}

func (statementTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, statementKey{}, data.SQL)
}

func (statementTracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if failed, ok := ctx.Value(failedKey{}).(*failedStatement); ok && data.Err != nil {
		failed.sql, _ = ctx.Value(statementKey{}).(string)
	}
}
