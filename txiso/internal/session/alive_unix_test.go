//go:build unix

package session

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// A client that reads with a deadline leaves that on the physical connection. When it had passed, the next ping, on whatever
// connection, found the server gone, and no statement of the test worked any more.
func TestPeekIsNotAMatterOfTheLastReadsDeadline(t *testing.T) {
	client, server := pair(t)
	_ = client.SetReadDeadline(time.Unix(1, 0))
	p := &physical{Conn: client}
	see := func(wantData, wantEnded bool) {
		t.Helper()
		if data, ended := p.peek(); data != wantData || ended != wantEnded {
			t.Errorf("data %v, ended %v, want %v, %v", data, ended, wantData, wantEnded)
		}
	}
	see(false, false)
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	see(false, true)
}

func TestLookingEndsWithoutAnAnswerAndWhenTheAnswerComes(t *testing.T) {
	client, server := pair(t)
	p := &physical{Conn: client}
	if p.look() {
		t.Error("an answer was found that nobody has given")
	}
	if _, err := server.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if !p.look() {
		t.Error("the answer was not found")
	}
}

// pair returns both ends of a connection.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if client, err = net.Dial("unix", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}
