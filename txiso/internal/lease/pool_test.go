package lease_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"github.com/txiso/txiso-go/txiso/internal/lease"
	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// table is a Migrator that makes a table, t, whose dead rows stay where they are. Its fingerprint is a test's own.
type table string

func (m table) Fingerprint() (string, error) { return string(m), nil }

func (table) Migrate(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "CREATE TABLE t (id int PRIMARY KEY, v text) WITH (autovacuum_enabled = off)")
	return err
}

// config is what the pools of one test have in common; the databases are dropped when it ends.
func config(t *testing.T) lease.Config {
	t.Helper()
	cfg := lease.Config{Provision: provision.Config{DSN: pgtest.DSN(t), Migrator: table(rand.Text())}}
	t.Cleanup(func() {
		p := open(t, cfg)
		name := play(t, p, "SELECT")
		closeNow(t, p)
		drop(t, cfg.Provision.DSN, name[:strings.LastIndex(name, "_")])
	})
	return cfg
}

func drop(t *testing.T, dsn, template string) {
	t.Helper()
	conn := connect(t, dsn)
	for _, name := range names(t, dsn, template) {
		if _, err := conn.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	}
}

func open(t *testing.T, cfg lease.Config) *lease.Pool {
	t.Helper()
	p := lease.New(cfg)
	t.Cleanup(func() { closeNow(t, p) })
	return p
}

func closeNow(t *testing.T, p *lease.Pool) {
	t.Helper()
	if err := p.Close(bounded(t)); err != nil {
		t.Error(err)
	}
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func get(t *testing.T, p *lease.Pool) *lease.Lease {
	t.Helper()
	l, err := p.Get(bounded(t), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// play is a test that runs statements on a database of p's, whose name it returns.
func play(t *testing.T, p *lease.Pool, statements ...string) (name string) {
	t.Helper()
	l := get(t, p)
	db := stdlib.OpenDB(*l.Config())
	defer db.Close()
	for _, sql := range statements {
		if _, err := db.Exec(sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if findings, err := l.End(time.Minute); err != nil || len(findings) > 0 {
		t.Fatal(findings, err)
	}
	return l.Config().Database
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// oid tells databases of the same name apart; it is 0 if there is none.
func oid(t *testing.T, dsn, name string) (oid uint32) {
	t.Helper()
	err := connect(t, dsn).QueryRow(context.Background(), "SELECT coalesce(max(oid), 0)::oid FROM pg_database WHERE datname = $1", name).Scan(&oid)
	if err != nil {
		t.Fatal(err)
	}
	return oid
}

// awaitGone waits until nobody is connected to a database, so that the server has counted all that was done there.
func awaitGone(t *testing.T, dsn, name string) {
	t.Helper()
	conn := connect(t, dsn)
	for left := -1; left != 0; {
		if err := conn.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", name).Scan(&left); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(statisticsDelay(conn))
}

// statisticsDelay is how old statistics may be: PostgreSQL 14 writes them to a file.
func statisticsDelay(conn *pgx.Conn) time.Duration {
	if major, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), "."); major == "14" {
		return time.Second
	}
	return 0
}

// Another program, a person with psql, say, commits something in a worker database. The process that leased it cannot
// know; the next one can.
func TestADatabaseInWhichAnotherProgramHasCommittedIsReplaced(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	dsn := cfg.Provision.DSN
	first := open(t, cfg)
	name := play(t, first, "INSERT INTO t VALUES (1)")
	before := oid(t, dsn, name)
	other, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	other.Database = name
	conn, err := pgx.ConnectConfig(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	closeNow(t, first)
	awaitGone(t, dsn, name)
	if again := play(t, open(t, cfg), "INSERT INTO t VALUES (1)"); again == name && oid(t, dsn, name) == before {
		t.Error("the next process leased the same database")
	}
}

func TestADatabaseThatWasOnlyRolledBackIsKept(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	first := open(t, cfg)
	name := play(t, first, "INSERT INTO t VALUES (1)", "CREATE TABLE other (id int)")
	before := oid(t, cfg.Provision.DSN, name)
	closeNow(t, first)
	awaitGone(t, cfg.Provision.DSN, name)
	play(t, open(t, cfg), "INSERT INTO t VALUES (1)")
	if after := oid(t, cfg.Provision.DSN, name); after != before {
		t.Errorf("%s was replaced", name)
	}
}

// A statement that ends the outer transaction is refused before it is sent, so the test has to use go-txdb's own connection.
// The mark is there before the process could be killed, or anybody else could lease the database.
func TestADatabaseIsMarkedAsSoonAsTheOuterTransactionHasEnded(t *testing.T) {
	cfg := config(t)
	p := open(t, cfg)
	l := get(t, p)
	db := stdlib.OpenDB(*l.Config())
	defer db.Close()
	if _, err := db.Exec("INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	commitOuter(t)
	var marker string
	err := connect(t, cfg.Provision.DSN).QueryRow(t.Context(),
		"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", l.Config().Database).Scan(&marker)
	if err != nil || !strings.Contains(marker, `"spoiled"`) {
		t.Errorf("the database passes for pristine: marker %s, %v", marker, err)
	}
	if _, err := l.End(time.Minute); err == nil || !strings.Contains(err.Error(), "the outer transaction was ended") {
		t.Errorf("its end said %v", err)
	}
	play(t, p, "INSERT INTO t VALUES (1)")
}

// commitOuter commits by the driver that go-txdb runs on, in the session that was opened last.
func commitOuter(t *testing.T) {
	t.Helper()
	registry, err := sql.Open("txiso-control", "")
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	var newest driver.Conn
	for id := range 10_000 {
		if conn, err := registry.Driver().Open(strconv.Itoa(id)); err == nil { // else that one is closed
			newest = conn
		}
	}
	if err := newest.(driver.Tx).Commit(); err == nil {
		t.Error("the session has survived the end of its outer transaction")
	}
}

func TestADatabaseThatDeadRowsHaveFilledIsReplaced(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Provision.Growth = 1 << 20
	p := open(t, cfg)
	name := play(t, p, "SELECT")
	closeNow(t, p)
	before := oid(t, cfg.Provision.DSN, name)
	fill := "INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 12000) n"
	again := open(t, cfg)
	if got := play(t, again, fill); got != name {
		t.Fatalf("leased %s, want %s", got, name)
	}
	if after := oid(t, cfg.Provision.DSN, name); after == before {
		t.Error("it is kept after the first test that filled it")
	}
	for range 3 {
		play(t, again, "SELECT")
	}
	if n := len(names(t, cfg.Provision.DSN, name[:strings.LastIndex(name, "_")])); n != 2 {
		t.Errorf("%d databases, want the template and one clone", n)
	}
}

func names(t *testing.T, dsn, template string) []string {
	t.Helper()
	rows, _ := connect(t, dsn).Query(context.Background(), "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", template)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// late is a context whose deadline has passed and whose timer has not run yet, as happens on a busy machine.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

// A dial that has seen the deadline of one test's context failed for that test only. The others were told for ten seconds
// that nobody answered.
func TestADeadlineFailsOneTestOnly(t *testing.T) {
	p := open(t, config(t))
	_, err := p.Get(late{t.Context()}, t.Logf)
	if err == nil || !strings.Contains(err.Error(), "give the test more time") {
		t.Errorf("%v, want an error that names the test's time", err)
	}
	play(t, p, "SELECT")
}

// The server had no connection, then it had one, and meanwhile the deadline had passed: what was opened belonged to nobody.
func TestWhatWasOpenedAtTheLastMomentIsNotLost(t *testing.T) {
	p := open(t, lease.Config{})
	tries := 0
	err := p.WhenCrowded(late{t.Context()}, func() error {
		if tries++; tries == 1 {
			return &pgconn.PgError{Code: "53300"}
		}
		return nil
	})
	if err != nil || tries != 2 {
		t.Errorf("%d tries: %v", tries, err)
	}
}

// limited gives a pool a role that may have n connections.
func limited(t *testing.T, cfg *lease.Config, n int) {
	t.Helper()
	role := "txiso_test_" + strings.ToLower(rand.Text())
	conn := connect(t, cfg.Provision.DSN)
	if _, err := conn.Exec(context.Background(), fmt.Sprintf("CREATE ROLE %s LOGIN CREATEDB CONNECTION LIMIT %d", role, n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), "DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	if !strings.Contains(cfg.Provision.DSN, "://") {
		cfg.Provision.DSN += " user=" + role
		return
	}
	u, err := url.Parse(cfg.Provision.DSN)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	cfg.Provision.DSN = u.String()
}

// Sessions that waited for tests to come kept a pool from making what a test needed now, and from dropping what had to go.
func TestSessionsThatWaitGiveWay(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	dsn := cfg.Provision.DSN
	const sessions = 4
	limited(t, &cfg, 1+sessions)
	p := open(t, cfg)
	var leases []*lease.Lease
	for range sessions {
		leases = append(leases, get(t, p))
	}
	template := leases[0].Config().Database
	t.Cleanup(func() { closeNow(t, p); drop(t, dsn, template[:strings.LastIndex(template, "_")]) })
	for _, l := range leases {
		if _, err := l.End(time.Minute); err != nil {
			t.Error(err)
		}
	}
	began := time.Now()
	clone, err := p.Clone(bounded(t), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	if err := clone.Drop(bounded(t)); err != nil {
		t.Error(err)
	}
	if waited := time.Since(began); waited > lease.Crowded/2 {
		t.Errorf("it has waited for %v", waited)
	}
	play(t, p, "SELECT")
}

// One process kept as many connections as it had once needed, up to its end, and others had none.
func TestSessionsThatNobodyNeedsAreGivenUp(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.ColdAfter = 50 * time.Millisecond
	p := open(t, cfg)
	one, two, three := get(t, p), get(t, p), get(t, p)
	name := one.Config().Database
	template := name[:strings.LastIndex(name, "_")]
	for _, l := range []*lease.Lease{one, two, three} {
		if _, err := l.End(time.Minute); err != nil {
			t.Error(err)
		}
	}
	conn := connect(t, cfg.Provision.DSN)
	for left := -1; left != 1; time.Sleep(time.Millisecond) {
		if err := conn.QueryRow(bounded(t), "SELECT count(*) FROM pg_stat_activity WHERE datname ~ $1", "^"+template+"_[0-9]+$").Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			t.Fatal("none is left")
		}
	}
	if again := play(t, p, "SELECT"); again != three.Config().Database {
		t.Errorf("the warmest was %s, left was %s", three.Config().Database, again)
	}
}

// The migrations' own connection was the one that the server had no place for, and that was taken for a failure of theirs.
func TestMigrationsWaitForAConnection(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	dsn := cfg.Provision.DSN
	limited(t, &cfg, 3)
	cfg.Provision.Migrator = table(rand.Text())
	other := connect(t, cfg.Provision.DSN)
	time.AfterFunc(300*time.Millisecond, func() { _ = other.Close(context.Background()) })
	p := open(t, cfg)
	name := play(t, p, "SELECT")
	closeNow(t, p)
	drop(t, dsn, name[:strings.LastIndex(name, "_")])
}
