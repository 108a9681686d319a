package provision

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// admin opens a connection for statements that may take long. Close it with hangUp.
func (p *Provisioner) admin(ctx context.Context) (*link, error) {
	return dial(ctx, p.base, "admin")
}

// hangUp closes an admin connection whatever happened to the caller's context.
func (l *link) hangUp() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.close(ctx) // the server notices either way
}

// create makes a database with our birthmark. The caller holds the lock of name.
func (l *link) create(ctx context.Context, name, template, strategy string) error {
	statement := fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s CONNECTION LIMIT %d %s", name, template, birthmark(l.home), strategy)
	for retries := 0; ; retries++ {
		_, err := l.exec(ctx, statement)
		// PostgreSQL waits five seconds for other users of the template to leave.
		if sqlState(err) != objectInUse || retries == 2 {
			return err
		}
		if err := l.empty(ctx, template); err != nil {
			return err
		}
	}
}

// bigTemplate is the size from which a template is cloned with FILE_COPY.
const bigTemplate = 64 << 20

// strategy chooses how CREATE DATABASE copies (PostgreSQL manual, CREATE DATABASE). WAL_LOG, the
// server's default, copies through the buffers and the log: everything is written twice. FILE_COPY
// costs two checkpoints, then the copy of the files. Versions before 15 know only the latter.
//
// Measured with go test -run '^$' -bench Strategy ./txiso/internal/provision, on ext4 with two busy
// cores: nothing between them for 10 tables; for 100 MB FILE_COPY takes 0.6 to 0.8 times as long
// (PostgreSQL 15 and 18). Many small files cost more than their bytes and gain nothing for certain.
// PostgreSQL 18's file_copy_method = clone is a tenth better still, which is no reason to risk a
// file system that cannot: who has one that shares blocks (XFS, Btrfs, ZFS, APFS) sets it in the
// server's configuration, and it counts here.
func strategy(major int, size int64) string {
	if major < 15 || size < bigTemplate {
		return ""
	}
	return "STRATEGY FILE_COPY"
}

func comment(name string, m marker) string {
	return "COMMENT ON DATABASE " + name + " IS " + literal(m.String())
}

// drop removes a database of ours. The caller holds its lock. DROP DATABASE sleeps 100 ms when it
// finds somebody connected, even if he is just leaving: empty waits for that in smaller steps.
//
// FORCE is for those who have come since. It demands rights over everybody it finds, autovacuum workers included, over whom
// a plain role has none; without it PostgreSQL sends those away itself (dropdb in dbcommands.c).
func (l *link) drop(ctx context.Context, name string) error {
	if err := l.empty(ctx, name); err != nil {
		return err
	}
	_, err := l.exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	if sqlState(err) == insufficientPrivilege {
		_, err = l.exec(ctx, "DROP DATABASE IF EXISTS "+name)
	}
	return doing("dropping "+name, err)
}

const (
	emptyStep    = 500 * time.Microsecond
	emptyTimeout = 10 * time.Second
)

// empty ends all connections to a database and waits until they are gone.
// Autovacuum workers do not count: PostgreSQL itself sends them away when they are in the way. They are told by having no
// user, because their backend_type is hidden from a role that is no superuser.
func (l *link) empty(ctx context.Context, name string) error {
	others := " FROM pg_stat_activity WHERE datname = " + literal(name) + " AND usesysid IS NOT NULL"
	results, err := l.exec(ctx, "SELECT pg_terminate_backend(pid)"+others)
	if err != nil {
		return doing("disconnecting other users of "+name, err)
	}
	// A statement that is given up would cost the connection, so this bounds the pauses only.
	patience, cancel := context.WithTimeoutCause(ctx, emptyTimeout, fmt.Errorf("they do not leave within %s", emptyTimeout))
	defer cancel()
	for n := len(results[0].Rows); n > 0; {
		if err := sleep(patience, emptyStep); err != nil {
			return doing("disconnecting other users of "+name, err)
		}
		results, err := l.exec(ctx, "SELECT count(*)"+others)
		if err != nil {
			return doing("disconnecting other users of "+name, err)
		}
		n, _ = strconv.Atoi(text(results[0], 0, 0))
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
