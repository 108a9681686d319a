package provision

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrChanged says that somebody has really committed something in a worker database.
var ErrChanged = errors.New("txiso: the worker database is not as it was cloned")

// selectChanged finds out whether anything was ever committed in the database it runs in. A row that
// a transaction inserts, updates or deletes counts as a modification of its table (the catalogs,
// which hold the schema, included) when that transaction commits, and only then: rolling back adds
// to the dead rows. ANALYZE resets the count, but autovacuum analyzes only tables that have
// one, and that leaves a count, too. (PostgreSQL manual, pg_stat_all_tables: n_mod_since_analyze,
// autoanalyze_count; counts of shared catalogs are everybody's, but what autovacuum finds out about one is written into
// pg_statistic of whichever database it is in.)
const selectChanged = `SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relkind IN ('r', 'm') AND NOT relisshared
AND oid <> 'pg_catalog.pg_statistic'::regclass
AND (pg_catalog.pg_stat_get_mod_since_analyze(oid) > 0 OR pg_catalog.pg_stat_get_autoanalyze_count(oid) > 0))`

// Pristine returns [ErrChanged] if somebody has committed something in the database since it was
// cloned: a holder who was killed before he could Spoil it, or another program. conn must be a
// connection to it. It is one query, and none for a database that was cloned for this lease.
//
// The server's statistics tell. They know what was committed on connections that have ended,
// and lose that in a crash of the server (PostgreSQL 14 also within the last half second), as
// Spoil's mark does not.
func (w *WorkerDB) Pristine(ctx context.Context, conn *pgconn.PgConn) error {
	if w.fresh {
		return nil
	}
	results, err := conn.Exec(ctx, selectChanged).ReadAll()
	switch {
	case err != nil:
		return doing("looking for changes in "+w.name, err)
	case text(results[0], 0, 0) == "t":
		return fmt.Errorf("%w: %s; lease another", ErrChanged, w.name)
	}
	return nil
}

// Outgrown reports whether dead rows of rolled-back transactions have made the database larger than
// Config.Growth allows. It lets the server look at the size of every file of the database.
func (w *WorkerDB) Outgrown(ctx context.Context) (bool, error) {
	var size, template int64
	err := w.keeper.do(ctx, func(ctx context.Context, l *link) (err error) {
		if w.keeper.template != nil {
			template = w.keeper.template.Size
		}
		size, err = l.size(ctx, w.name)
		return err
	})
	if err != nil || template == 0 {
		return false, doing("looking at the size of "+w.name, err)
	}
	return size > 2*template+w.p.cfg.Growth, nil
}

func (l *link) size(ctx context.Context, name string) (int64, error) {
	results, err := l.exec(ctx, "SELECT pg_catalog.pg_database_size("+literal(name)+")")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text(results[0], 0, 0), 10, 64)
}
