package session

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// cancelTimeout bounds the delivery of a CancelRequest, which needs a connection of its own.
const cancelTimeout = 10 * time.Second

// physical is the one connection to the server. pgconn has opened and authenticated it, so that TLS, SCRAM, unix
// sockets and the rest are whatever the DSN says, and has then handed it over.
type physical struct {
	net.Conn
	first     map[string]string   // the parameters that the server reports, as they are without a test's settings
	params    map[string]string   // as they are now
	hello     []byte              // greeting with the first
	sequences *sequences          // nil if they are left alone
	deferred  deferredConstraints // as the tests find them
	version   int                 // of the server, as 180004
	canceller *pgconn.PgConn      // knows how to reach the server again; never used to read or write
}

// encrypted reports that the connection uses TLS.
func (p *physical) encrypted() bool {
	_, ok := p.Conn.(*tls.Conn)
	return ok
}

// noTimeouts keeps settings of a role, a database or the server from ending a connection that waits in a transaction
// between two statements, as every connection here does, or that waits for the next test. Not all versions have all of
// them. (A look into pg_settings would take longer than all else that a new connection is asked.)
var noTimeouts = "SELECT pg_catalog.set_config(name, '0', false) FROM (VALUES ('" + strings.Join(parkable, "'), ('") + "')) v (name) " +
	"WHERE pg_catalog.current_setting(name, true) <> '0'"

func connect(ctx context.Context, cfg *pgx.ConnConfig, opts Options) (*physical, error) {
	pc, err := pgconn.ConnectConfig(ctx, &cfg.Config)
	if err != nil {
		return nil, err
	}
	sql := noTimeouts + ";" + listDeferrable + ";SHOW server_version_num"
	if opts.ResetSequences {
		sql += ";" + resetAll(opts.Sequences)
	}
	results, err := pc.Exec(ctx, sql).ReadAll()
	if err != nil {
		pc.Close(ctx)
		return nil, err
	}
	if err := pc.SyncConn(ctx); err != nil {
		pc.Close(ctx)
		return nil, err
	}
	hijacked, err := pc.Hijack()
	if err != nil {
		return nil, err
	}
	params := maps.Clone(hijacked.ParameterStatuses)
	canceller, err := pgconn.Construct(hijacked)
	if err != nil {
		hijacked.Conn.Close()
		return nil, err
	}
	p := &physical{Conn: hijacked.Conn, first: maps.Clone(params), params: params, hello: greeting(params), canceller: canceller}
	for _, row := range results[1].Rows {
		p.deferred.add(row[0])
	}
	if p.version, err = strconv.Atoi(string(results[2].Rows[0][0])); err != nil {
		p.Close()
		return nil, err
	}
	if opts.ResetSequences {
		p.sequences = newSequences(results[len(results)-1])
	}
	return p, nil
}

// greeting is how a server begins a conversation: it trusts the client and reports its parameters.
func greeting(params map[string]string) []byte {
	hello := encode(nil, &pgproto3.AuthenticationOk{})
	for name, value := range params {
		hello = encode(hello, &pgproto3.ParameterStatus{Name: name, Value: value})
	}
	return hello
}

// cancel asks the server to cancel what the connection is doing. When it returns, the backend has been signalled: the
// server closes the connection that carried the request only afterwards (manual 55.2.8).
func (p *physical) cancel() error {
	ctx, done := context.WithTimeout(context.Background(), cancelTimeout)
	defer done()
	if err := p.canceller.CancelRequest(ctx); err != nil {
		return fmt.Errorf("txiso: a statement could not be cancelled: %w", err)
	}
	return nil
}

func (p *physical) close() {
	msg, err := (&pgproto3.Terminate{}).Encode(nil)
	if err == nil {
		_ = p.SetDeadline(time.Now().Add(time.Second))
		_, _ = p.Write(msg) // a farewell; the connection ends anyway
	}
	p.Conn.Close()
}
