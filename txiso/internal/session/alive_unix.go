//go:build unix

package session

import (
	"crypto/tls"
	"net"
	"runtime"
	"syscall"
)

// peek looks without waiting at what has arrived: data, the end of the connection, or nothing.
func (p *physical) peek() (data, ended bool) { return p.peekUpTo(1) }

// look looks for a while whether something has arrived.
func (p *physical) look() bool {
	data, ended := p.peekUpTo(looks)
	return data || ended
}

// peekUpTo looks up to n times, and lets other goroutines run meanwhile.
func (p *physical) peekUpTo(n int) (data, ended bool) {
	conn := p.Conn
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false, true
	}
	err = raw.Control(func(fd uintptr) { // not raw.Read, which fails when the last read's deadline has passed
		for range n {
			if data, ended = peek(int(fd)); data || ended {
				return
			}
			runtime.Gosched()
		}
	})
	return data, ended || err != nil
}

func peek(fd int) (data, ended bool) {
	var b [1]byte
	n, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	switch {
	case n > 0:
		return true, false
	case err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.EINTR:
		return false, false
	}
	return false, true
}

var _ net.Conn = (*physical)(nil)
