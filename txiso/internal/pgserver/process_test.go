//go:build unix && !solaris && !aix

package pgserver

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestServerProcessesAreKnownByTheirCommandLines(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"postmaster":     {[]string{"/bin/dir/postgres", "-D", "/a b/data", "-c", "cluster_name=txiso-1", "-c", "port=5432"}, "txiso-1"},
		"shell":          {[]string{"/bin/sh", "-c", supervisor, "sh", "/bin/dir/postgres", "-D", "/data", "-c", "cluster_name=txiso-1", "-c", "port=5432"}, "txiso-1"},
		"title":          {[]string{"postgres: txiso-1: walwriter ", ""}, "txiso-1"},
		"longer name":    {[]string{"/bin/dir/postgres", "-D", "/data", "-c", "cluster_name=txiso-12", "-c", "port=5432"}, "txiso-12"},
		"nameless title": {[]string{"postgres: checkpointer ", ""}, ""},
		"mention":        {[]string{"pgrep", "-af", "cluster_name=txiso-1"}, ""},
		"title mention":  {[]string{"grep", "postgres: txiso-1: walwriter"}, ""},
		"options alike":  {[]string{"grep", "-D", "skip", "-c", "cluster_name=txiso-1", "log"}, ""},
		"other shell":    {[]string{"/bin/sh", "-c", "ps", "sh", "-D", "/data", "-c", "cluster_name=txiso-1"}, ""},
		"zombie":         {nil, ""},
	} {
		if got := clusterName(strings.Join(c.args, separator)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Whoever looked for a server with pgrep, or had a script with its name, was killed two seconds after the next start.
func TestProcessesThatMentionAServerAreLeftAlone(t *testing.T) {
	h := newHome(t)
	h.start()
	c := h.cluster()
	var bystanders []*process
	for _, args := range [][]string{
		{"-c", "cat; : cluster_name=" + nameOf(t, c)},
		{"-c", "cat; :", "sh", "-c", "cluster_name=" + nameOf(t, c)},
	} {
		bystanders = append(bystanders, startProcess(t, exec.Command("/bin/sh", args...)))
	}
	c.signal(syscall.SIGKILL, processesOf(t, c)...)
	connect(t, h.start())
	for _, p := range bystanders {
		p.finish(t)
	}
}
