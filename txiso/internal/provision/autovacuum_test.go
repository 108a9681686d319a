package provision_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// bait leaves something in a database that keeps an autovacuum worker there for long.
func bait(t *testing.T, cfg *pgx.ConnConfig) {
	t.Helper()
	conn := connect(t, cfg)
	for _, sql := range []string{
		`CREATE TABLE swept (n int) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
			autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)`,
		"INSERT INTO swept SELECT generate_series(1, 100000)",
		"DELETE FROM swept WHERE n % 2 = 0",
	} {
		execute(t, conn, sql)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func awaitAutovacuum(t *testing.T, database string) {
	t.Helper()
	observer := server(t)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var there bool
		err := observer.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'autovacuum worker')", database).Scan(&there)
		if err != nil {
			t.Fatal(err)
		}
		if there {
			return
		}
		if time.Now().After(deadline) {
			t.Skip("autovacuum does not come round")
		}
	}
}

// DROP DATABASE … WITH (FORCE) demands rights over everybody it meets, and a role that is no superuser has none over an
// autovacuum worker: its databases could not be dropped while one was there.
func TestAPlainRoleDropsADatabaseWhereAutovacuumIsAtWork(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	w := lease(t, p)
	bait(t, w.Config())
	awaitAutovacuum(t, w.Name())
	if err := w.Discard(t.Context()); err != nil {
		t.Error(err)
	}
}
