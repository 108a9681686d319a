package provision

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// admin opens a connection for statements that may take long. Close it with hangUp.
func (p *Provisioner) admin(ctx context.Context) (*link, error) {
	return dial(ctx, p.base, "admin")
}

// hangUp closes an admin connection whatever happened to the caller's context.
func (l *link) hangUp() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.close(ctx) // the server notices either way
}

// create makes a database with our birthmark. The caller holds the lock of name.
func (l *link) create(ctx context.Context, name, template, strategy string) error {
	statement := fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s CONNECTION LIMIT %d %s", name, template, birthmark(l.home), strategy)
	for retries := 0; ; retries++ {
		_, err := l.exec(ctx, statement)
		// PostgreSQL waits five seconds for other users of the template to leave.
		if sqlState(err) != objectInUse || retries == 2 {
			return err
		}
		if err := l.empty(ctx, template, strangersTimeout); err != nil {
			return err
		}
	}
}

// bigTemplate is the size from which a template is cloned with FILE_COPY.
const bigTemplate = 64 << 20

// strategy chooses how CREATE DATABASE copies (PostgreSQL manual, CREATE DATABASE). WAL_LOG, the
// server's default, copies through the buffers and the log: everything is written twice. FILE_COPY
// costs two checkpoints, then the copy of the files. Versions before 15 know only the latter.
//
// Measured with go test -run '^$' -bench Strategy ./txiso/internal/provision, on ext4 with two busy
// cores: nothing between them for 10 tables; for 100 MB FILE_COPY takes 0.6 to 0.8 times as long
// (PostgreSQL 15 and 18). Many small files cost more than their bytes and gain nothing for certain.
// PostgreSQL 18's file_copy_method = clone is a tenth better still, which is no reason to risk a
// file system that cannot: who has one that shares blocks (XFS, Btrfs, ZFS, APFS) sets it in the
// server's configuration, and it counts here.
func strategy(major int, size int64) string {
	if major < 15 || size < bigTemplate {
		return ""
	}
	return "STRATEGY FILE_COPY"
}

func comment(name string, m marker) string {
	return "COMMENT ON DATABASE " + name + " IS " + literal(m.String())
}

// drop removes a database of ours. The caller holds its lock. DROP DATABASE sleeps 100 ms when it
// finds somebody connected, even if he is just leaving: empty waits for that in smaller steps.
//
// FORCE is for those who have come since, or come back faster than they can be sent away. It demands rights over everybody it finds,
// autovacuum workers included, over whom a plain role has none; without it PostgreSQL sends those away itself (dropdb in dbcommands.c).
//
// Who may not be sent away is waited for as long as strangers says, see [link.empty].
func (l *link) drop(ctx context.Context, name string, strangers time.Duration) error {
	if err := l.empty(ctx, name, strangers); err != nil && !errors.Is(err, errTheyStay) {
		return err
	}
	err := l.dropForced(ctx, name)
	if sqlState(err) == objectInUse && l.rollBackPrepared(ctx, name) == nil {
		err = l.dropForced(ctx, name)
	}
	return doing("dropping "+name, err)
}

func (l *link) dropForced(ctx context.Context, name string) error {
	_, err := l.exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	if sqlState(err) == insufficientPrivilege {
		_, err = l.exec(ctx, "DROP DATABASE IF EXISTS "+name)
	}
	return err
}

// rollBackPrepared ends the transactions that somebody has left prepared in a database, where alone that can be done: they outlive
// their connections, and a database that has some cannot be dropped.
func (l *link) rollBackPrepared(ctx context.Context, name string) error {
	base := l.base.Copy()
	base.Database = name
	there, err := dial(ctx, base, "admin")
	if err != nil {
		return err
	}
	defer there.hangUp()
	results, err := there.exec(ctx, "SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE database = current_database()")
	if err != nil {
		return err
	}
	for i := range results[0].Rows {
		if _, err := there.exec(ctx, text(results[0], i, 0)); err != nil {
			return err
		}
	}
	return nil
}

const (
	// The first and the longest pause between two looks at who is still connected.
	emptyStep    = 500 * time.Microsecond
	emptyStepMax = 20 * time.Millisecond
	// emptyTimeout is for those who are sent away.
	emptyTimeout = 10 * time.Second
	// strangersTimeout is for those who cannot be: they may be leaving, as a connection of ours is that was closed a moment ago.
	strangersTimeout = 2 * time.Second
	// passTimeout is the same where another database would do as well, or where a later run can do it.
	passTimeout = 100 * time.Millisecond
)

var errTheyStay = fmt.Errorf("they do not leave within %s", emptyTimeout)

// empty ends all connections to a database and waits until they are gone. Those that the role must not end it waits for no longer than
// strangers says, and then fails.
func (l *link) empty(ctx context.Context, name string, strangers time.Duration) error {
	return doing("disconnecting other users of "+name, l.sendAway(ctx, visitors(name, "true"), strangers))
}

// pass is empty for a database in whose place there are others.
func (l *link) pass(ctx context.Context, name string) error { return l.empty(ctx, name, passTimeout) }

// vacate is empty for a database that is to be leased: who must not be sent away, such as a program that watches over all databases, is
// in nobody's way as long as no transaction of his is open.
func (l *link) vacate(ctx context.Context, name string) error {
	atWork := "EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid)"
	return doing("disconnecting other users of "+name, l.sendAway(ctx, visitors(name, atWork), passTimeout))
}

// visitors sends away whom the role may, and counts them, and those of the others that are in the way.
//
// The rule is pg_terminate_backend's (pg_signal_backend in signalfuncs.c). Autovacuum workers do not count: PostgreSQL itself sends them
// away when they are in the way. They are told by having no user, because their backend_type is hidden from a role that is no superuser.
func visitors(name, inTheWay string) string {
	return `SELECT count(CASE WHEN may THEN pg_terminate_backend(pid) END), count(*) FILTER (WHERE NOT may AND there),
string_agg(DISTINCT quote_ident(usename), ', ') FILTER (WHERE NOT may AND there)
FROM (SELECT a.pid, coalesce(r.rolname, '?') AS usename, ` + inTheWay + ` AS there,
	me.rolsuper OR NOT coalesce(r.rolsuper, false) AND (pg_has_role(a.usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')) AS may
	FROM pg_stat_activity a JOIN pg_roles me ON me.rolname = current_user LEFT JOIN pg_roles r ON r.oid = a.usesysid
	WHERE a.datname = ` + literal(name) + ` AND a.usesysid IS NOT NULL) v`
}

func (l *link) sendAway(ctx context.Context, visitors string, strangers time.Duration) error {
	// A statement that is given up would cost the connection, so this bounds the pauses only.
	patience, cancel := context.WithTimeoutCause(ctx, emptyTimeout, errTheyStay)
	defer cancel()
	began := time.Now()
	for pause := emptyStep; ; pause = min(2*pause, emptyStepMax) {
		results, err := l.exec(ctx, visitors)
		if err != nil {
			return err
		}
		sentAway, _ := strconv.Atoi(text(results[0], 0, 0))
		staying, _ := strconv.Atoi(text(results[0], 0, 1))
		switch {
		case sentAway == 0 && staying == 0:
			return nil
		case sentAway == 0 && time.Since(began) > strangers:
			return fmt.Errorf("it is in use by %s, whom the role %s may not disconnect; "+
				"end those connections, or keep that program from databases that start with txiso_", text(results[0], 0, 2), identifier(l.role))
		}
		if err := sleep(patience, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
