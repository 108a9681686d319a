package property_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// record is what was seen, line by line.
type record struct {
	mu    sync.Mutex
	lines []string
	hide  string // the name of the database, which cannot be equal
}

func (r *record) add(format string, args ...any) {
	line := strings.ReplaceAll(fmt.Sprintf(format, args...), r.hide, "DATABASE")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
}

// firstDifference returns the first line that differs, with the operation it belongs to.
func firstDifference(plain, txiso []string) string {
	head := ""
	for i := range max(len(plain), len(txiso)) {
		a, b := at(plain, i), at(txiso, i)
		if a != b {
			return fmt.Sprintf("%s\n   plain: %s\n   txiso: %s", head, a, b)
		}
		if strings.HasPrefix(a, "#") {
			head = a
		}
	}
	return ""
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

// kinds are the errors that programs branch on.
var kinds = []error{
	sql.ErrNoRows, sql.ErrTxDone, sql.ErrConnDone, driver.ErrBadConn, pgx.ErrNoRows, pgx.ErrTxClosed, pgx.ErrTxCommitRollback,
	context.Canceled, context.DeadlineExceeded,
}

// errorString is what a program can see of an error.
func errorString(err error) string {
	if err == nil {
		return "ok"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%T %q", err, err.Error())
	for _, k := range kinds {
		if errors.Is(err, k) {
			fmt.Fprintf(&b, " is %q", k)
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
		b.WriteString(" " + serverError(pe))
	}
	return b.String()
}

// serverError shows an error or a notice of the server, without its place in the server's sources, and without the lines
// that PL/pgSQL adds: their number depends on what has failed before in the same transaction.
func serverError(e *pgconn.PgError) string {
	where := e.Where
	if strings.Contains(where, "PL/pgSQL") {
		where = "PL/pgSQL"
	}
	return fmt.Sprintf("{%s %s %q detail=%q hint=%q position=%d internal=%d %q where=%q %s.%s.%s %s %s}", e.SeverityUnlocalized, e.Code, e.Message,
		e.Detail, e.Hint, e.Position, e.InternalPosition, e.InternalQuery, where, e.SchemaName, e.TableName, e.ColumnName, e.DataTypeName,
		e.ConstraintName)
}

// maxUserOID is the last object id that is the same in all databases (manual 70.2, FirstNormalObjectId).
const maxUserOID = 16383

func fieldsString(fields []pgconn.FieldDescription) string {
	var b strings.Builder
	for _, f := range fields {
		oid := f.DataTypeOID
		if oid > maxUserOID {
			oid = 0
		}
		fmt.Fprintf(&b, " %s:%d/%d/%d/%d", f.Name, oid, f.TypeModifier, f.DataTypeSize, f.Format)
	}
	return b.String()
}

func rowString(values []any) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprintf("%T(%v)", v, v)
	}
	return strings.Join(texts, " | ")
}
