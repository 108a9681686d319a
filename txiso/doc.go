// Package txiso gives every Go test its own PostgreSQL, at the price of a BEGIN and a ROLLBACK, and the code under test
// cannot tell.
//
//	var iso = txiso.New(txiso.Config{Migrations: migrations.FS})
//
//	func TestTransfer(t *testing.T) {
//		t.Parallel()
//		db := iso.DB(t) // *sql.DB of its own; everything is rolled back when t and its subtests end
//		…
//	}
//
// # What happens
//
// The migrations run once, into a template database that is named by their fingerprint. A process leases worker
// databases, clones of the template, one for each test that runs at the same time. A test holds its worker database
// alone; what it does runs inside one outer transaction, opened and rolled back by go-txdb on a connection that stays
// warm from test to test.
//
// The code under test holds genuine pgx connections (database/sql through pgx's stdlib, or a pgxpool.Pool), as many as
// it likes. They end in this process, where a session passes their statements on to the one physical connection, makes
// savepoints of their transactions, and guards every statement outside a transaction by a savepoint of its own. So a
// failed statement, a cancelled context, two goroutines with transactions (one after the other) or a deferred constraint
// behave as on a private database.
//
// Subtests can share what their parent has built: [Iso.Nested].
//
// # The server
//
// [Config.DSN] names it, else the TXISO_DSN variable. Without both the embedded server is used: a PostgreSQL found on the
// machine, started by the first test process that needs it, shared by all processes of the user, without a TCP port, and
// stopped by itself when nobody has used it for a minute. Nothing is downloaded unless TXISO_POSTGRES_URL says from where.
// Variables for it:
//
//	TXISO_POSTGRES_BIN  the directory with initdb and postgres, instead of a search of the machine
//	TXISO_POSTGRES_URL  base URL of a repository with the embedded-postgres-binaries artifacts, for machines without PostgreSQL
//	TXISO_HOME          where its data directory lives, instead of txiso in the user's cache directory
//	TXISO_IDLE_TIMEOUT  how long an unused server lives on, a Go duration of half a second or more; default 60s. Of processes
//	                    that share the server the one that came last decides
//
// And on any server:
//
//	TXISO_KEEP          1 keeps the databases of failed tests, see [Config.KeepFailed]
//	TXISO_STALE_AFTER   how long a template must be unused for a later run to drop it, a Go duration; default 168h
//
// # When a test fails
//
// A test that fails, whoever makes it fail, has its last twenty statements in its log:
//
//	--- FAIL: TestTransfer (0.01s)
//	    bank_test.go:31: the balance is 90, want 110
//	    txiso.go:240: txiso: the last statements of this test:
//	            begin; -- BEGIN, 3µs
//	            UPDATE accounts SET balance = balance - $1 WHERE id = $2; -- $1 = 10, $2 = 1: 1 row, 212µs
//	            commit; -- COMMIT, 9µs
//
// `go test -artifacts` keeps all of them (the last 20,000), in the file txiso-statements.sql of the test's artifacts. Long statements and
// arguments are shortened; literals and arguments of statements that deal with passwords are left out. Statements of other
// drivers on the test's session (examples/otherclients) are told, too; those on [Iso.Clone] are not. A test that passes logs
// nothing, but for one line when a data directory is made, or when a clone that an earlier test gave back could not be dropped.
//
// A test that ends with something open fails, with the line that opened it, unless [Config.AllowLeaks] is set:
//
//	txiso.go:240: txiso: the test has ended, but the rows of the query at /home/ann/bank/store.go:52 are not closed;
//	    close them (defer rows.Close()), or Scan the row of QueryRow, or set Config.AllowLeaks
//
// Of a connection that is the line that first read rows on it or used it a second time, or with [Config.Strict] the one that took it.
// What is closed within half a second of the test's end does not count. A test that has failed or was skipped has a line about it in its
// log instead.
//
// [Config.Strict] fails tests that use db where tx was meant, and says where:
//
//	txiso.go:240: txiso: the statement at /home/ann/bank/store.go:71 was sent on another connection while the transaction
//	    begun at /home/ann/bank/store.go:60 was open; send it on the transaction, or end that first (Config.Strict reports this)
//
// # One database for all tests of a process
//
// A test has a worker database of its own, so tests that run at the same time do not wait for each other (but for roles,
// which are the server's). With [Config.Shared] they run in one, each in its own transaction, because the clones of a huge
// seed would cost more than that is worth. Then a test waits where on any database a transaction waits for another one, and
// what it has locked it holds until it ends:
//
//   - the same unique key in two tests, the same row updated or locked by two tests: the second waits for the end of the
//     first, ten seconds at most ([Config.BeginTimeout], which becomes lock_timeout unless the DSN has that parameter; in its options it does not count), and fails with
//     SQLSTATE 55P03 and a hint that says so; tests that wait for each other fail with 40P01;
//   - CREATE, ALTER, DROP, TRUNCATE and LOCK TABLE keep all other tests from the table, or the name;
//   - session advisory locks are everybody's, and sequences go on under the hands of all;
//   - a test that really commits something, past all that keeps it from doing so, changes what the tests beside it see: they
//     are told at their end, and those that come get another database.
//
// What a test has not committed no other sees: isolation is what it was.
//
// # Limits
//
// The transaction of a test is never committed, so what needs a real commit does not happen: LISTEN and NOTIFY, other
// processes that look at the data, VACUUM, CREATE DATABASE and CREATE INDEX CONCURRENTLY (PostgreSQL refuses the last
// three with SQLSTATE 25001). [Iso.Clone] gives such a test a private database with real commits.
//
// now() and CURRENT_TIMESTAMP stand still from a test's first statement to its end; clock_timestamp() does not.
//
// Transactions of one test run one after the other: a BEGIN waits while another connection's transaction is open, ends
// with an error that names both places when that takes too long, and at once (a quarter of a second) when the goroutine
// waits for itself.
//
// A statement on the pool while a transaction is open on another connection runs inside that transaction. When the
// transaction is rolled back the statement's changes go with it, and the test fails with a message that says so.
//
// Temporary tables, session advisory locks and the names of PREPARE are shared by all connections of the test, and by no
// other test (but for names that functions of the schema have prepared, and with [Config.Shared] advisory locks). Settings
// (SET, parameters of a connection string) are a connection's own.
//
// Roles are the server's. Ids go on where the test before has left them, unless [Config.ResetSequences] is set.
// transaction_isolation shows read committed. A value that a test adds to an enum cannot be used in that test, because that takes
// a commit. All known limits, each with its remedy and its price, are in docs/limits.md of the repository.
package txiso
