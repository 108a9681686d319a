package provision

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
)

func parseDSN(dsn string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, parseError(err)
	}
	if strings.Contains(cfg.Host, "@") {
		return nil, errors.New("txiso: the host in the DSN contains an @, so part of the password was taken for it; percent-encode the password's special characters (@ is %40)")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	return cfg, nil
}
