package provision_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

const password = "s3cret"

// openError opens a provisioner that cannot be opened.
func openError(t *testing.T, dsn string) error {
	t.Helper()
	p, err := provision.Open(t.Context(), provision.Config{DSN: dsn, Migrator: provision.Goose(oneTable("t"))})
	if err == nil {
		closeNow(t, p)
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), password) {
		t.Errorf("the password is in %q", err)
	}
	return err
}

// isURL tells the two forms of a DSN apart.
func isURL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres") && strings.Contains(dsn, "://")
}

// withSetting adds a setting to a DSN.
func withSetting(dsn, name, value string) string {
	if !isURL(dsn) {
		return dsn + " " + name + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
	}
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	return dsn + separator + name + "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

func TestDSNThatDoesNotParse(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"nonsense",
		"host=localhost password=s3cret port=abc",
		"host=localhost password='s3cret",
		"password=a s3cret host=localhost",
		"host=localhost port=s3cret",
		"host=localhost password = s3cret sslmode=perhaps",
		"postgres://user:s3cret@localhost:port/db",
		"postgres://user:a/s3cret@localhost:5432/db",
		"postgres://user:s3cret@[localhost/db",
		"postgres://user:%zzs3cret@localhost/db",
		"postgres://user@localhost/db?password=s3cret&sslmode=perhaps",
		"postgres://user@localhost:s3cret/db",
		"pgx5://user:s3cret@localhost/db?sslmode=disable",
		`"postgres://user:s3cret@localhost/db?sslmode=disable"`,
		"dsn=postgres://user:s3cret@localhost/db sslmode=disable host = localhost user:s3cret@localhost=1",
	} {
		t.Run(dsn, func(t *testing.T) {
			mustContain(t, openError(t, dsn), "the DSN does not parse: ", "write it as")
		})
	}
}

func TestPasswordTakenForHostOrDatabase(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://user:pass@s3cret@localhost:5432/db", "postgres://user:12/s3cret@localhost:5432/db"} {
		mustContain(t, openError(t, dsn), "contain an @", "percent-encode")
	}
}

func TestHostThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	silent := listen(t, func(net.Conn) { <-t.Context().Done() })
	err := openError(t, silent+" sslmode=disable connect_timeout=1")
	mustContain(t, err, "nobody answered within 1s", "check host and port in the DSN")
}

func TestHostThatRefuses(t *testing.T) {
	t.Parallel()
	err := openError(t, "host=/nonexistent user=u password=s3cret dbname=d")
	mustContain(t, err, "failed to connect", "check that the server runs")
}

// The advice was to check host and port, which were right.
func TestServerWithoutTLS(t *testing.T) {
	t.Parallel()
	address := listen(t, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, 8)); err == nil { // SSLRequest (manual, 55.2.10)
			_, _ = conn.Write([]byte("N"))
		}
	})
	err := openError(t, address+" user=u password=s3cret dbname=d sslmode=require")
	mustContain(t, err, "server refused TLS connection", "sslmode=prefer")
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	address := listen(t, refusePassword)
	for _, dsn := range []string{
		address + " user=u password=s3cret dbname=d sslmode=disable",
		"postgres://u:s3cret@" + hostPort(address) + "/d?sslmode=disable",
	} {
		err := openError(t, dsn)
		mustContain(t, err, `password authentication failed for user "u"`, "correct user and password")
	}
}

func TestServerTooOld(t *testing.T) {
	t.Parallel()
	address := listen(t, func(conn net.Conn) { greetAs(conn, "13.14 (Debian 13.14-1)") })
	err := openError(t, address+" user=u password=s3cret dbname=d sslmode=disable")
	mustContain(t, err, "PostgreSQL 13.14", "use version 14 or newer")
}

func TestRoleThatMayNotCreateDatabases(t *testing.T) {
	t.Parallel()
	err := openError(t, asRole(t, "LOGIN NOCREATEDB"))
	mustContain(t, err, "may not create databases", "ALTER ROLE", "CREATEDB")
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	err := openError(t, asRole(t, "LOGIN CREATEDB CONNECTION LIMIT 0"))
	mustContain(t, err, "too many connections", "raise max_connections")
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "53300" {
		t.Errorf("%v does not wrap the server's error", err)
	}
}

// An ordinary role is all that is needed.
func TestRoleThatMayOnlyCreateDatabases(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = asRole(t, "LOGIN CREATEDB")
	p := open(t, cfg)
	w := lease(t, p)
	conn := connect(t, w.Config())
	w.Release()
	lease(t, p)
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a connection of the last holder still works")
	}
	if err := clone(t, p).Drop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := lease(t, p).Discard(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := p.Collect(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := open(t, config(t))
	cancel()
	_, err := p.Lease(ctx)
	mustContain(t, err, "gave up waiting")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
	lease(t, p) // the keeper survived
}

// Nothing said what to do to who asked while another built the template.
func TestContextThatEndsWhileTheTemplateIsBuilt(t *testing.T) {
	t.Parallel()
	cfg, started := config(t), make(chan struct{})
	cfg.Migrator = hangingMigrator{Migrator: cfg.Migrator, started: func() { close(started) }}
	p := open(t, cfg)
	building, stop := context.WithCancel(t.Context())
	built := make(chan error)
	go func() {
		_, err := p.Lease(building)
		built <- err
	}()
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Lease(ctx)
	mustContain(t, err, "gave up waiting for the template: context canceled", "give the test more time, or let it wait for its goroutines")
	stop()
	mustContain(t, <-built, "context canceled", "give the test more time")
}

func TestContextThatEndsWhileConnecting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	silent := listen(t, func(net.Conn) { cancel(); <-t.Context().Done() })
	_, err := provision.Open(ctx, provision.Config{DSN: silent + " user=u password=s3cret sslmode=disable", Migrator: provision.Goose(oneTable("t"))})
	mustContain(t, err, "failed to connect", "give the test more time")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
}

// asRole creates a role and returns a DSN for it. The role and what it owns go with the test.
func asRole(t *testing.T, options string) string {
	t.Helper()
	role := uniqueTable()
	execute(t, server(t), "CREATE ROLE "+role+" PASSWORD 's3cret' "+options)
	t.Cleanup(func() { execute(t, server(t), "DROP ROLE "+role) })
	dsn := pgtest.DSN(t)
	if !isURL(dsn) {
		return dsn + " user=" + role + " password=" + password
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

// listen runs a server that serves connections with f and returns host and port as a DSN.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); serve(conn) }()
		}
	}()
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	return "host=" + host + " port=" + port
}

func hostPort(dsn string) string {
	return strings.NewReplacer("host=", "", " port=", ":").Replace(dsn)
}

// refusePassword does what PostgreSQL does with a wrong password. A real server would need
// password authentication set up for all users of it.
func refusePassword(conn net.Conn) {
	backend := pgproto3.NewBackend(conn, conn)
	_, _ = backend.ReceiveStartupMessage()
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	_ = backend.Flush()
	_ = backend.SetAuthType(pgproto3.AuthTypeCleartextPassword)
	_, _ = backend.Receive()
	backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: `password authentication failed for user "u"`})
	_ = backend.Flush()
}

// greetAs lets a client in and reports a version.
func greetAs(conn net.Conn, version string) {
	backend := pgproto3.NewBackend(conn, conn)
	_, _ = backend.ReceiveStartupMessage()
	backend.Send(&pgproto3.AuthenticationOk{})
	backend.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: version})
	backend.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	_ = backend.Flush()
	_, _ = backend.Receive()
}

// given opens a connection for Config.Conn, with settings that would get in the keeper's way.
func given(t *testing.T, cfg *provision.Config) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(cleanup(t)) })
	if _, err := conn.Exec(t.Context(), "SET statement_timeout = 1; SET default_transaction_isolation = serializable").ReadAll(); err != nil {
		t.Fatal(err)
	}
	cfg.Conn = conn
	return conn
}

func TestOpenGoesOnWithTheConnectionItIsGiven(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	conn := given(t, &cfg)
	p := open(t, cfg)
	var keeper bool
	err := server(t).QueryRow(t.Context(), "SELECT application_name LIKE 'txiso keeper %' FROM pg_stat_activity WHERE pid = $1", conn.PID()).Scan(&keeper)
	if err != nil || !keeper {
		t.Errorf("the connection is not the keeper's: %v", err)
	}
	for setting, want := range map[string]string{"statement_timeout": "0", "default_transaction_isolation": "read committed", "idle_session_timeout": "0"} {
		results, err := conn.Exec(t.Context(), "SHOW "+setting).ReadAll()
		if err != nil || string(results[0].Rows[0][0]) != want {
			t.Errorf("%s is not %s: %v", setting, want, err)
		}
	}
	lease(t, p)
	closeNow(t, p)
	if !conn.IsClosed() {
		t.Error("Close leaves it open")
	}
}

func TestOpenClosesTheConnectionItIsGivenWhenItFails(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	conn := given(t, &cfg)
	cfg.Migrator = nil
	_, err := provision.Open(t.Context(), cfg)
	mustContain(t, err, "nothing to build a template from")
	if !conn.IsClosed() {
		t.Error("it is still open")
	}
}

func TestASettingThatTheServerDoesNotTake(t *testing.T) {
	t.Parallel()
	for _, setting := range [][2]string{{"timezone", "Nowhere"}, {"options", "-c nosuch=1"}, {"options", "-c max_connections=3"}, {"options", "nonsense"}} {
		t.Run(setting[0]+"="+setting[1], func(t *testing.T) {
			mustContain(t, openError(t, withSetting(pgtest.DSN(t), setting[0], setting[1])), "takes no such setting", "PGOPTIONS and PGTZ")
		})
	}
}
