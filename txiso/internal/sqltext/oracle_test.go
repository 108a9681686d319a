package sqltext_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// oracle asks a PostgreSQL server how it understands a string. Whatever the strings create goes into the connection's temporary schema and
// ends with DISCARD ALL; nothing else on the server is written to.
type oracle struct {
	conn    *pgconn.PgConn
	version int
}

func newOracle(tb testing.TB) *oracle {
	tb.Helper()
	config, err := pgconn.ParseConfig(pgtest.DSN(tb))
	if err != nil {
		tb.Fatal(err)
	}
	config.RuntimeParams["search_path"] = "pg_temp"
	config.RuntimeParams["statement_timeout"] = "5s"
	conn, err := pgconn.ConnectConfig(context.Background(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close(context.Background()) })
	version, err := strconv.Atoi(strings.FieldsFunc(conn.ParameterStatus("server_version"), func(r rune) bool { return r < '0' || r > '9' })[0])
	if err != nil {
		tb.Fatal(err)
	}
	return &oracle{conn: conn, version: version}
}

// contexts are the states a string is tried in: what succeeds differs, what it means does not.
var contexts = []struct{ name, setup string }{
	{"idle", ""},
	{"in a transaction", "BEGIN; SAVEPOINT a; SAVEPOINT savepoint; PREPARE p AS SELECT 1; DECLARE c CURSOR FOR SELECT 1; CREATE TEMP TABLE t (a int, begin int)"},
}

// check compares what sqltext says about sql with what the server does.
func (o *oracle) check(sql string) error {
	for _, in := range contexts {
		if err := o.checkIn(in.setup, sql); err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
	}
	if err := o.checkParse(sql); err != nil {
		return err
	}
	for _, s := range sqltext.Statements(nil, sql) {
		if err := o.checkStatement(s, s.Text(sql)); err != nil {
			return fmt.Errorf("%v %q: %w", s.Kind, s.Text(sql), err)
		}
	}
	return nil
}

// checkIn sends the whole string: the command tags must come in the order and of the kinds of its statements.
func (o *oracle) checkIn(setup, sql string) error {
	defer o.reset()
	if _, err := o.exec(setup); err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	before := o.conn.TxStatus()
	statements := sqltext.Statements(nil, sql)
	tags, err := o.exec(sql)
	for i, tag := range tags {
		if i >= len(statements) {
			return fmt.Errorf("the server ran %q, only %d statements found", tags, len(statements))
		}
		if !slices.Contains(kindsOfTag(tag), statements[i].Kind) {
			return fmt.Errorf("statement %d is %v, the server says %s", i, statements[i].Kind, tag)
		}
	}
	switch {
	case err == nil && len(tags) != len(statements):
		return fmt.Errorf("%d statements found, the server ran %q", len(statements), tags)
	case err == nil && o.conn.TxStatus() != statusAfter(before, statements):
		return fmt.Errorf("transaction status %c, want %c", o.conn.TxStatus(), statusAfter(before, statements))
	case err != nil && len(tags) >= max(1, len(statements)):
		return fmt.Errorf("the server ran %q and then failed: %w", tags, err)
	}
	return nil
}

// checkParse has the whole string parsed, not run: the server tells none or one statement from several, and when it cannot parse the whole it
// must refuse one of the parts.
func (o *oracle) checkParse(sql string) error {
	statements := sqltext.Statements(nil, sql)
	whole := o.parse(sql)
	switch {
	case isSeveral(whole) != (len(statements) > 1) && !isSyntaxError(whole):
		return fmt.Errorf("%d statements found, the server says %w", len(statements), whole)
	case !isSyntaxError(whole):
		return nil
	}
	for _, s := range statements {
		if isSyntaxError(o.parse(s.Text(sql))) {
			return nil
		}
	}
	if isSyntaxError(o.parse(sql[lastEnd(statements):])) { // a comment that does not end belongs to no statement
		return nil
	}
	return fmt.Errorf("every part is valid, but not the whole: %w", whole)
}

func (o *oracle) parse(sql string) error {
	_, err := o.conn.Prepare(context.Background(), "", sql, nil)
	return err
}

func lastEnd(statements []sqltext.Statement) int {
	if len(statements) == 0 {
		return 0
	}
	return statements[len(statements)-1].End
}

// checkStatement looks closer at one statement: it is one for the server too, its kind is only claimed when it parses, and its names and modes
// are the server's.
func (o *oracle) checkStatement(s sqltext.Statement, text string) error {
	defer o.reset()
	err := o.parse(text)
	if isSeveral(err) {
		return err
	}
	if isSyntaxError(err) {
		if strict(s.Kind) {
			return fmt.Errorf("claimed, but rejected: %w", err)
		}
		return nil
	}
	switch s.Kind {
	case sqltext.Begin:
		return o.checkModes(s, text)
	case sqltext.SetTransaction:
		if s.Mode != (sqltext.Mode{}) { // else SNAPSHOT
			return o.checkModes(s, "BEGIN;"+text)
		}
	case sqltext.SetSessionCharacteristics:
		return o.checkModes(s, "BEGIN;"+text+"; COMMIT; BEGIN")
	case sqltext.Savepoint:
		return o.run("BEGIN", text, "RELEASE "+quote(s.Name))
	case sqltext.Release, sqltext.RollbackTo:
		return o.run("BEGIN", "SAVEPOINT "+quote(s.Name), text)
	case sqltext.Prepare:
		return o.checkListed(s, text, "SELECT name FROM pg_prepared_statements")
	case sqltext.Deallocate:
		if !s.All {
			return o.run("PREPARE "+quote(s.Name)+" AS SELECT 1", text)
		}
	case sqltext.Declare:
		return o.checkListed(s, "BEGIN;"+text, "SELECT name FROM pg_cursors WHERE is_holdable = "+strconv.FormatBool(s.Hold))
	case sqltext.Close:
		if !s.All {
			return o.run("BEGIN", "DECLARE "+quote(s.Name)+" CURSOR FOR SELECT 1", text)
		}
	case sqltext.Listen:
		return o.checkListed(s, text, "SELECT pg_listening_channels()")
	case sqltext.CommitPrepared, sqltext.RollbackPrepared:
		return o.checkMessage(text, s.Name)
	}
	return nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// run runs statements that must all succeed.
func (o *oracle) run(statements ...string) error {
	for _, sql := range statements {
		if _, err := o.exec(sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// checkListed: if setup succeeds, the query's only row is the name.
func (o *oracle) checkListed(s sqltext.Statement, setup, query string) error {
	if _, err := o.exec(setup); err != nil {
		return nil
	}
	got, err := o.row(query)
	if err == nil && !slices.Equal(got, []string{s.Name}) {
		err = fmt.Errorf("name %q, the server says %q", s.Name, got)
	}
	return err
}

// checkMessage: the server's error must quote the name. It has no prepared transactions.
func (o *oracle) checkMessage(text, name string) error {
	_, err := o.exec(text)
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "42704" && !strings.Contains(e.Message, name) {
		return fmt.Errorf("name %q, the server says %q", name, e.Message)
	}
	return nil
}

func (o *oracle) checkModes(s sqltext.Statement, setup string) error {
	if err := o.run(setup); err != nil {
		return err
	}
	got, err := o.row("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'), current_setting('transaction_deferrable')")
	if err != nil {
		return err
	}
	want := []string{
		[]string{"read committed", "read uncommitted", "read committed", "repeatable read", "serializable"}[s.Mode.Isolation],
		[]string{"off", "on", "off"}[s.Mode.Access],
		[]string{"off", "on", "off"}[s.Mode.Deferrable],
	}
	if s.Local && s.Kind == sqltext.SetSessionCharacteristics {
		want = []string{"read committed", "off", "off"}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("modes %+v, the server says %q", s.Mode, got)
	}
	return nil
}

// row returns the first row of a query, and the number of others as one more field.
func (o *oracle) row(query string) ([]string, error) {
	results, err := o.conn.Exec(context.Background(), query).ReadAll()
	if err != nil {
		return nil, err
	}
	var fields []string
	for i, row := range results[0].Rows {
		if i > 0 {
			return append(fields, "and more"), nil
		}
		for _, f := range row {
			fields = append(fields, string(f))
		}
	}
	return fields, nil
}

// exec runs a string by the simple protocol and returns the command tags that came before the end or an error.
func (o *oracle) exec(sql string) (tags []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	results := o.conn.Exec(ctx, sql)
	for results.NextResult() {
		tag, rowErr := results.ResultReader().Close()
		if rowErr == nil && tag.String() != "" { // an empty string has an empty tag
			tags = append(tags, tag.String())
		}
	}
	return tags, results.Close()
}

func (o *oracle) reset() {
	_, _ = o.exec("ROLLBACK") // may warn that there is nothing to roll back
	if _, err := o.exec("DISCARD ALL"); err != nil {
		panic(err)
	}
}

// isSeveral reports whether the server refused to prepare several statements at once.
func isSeveral(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && strings.HasPrefix(e.Message, "cannot insert multiple commands")
}

func isSyntaxError(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && !isSeveral(err) && (e.Code == "42601" || e.Code == "22025" || e.Code == "22019" || e.Code == "42602")
}

// strict kinds are those that must only be claimed for what the server's grammar accepts.
func strict(k sqltext.Kind) bool {
	switch k {
	case sqltext.Begin, sqltext.Commit, sqltext.Rollback, sqltext.Savepoint, sqltext.Release, sqltext.RollbackTo, sqltext.PrepareTransaction,
		sqltext.CommitPrepared, sqltext.RollbackPrepared, sqltext.SetTransaction, sqltext.SetSessionCharacteristics, sqltext.Deallocate,
		sqltext.Discard, sqltext.Close, sqltext.Listen, sqltext.Unlisten:
		return true
	}
	return false
}

// kindsOfTag returns the kinds whose statements end with this command tag.
func kindsOfTag(tag string) []sqltext.Kind {
	name := strings.TrimRight(tag, " 0123456789")
	switch name {
	case "BEGIN", "START TRANSACTION":
		return []sqltext.Kind{sqltext.Begin}
	case "COMMIT":
		return []sqltext.Kind{sqltext.Commit}
	case "ROLLBACK": // also a COMMIT that failed, and PREPARE TRANSACTION outside a transaction
		return []sqltext.Kind{sqltext.Rollback, sqltext.RollbackTo, sqltext.Commit, sqltext.PrepareTransaction}
	case "PREPARE TRANSACTION":
		return []sqltext.Kind{sqltext.PrepareTransaction}
	case "SAVEPOINT":
		return []sqltext.Kind{sqltext.Savepoint}
	case "RELEASE":
		return []sqltext.Kind{sqltext.Release}
	case "SET":
		return []sqltext.Kind{sqltext.Set, sqltext.SetLocal, sqltext.SetTransaction, sqltext.SetSessionCharacteristics}
	case "RESET":
		return []sqltext.Kind{sqltext.Set}
	case "SET CONSTRAINTS":
		return []sqltext.Kind{sqltext.SetConstraints}
	case "SELECT":
		return []sqltext.Kind{sqltext.Select, sqltext.With, sqltext.Execute, sqltext.DDL}
	case "SHOW":
		return []sqltext.Kind{sqltext.Show}
	case "EXPLAIN":
		return []sqltext.Kind{sqltext.Select}
	case "INSERT", "UPDATE", "DELETE", "MERGE":
		return []sqltext.Kind{sqltext.Write, sqltext.With, sqltext.Execute}
	case "COPY":
		return []sqltext.Kind{sqltext.Copy}
	case "DO":
		return []sqltext.Kind{sqltext.Do}
	case "CALL":
		return []sqltext.Kind{sqltext.Call}
	case "PREPARE":
		return []sqltext.Kind{sqltext.Prepare}
	case "DEALLOCATE", "DEALLOCATE ALL":
		return []sqltext.Kind{sqltext.Deallocate}
	case "DECLARE CURSOR":
		return []sqltext.Kind{sqltext.Declare}
	case "FETCH", "MOVE":
		return []sqltext.Kind{sqltext.Fetch}
	case "CLOSE CURSOR", "CLOSE CURSOR ALL":
		return []sqltext.Kind{sqltext.Close}
	case "LISTEN":
		return []sqltext.Kind{sqltext.Listen}
	case "UNLISTEN":
		return []sqltext.Kind{sqltext.Unlisten}
	case "NOTIFY":
		return []sqltext.Kind{sqltext.Notify}
	case "LOCK TABLE":
		return []sqltext.Kind{sqltext.Lock}
	}
	switch first, _, _ := strings.Cut(name, " "); first {
	case "DISCARD":
		return []sqltext.Kind{sqltext.Discard}
	case "CREATE", "DROP", "ALTER", "TRUNCATE", "COMMENT", "GRANT", "REVOKE":
		return []sqltext.Kind{sqltext.DDL}
	}
	return []sqltext.Kind{sqltext.Other}
}

// statusAfter is ReadyForQuery's transaction status after statements that all succeeded.
func statusAfter(status byte, statements []sqltext.Statement) byte {
	for _, s := range statements {
		switch s.Kind {
		case sqltext.Begin:
			status = 'T'
		case sqltext.Commit, sqltext.Rollback:
			if !s.Chain {
				status = 'I'
			}
		case sqltext.PrepareTransaction:
			status = 'I'
		}
	}
	return status
}
