package provision

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs, PostgreSQL manual, appendix A.
const (
	protocolViolation     = "08P01"
	invalidParameter      = "22023"
	invalidPassword       = "28P01"
	invalidAuthorization  = "28000"
	unknownDatabase       = "3D000"
	duplicateDatabase     = "42P04"
	uniqueViolation       = "23505"
	insufficientPrivilege = "42501"
	syntaxError           = "42601"
	undefinedObject       = "42704"
	diskFull              = "53100"
	tooManyConnections    = "53300"
	objectInUse           = "55006"
	fixedParameter        = "55P02"
	adminShutdown         = "57P01"
	crashShutdown         = "57P02"
	cannotConnectNow      = "57P03"
)

// ErrLost says that the connection that held this process's leases is gone, because the server
// was restarted or somebody terminated it. Another process may use the same databases from then
// on, so what was leased before must not be used any further. New leases reconnect.
var ErrLost = errors.New("txiso: the server went away and with it everything this process had leased; run the tests again when it is back")

// connectError explains why there is no connection. The text of err cannot contain the
// password: pgconn prints user, database, address and the server's words.
func connectError(ctx context.Context, base *pgx.ConnConfig, err error) error {
	return fmt.Errorf("txiso: %w; %s", err, connectAdvice(ctx, base, err))
}

// Advice names the next step for an error of connecting to a database of ours as cfg says, in the form in which it follows the
// error's text. It is empty for other errors, and where the server has no connection left: how many there are is for the caller
// to say.
func Advice(ctx context.Context, cfg *pgx.ConnConfig, err error) string {
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) || sqlState(err) == tooManyConnections {
		return ""
	}
	return "; " + connectAdvice(ctx, cfg, err)
}

func connectAdvice(ctx context.Context, base *pgx.ConnConfig, err error) string {
	switch sqlState(err) {
	case invalidPassword, invalidAuthorization:
		return "correct user and password in the DSN (Config.DSN or TXISO_DSN) or the server's pg_hba.conf"
	case unknownDatabase:
		return "name an existing database in the DSN, postgres for example: txiso keeps its locks there"
	case tooManyConnections:
		return "raise max_connections of the server (or the role's connection limit), or run fewer tests at once with go test -p and -parallel"
	case cannotConnectNow:
		return "wait until the server has started"
	case invalidParameter, undefinedObject, syntaxError, fixedParameter:
		return "the server runs, but takes no such setting: correct or remove it in the DSN (Config.DSN or TXISO_DSN) or in the variables PGOPTIONS and PGTZ, which add to it"
	}
	var certificate *tls.CertificateVerificationError
	switch {
	case sqlState(err) == protocolViolation && strings.Contains(err.Error(), "startup parameter"): // PgBouncer's words
		return "a pooler refuses a parameter of the DSN (Config.DSN or TXISO_DSN): remove it there, add it to the pooler's ignore_startup_parameters, or let the DSN lead to the server itself"
	case strings.Contains(err.Error(), "server refused TLS connection"): // pgconn's words
		return "the server has no TLS: put sslmode=prefer or sslmode=disable into the DSN (Config.DSN or TXISO_DSN), or turn ssl on there"
	case errors.As(err, &certificate):
		return "name the server's certificate authority by sslrootcert in the DSN (Config.DSN or TXISO_DSN), or put sslmode=require there"
	}
	if Ended(ctx) {
		return "give the test more time"
	}
	if pgconn.Timeout(err) {
		return fmt.Sprintf("nobody answered within %s: check host and port in the DSN (Config.DSN or TXISO_DSN), or give it a longer connect_timeout", base.ConnectTimeout)
	}
	return "check that the server runs and that host and port in the DSN (Config.DSN or TXISO_DSN) are right"
}

// Ended reports whether ctx has ended. A dial takes its deadline from it and may notice that it has passed before the
// context's own timer has run.
func Ended(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	return ctx.Err() != nil || bounded && !time.Now().Before(deadline)
}

func versionError(version string) error {
	return fmt.Errorf("txiso: the server is PostgreSQL %s, too old for txiso: use version %d or newer, or unset TXISO_DSN for an embedded server", version, oldestSupported)
}

// usable says what keeps a role from being used for tests.
func usable(role string, standby, mayCreate bool) error {
	switch {
	case standby:
		return errors.New("txiso: the server is a standby and cannot create databases; let the DSN name the primary")
	case !mayCreate:
		return fmt.Errorf("txiso: the role %s may not create databases; run ALTER ROLE %s CREATEDB as a superuser, or let the DSN name another role",
			identifier(role), identifier(role))
	}
	return nil
}

// statementError turns the loss of the connection into ErrLost and leaves the rest as it is.
func (l *link) statementError(err error) error {
	switch sqlState(err) {
	case adminShutdown, crashShutdown:
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	if l.conn.IsClosed() && Broken(err) {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// Broken tells a connection that failed from a context that ended.
func Broken(err error) bool {
	var network *net.OpError // every error of a system call is a net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.As(err, &network) && !network.Timeout()
}

func waitError(what string, err error) error {
	return fmt.Errorf("txiso: gave up waiting for %s: %w; %s", what, err, moreTime(err))
}

func moreTime(err error) string {
	if errors.Is(err, context.Canceled) { // the context of a test is, when it ends
		return "give the test more time, or let it wait for its goroutines"
	}
	return "give the test more time"
}

// doing adds what was attempted to an error that does not say it yet.
func doing(what string, err error) error {
	if err == nil || errors.Is(err, ErrLost) || errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("txiso: %s: %w%s", what, err, advice(err))
}

func advice(err error) string {
	switch {
	case sqlState(err) == insufficientPrivilege:
		return "; use a role that may create databases and owns those that start with txiso_"
	case sqlState(err) == objectInUse:
		return "; disconnect the other users of that database"
	case sqlState(err) == diskFull && strings.Contains(err.Error(), "shared memory segment"):
		return "; give the server's container more shared memory (docker run --shm-size=1g), or let it do without: dynamic_shared_memory_type=mmap"
	case sqlState(err) == diskFull:
		return "; make room on the server's disk: txiso clean drops what is kept and stale"
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return "; " + moreTime(err)
	}
	return ""
}

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// parseError explains why a DSN does not parse without repeating any part of it: in a malformed
// one nobody can tell where the password ends (pgconn masks what it recognises and says that it
// cannot promise more). The pgconn error is not wrapped because it holds the DSN.
func parseError(reason string) error {
	return fmt.Errorf(`txiso: the DSN does not parse: %s; write it as "host=… port=… user=… dbname=…" or "postgres://user@host:port/dbname" with special characters of the password percent-encoded, and see that no PG… variable is wrong, as they add to it`, reason)
}

var quoted = regexp.MustCompile(`"(?:\\.|[^"\\])*"`)

func parseReason(err error) string {
	reason := quoted.ReplaceAllString(err.Error(), `"…"`)
	if i := strings.LastIndex(reason, "`: "); i >= 0 {
		return reason[i+len("`: "):]
	}
	return "its form is unknown"
}
