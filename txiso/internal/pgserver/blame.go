//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// failedStart is a server that has ended instead of getting ready.
type failedStart struct {
	cluster *cluster
	log     string
}

func (e *failedStart) Error() string {
	log := e.log
	if log == "" {
		log = "it said nothing and may have been killed"
	}
	return fmt.Sprintf("txiso: %s does not start:\n%s\nput right what it says, or set TXISO_HOME to another directory, TXISO_POSTGRES_BIN to other "+
		"binaries, or TXISO_DSN to a server that runs; if nothing else helps, remove its data in %s",
		filepath.Join(e.cluster.bin.dir, "postgres"), log, e.cluster.data())
}

// unguardedStart is a server that has started, but does not run the watchdog.
type unguardedStart struct {
	cluster *cluster
	err     error
}

func (e *unguardedStart) Error() string {
	return fmt.Sprintf("%v: look into its log %s, set TXISO_HOME to another directory, or set TXISO_DSN to a server that runs", e.err, e.cluster.logFile())
}

func (e *unguardedStart) Unwrap() error { return e.err }

func didNotStart(err error) bool {
	var failed *failedStart
	var unguarded *unguardedStart
	return errors.As(err, &failed) || errors.As(err, &unguarded)
}

// isBroken tells if a data directory is to blame for the error that starting it gave: only if that says so, because data that is thrown away
// is lost, and new data would be of no help where a program is killed or a machine lacks something.
func (c *cluster) isBroken(ctx context.Context, err error) bool {
	var failed *failedStart
	var answer *pgconn.PgError
	switch {
	case err == nil, ctx.Err() != nil:
		return false
	case errors.As(err, &failed):
		return !lacksSomething(failed.log) && c.tellsOfDamage(failed.log)
	case didNotStart(err) && errors.As(err, &answer):
		return !slices.ContainsFunc(notData, func(class string) bool { return strings.HasPrefix(answer.Code, class) })
	}
	return false
}

// notData are SQLSTATEs: insufficient resources, operator intervention, I/O error.
var notData = []string{"53", "57", "58030"}

// damage is what a server says that cannot use its data directory.
var damage = []string{
	"PANIC:",
	"could not find the database system",
	"is not a valid data directory",
	"database files are incompatible with server",
	"could not locate a valid checkpoint record",
	"could not locate required checkpoint record",
	"incorrect checksum in control file",
	"invalid primary checkpoint record",
	"invalid page in block",
	"invalid magic number",
	"could not load pg_hba.conf",
	"could not access the server configuration file",
	"could not access status of transaction",
	"could not read block",
	"corrupt",
}

func (c *cluster) tellsOfDamage(log string) bool {
	if slices.ContainsFunc(damage, func(words string) bool { return strings.Contains(log, words) }) {
		return true
	}
	for _, words := range []string{`could not open file "`, `could not open directory "`, `could not read file "`} {
		_, file, ok := strings.Cut(log, words)
		if ok && (!strings.HasPrefix(file, "/") || strings.HasPrefix(file, c.data())) { // in the data directory, in which the server runs
			return true
		}
	}
	return false
}

// lacksSomething tells of a cause outside the data, whatever else the log says.
func lacksSomething(log string) bool {
	return diskFull(log) != nil || lacksMemory(log) || strings.Contains(log, "terminated by signal 9") || // the kernel's, where memory is short
		findErrno(log, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.EFBIG, syscall.EAGAIN, syscall.EIO, syscall.EROFS, syscall.EACCES, syscall.EPERM) != nil
}

func lacksMemory(log string) bool {
	return strings.Contains(log, "could not create semaphores") || strings.Contains(log, "shared memory") && !strings.Contains(log, "pre-existing")
}

// diskFull finds the error in what PostgreSQL's programs print.
func diskFull(text string) error { return findErrno(text, syscall.ENOSPC, syscall.EDQUOT) }

func findErrno(text string, errnos ...syscall.Errno) error {
	for _, errno := range errnos {
		if strings.Contains(strings.ToLower(text), errno.Error()) {
			return errno
		}
	}
	return nil
}
