package provision

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// link is a connection to the maintenance database and what it learned about the server.
type link struct {
	conn  *pgconn.PgConn
	base  *pgx.ConnConfig
	major int    // major version of the server
	home  string // current_database()
	role  string // current_user
	ahead time.Duration

	collation string // version of the collations of template0, "" if it has none
	ascii     bool   // template0 knows no encoding, and could have any
}

// now is what the server's clock shows. Databases are dated by it, whichever machine's processes use them: by a clock
// that is a week fast, all would be stale.
func (l *link) now() time.Time { return time.Now().Add(l.ahead) }

// prelude makes the connection independent of what the role or the server set for applications: no timeout may end a wait, and
// each statement must see what was committed before it. What this process holds must be free when its machine is gone without a
// word, after a minute instead of the hours that operating systems take (it means nothing on a unix socket).
//
// These are statements, because a pooler refuses a startup parameter that it does not know (PgBouncer's
// ignore_startup_parameters).
const prelude = `SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET idle_session_timeout = 0;
SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('transaction_timeout', true) <> '0';
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SELECT current_database(), current_user, pg_is_in_recovery(), rolsuper OR rolcreatedb, extract(epoch FROM clock_timestamp()),
pg_encoding_to_char(t.encoding) = 'SQL_ASCII' AND t.datctype IN ('C', 'POSIX') AND t.datcollate IN ('C', 'POSIX'), `

// preludeEnd is the end of its last statement: versions before 15 do not know that of a database's collations.
func preludeEnd(major int) string {
	version := "NULL"
	if major >= 15 {
		version = "pg_database_collation_actual_version(t.oid)"
	}
	return version + " FROM pg_roles, pg_database t WHERE rolname = current_user AND t.datname = 'template0'"
}

// dial connects and checks the server. purpose is shown in pg_stat_activity.
func dial(ctx context.Context, base *pgx.ConnConfig, purpose string) (*link, error) {
	cfg := base.Config.Copy()
	cfg.RuntimeParams["application_name"] = applicationName(purpose)
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectError(ctx, base, err)
	}
	return greeted(ctx, conn, base, "")
}

// firstLink is the keeper's link: on conn, or on a connection of its own if that is nil.
func firstLink(ctx context.Context, conn *pgconn.PgConn, base *pgx.ConnConfig) (*link, error) {
	if conn == nil {
		return dial(ctx, base, "keeper")
	}
	return greeted(ctx, conn, base, fmt.Sprintf("SET application_name = %s;\n", literal(applicationName("keeper"))))
}

// greeted makes a link of a connection, which it closes if that fails.
func greeted(ctx context.Context, conn *pgconn.PgConn, base *pgx.ConnConfig, first string) (*link, error) {
	l := &link{conn: conn, base: base}
	if err := l.greet(ctx, first); err != nil {
		l.close(ctx)
		return nil, err
	}
	return l, nil
}

func applicationName(purpose string) string {
	name := fmt.Sprintf("txiso %s %d %s", purpose, os.Getpid(), filepath.Base(os.Args[0]))
	return name[:min(len(name), 63)] // NAMEDATALEN-1, else the server would say so in a notice
}

func (l *link) greet(ctx context.Context, first string) error {
	version := l.conn.ParameterStatus("server_version")
	if l.major = majorVersion(version); l.major < oldestSupported {
		return versionError(version)
	}
	results, err := l.exec(ctx, first+prelude+preludeEnd(l.major))
	if err != nil {
		return err
	}
	row := results[len(results)-1]
	l.home, l.role = text(row, 0, 0), text(row, 0, 1)
	l.ascii, l.collation = text(row, 0, 5) == "t", text(row, 0, 6)
	if now := moment(text(row, 0, 4)); !now.IsZero() {
		l.ahead = time.Until(now)
	}
	return usable(l.role, text(row, 0, 2) == "t", text(row, 0, 3) == "t")
}

// majorVersion reads the leading number of server_version ("15.18 (Debian …)", "19beta1"); 0 if
// there is none.
func majorVersion(version string) int {
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	major, _ := strconv.Atoi(version[:end])
	return major
}

// exec runs statements, separated by semicolons, in one round trip of the simple protocol.
func (l *link) exec(ctx context.Context, sql string) ([]*pgconn.Result, error) {
	results, err := l.conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, l.statementError(err)
	}
	return results, nil
}

func (l *link) lost() bool { return l.conn.IsClosed() }

func (l *link) close(ctx context.Context) error { return l.conn.Close(ctx) }

func text(r *pgconn.Result, row, column int) string {
	if row >= len(r.Rows) {
		return ""
	}
	return string(r.Rows[row][column])
}

// literal quotes s for any setting of standard_conforming_strings.
func literal(s string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// identifier quotes a name.
func identifier(name string) string { return pgx.Identifier{name}.Sanitize() }
