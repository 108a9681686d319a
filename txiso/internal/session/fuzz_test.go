package session_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// How the bytes of an input are understood.
const (
	fromTheStart = iota // all that a connection ever sends
	afterGreeting
	mended // messages whose lengths are put right, see mend
	ways
)

// FuzzMessages: whatever bytes a client sends, the session neither panics nor hangs, the outer transaction goes on, and another
// connection works as before.
func FuzzMessages(f *testing.F) {
	s := open(f, session.Options{})
	for _, seed := range conversations() {
		f.Add(uint8(afterGreeting), seed)
		f.Add(uint8(mended), shorten(seed))
	}
	f.Add(uint8(fromTheStart), append(greeting(map[string]string{"options": "-c geqo=off"}), conversations()[0]...))
	f.Add(uint8(fromTheStart), []byte("\x00\x00\x00\x08\x04\xd2\x16\x2f\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, way uint8, input []byte) {
		if len(input) > 1<<12 {
			return
		}
		lease(t, s, func(db *sql.DB) {
			before := value(t, db, outerTransaction)
			say(t, s, way%ways, input)
			expect(t, "the outer transaction", soon(t, db, outerTransaction), before)
		})
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
	})
}

const outerTransaction = "SELECT pg_current_xact_id()::text"

// soon is value for a statement that must not wait for anything.
func soon(t *testing.T, db *sql.DB, query string) (seen string) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), 30*time.Second)
	defer done()
	if err := db.QueryRowContext(ctx, query).Scan(&seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

// say is a client that says what it has to say, hears the answers and leaves.
func say(t *testing.T, s *session.Session, way uint8, input []byte) {
	t.Helper()
	conn, err := s.Config().DialFunc(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	switch way {
	case afterGreeting:
		input = append(greeting(nil), input...)
	case mended:
		input = append(greeting(nil), mend(input)...)
	}
	if _, err := conn.Write(input); err == nil {
		hear(conn)
	}
}

// hear reads until nothing comes any more.
func hear(conn net.Conn) {
	buf := make([]byte, 1<<12)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

func greeting(parameters map[string]string) []byte {
	b, _ := (&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: parameters}).Encode(nil)
	return b
}

// mend makes messages of pieces that have one byte for their length, so that more of them get past the cutting.
func mend(pieces []byte) (msgs []byte) {
	for len(pieces) >= 2 {
		kind, size := pieces[0], int(pieces[1])
		pieces = pieces[2:]
		size = min(size, len(pieces))
		msgs = append(append(msgs, header(kind, uint32(4+size))...), pieces[:size]...)
		pieces = pieces[size:]
	}
	return append(msgs, header('S', 4)...)
}

// shorten is the inverse of mend.
func shorten(msgs []byte) (pieces []byte) {
	for len(msgs) >= 5 {
		size := binary.BigEndian.Uint32(msgs[1:]) - 4
		pieces = append(append(pieces, msgs[0], byte(size)), msgs[5:5+size]...)
		msgs = msgs[5+size:]
	}
	return pieces
}

// conversations are what the inputs start from.
func conversations() (all [][]byte) {
	for _, msgs := range [][]pgproto3.FrontendMessage{
		{&pgproto3.Query{String: "INSERT INTO items VALUES (1, 'one'); BEGIN; SELECT 1"}, &pgproto3.Query{String: "COMMIT AND CHAIN; ROLLBACK"}},
		{
			&pgproto3.Parse{Name: "s", Query: "SELECT $1::int"}, &pgproto3.Describe{ObjectType: 'S', Name: "s"},
			&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s", Parameters: [][]byte{[]byte("1")}}, &pgproto3.Describe{ObjectType: 'P', Name: "p"},
			&pgproto3.Execute{Portal: "p", MaxRows: 1}, &pgproto3.Flush{}, &pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{},
		},
		{&pgproto3.Parse{Query: "BEGIN"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.Query{String: "SAVEPOINT a; nonsense"}, &pgproto3.Terminate{}},
		{&pgproto3.Query{String: "COPY items FROM STDIN"}, &pgproto3.CopyData{Data: []byte("1\tone\n")}, &pgproto3.CopyDone{}, &pgproto3.CopyFail{Message: "no"}},
		{&pgproto3.Query{String: "SET work_mem = '1MB'; SET LOCAL a.b = c; DECLARE c CURSOR WITH HOLD FOR VALUES (1)"}, &pgproto3.FunctionCall{Function: 1, ArgFormatCodes: []uint16{0}}},
	} {
		var b []byte
		for _, msg := range msgs {
			b, _ = msg.Encode(b)
		}
		all = append(all, slices.Clip(b))
	}
	return all
}
