package provision

import (
	"context"
	"iter"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// database is a database with a name of ours.
type database struct {
	name   string
	mark   *marker // nil unless the database is complete and ours
	spare  bool    // a slot that nobody has used: it has the birthmark alone, and mark is what that says
	orphan bool    // ours by its birthmark, but incomplete
	broken bool    // half dropped: DROP DATABASE was interrupted (datconnlimit = -2)
	busy   bool    // somebody is connected to it; autovacuum makes way

	dropping bool // half dropped, because somebody is at it
}

// complete reports whether the database can be used.
func (d *database) complete() bool {
	return d != nil && d.mark != nil && !d.broken && d.mark.Kind != kindSpoiled
}

// droppable reports whether the database is ours to drop, given its lock.
func (d *database) droppable() bool { return d != nil && (d.mark != nil || d.orphan) }

const selectDatabases = `SELECT datname, shobj_description(oid, 'pg_database'), datconnlimit,
pg_get_userbyid(datdba) = current_user, oid IN (SELECT datid FROM pg_stat_get_activity(NULL) WHERE datid IS NOT NULL
AND backend_type IS DISTINCT FROM 'autovacuum worker'),
datconnlimit = -2 AND EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass
AND l.objid = pg_database.oid AND l.mode = 'AccessExclusiveLock' AND l.granted)
FROM pg_database`

const selectLocks = `SELECT (classid::int8 << 32) | objid::int8 FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 1 AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// survey is what the server looked like a moment ago: good for choosing, never for deciding.
type survey struct {
	databases []*database // those of our role
	held      map[int64]bool
}

const selectSurvey = selectDatabases + ` WHERE datname LIKE 'txiso\_%'; ` + selectLocks

func (l *link) survey(ctx context.Context) (*survey, error) {
	results, err := l.exec(ctx, selectSurvey)
	if err != nil {
		return nil, err
	}
	return l.readSurvey(results), nil
}

// readSurvey reads the results of selectSurvey.
func (l *link) readSurvey(results []*pgconn.Result) *survey {
	s := &survey{databases: l.databases(results[0]), held: make(map[int64]bool)}
	for i := range results[1].Rows {
		key, _ := strconv.ParseInt(text(results[1], i, 0), 10, 64)
		s.held[key] = true
	}
	return s
}

// named returns the database of a name, nil if there is none.
func (s *survey) named(name string) *database {
	for _, d := range s.databases {
		if d.name == name {
			return d
		}
	}
	return nil
}

// locked reports whether anybody, this process included, held the lock of name.
func (s *survey) locked(name string) bool { return s.held[lockKey(name)] }

// look returns the database of a name of ours, nil if there is none.
func (l *link) look(ctx context.Context, name string) (*database, error) {
	results, err := l.exec(ctx, selectDatabase(name))
	if err != nil {
		return nil, err
	}
	return l.first(results[0]), nil
}

func selectDatabase(name string) string {
	return selectDatabases + " WHERE datname = " + literal(name)
}

func (l *link) first(rows *pgconn.Result) *database {
	if len(rows.Rows) == 0 {
		return nil
	}
	return l.database(rows, 0)
}

func (l *link) databases(rows *pgconn.Result) []*database {
	var dbs []*database
	for i := range rows.Rows {
		dbs = append(dbs, l.database(rows, i))
	}
	return dbs
}

func (l *link) database(rows *pgconn.Result, i int) *database {
	d := &database{name: text(rows, i, 0)}
	limit, _ := strconv.Atoi(text(rows, i, 2))
	d.broken = limit == -2
	d.busy, d.dropping = text(rows, i, 4) == "t", text(rows, i, 5) == "t"
	kept := ourKeptName.MatchString(d.name)
	if ours := text(rows, i, 3) == "t" && (kept || ourName.MatchString(d.name)); !ours {
		return d
	}
	comment := text(rows, i, 1)
	if m := parseMarker(comment); m != nil && m.Home == l.home && (kept && m.Kind == kindKept || m.Fingerprint == fingerprintOf(d.name)) {
		d.mark = m
	}
	bare := !kept && comment == ""
	if d.spare = bare && limit == birthmark(l.home) && numbered(d.name); d.spare {
		d.mark = &marker{Kind: kindSlot, Fingerprint: fingerprintOf(d.name), Home: l.home}
	}
	// The birthmark of one that is half dropped is gone. Nobody can do anything with it but drop it.
	d.orphan = bare && !d.spare && (d.broken || limit == birthmark(l.home))
	return d
}

// slots yields the names of the complete slots of a fingerprint, the spare ones or the others.
func (s *survey) slots(fingerprint string, spare bool) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, d := range s.databases {
			fits := d.complete() && d.mark.Kind == kindSlot && d.spare == spare && d.mark.Fingerprint == fingerprint
			if fits && !yield(d.name) {
				return
			}
		}
	}
}
