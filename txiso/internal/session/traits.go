package session

import (
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/sqltext"
)

// traits are what the session has to know of statements that it sends on.
type traits struct {
	writes      bool // they may change data, or the state of the session
	data        bool // they may change data
	alone       bool // nothing may be sent behind them before they are over
	constraints bool // SET CONSTRAINTS
	blocks      bool // DO or CALL, in which there may be anything
	cursors     bool // they may leave cursors open, whatever functions there are
	creates     bool // they may create something although their tag says that they SELECT, or EXPLAIN
	queries     bool // they take a snapshot, behind which a transaction keeps its modes
	early       bool // they take it already when they are bound
	moded       bool // they depend on its modes
}

// anything is for statements that are not known.
var anything = traits{writes: true, data: true, alone: true, queries: true, early: true, moded: true}

func traitsOf(k sqltext.Kind, sql string) traits {
	writes := writes(k, sql)
	return traits{
		writes: writes, data: writes && !onlyState(k), alone: alone(k), constraints: k == sqltext.SetConstraints, blocks: k == sqltext.Do || k == sqltext.Call,
		cursors: k == sqltext.Do && strings.Contains(strings.ToLower(sql), "cursor"), creates: creates(k, sql),
		queries: queries(k), early: queriesWhenParsed(k), moded: moded(k, sql),
	}
}

func (t traits) or(u traits) traits {
	return traits{
		writes: t.writes || u.writes, data: t.data || u.data, alone: t.alone || u.alone,
		constraints: t.constraints || u.constraints, blocks: t.blocks || u.blocks, cursors: t.cursors || u.cursors,
		creates: t.creates || u.creates, queries: t.queries || u.queries, early: t.early || u.early, moded: t.moded || u.moded,
	}
}

// meaning is what a prepared statement means to the session.
type meaning struct {
	traits
	st    sqltext.Statement   // what controls and others below ask for; else of no kind
	text  string              // of st
	state []sqltext.Statement // what it does to the state of the session
}

func meaningOf(sql string) *meaning {
	kind, single := sqltext.Simple(sql)
	t := traitsOf(kind, sql)
	m := &meaning{traits: t, state: stateOf(kind, t.writes, sql)}
	if single && (mayControl(kind) || kind == sqltext.Declare || kind == sqltext.Lock || kind == sqltext.Deallocate) {
		sql = strings.Clone(sql) // the message goes, the statement stays
		m.st = sqltext.Statements(nil, sql)[0]
		m.text = m.st.Text(sql)
	}
	return m
}

// stateOf returns what a prepared statement does to the state of the session, apart from the database.
func stateOf(kind sqltext.Kind, writes bool, sql string) []sqltext.Statement {
	switch kind {
	case sqltext.Set, sqltext.SetSessionCharacteristics, sqltext.SetLocal, sqltext.Declare, sqltext.Savepoint, sqltext.RollbackTo,
		sqltext.Release, sqltext.Prepare, sqltext.Deallocate, sqltext.Close:
		return sqltext.Statements(nil, strings.Clone(sql))
	case sqltext.DDL:
		return append(sqltext.Statements(nil, strings.Clone(sql)), configCalls(true, sql)...)
	}
	return configCalls(writes, sql)
}

// configCalls returns the settings that calls of set_config in a statement change.
func configCalls(writes bool, sql string) []sqltext.Statement {
	if !writes { // as all that call it do, by the look of it
		return nil
	}
	return sqltext.Settings(sql)
}

// sets reports whether a statement of this kind changes settings of the session.
func sets(k sqltext.Kind) bool { return k == sqltext.Set || k == sqltext.SetSessionCharacteristics }

// announce does what is due ahead of statements of c that are sent on: t are their traits, state is what they do to the state
// of the session, sql is their text.
func (s *Session) announce(c *conn, t traits, state []sqltext.Statement, sql string) {
	if s.first && !s.saved && (len(state) > 0 || t.blocks || s.ex.behind == transaction || s.deferred.suspects() || mayChangeModes(sql)) {
		s.secure()
	}
	s.note(c, t)
	s.ex.creates = s.ex.creates || s.deferred.mayAlter(t, sql)
	s.setupTx(c, t)
	s.noteState(c, state)
	s.unpark(c, sql)
}

// mayChangeModes reports that a statement may make its transaction read-only in a way that its text does not tell.
func mayChangeModes(sql string) bool {
	sql = strings.ToLower(sql)
	return strings.Contains(sql, "set_config") || strings.Contains(sql, "pg_settings")
}

// note notes ahead of statements of c what they do.
func (s *Session) note(c *conn, t traits) {
	s.noteForeign(t.writes)
	s.noteWrites(t.writes)
	s.ex.alone = s.ex.alone || t.alone
	s.ex.creates = s.ex.creates || t.creates
	s.noteSnapshot(c, t.queries)
	e := &s.ex.effects
	if s.tx.owner == c {
		e = &s.tx.effects
		s.tx.wrote = s.tx.wrote || t.data || s.deferred.suspects()
	}
	e.cursors = e.cursors || t.cursors || t.writes && s.deferred.cursors
	e.constraints = e.constraints || t.constraints
	e.blocks = e.blocks || t.blocks
}

// mayControl reports whether a statement of this kind may need something else than being sent.
func mayControl(k sqltext.Kind) bool {
	switch k {
	case sqltext.Begin, sqltext.Commit, sqltext.Rollback, sqltext.Savepoint, sqltext.Release, sqltext.RollbackTo,
		sqltext.SetTransaction, sqltext.SetLocal, sqltext.SetConstraints, sqltext.PrepareTransaction:
		return true
	}
	return false
}

// alone reports whether nothing may be sent behind a statement before it is over: it may want data from the client, or
// take the session's own prepared statements away, or change the constraints.
func alone(k sqltext.Kind) bool {
	switch k {
	case sqltext.Copy, sqltext.Deallocate, sqltext.Discard, sqltext.DDL, sqltext.Do, sqltext.Call, sqltext.Other:
		return true
	}
	return false
}

// writes reports whether a statement may change data. A SELECT can do so only by calling a function.
func writes(k sqltext.Kind, sql string) bool {
	return k != sqltext.Show && (k != sqltext.Select || !sqltext.OnlyReads(sql))
}

// creates reports whether a statement may create a table of rows that it selects.
func creates(k sqltext.Kind, sql string) bool {
	return k == sqltext.DDL || (k == sqltext.Select || k == sqltext.With) && sqltext.Creates(sql)
}

// queries reports whether a statement takes a snapshot. Those that do not are listed in the server's
// PlannedStmtRequiresSnapshot.
func queries(k sqltext.Kind) bool {
	switch k {
	case sqltext.None, sqltext.Show, sqltext.Set, sqltext.SetSessionCharacteristics, sqltext.Lock, sqltext.Fetch, sqltext.Listen, sqltext.Unlisten,
		sqltext.Notify, sqltext.CommitPrepared, sqltext.RollbackPrepared:
		return false
	}
	return !mayControl(k)
}

// moded reports whether it matters to a statement that its transaction is read-only: it queries, or shows it.
func moded(k sqltext.Kind, sql string) bool {
	return queries(k) || k == sqltext.Show && showsModes(strings.ToLower(sql))
}

func showsModes(sql string) bool {
	return strings.Contains(sql, "read_only") || strings.Contains(sql, "all")
}

// bound are the traits of a statement that is bound, and may be run later, or not at all.
func (t traits) bound() traits {
	t.queries = t.early
	return t
}

// queriesWhenParsed reports whether the server takes the snapshot already when it reads the statement, and again when it binds it.
func queriesWhenParsed(k sqltext.Kind) bool {
	switch k {
	case sqltext.Select, sqltext.With, sqltext.Write, sqltext.Declare:
		return true
	}
	return false
}

// blockOnly names a statement that the server refuses outside a transaction, where it would do nothing.
func blockOnly(st sqltext.Statement) string {
	switch {
	case st.Kind == sqltext.Lock:
		return "LOCK TABLE"
	case st.Kind == sqltext.Declare && !st.Hold:
		return "DECLARE CURSOR"
	}
	return ""
}

// localOnly names a statement that the server warns of outside a transaction, because its effect ends with the statement.
func localOnly(st sqltext.Statement) string {
	switch st.Kind {
	case sqltext.SetLocal:
		return "SET LOCAL"
	case sqltext.SetConstraints:
		return "SET CONSTRAINTS"
	case sqltext.SetTransaction:
		return "SET TRANSACTION"
	}
	return ""
}

// onlyState reports whether a statement of this kind changes nothing but the state of the session.
func onlyState(k sqltext.Kind) bool {
	switch k {
	case sqltext.Set, sqltext.SetSessionCharacteristics, sqltext.SetLocal, sqltext.SetTransaction, sqltext.SetConstraints, sqltext.Savepoint,
		sqltext.Release, sqltext.RollbackTo, sqltext.Lock, sqltext.Deallocate, sqltext.Listen, sqltext.Unlisten, sqltext.Notify:
		return true
	}
	return false
}
