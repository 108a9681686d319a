package session

import "strconv"

// A statement on another connection than the one with the app transaction runs inside that, and goes when it is rolled back. The test
// is told, but only of statements that have written: what is read, set or listened to is not missed. The server knows which have.
// A subtransaction has an id from its first write on (manual 74.3), and holds a lock on it until the transaction ends. So the
// subtransactions that have one are counted ahead of the first statement that may write and behind the last.

const countXIDs = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' " +
	"AND pid = pg_catalog.pg_backend_pid() AND transactionid IS DISTINCT FROM pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.xid"

// noteForeign is called ahead of each statement.
func (s *Session) noteForeign(writes bool) {
	if writes && !s.ex.wrote && s.ex.behind == foreignGuard && !s.ex.aborted {
		s.asideRows(countXIDs, func(row []byte) { s.ex.xids, _ = strconv.Atoi(string(row)) })
	}
}

// asksForeign reports that what the exchange has left is to be asked for. What a startup message has set is known.
func (s *Session) asksForeign() bool {
	if s.ex.asked || s.ex.granting || s.ex.failed || s.ex.aborted || s.ex.behind != foreignGuard {
		return false
	}
	return s.ex.wrote || len(s.ex.sets) > 0 || s.ex.resets
}

// askForeign asks whether the exchange has written, and what it has set: a rollback takes the settings back, too, but they are its
// connection's own.
func (s *Session) askForeign() {
	s.ex.asked = true
	s.settleNames()
	if sql := s.ex.locals.restoreSQL(s); sql != "" { // what is local is over, and not its connection's own
		s.internalQuery(sql)
	}
	s.ex.locals = locals{}
	s.keepSettings()
	s.internalQuery(countXIDs)
	s.steps.last().rows = func(row []byte) {
		if n, _ := strconv.Atoi(string(row)); n > s.ex.xids {
			s.tx.foreignWrites++
		}
	}
}

// loseForeign reports n statements that other connections have run inside the app transaction, and that it has taken along.
func (s *Session) loseForeign(n int, when string) {
	if n > 0 {
		s.lose("txiso: %d statement(s) ran on another connection while the transaction begun at %v was open, and were undone with it when it was %s; "+
			"on a database of its own they would have stayed. Run them on the transaction, or give the test a database of its own with Clone", n, s.tx.began, when)
	}
}
