package session_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/txiso/internal/session"
)

// told is how the tests here write a statement.
func told(st session.Statement) string {
	line := fmt.Sprintf("%d: %s [%s] %s", st.Conn, st.SQL, strings.Join(st.Args, ", "), st.Result)
	if st.Failed {
		line += " !"
	}
	return line
}

// expectStatements wants a session to tell these statements, of which each is `connection: text [arguments] result`, with a
// ! behind an error.
func expectStatements(t *testing.T, statements []session.Statement, want ...string) {
	t.Helper()
	var got []string
	for _, st := range statements {
		got = append(got, told(st))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the statements are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestTheStatementsOfALeaseAreToldWithArgumentsAndResults(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "INSERT INTO items VALUES ($1, $2)", 1, "Ann")
		_, _ = db.Exec("INSERT INTO items VALUES ($1, $2)", 1, "Ann's")
		_, _ = db.Exec("SELEC 1")
		exec(t, db, "INSERT INTO items VALUES (3, 'x'); INSERT INTO items VALUES (4, 'y')")
		exec(t, db, "UPDATE items SET name = $1", nil)
		_ = db.Ping()
		_ = value(t, db, "SELECT count(*) FROM items")
		expectStatements(t, s.Statements(),
			"1: INSERT INTO items VALUES ($1, $2) [1, 'Ann'] 1 row",
			`1: INSERT INTO items VALUES ($1, $2) [1, 'Ann''s'] duplicate key value violates unique constraint "items_pkey" (SQLSTATE 23505) !`,
			`1: SELEC 1 [] syntax error at or near "SELEC" (SQLSTATE 42601) !`,
			"1: INSERT INTO items VALUES (3, 'x'); INSERT INTO items VALUES (4, 'y') [] 1 row",
			"1: UPDATE items SET name = $1 [NULL] 3 rows",
			"1: SELECT count(*) FROM items [] 1 row",
		)
	})
	clean(t, s, func(db *sql.DB) {
		expectStatements(t, s.Statements()) // of this lease
		exec(t, db, "INSERT INTO items VALUES ($1, $2)", 5, "Bob")
		expectStatements(t, s.Statements(), "1: INSERT INTO items VALUES ($1, $2) [5, 'Bob'] 1 row")
	})
}

func TestTransactionControlIsToldWithWhatCameOfIt(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, "INSERT INTO children VALUES (1, $1)", 99)
		_ = tx.Commit() // refused by the deferred constraint
		_, _ = db.Exec("INSERT INTO children VALUES (1, $1)", 98)
		exec(t, db, "BEGIN; SELECT 1; ROLLBACK")
		foreign := `insert or update on table "children" violates foreign key constraint "child_parent" (SQLSTATE 23503) !`
		expectStatements(t, s.Statements(),
			"1: begin [] BEGIN",
			"1: INSERT INTO children VALUES (1, $1) [99] 1 row",
			"1: commit [] "+foreign,
			"1: INSERT INTO children VALUES (1, $1) [98] "+foreign,
			"1: BEGIN; SELECT 1; ROLLBACK [] ROLLBACK",
		)
	})
}

// pgx sends some types in binary formats, and knows the types only of what it has prepared.
func TestArgumentsOfAllKindsAreToldReadably(t *testing.T) {
	s := open(t, session.Options{})
	day := time.Date(2026, 11, 21, 12, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		query string
		arg   any
		want  string
	}{
		"int":           {"SELECT $1::int", 7, "7"},
		"negative":      {"SELECT $1::bigint", -7, "-7"},
		"bool":          {"SELECT $1::bool", true, "true"},
		"float":         {"SELECT $1::float8", 1.5, "1.5"},
		"numeric":       {"SELECT $1::numeric", "12.50", "'12.50'"},
		"timestamp":     {"SELECT $1::timestamptz", day, "'2026-11-21 12:30:00Z'"},
		"array":         {"SELECT $1::int[]", []int{1, 2}, "'{1,2}'"},
		"json":          {"SELECT $1::jsonb", map[string]int{"a": 1}, `'{"a":1}'`},
		"bytes":         {"SELECT $1::bytea", []byte("abc\xff"), `'\x616263ff'`},
		"many bytes":    {"SELECT $1::bytea", make([]byte, 5000), `'\x` + strings.Repeat("00", 24) + `'… (4976 more bytes)`},
		"uuid":          {"SELECT $1::uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'"},
		"lines":         {"SELECT $1::text", "a\nb\x01", "'a b\uFFFD'"},
		"long text":     {"SELECT $1::text", strings.Repeat("é", 5000), "'" + strings.Repeat("é", 64) + "'… (9872 more bytes)"},
		"no valid text": {"SELECT $1::bytea::text", []byte("\xff\x00"), `'\xff00'`},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t, s, func(db *sql.DB) {
				_ = value(t, db, c.query, c.arg)
				expectStatements(t, s.Statements(), fmt.Sprintf("1: %s [%s] 1 row", c.query, c.want))
			})
		})
	}
}

// The types of parameters are known of whatever is described. pgx keeps descriptions of its own in one mode.
func TestEveryModeOfPgxIsTold(t *testing.T) {
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			s := open(t, session.Options{})
			clean(t, s, func(*sql.DB) {
				cfg := s.Config().Copy()
				cfg.DefaultQueryExecMode = mode
				db := stdlib.OpenDB(*cfg)
				defer db.Close()
				for range 2 {
					exec(t, db, "INSERT INTO items VALUES ($1, $2) ON CONFLICT DO NOTHING", 7, "x")
				}
				first := "1: INSERT INTO items VALUES ($1, $2) ON CONFLICT DO NOTHING [7, 'x'] 1 row"
				switch mode {
				case pgx.QueryExecModeSimpleProtocol:
					first = "1: INSERT INTO items VALUES ( '7' ,  'x' ) ON CONFLICT DO NOTHING [] 1 row"
				case pgx.QueryExecModeCacheDescribe:
					first = `1: INSERT INTO items VALUES ($1, $2) ON CONFLICT DO NOTHING ['\x00000007', 'x'] 1 row`
				case pgx.QueryExecModeExec:
					first = "1: INSERT INTO items VALUES ($1, $2) ON CONFLICT DO NOTHING ['7', 'x'] 1 row"
				}
				expectStatements(t, s.Statements(), first, strings.Replace(first, "1 row", "0 rows", 1))
			})
		})
	}
}

func TestABatchIsToldStatementByStatement(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		conn := plain(t, s)
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO items VALUES ($1, 'a')", 1)
		batch.Queue("INSERT INTO items VALUES ($1, 'b')", 1)
		batch.Queue("INSERT INTO items VALUES ($1, 'c')", 2)
		_ = conn.SendBatch(t.Context(), batch).Close()
		expectStatements(t, s.Statements(),
			"1: INSERT INTO items VALUES ($1, 'a') [1] 1 row",
			`1: INSERT INTO items VALUES ($1, 'b') [1] duplicate key value violates unique constraint "items_pkey" (SQLSTATE 23505) !`,
			"1: INSERT INTO items VALUES ($1, 'c') [2] not executed, because of the error before it",
		)
	})
}

// plain opens a connection of pgx itself, which ends with the test.
func plain(t *testing.T, s *session.Session) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), s.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestACopyAndAStatementThatIsCancelledAreTold(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		conn := plain(t, s)
		if _, err := conn.CopyFrom(t.Context(), pgx.Identifier{"items"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}, {2}})); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, _ = conn.Exec(ctx, "SELECT pg_sleep(60)")
		_ = value(t, db, "SELECT 1") // when the cancelled one is over
		expectStatements(t, s.Statements(),
			`1: copy "items" ( "id" ) from stdin binary; [] 2 rows`,
			"1: SELECT pg_sleep(60) [] canceling statement due to user request (SQLSTATE 57014) !",
			"2: SELECT 1 [] 1 row",
		)
	})
}

func TestAStatementUnderWayIsTold(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		rows, err := db.Query("SELECT generate_series(1, 1000000)")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		time.Sleep(time.Millisecond)
		told := s.Statements()
		expectStatements(t, told, "1: SELECT generate_series(1, 1000000) [] no answer yet")
		if len(told) == 1 && told[0].Took < time.Millisecond {
			t.Errorf("it is told to have lasted %v", told[0].Took)
		}
	})
}

func TestABeginThatWaitedInVainIsTold(t *testing.T) {
	s := open(t, session.Options{BeginTimeout: time.Millisecond})
	clean(t, s, func(db *sql.DB) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		_, _ = db.Begin()
		if got := s.Statements(); len(got) != 2 || !strings.HasPrefix(told(got[1]), "2: begin [] txiso: the transaction begun at ") || !got[1].Failed {
			t.Errorf("the statements are %v", got)
		}
	})
}

// Only the last are kept, in memory that is used again; of a test whose artifacts are kept it is all of them.
func TestAJournalForgetsWhatIsOld(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		for i := range 500 {
			exec(t, db, "INSERT INTO items VALUES ($1)", i)
		}
		got := s.Statements()
		if n := len(got); n < 20 || n > 100 {
			t.Errorf("%d statements are kept", n)
		}
		expect(t, "the last argument", got[len(got)-1].Args[0], "499")
	})
	clean(t, s, func(db *sql.DB) {
		s.KeepAll()
		for i := range 500 {
			exec(t, db, "INSERT INTO items VALUES ($1)", i)
		}
		got := s.Statements()
		expect(t, "kept statements", fmt.Sprint(len(got)), "500")
		expect(t, "the first argument", got[0].Args[0], "0")
	})
	clean(t, s, func(db *sql.DB) {
		for i := range 500 {
			exec(t, db, "INSERT INTO items VALUES ($1)", i)
		}
		if n := len(s.Statements()); n > 100 {
			t.Errorf("%d statements are kept of a lease after one that kept all", n)
		}
	})
}

func TestALongStatementIsCut(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(db *sql.DB) {
		exec(t, db, "SELECT '"+strings.Repeat("x", 100_000)+"'; SELECT 2")
		got := s.Statements()
		if n := len(got[0].SQL); n > 5000 || !strings.HasSuffix(got[0].SQL, "xx…") {
			t.Errorf("%d bytes of it are told: %q", n, got[0].SQL[:100])
		}
	})
}

func TestSecretsAreNeverTold(t *testing.T) {
	s := open(t, session.Options{})
	const secret = "hush"
	for _, c := range []struct {
		query string
		args  []any
	}{
		{"CREATE ROLE nobody_at_all LOGIN PASSWORD '" + secret + "'; DROP ROLE nobody_at_all", nil},
		{"ALTER ROLE no_such_role PASSWORD E'it\\'s " + secret + "'", nil},
		{"ALTER ROLE no_such_role password $$" + secret + "$$", nil},
		{"ALTER ROLE no_such_role ENCRYPTED PASSWORD '" + secret, nil},
		{"SELECT $1::text AS password", []any{secret}},
		{"SELECT $1::int AS passwd_length", []any{secret}},
		{"DO $$ BEGIN RAISE 'password %', '" + secret + "'; END $$", nil},
	} {
		clean(t, s, func(db *sql.DB) {
			_, _ = db.Exec(c.query, c.args...)
			conn := plain(t, s)
			_, _ = conn.Exec(t.Context(), c.query, append([]any{pgx.QueryExecModeExec}, c.args...)...)
			got := s.Statements()
			if len(got) == 0 {
				t.Errorf("%s: nothing is told", c.query)
			}
			for _, st := range got {
				if strings.Contains(told(st), secret) {
					t.Errorf("told: %s", told(st))
				}
			}
		})
	}
}

// A statement that repeats the password of the server's own role, say to build a DSN, does not look like one.
func TestTheServersPasswordIsNeverTold(t *testing.T) {
	cfg := database(t)
	cfg.Password = "hush-K9w" // the server does not ask for it
	s, err := session.Open(t.Context(), cfg, session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	clean(t, s, func(db *sql.DB) {
		_ = value(t, db, "SELECT 'postgres://u:hush-K9w@host'")
		_ = value(t, db, "SELECT $1::text", "hush-K9w")
		_, _ = db.Exec("SELECT 'hush-K9w'::int")
		for _, st := range s.Statements() {
			if strings.Contains(told(st), "K9w") {
				t.Errorf("told: %s", told(st))
			}
		}
	})
}

// The journal must cost a test that passes nothing but stores.
func TestStatementsAreRecordedWithoutAllocation(t *testing.T) {
	s := open(t, session.Options{})
	clean(t, s, func(*sql.DB) {
		record := s.RecordForTest()
		for range 100 { // until every entry has been used
			record()
		}
		if n := testing.AllocsPerRun(100, record); n != 0 {
			t.Errorf("%v allocations a statement", n)
		}
	})
}
