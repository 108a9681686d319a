package pgserver

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Config says which server Start gives. Its zero value works.
type Config struct {
	// Home is the directory that keeps data directories, logs and downloaded binaries between runs. "" means the TXISO_HOME variable, else
	// a txiso folder in os.UserCacheDir; for root, if the account the server runs as cannot reach that or if it is another user's,
	// /var/tmp/txiso-0. One that somebody else could put programs into is refused.
	Home string
	// BinDir is a directory with PostgreSQL's initdb and postgres. "" means the TXISO_POSTGRES_BIN variable, else a search of the machine.
	BinDir string
	// DownloadURL is the base URL of a repository in Maven's layout that has the embedded-postgres-binaries artifacts, used if the machine
	// has no PostgreSQL. "" means the TXISO_POSTGRES_URL variable; without that nothing is downloaded.
	DownloadURL string
	// IdleTimeout is how long a server without clients lives on. 0 means the TXISO_IDLE_TIMEOUT variable (a Go duration), else 60 s.
	// Processes that share a server share this too: the latest Start decides.
	IdleTimeout time.Duration
	// Logf gets one line when a data directory is created. nil means that nothing is said.
	Logf func(format string, args ...any)
}

const (
	defaultIdleTimeout = 60 * time.Second
	// The watchdog polls; below this a Start and the first connection of its caller would race with it.
	minIdleTimeout = 500 * time.Millisecond
)

func (c Config) idleTimeout() (time.Duration, error) {
	if c.IdleTimeout == 0 && os.Getenv("TXISO_IDLE_TIMEOUT") == "" {
		return defaultIdleTimeout, nil
	}
	d, source := c.IdleTimeout, "IdleTimeout"
	if d == 0 {
		source = "TXISO_IDLE_TIMEOUT"
		var err error
		if d, err = time.ParseDuration(os.Getenv(source)); err != nil {
			return 0, fmt.Errorf("txiso: TXISO_IDLE_TIMEOUT: %w: set it to a duration such as 90s or 5m, or unset it", err)
		}
	}
	if d < minIdleTimeout {
		return 0, fmt.Errorf("txiso: %s is %v: set it to at least %v", source, d, minIdleTimeout)
	}
	return d, nil
}

func (c Config) logf(format string, args ...any) {
	if c.Logf != nil {
		c.Logf(format, args...)
	}
}

func orEnv(value, name string) string {
	if value != "" {
		return value
	}
	return os.Getenv(name)
}

// Server is a running server that Start has found or started. It holds nothing that must be closed: a server is in use while a client is
// connected to it, and for the idle timeout after each Start. It is safe for concurrent use.
type Server struct {
	dsn string
}

// DSN is a keyword/value connection string for pgx and libpq to the server's maintenance database, as its superuser.
func (s *Server) DSN() string { return s.dsn }

// Status is what Inspect or Find found out about a server.
type Status struct {
	Name      string // of its directory in Home, for instance "pg15-1a2b3c4d5e6f"
	Running   bool
	Version   string // of the binaries, for instance "15.18"; of Find, at least the major one if the data directory exists
	BinDir    string // "" if Find cannot tell
	DataDir   string // which need not exist yet
	LogFile   string
	SocketDir string
	PID       int       // of the postmaster; 0 if it does not run
	Started   time.Time // zero if it does not run
	DSN       string    // "" if it does not run
}

// User is a connection to a server that is not to be stopped.
type User struct {
	Backend     int // the server's process
	Application string
	Database    string
}

// InUseError is what StopUnused returns about a server that it has left alone.
type InUseError struct {
	Server string // its directory's name
	Users  []User // at least one
}

func (e *InUseError) Error() string {
	var users []string
	for _, u := range e.Users {
		users = append(users, fmt.Sprintf("%q in database %s (backend %d)", u.Application, u.Database, u.Backend))
	}
	return fmt.Sprintf("txiso: the embedded server %s is in use by %s: wait until they have ended", e.Server, strings.Join(users, ", "))
}

// socketDSN quotes dir as libpq wants it (PostgreSQL manual, 34.1.1.1). What follows the database keeps PG… variables out that are meant for
// another server and would turn this one down.
func socketDSN(dir string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(dir)
	return fmt.Sprintf("host='%s' port=%d user=%s dbname=postgres sslmode=disable target_session_attrs=any channel_binding=disable require_auth=none min_protocol_version=3.0",
		quoted, port, superuser)
}

const (
	superuser = "postgres"
	port      = 5432 // part of the socket's name; nothing listens on TCP
)
