// Package session runs one test's statements inside one outer transaction of one physical connection, in such a way that
// the code under test believes that it has a PostgreSQL of its own.
//
// A [Session] owns a physical connection that pgconn opened. Above it are virtual connections: net.Conn values that pgx
// (or any other client that can be given a dialer) speaks the PostgreSQL protocol to. Nothing is wrapped, so everything a
// genuine connection can do is there; the session reads the messages that pass and changes only what transaction control
// requires:
//
//   - go-txdb opens the outer transaction and rolls it back, over a driver that hands both to the session (control.go);
//   - an exchange, which is a request of one virtual connection up to its ReadyForQuery, has the physical connection to
//     itself; others wait, and who waits drains the owner's answer into the owner's buffer (schedule.go);
//   - a savepoint, the guard, is set ahead of every exchange outside an app transaction, so that a statement that fails
//     undoes itself and nothing else (the first of a test does without one); BEGIN keeps the guard open until COMMIT
//     releases it or ROLLBACK returns to it (guard.go, transaction.go);
//   - prepared statements belong to virtual connections and are kept on the server beyond them (statements.go);
//   - what a test sends is remembered, and what it leaves open is found, in case it fails (journal.go, places.go, leaks.go);
//   - deferred constraints are checked where a commit would check them (deferred.go).
//
// The frontend's messages become server messages in translate.go, the server's answers become the frontend's in
// reply.go. Both directions run on the goroutines of the code under test; the package starts none for them.
//
// The message formats are those of the PostgreSQL manual, section 55.7 "Message Formats"; the flow is section 55.2.
package session
