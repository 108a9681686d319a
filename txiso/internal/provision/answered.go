package provision

import (
	"context"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pinned is base for the host alone that conn is connected to, if the DSN lists several: locks on one server say nothing about
// databases on another, and what others are told must be the address that works. The fallbacks that stay are those of TLS.
func pinned(ctx context.Context, base *pgx.ConnConfig, conn *pgconn.PgConn) *pgx.ConnConfig {
	hosts := append([]*pgconn.FallbackConfig{{Host: base.Host, Port: base.Port, TLSConfig: base.TLSConfig}}, base.Fallbacks...)
	other := func(one *pgconn.FallbackConfig) func(*pgconn.FallbackConfig) bool {
		return func(f *pgconn.FallbackConfig) bool { return f.Host != one.Host || f.Port != one.Port }
	}
	if !slices.ContainsFunc(hosts, other(hosts[0])) {
		return base
	}
	i := slices.IndexFunc(hosts, func(f *pgconn.FallbackConfig) bool { return answers(ctx, base, f, conn.Conn().RemoteAddr()) })
	if i < 0 {
		return base // its name has another address by now
	}
	hosts = slices.DeleteFunc(hosts[i:], other(hosts[i]))
	base = base.Copy()
	base.Host, base.Port, base.TLSConfig, base.Fallbacks = hosts[0].Host, hosts[0].Port, hosts[0].TLSConfig, hosts[1:]
	return base
}

// answers reports whether an address is one of a host's.
func answers(ctx context.Context, base *pgx.ConnConfig, f *pgconn.FallbackConfig, at net.Addr) bool {
	network, address := pgconn.NetworkAddress(f.Host, f.Port)
	if network == "unix" || at.Network() == "unix" {
		return network == at.Network() && address == at.String()
	}
	host, port, err := net.SplitHostPort(at.String())
	if err != nil || !strings.HasSuffix(address, ":"+port) {
		return false
	}
	if f.Host == host {
		return true
	}
	found, err := base.LookupFunc(ctx, f.Host)
	return err == nil && slices.Contains(found, host)
}
