package pgtest

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Relay is a network between clients and a server that a test can disturb.
type Relay struct {
	// Greet, if not nil, begins a connection. It returns the client as the rest is to see it.
	Greet func(client, server net.Conn) (net.Conn, error)

	// Through is asked about all that a client says; both are cut off where it is false.
	Through func(client net.Conn, said []byte) bool
}

// Listen relays to the server at host and port, as a DSN has them, until the test ends. It returns the address to connect to.
func (r Relay) Listen(t *testing.T, host string, port uint16) *net.TCPAddr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var relays sync.WaitGroup
	network, address := pgconn.NetworkAddress(host, port)
	relays.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			relays.Go(func() {
				defer client.Close()
				server, err := net.Dial(network, address)
				if err != nil {
					t.Error(err)
					return
				}
				defer server.Close()
				r.relay(client, server)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		relays.Wait()
	})
	return listener.Addr().(*net.TCPAddr)
}

func (r Relay) relay(client, server net.Conn) {
	if r.Greet != nil {
		var err error
		if client, err = r.Greet(client, server); err != nil {
			return
		}
	}
	go func() {
		_, _ = io.Copy(client, server)
		client.Close()
		server.Close()
	}()
	said := make([]byte, 16<<10)
	for {
		n, err := client.Read(said)
		if n > 0 && !r.Through(client, said[:n]) {
			return
		}
		if _, failed := server.Write(said[:n]); err != nil || failed != nil {
			return
		}
	}
}
