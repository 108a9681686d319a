// Package pgserver gives every process of a user the same embedded PostgreSQL server: found on the machine, started on demand, shared,
// and stopped by itself when nobody has used it for a while.
//
// # How it works
//
// A server is a directory in Home, named after the binaries and the settings it runs with:
//
//	Home/probes                     what `postgres --version` said, so that it is asked once
//	Home/binaries/…                 downloaded binaries
//	Home/pg15-1a2b3c4d/lock         flock: held by whoever starts, repairs or stops this server
//	Home/pg15-1a2b3c4d/alive        flock: held by the server's processes
//	Home/pg15-1a2b3c4d/name         cluster_name of the last start, by which the server's processes are known
//	Home/pg15-1a2b3c4d/log          what the server says, from its last start on
//	Home/pg15-1a2b3c4d/boot         the boot of the machine that the server last ran in
//	Home/pg15-1a2b3c4d/cluster/     mode 0700, owned by the account that the server runs as: its data directory and its socket
//
// Start first tries to adopt: connect, and say in one round trip that the server is in use. Only when that fails it takes the lock,
// waits for what is left of an old server, creates the data directory if there is none, starts `postgres` and leaves a watchdog in it.
//
// The watchdog is a backend whose client has gone: it runs a loop in the server (watchdog.sql) that looks for other client backends and
// shuts the server down when there has been none for the idle timeout. It needs no process of its own, dies with the server, and works
// when every user was killed. Between the start of `postgres` and the start of the watchdog a shell stands in for it (launch.go).
package pgserver
