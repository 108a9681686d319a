package session_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/txiso/txiso-go/txiso/internal/pgserver/pgtest"
	"github.com/txiso/txiso-go/txiso/internal/session"
)

// After a write that has timed out, crypto/tls writes nothing more ("After a Write has timed out, the TLS state is corrupt and
// all future writes will return the same error"). A client's deadline in the middle of a COPY was such a time-out, and the
// session tried again for ever.
func TestADeadlineInAWriteOverTLS(t *testing.T) {
	cfg, stalled := encrypted(t, database(t))
	s := openOn(t, cfg, session.Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*s.Config())
	defer db.Close()
	exec(t, db, "INSERT INTO items VALUES (1, 'one')")
	conn := connectTo(t, s).PgConn()
	data := bytes.NewReader(bytes.Repeat([]byte("2\tmore than any socket takes\n"), 1<<20))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	stalled.Lock()
	_, err := conn.CopyFrom(ctx, data, "COPY items (id, name) FROM STDIN")
	stalled.Unlock()
	if err == nil {
		t.Error("the COPY has not ended with its context")
	}
	within, cancelNext := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancelNext()
	var n int
	if err := db.QueryRowContext(within, "SELECT count(*) FROM items").Scan(&n); err != nil || n != 1 {
		t.Errorf("afterwards there are %d items: %v", n, err)
	}
	if findings, err := s.End(20 * time.Second); err != nil || findings != nil {
		t.Errorf("%q: %v", findings, err)
	}
}

// A server that sends rows was taken for one that has read everything, so that the next write could block although its client
// had a deadline.
func TestADeadlineInAWriteOverTLSWhileRowsArrive(t *testing.T) {
	cfg, stalled := encrypted(t, database(t))
	s := openOn(t, cfg, session.Options{})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	hijacked, err := connectTo(t, s).PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	conn := hijacked.Conn
	rows := hijacked.Frontend
	rows.SendParse(&pgproto3.Parse{Query: "SELECT pg_sleep(0.001), repeat('x', 9000) FROM generate_series(1, 20000)"})
	rows.SendBind(&pgproto3.Bind{})
	rows.SendExecute(&pgproto3.Execute{})
	rows.Send(&pgproto3.Flush{})
	if err := rows.Flush(); err != nil {
		t.Fatal(err)
	}
	var more []byte
	for _, m := range []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SELECT 1 --" + strings.Repeat("-", 7000)}, &pgproto3.Flush{}} {
		if more, err = m.Encode(more); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rows.Receive(); err != nil { // the server is at it
		t.Fatal(err)
	}
	stalled.Lock()
	defer stalled.Unlock()
	over := make(chan struct{})
	go func() {
		defer close(over)
		answers := make([]byte, 64<<10)
		for range 16 << 20 / len(more) {
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			_, _ = conn.Read(answers)
			_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := conn.Write(more); err != nil {
				return
			}
		}
	}()
	select {
	case <-over: // whatever could be written
	case <-time.After(60 * time.Second):
		t.Error("a write has not ended at its deadline")
	}
	conn.Close()
}

// A session whose connection had ended while it waited for a test was handed out, if the connection used TLS.
func TestASessionOverTLSThatHasEnded(t *testing.T) {
	cfg := database(t)
	over, _ := encrypted(t, cfg)
	s := openOn(t, over, session.Options{})
	for range 2 {
		clean(t, s, func(db *sql.DB) { exec(t, db, "INSERT INTO items VALUES (1, 'one')") })
		if !s.Alive() {
			t.Fatalf("it is not alive: %v", s.Err())
		}
	}
	run(t, cfg, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	for deadline := time.Now().Add(20 * time.Second); s.Alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is taken for alive")
		}
	}
}

// encrypted returns a configuration that reaches the same server over TLS. As long as somebody holds stalled, nothing that
// clients send gets there.
func encrypted(t *testing.T, cfg *pgx.ConnConfig) (over *pgx.ConnConfig, stalled *sync.Mutex) {
	t.Helper()
	stalled = new(sync.Mutex)
	to := pgtest.Relay{
		Greet: endTLS(selfSigned(t)),
		Through: func(net.Conn, []byte) bool {
			stalled.Lock()
			defer stalled.Unlock()
			return true
		},
	}.Listen(t, cfg.Host, cfg.Port)
	over = cfg.Copy()
	over.Host, over.Port = to.IP.String(), uint16(to.Port)
	over.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	over.Fallbacks = nil
	return over, stalled
}

// endTLS is the end of the client's TLS, if it asks for that.
func endTLS(certificate tls.Certificate) func(client, server net.Conn) (net.Conn, error) {
	return func(client, server net.Conn) (net.Conn, error) {
		request := make([]byte, 8)
		if _, err := io.ReadFull(client, request); err != nil {
			return nil, err
		}
		if binary.BigEndian.Uint32(request[4:]) != 80877103 { // SSLRequest
			_, err := server.Write(request)
			return client, err
		}
		_, err := client.Write([]byte{'S'})
		return tls.Server(client, &tls.Config{Certificates: []tls.Certificate{certificate}}), err
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
