package session

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/DATA-DOG/go-txdb"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// control is go-txdb's end of a session: go-txdb over pgx stdlib over a virtual connection whose statements pass
// untouched. Its BEGIN opens the outer transaction and its Close rolls it back.
type control struct {
	s    *Session
	id   string
	conn *conn       // the virtual connection
	warm driver.Conn // pgx stdlib's connection over it, kept open from lease to lease
	txdb *txdb.TxDriver
	held driver.Conn // an unused connection of go-txdb, which would close its *sql.DB with the last one
	tx   driver.Conn // go-txdb's connection of the lease; nil in between
}

// controlDriver is what go-txdb is told to run on. database/sql's registry is the only way to tell it: it takes a driver
// by its name and a session by its data source name.
const controlDriver = "txiso-control"

// controls holds the sessions of the process by their data source names, for controlDriver.
var controls sync.Map // string -> *control

var controlIDs atomic.Uint64

func init() { sql.Register(controlDriver, registryDriver{}) }

func newControl(ctx context.Context, s *Session) (*control, error) {
	k := &control{s: s, id: fmt.Sprint(controlIDs.Add(1))}
	warm, err := s.connector(s.virtual).Connect(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	for _, c := range s.conns {
		c.control = true
		k.conn = c
	}
	s.mu.Unlock()
	k.warm = warm
	controls.Store(k.id, k)
	k.txdb = txdb.New(controlDriver, k.id, txdb.SavePointOption(levelNames(s.names.guard))).Driver().(*txdb.TxDriver)
	if k.held, err = k.txdb.Open("held"); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *control) close() {
	_ = k.rollback() // fails: the session does not take it any more, and the server rolls back by itself
	_ = k.held.Close()
	controls.Delete(k.id)
	_ = k.warm.Close()
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

// registryDriver is the driver that go-txdb finds in database/sql's registry.
type registryDriver struct{}

var (
	_ driver.Driver        = registryDriver{}
	_ driver.DriverContext = registryDriver{}
	_ driver.Connector     = (*control)(nil)
)

// Open is called by go-txdb once, for a connection that it only asks about the conversion of arguments. There never are any.
func (registryDriver) Open(string) (driver.Conn, error) { return inert{}, nil }

func (registryDriver) OpenConnector(id string) (driver.Connector, error) {
	k, ok := controls.Load(id)
	if !ok {
		return nil, errClosed
	}
	return k.(*control), nil
}

func (k *control) Connect(context.Context) (driver.Conn, error) {
	return lent{k.warm.(*stdlib.Conn)}, nil
}

func (k *control) Driver() driver.Driver { return registryDriver{} }

// lent is the warm connection for as long as go-txdb has it: closing it gives it back.
type lent struct{ *stdlib.Conn }

func (lent) Close() error { return nil }

// inert is a connection that does nothing.
type inert struct{}

func (inert) Prepare(string) (driver.Stmt, error) { return nil, driver.ErrSkip }
func (inert) Begin() (driver.Tx, error)           { return nil, driver.ErrSkip }
func (inert) Close() error                        { return nil }

// controlMessage handles what go-txdb sends: its BEGIN waits for the first statement of the test, its ROLLBACK is not
// waited for, nor is anything else (its savepoints), which goes to the server between the exchanges of the code under test.
// An error ends the session.
func (s *Session) controlMessage(c *conn, m message) {
	s.ex.open = false
	if m.kind() != 'Q' {
		s.refuse(c, "go-txdb's connection takes queries only")
		s.owner = nil
		return
	}
	switch kind, _ := sqltext.Simple(text(m.body())); {
	case kind == sqltext.Begin:
		s.held = true
		s.controlDone(c, "BEGIN", 'T')
	case kind == sqltext.Rollback:
		s.sendReset()
		s.controlDone(c, "ROLLBACK", 'I')
	case kind == sqltext.None:
		c.in = append(c.in, 'I', 0, 0, 0, 4)
		s.controlDone(c, "", 'T')
	case kind == sqltext.Commit: // nobody sends it, but if somebody does, it must not go unnoticed
		s.closeGuard()
		s.bind()
		s.wbuf = append(s.wbuf, m...)
		s.push(step{kind: 'Q', end: true})
	default:
		s.openOuter()
		s.closeGuard()
		s.settings.savepoint(text(m.body()))
		s.internalQuery(text(m.body()))
		s.controlDone(c, "DONE", 'T')
	}
}

func (s *Session) controlDone(c *conn, tag string, status byte) {
	if tag != "" {
		c.in = appendComplete(c.in, tag)
	}
	c.in = appendReady(c.in, status)
	s.owner, s.ex = nil, exchange{}
	s.wakeAll()
}

// What a ROLLBACK leaves behind: session advisory locks, and the values that currval and lastval return. DISCARD ALL would
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
	s.guard, s.foreign, s.cleanupForeign, s.tx = guardNone, guardNone, nil, appTx{}
	s.ddl, s.altered, s.recompiled, s.prepared, s.temporary = false, false, false, false, temporary{}
	s.settings = settings{readOnly: isOn(s.phys.first[readOnlySetting])}
	s.forgetUnnamed()
	s.portals, s.orphans = serverPortals{}, nil
}

func (s *Session) sendRollback() {
	st := step{drop: true}
	sql := "ROLLBACK;" + unlockSQL + ";" + discardSQL
	if s.resets() {
		if s.aborted { // nothing else can run there
			s.internalQuery("ROLLBACK TO " + s.names.guard)
		}
		st.rows, sql = s.phys.sequences.note, listMoved+";"+sql
	}
	if !s.names.prepared { // the test has deallocated the statements
		s.wbuf = appendQuery(s.wbuf, sql)
		st.kind, st.reset = 'Q', true
		s.push(st)
		return
	}
	if st.rows != nil {
		s.runStep(s.names.moved, st)
	}
	s.run(s.names.end)
	s.run(s.names.unlock)
	s.run(s.names.discard)
	s.statements.passing(func(name string) {
		s.wbuf = appendNamed(s.wbuf, 'C', 'S', name)
		s.push(step{kind: 'C', drop: true})
	})
	s.wbuf = append(s.wbuf, syncMessage...)
	s.push(step{kind: 'S', drop: true, reset: true})
}
