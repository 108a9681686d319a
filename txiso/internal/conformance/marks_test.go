package conformance_test

// limits are the behaviours in which txiso cannot be as plain is: why, and the remedy. Everything else must be equal.
var limits = map[string]string{
	"a setting of one's own that was rolled back": placeholder,

	"an error inside a function tells where": plpgsqlContext,

	"others do not see what is not committed":                                       oneTransaction,
	"a statement on the handle stays when the transaction beside it is rolled back": oneTransaction,
	"a failed transaction recovers by its savepoint while others work":              oneTransaction,
	"a savepoint takes back what its own transaction did":                           oneTransaction,
	"a statement beside a read-only transaction may write":                          oneTransaction,
	"a repeatable read does not see what others insert":                             oneTransaction,
	"two transactions open at once in one goroutine":                                twoTransactions,
	"a row lock makes others wait or fail":                                          oneBackend,
	"advisory locks keep other connections out":                                     oneBackend,
	"each connection has a backend of its own":                                      oneBackend,
	"temporary tables are a connection's own":                                       oneBackend,
	"currval is a connection's own":                                                 oneBackend,
	"advisory locks of a transaction end with it":                                   advisoryEnd,
	"the first value of a sequence":                                                 sequences,
	"LISTEN and NOTIFY":                                                             notify,
	"listening channels":                                                            notify,
	"a cursor WITH HOLD does not keep its table in use":                             holdCursor,
	"a large object's descriptor ends with its transaction":                         descriptors,
	"now() moves from statement to statement":                                       now,
	"transactions have ids of their own":                                            now,
	"the isolation level shown":                                                     isolation,
	"a procedure that commits":                                                      procedures,
	"a DO that commits":                                                             procedures,
	"PREPARE TRANSACTION":                                                           twoPhase,
	"what only looks like transaction control":                                      twoPhase,
	"a value added to an enum can be used":                                          enum,
	"VACUUM":                                                                        outside,
	"CREATE INDEX CONCURRENTLY":                                                     outside,
	"REINDEX CONCURRENTLY":                                                          outside,
	"CREATE DATABASE":                                                               outside,
	"a deferred trigger that writes rows with deferred checks":                      nested,
	"others work while a COPY waits for its data":                                   copyWaits,
	"ON COMMIT DROP in a function":                                                  onCommit,
	"PREPARE and EXECUTE as SQL":                                                    oneBackend,
	"statements prepared by SQL and by the protocol are the same":                   oneBackend,
	"a statement of another connection is not found":                                oneBackend,
	"pg_prepared_statements lists the connection's own":                             oneBackend,
}

const (
	plpgsqlContext = "After an expression of a PL/pgSQL function has failed once in a transaction, PostgreSQL evaluates it in another way " +
		"in the rest of that transaction, and the context of its next error has a line more. " +
		"Everything else of the error is equal. Do not compare PgError.Where, or use Clone."
	oneTransaction = "The statements of other connections run inside the transaction that is open: they see what it has done, it sees what they do, " +
		"they are read-only if it is, and are undone with it, which the test is told at its end. Run them on the transaction, or use Clone."
	twoTransactions = "The transactions of one test run one after the other; one that waits for its own goroutine ends with an error " +
		"that names both places. End the first before the second begins, or use Clone."
	oneBackend = "The connections of one test share one backend: its locks, its temporary tables, " +
		"its sequences' last values, the names of SQL's PREPARE, its process id. Use Clone where connections must keep each other out."
	advisoryEnd = "An advisory lock of a transaction is held until the end of the test when its transaction was committed. Nobody else wants it, " +
		"because advisory locks are a database's own; only pg_locks shows it."
	sequences   = "Sequences are not rolled back, so a test sees ids go on where the test before it has left them. Do not expect an id, or set Config.ResetSequences."
	notify      = "LISTEN takes effect and NOTIFY delivers at a real commit. Use Clone."
	descriptors = "A large object's descriptor stays open until the end of the test when its transaction was committed. Use Clone."
	holdCursor  = "What a cursor WITH HOLD reads is in use until it is closed, because no commit has copied its rows (SQLSTATE 55006). Close it first, or use Clone."
	now         = "now(), CURRENT_TIMESTAMP and the transaction id are those of the test's outer transaction. Use clock_timestamp() or statement_timestamp(), or Clone."
	isolation   = "Isolation levels are accepted and their promises hold, since nobody else uses the database, but transaction_isolation shows the outer transaction's level. Use Clone to test the level itself."
	procedures  = "A procedure or DO block cannot commit inside the outer transaction: PostgreSQL refuses it with SQLSTATE 2D000. Use Clone."
	twoPhase    = "Two-phase commit needs real transactions: PREPARE TRANSACTION, COMMIT PREPARED and ROLLBACK PREPARED are refused with an error that says so. Use Clone."
	placeholder = "A setting with a name of its own (my.var) that was set and rolled back is the empty string afterwards, not NULL, as after any ROLLBACK in PostgreSQL, but also in the next test on the same connection. Treat both alike."
	enum        = "A value that ALTER TYPE … ADD VALUE has added cannot be used before a real commit (SQLSTATE 55P04). Add it in a migration, make the type anew in the test, or use Clone."
	outside     = "PostgreSQL refuses this inside a transaction (SQLSTATE 25001), and the error's hint names the remedy: Clone."
	nested      = "When a deferred trigger's writes have deferred checks of their own, a failure of those tells the trigger as its context (PgError.Where). Do not compare it, or use Clone."
	copyWaits   = "While a COPY FROM STDIN of one connection waits for its data, the others of the test wait for its end, with a bound. End it first, or use Clone."
	onCommit    = "ON COMMIT DROP and ON COMMIT DELETE ROWS do not happen to a temporary table that a function has created, or that has been renamed. Drop the table, or use Clone."
)

// bugs are the behaviours in which txiso differs and should not.
var bugs = map[string]string{}
