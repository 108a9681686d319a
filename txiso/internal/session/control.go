package session

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/DATA-DOG/go-txdb"
	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// control is go-txdb's end of a session: go-txdb over a driver that hands its statements to the session. Its BEGIN opens the
// outer transaction and its Close rolls it back.
type control struct {
	s    *Session
	id   string
	conn *conn // no client has it: it stands for the session where that reads, waits or asks for itself
	txdb *txdb.TxDriver
	held driver.Conn // an unused connection of go-txdb, which would close its *sql.DB with the last one
	tx   driver.Conn // go-txdb's connection of the lease; nil in between
}

func newControl(s *Session) (k *control, err error) {
	k = &control{s: s, id: fmt.Sprint(controlIDs.Add(1)), conn: &conn{s: s}}
	controls.Store(k.id, k)
	k.txdb = txdb.New(controlDriver, k.id, txdb.SavePointOption(levelNames(s.names.guard))).Driver().(*txdb.TxDriver)
	k.held, err = k.txdb.Open("held")
	return k, err
}

func (k *control) close() {
	_ = k.rollback() // fails: the session does not take it any more, and the server rolls back by itself
	_ = k.held.Close()
	controls.Delete(k.id)
}

// execer is what remains of driver.Execer. go-txdb's ExecContext would watch a context on a goroutine of its own; this
// statement goes no further than this process, so there is nothing to cancel.
type execer interface {
	Exec(query string, args []driver.Value) (driver.Result, error)
}

// begin makes go-txdb open the outer transaction. It does so with its first statement, so it is given an empty one.
func (k *control) begin() error {
	tx, err := k.txdb.Open("lease")
	if err != nil {
		return err
	}
	k.tx = tx
	if _, err := tx.(execer).Exec(";", nil); err != nil {
		return errors.Join(err, k.rollback())
	}
	return nil
}

// rollback makes go-txdb roll the outer transaction back.
func (k *control) rollback() error {
	tx := k.tx
	if k.tx = nil; tx == nil {
		return nil
	}
	err := tx.Close()
	if err != nil {
		err = errors.Join(err, k.txdb.DB().Close()) // go-txdb keeps it when the ROLLBACK fails
	}
	return err
}

// levelNames gives go-txdb's savepoints names that the code under test cannot use: it calls them tx_1, tx_2, …
type levelNames string

var _ txdb.SavePoint = levelNames("")

func (n levelNames) Create(id string) string   { return fmt.Sprintf("SAVEPOINT %s_%s", n, id) }
func (n levelNames) Release(id string) string  { return fmt.Sprintf("RELEASE %s_%s", n, id) }
func (n levelNames) Rollback(id string) string { return fmt.Sprintf("ROLLBACK TO %s_%s", n, id) }

// beginner is what remains of driver.ConnBeginTx, without a context.
type beginner interface {
	Begin() (driver.Tx, error)
}

// savepoint makes go-txdb set a savepoint. SQL's prepared statements are the server's, not the transaction's: those that are
// there (if there are any) are to be told from those to come.
func (k *control) savepoint(prepared bool) (driver.Tx, error) {
	tx, err := k.tx.(beginner).Begin()
	if err == nil && prepared {
		_, err = k.tx.(execer).Exec(notePrepared, nil)
	}
	return tx, err
}

// returnTo makes go-txdb undo what was done since its savepoint for n.
func (k *control) returnTo(n *Nested) error {
	if k.prepares() > n.prepares {
		if _, err := k.tx.(execer).Exec(deallocateNew, nil); err != nil {
			return err
		}
	}
	if err := n.tx.Rollback(); err != nil {
		return err
	}
	return n.tx.Commit() // releases the savepoint, which outlives its Rollback
}

func (k *control) prepares() int {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	return k.s.prepares
}

const (
	notePrepared = `SELECT pg_catalog.set_config('` + preparedSetting + `', (SELECT pg_catalog.array_agg(name)::text FROM pg_catalog.pg_prepared_statements WHERE from_sql), false)`
	// A setting that was rolled back is an empty string.
	deallocateNew = `DO $$ DECLARE old text[] := coalesce(nullif(pg_catalog.current_setting('` + preparedSetting + `', true), ''), '{}'); n text; ` +
		`BEGIN FOR n IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql AND NOT name = ANY (old) ` +
		`LOOP EXECUTE 'DEALLOCATE ' || pg_catalog.quote_ident(n); END LOOP; END $$`
)

// controlDriver is the name by which go-txdb is told what to run on. database/sql's registry is the only way to tell it: it
// takes a driver by its name and a session by its data source name.
const controlDriver = "txiso-control"

func init() { sql.Register(controlDriver, registryDriver{}) }

// controls holds the sessions of the process by their data source names.
var controls sync.Map // string -> *control

var controlIDs atomic.Uint64

type registryDriver struct{}

func (registryDriver) Open(id string) (driver.Conn, error) {
	k, ok := controls.Load(id)
	if !ok {
		return nil, errClosed
	}
	return outer{k.(*control)}, nil
}

// outer is the connection that go-txdb has, of which there is no other end: all it does is done to the session. It is its own
// transaction.
type outer struct{ *control }

var (
	_ driver.Conn          = outer{}
	_ driver.Tx            = outer{}
	_ driver.ExecerContext = outer{}
)

func (outer) Close() error { return nil }

func (outer) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("txiso: go-txdb's connection executes statements only")
}

// Begin holds BEGIN back until the first statement of the test.
func (o outer) Begin() (driver.Tx, error) { return o, o.turn(func(s *Session) { s.held = true }) }

// Rollback does not wait for the server's answer. An error ends the session.
func (o outer) Rollback() error { return o.turn((*Session).sendReset) }

// Commit is never called, but if it is, the session finds out that its outer transaction is over.
func (o outer) Commit() error {
	return o.turn(func(s *Session) {
		s.closeGuard()
		_, _ = s.request("COMMIT", time.Time{}) // it has failed the session
	})
}

// ExecContext is called with savepoints, and with what belongs to them. It does not wait for the server's answer. An error ends
// the session.
func (o outer) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.ResultNoRows, o.turn(func(s *Session) {
		if kind, _ := sqltext.Simple(query); kind == sqltext.None {
			return // that of begin
		}
		s.openOuter()
		s.closeGuard()
		s.settings.savepoint(query)
		s.internalQuery(query)
	})
}

// turn calls f, and sends what that has written, between the exchanges of the code under test. Leases and levels begin and end when
// there are none; it would wait for one.
func (k *control) turn(f func(*Session)) error {
	s := k.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && (s.owner != nil || s.canceling > 0) {
		s.await(k.conn)
	}
	if s.err == nil {
		s.ex = exchange{}
		f(s)
		s.flush(k.conn)
	}
	return s.err
}

// What a ROLLBACK leaves: session advisory locks, and the values that currval and lastval return. DISCARD ALL would
// throw away every plan, too.
const (
	unlockSQL  = "SELECT pg_catalog.pg_advisory_unlock_all()"
	discardSQL = "DISCARD SEQUENCES"
)

// sendReset ends the outer transaction with go-txdb's ROLLBACK and makes the connection as good as new.
func (s *Session) sendReset() {
	if s.begun {
		s.sendRollback()
		if s.ddl || s.prepared || len(s.statements.names) >= maxStatements {
			s.wbuf = appendQuery(s.wbuf, "DEALLOCATE ALL")
			s.push(step{kind: 'Q', drop: true, reset: true})
			s.statements.forget()
			s.names.prepared = false
			if s.ddl {
				s.deferred = s.phys.deferred
			}
		}
	}
	s.held, s.begun, s.touched, s.cleanup = false, false, false, nil
	s.guard, s.first, s.saved = guardNone, false, false
	s.foreign, s.cleanupForeign, s.tx = guardNone, "", appTx{}
	s.ddl, s.altered, s.recompiled, s.prepared, s.temporary = false, false, false, false, temporary{}
	s.settings = settings{readOnly: isOn(s.phys.first[readOnlySetting])}
	s.forgetUnnamed()
	s.portals, s.orphans, s.statements.due = serverPortals{}, nil, nil
}

func (s *Session) sendRollback() {
	st := step{drop: true}
	failed := s.aborted || s.guard == guardFailed // or the server has not told yet
	sql := "ROLLBACK;" + unlockSQL + ";" + discardSQL
	if s.resets() {
		if failed { // nothing else can run there
			s.returnToGuard()
		}
		st.rows, sql = s.phys.sequences.note, listMoved+";"+sql
	}
	s.statements.passing(func(name string) {
		s.closeOnServer('S', name)
	})
	if !s.names.prepared { // the test has deallocated the statements
		s.wbuf = appendQuery(s.wbuf, sql)
		st.kind, st.reset = 'Q', true
		s.push(st)
		return
	}
	if st.rows != nil {
		s.runStep(s.names.moved, st)
	}
	names := []string{s.names.unlock, s.names.discard, s.names.end} // in one transaction
	if failed || len(s.settings.names) > 0 {                        // which runs nothing any more, or under a statement_timeout of the test's
		names = []string{s.names.end, s.names.unlock, s.names.discard}
	}
	for _, name := range names {
		s.run(name)
	}
	s.wbuf = append(s.wbuf, syncMessage...)
	s.push(step{kind: 'S', drop: true, reset: true})
}
