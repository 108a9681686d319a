//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// account is who the server runs as: we ourselves, or somebody unprivileged if we are root, because PostgreSQL refuses to run as root.
type account struct {
	uid, gid int
	name     string
	switched bool // not ourselves
}

func serverAccount() (account, error) {
	if uid := os.Geteuid(); uid != 0 {
		return account{uid: uid, gid: os.Getegid(), name: strconv.Itoa(uid)}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil && u.Uid != "0" {
			return accountOf(u)
		}
	}
	return account{}, fmt.Errorf("txiso: PostgreSQL does not run as root and there is no user postgres or nobody: " +
		"add one of them, run the tests as another user, or set TXISO_DSN to a server that runs")
}

func accountOf(u *user.User) (account, error) {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return account{}, fmt.Errorf("txiso: user %s: uid %q: %w", u.Username, u.Uid, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return account{}, fmt.Errorf("txiso: user %s: gid %q: %w", u.Username, u.Gid, err)
	}
	return account{uid: uid, gid: gid, name: u.Username, switched: true}, nil
}

// command prepares a program of the server's account in a session of its own, so that Ctrl-C on the tests does not reach it. When ctx ends the
// whole session is killed.
func (a account) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/" // ours may be out of the account's reach
	cmd.Env = serverEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if a.switched {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// try runs nothing as the account, which fails where root may not switch to it: without the capability, or in a user namespace that lacks it.
func (a account) try(ctx context.Context) error {
	if !a.switched {
		return nil
	}
	if err := a.command(ctx, "/bin/sh", "-c", ":").Run(); err != nil {
		return a.switchError(err)
	}
	return nil
}

func (a account) switchError(err error) error {
	return fmt.Errorf("txiso: running a program as user %s: %w: run the tests as another user than root, or set TXISO_DSN to a server that runs", a.name, err)
}

// serverEnv has none of our PG… variables, and the same locale and time zone on every machine. TZ also spares initdb a search of all zones.
func serverEnv() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// owns tells if the file was made by this account.
func (a account) owns(info os.FileInfo) bool { return ownerOf(info) == a.uid }

func ownerOf(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

// enters tells, by the mode alone, if the account may enter a directory.
func (a account) enters(info os.FileInfo) bool {
	st := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode().Perm(); {
	case int(st.Uid) == a.uid:
		return mode&0o100 != 0
	case int(st.Gid) == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
