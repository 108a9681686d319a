//go:build unix && !solaris && !aix

package pgserver

import (
	"os"
	"os/exec"
	"testing"
)

func TestSupervisorStopsTheServerOfADeadStarter(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close() // nobody reads the pid, nobody says a word
	log, logEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", "-c", supervisor, "sh", "sleep", "300")
	cmd.Stdout, cmd.Stderr = w, logEnd
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Close(), logEnd.Close()
	_ = cmd.Wait()                                 // its exit code is that of the last kill
	for buffer := make([]byte, 100); err == nil; { // ends when the last process that can write to the log has ended
		_, err = log.Read(buffer)
	}
}
