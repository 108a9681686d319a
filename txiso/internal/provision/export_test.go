package provision

import "time"

// What tests outside the package need from inside.

const BigTemplate = bigTemplate

var (
	LockKey      = lockKey
	Strategy     = strategy
	MajorVersion = majorVersion
)

// DSNFor is what CloneDB.DSN returns on a server given by dsn.
func DSNFor(dsn string, encrypted bool, database string) (string, error) {
	base, err := parseDSN(dsn)
	if err != nil {
		return "", err
	}
	return dsnFor(base, encrypted, database), nil
}

// PublicFor is what others may read: the URL of a login and the conninfo of a kept database.
func PublicFor(dsn, database string) (login, kept string, err error) {
	base, err := parseDSN(dsn)
	if err != nil {
		return "", "", err
	}
	return loginFor(base, true, database), conninfo(base, true, database), nil
}

// ConnectTimeout is how long connecting with a DSN may take.
func ConnectTimeout(dsn string) (time.Duration, error) {
	base, err := parseDSN(dsn)
	if err != nil {
		return 0, err
	}
	return base.ConnectTimeout, nil
}
