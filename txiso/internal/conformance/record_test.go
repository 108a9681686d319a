package conformance_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// record is what a body saw, line by line. It is safe for concurrent use, but lines of goroutines that run at the same
// time have no order: give each a record of its own (Env.Each).
type record struct {
	mu    sync.Mutex
	lines []string
	hide  *strings.Replacer // what cannot be equal: the name of the database
}

func (r *record) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if r.hide != nil {
		line = r.hide.Replace(line)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

func (r *record) snapshot() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

// kinds are the errors that programs branch on.
var kinds = []struct {
	name string
	err  error
}{
	{"sql.ErrNoRows", sql.ErrNoRows},
	{"sql.ErrTxDone", sql.ErrTxDone},
	{"sql.ErrConnDone", sql.ErrConnDone},
	{"driver.ErrBadConn", driver.ErrBadConn},
	{"pgx.ErrNoRows", pgx.ErrNoRows},
	{"pgx.ErrTooManyRows", pgx.ErrTooManyRows},
	{"pgx.ErrTxClosed", pgx.ErrTxClosed},
	{"pgx.ErrTxCommitRollback", pgx.ErrTxCommitRollback},
	{"context.Canceled", context.Canceled},
	{"context.DeadlineExceeded", context.DeadlineExceeded},
	{"os.ErrDeadlineExceeded", os.ErrDeadlineExceeded},
	{"net.ErrClosed", net.ErrClosed},
	{"io.ErrUnexpectedEOF", io.ErrUnexpectedEOF},
}

// errorString is all that a program can see of an error.
func errorString(err error) string {
	if err == nil {
		return "ok"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "error %T %q", err, err.Error())
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			fmt.Fprintf(&b, " is %s", k.name)
		}
	}
	if pgconn.Timeout(err) {
		b.WriteString(" timeout")
	}
	if pgconn.SafeToRetry(err) {
		b.WriteString(" safe-to-retry")
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		fmt.Fprintf(&b, " %s", serverError(pe))
	}
	return b.String()
}

// serverError is an error or a notice of the server, with all fields but the place in the server's sources.
func serverError(e *pgconn.PgError) string {
	var b strings.Builder
	for _, f := range []struct {
		name  string
		value any
	}{
		{"severity", e.Severity}, {"unlocalized", e.SeverityUnlocalized}, {"code", e.Code}, {"message", e.Message}, {"detail", e.Detail},
		{"hint", e.Hint}, {"position", e.Position}, {"internal position", e.InternalPosition}, {"internal query", e.InternalQuery},
		{"where", e.Where}, {"schema", e.SchemaName}, {"table", e.TableName}, {"column", e.ColumnName}, {"type", e.DataTypeName},
		{"constraint", e.ConstraintName},
	} {
		if f.value != "" && f.value != int32(0) {
			fmt.Fprintf(&b, " %s=%v", f.name, f.value)
		}
	}
	return "{" + strings.TrimSpace(b.String()) + "}"
}

// valueString shows a value and its type.
func valueString(v any) string {
	if b, ok := v.([]byte); ok {
		return fmt.Sprintf("bytes(%q)", b)
	}
	return fmt.Sprintf("%T(%v)", v, v)
}

func rowString(values []any) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = valueString(v)
	}
	return strings.Join(texts, " | ")
}
