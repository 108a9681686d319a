//go:build unix

package session

import (
	"net"
	"syscall"
)

// peek looks without waiting at what has arrived: data, the end of the connection, or nothing.
func (p *physical) peek() (data, ended bool) {
	sc, ok := p.Conn.(syscall.Conn)
	if !ok { // TLS
		return false, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false, true
	}
	var b [1]byte
	var n int
	var rerr error
	err = raw.Control(func(fd uintptr) { // not raw.Read, which fails when the last read's deadline has passed
		n, _, rerr = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	switch {
	case err != nil:
		return false, true
	case n > 0:
		return true, false
	case rerr == syscall.EAGAIN || rerr == syscall.EWOULDBLOCK || rerr == syscall.EINTR:
		return false, false
	}
	return false, true
}

var _ net.Conn = (*physical)(nil)
