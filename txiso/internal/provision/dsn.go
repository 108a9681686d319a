package provision

import (
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// parameterName is what the server takes for the name of a parameter.
var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

func parseDSN(dsn string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(strings.TrimSpace(dsn))
	if err != nil {
		return nil, parseError(parseReason(err))
	}
	// pgx takes a URL in quotes, or of another scheme, for the name of a parameter, which the server would repeat with the password in it.
	for name := range cfg.RuntimeParams {
		if !parameterName.MatchString(name) {
			return nil, parseError("the name of a parameter in it has characters that none has")
		}
	}
	if strings.Contains(cfg.Host+cfg.Database, "@") {
		return nil, errors.New("txiso: host or database in the DSN contain an @, so part of the password was taken for them; percent-encode the password's special characters (@ is %40, / is %2F)")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	// Settings of pgxpool, which the server would not know.
	maps.DeleteFunc(cfg.RuntimeParams, func(name, _ string) bool { return strings.HasPrefix(name, "pool_") })
	return cfg, nil
}

// dsnFor is a URL that any client of PostgreSQL understands (libpq, lib/pq, node-postgres, …). It
// spells out what pgx found in the DSN, the environment, the password and the service file.
func dsnFor(base *pgx.ConnConfig, encrypted bool, database string) string {
	query := sslSettings(base.ConnString(), encrypted)
	if password := dsnSettings(base.ConnString())[keyPassword]; password != "" {
		query[keyPassword] = password
	}
	user := url.User(base.User)
	if base.Password != "" {
		user = url.UserPassword(base.User, base.Password)
	}
	return urlFor(base, user, query, database)
}

// loginFor is dsnFor without passwords.
func loginFor(base *pgx.ConnConfig, encrypted bool, database string) string {
	return urlFor(base, url.User(base.User), sslSettings(base.ConnString(), encrypted), database)
}

func urlFor(base *pgx.ConnConfig, user *url.Userinfo, query map[string]string, database string) string {
	u := url.URL{Scheme: "postgres", User: user, Path: "/" + database}
	if u.Host = net.JoinHostPort(base.Host, strconv.Itoa(int(base.Port))); isSocket(base.Host) {
		u.Host = ""
		query["host"], query["port"] = base.Host, strconv.Itoa(int(base.Port))
	}
	if options := runtimeOptions(base.RuntimeParams); options != "" {
		query["options"] = options
	}
	u.RawQuery = encode(query)
	return u.String()
}

// isSocket reports whether host is the directory of a unix socket, by libpq's rules.
func isSocket(host string) bool {
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || len(host) > 2 && host[1:3] == `:\`
}

// keyPassword is the TLS setting that is a secret: it opens the client's key.
const keyPassword = "sslpassword"

// sslSettings returns the TLS settings of the DSN or the environment, but for [keyPassword]. Clients differ in the
// default for sslmode, so it is always named: without one, what the server turned out to do.
func sslSettings(dsn string, encrypted bool) map[string]string {
	settings := map[string]string{"sslmode": "disable"}
	if encrypted {
		settings["sslmode"] = "require"
	}
	for name, variable := range map[string]string{"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"} {
		if value := os.Getenv(variable); value != "" {
			settings[name] = value
		}
	}
	for name, value := range dsnSettings(dsn) {
		if strings.HasPrefix(name, "ssl") && name != "ssl" && name != keyPassword {
			settings[name] = value
		}
	}
	return settings
}

// runtimeOptions gives all runtime parameters as the options parameter, the only form in which
// libpq accepts most of them (PostgreSQL manual, 34.1.2 options).
func runtimeOptions(params map[string]string) string {
	var options []string
	if own := params["options"]; own != "" {
		options = append(options, own)
	}
	escape := strings.NewReplacer(`\`, `\\`, ` `, `\ `)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if name != "options" {
			options = append(options, "-c "+name+"="+escape.Replace(params[name]))
		}
	}
	return strings.Join(options, " ")
}

// encode is url.Values.Encode with %20 for a space: libpq takes a + for a plus.
func encode(query map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		pairs = append(pairs, name+"="+strings.ReplaceAll(url.QueryEscape(query[name]), "+", "%20"))
	}
	return strings.Join(pairs, "&")
}

// dsnSettings splits a DSN that pgx has parsed. Of a URL only the query is needed.
func dsnSettings(dsn string) map[string]string {
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return querySettings(dsn)
	}
	return keywordSettings(dsn)
}

func querySettings(dsn string) map[string]string {
	settings := make(map[string]string)
	_, query, _ := strings.Cut(dsn, "?")
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if value, err := url.PathUnescape(value); err == nil {
			settings[name] = value
		}
	}
	return settings
}

// keywordSettings splits name=value and name='value' pairs, where a backslash quotes.
func keywordSettings(dsn string) map[string]string {
	settings := make(map[string]string)
	for dsn != "" {
		var name, value string
		name, dsn, _ = strings.Cut(dsn, "=")
		value, dsn = keywordValue(strings.TrimLeft(dsn, " \t\r\n"))
		settings[strings.TrimSpace(name)] = value
	}
	return settings
}

func keywordValue(s string) (value, rest string) {
	end := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
	if strings.HasPrefix(s, "'") {
		s, end = s[1:], func(c byte) bool { return c == '\'' }
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
		case end(s[i]):
			return b.String(), s[i+1:]
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

func encrypted(l *link) bool {
	_, ok := l.conn.Conn().(*tls.Conn)
	return ok
}
