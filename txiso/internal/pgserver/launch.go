//go:build unix && !solaris && !aix

package pgserver

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// settings are for data that nobody will miss (PostgreSQL manual, 14.5 "Non-Durable Settings") and for many processes that come and go.
var settings = []string{
	"fsync=off",
	"synchronous_commit=off",
	"full_page_writes=off",
	"wal_level=minimal",
	"max_wal_senders=0",
	"listen_addresses=", // no TCP
	"unix_socket_permissions=0700",
	"port=" + strconv.Itoa(port),
	"restart_after_crash=off",       // the next Start repairs
	"autovacuum_max_workers=2",      // rolled-back rows must be collected, but tests need the processors
	"autovacuum_naptime=10s",        // and soon: a suite is over before the default of a minute
	"log_min_messages=log",          // failed statements are the tests' affair, and the log must not grow with them
	"log_min_error_statement=panic", //
	"log_destination=stderr",
	"logging_collector=off",
	"log_checkpoints=off",
	"lc_messages=C",
	"timezone=UTC",
}

// sizes are tried in this order: a system may have few semaphores or little shared memory. A machine of 32 processors has
// a thousand tests at once under way in as many packages, and a place that nobody takes costs nothing that can be measured.
var sizes = [][]string{
	{"max_connections=1000", "shared_buffers=128MB"},
	{"max_connections=300", "shared_buffers=128MB"},
	{"max_connections=60", "shared_buffers=16MB"},
}

// supervisor starts the server in the background and prints its pid. As long as its standard input is open and silent it stays; if that ends
// without a word, because we were killed, it stops the server, which nobody watches yet. If we die before it has printed, that must not end it.
// The server inherits none of its pipes, but the lock of its life (alive.go). SIGTERM ends a server that does not handle signals yet (a shell
// starts it with SIGINT ignored), SIGINT makes any other one hurry.
const supervisor = `"$@" </dev/null >&2 & trap '' PIPE; echo $!; read -r ok || { kill -TERM $!; kill -INT $!; }`

// launched is a server that will be stopped if we die, until it is kept.
type launched struct {
	cluster *cluster
	cmd     *exec.Cmd
	word    io.WriteCloser
	pid     int
}

// launch starts the server and waits until it accepts connections. The caller holds the lock and has made sure that no process of an old
// server is left.
func (c *cluster) launch(ctx context.Context) (*launched, error) {
	// The log tells why the last server ended, if it crashed.
	if err := os.Rename(c.logFile(), c.formerLog()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, homeError(c.logFile(), err)
	}
	var failed *failedStart
	for _, size := range sizes {
		l, err := c.launchSized(ctx, size)
		if !errors.As(err, &failed) || !lacksMemory(failed.log) {
			return l, err
		}
	}
	return nil, failed
}

func (c *cluster) launchSized(ctx context.Context, size []string) (*launched, error) {
	if err := c.forget(); err != nil {
		return nil, err
	}
	name, err := c.rename()
	if err != nil {
		return nil, err
	}
	if err := makeDir(c.socketDir(name), 0o700, c.account); err != nil {
		return nil, err
	}
	if err := writeFile(c.bootFile(), []byte(bootID())); err != nil {
		return nil, homeError(c.bootFile(), err)
	}
	l, err := c.spawn(name, size)
	if err != nil {
		return nil, err
	}
	if err := l.waitReady(ctx); err != nil {
		return nil, cmp.Or(l.abandon(), err)
	}
	return l, nil
}

func (c *cluster) spawn(name string, size []string) (*launched, error) {
	log, err := os.Create(c.logFile()) // of this start only, so that it stays small
	if err != nil {
		return nil, homeError(c.logFile(), err)
	}
	defer log.Close()
	args := append([]string{"-c", supervisor, "sh", filepath.Join(c.bin.dir, "postgres")}, c.postgresArgs(name, size)...)
	cmd := c.account.command(context.Background(), "/bin/sh", args...)
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{c.alive.file}
	word, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("txiso: starting the server: %w", err)
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("txiso: starting the server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("txiso: starting the server as user %s: %w", c.account.name, err)
	}
	line, _ := bufio.NewReader(said).ReadString('\n') // without a pid nothing is alive, and waitReady says so
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	return &launched{cluster: c, cmd: cmd, word: word, pid: pid}, nil
}

func (c *cluster) postgresArgs(name string, size []string) []string {
	args := []string{"-D", c.data(), "-c", "cluster_name=" + name, "-c", "unix_socket_directories=" + quoteList(c.socketDir(name))}
	all := append(append([]string{}, settings...), size...)
	if runtime.GOOS == "linux" { // other systems lack it in PostgreSQL 14
		all = append(all, "client_connection_check_interval=1s") // a killed client's long statement does not keep the server in use
	}
	for _, s := range all {
		args = append(args, "-c", s)
	}
	return args
}

// quoteList makes one element of a comma-separated list of names.
func quoteList(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// waitReady knows the server by its name, which is new: its pid is not the one that the shell has printed if postgres is a script that runs it.
func (l *launched) waitReady(ctx context.Context) error {
	for {
		p, alive, err := l.cluster.running()
		if err != nil {
			return err
		}
		if alive && p.status == "ready" {
			l.cluster.socket = p.socketDir
			return nil
		}
		if l.pid == 0 || ended(l.pid) {
			log, _ := os.ReadFile(l.cluster.logFile())
			return &failedStart{l.cluster, lastLines(log, 10)}
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("txiso: starting the server: %w", err)
		}
	}
}

// keep lets the server live without us.
func (l *launched) keep() error {
	_, err := io.WriteString(l.word, "ok\n")
	_ = l.word.Close()
	if waitErr := l.cmd.Wait(); err == nil {
		err = waitErr
	}
	if err != nil {
		return fmt.Errorf("txiso: letting go of the started server: %w", err)
	}
	return nil
}

// abandon stops the server that was launched and waits for its end: as long as there is an error, no other may be launched. The caller's
// context may be what has ended.
func (l *launched) abandon() error {
	_ = l.word.Close()
	_ = l.cmd.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return l.cluster.end(ctx)
}
