package provision_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

func TestDSNRoundTrips(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		`host='/tmp/some dir' port=5433 user='a b' password='it\'s \\ hard' dbname=d`,
		`host=localhost user=ü password=p@:/?#[]!$&()*+,;=%"<>^{}| dbname=d sslmode=disable`,
		"host=::1 port=5499 user=u dbname=d sslmode=disable search_path=one,two application_name='my app' options='-c work_mem=1MB'",
		"postgres://u:p%40ss%2Fw%3Ard@db.example.com:6000/d?sslmode=require&TimeZone=Europe%2FBerlin",
		"postgresql:///d?host=/var/run&user=u&password=a+b%26c",
		"postgres://u@localhost/d?pool_max_conns=3&sslmode=prefer",
		"\n postgres://u:p@localhost/d?sslmode=disable ",
	} {
		t.Run(dsn, func(t *testing.T) {
			checkRoundTrip(t, dsn)
		})
	}
}

func checkRoundTrip(t *testing.T, dsn string) {
	t.Helper()
	got, err := provision.DSNFor(dsn, false, "txiso_x")
	if err != nil {
		t.Fatal(err)
	}
	before, _ := pgx.ParseConfig(strings.TrimSpace(dsn))
	after, err := pgx.ParseConfig(got)
	if err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if after.Host != before.Host || after.Port != before.Port || after.User != before.User || after.Password != before.Password || after.Database != "txiso_x" {
		t.Errorf("%s: %s %d %s %s %s", got, after.Host, after.Port, after.User, after.Password, after.Database)
	}
	if (after.TLSConfig == nil) != (before.TLSConfig == nil) {
		t.Errorf("%s: TLS %v, was %v", got, after.TLSConfig != nil, before.TLSConfig != nil)
	}
	for name := range after.RuntimeParams {
		if name != "options" {
			t.Errorf("%s: runtime parameter %s outside of options", got, name)
		}
	}
}

// The server must see the same settings, and other clients must understand the DSN.
func TestDSNOfACloneWorks(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.DSN = withSetting(withSetting(cfg.DSN, "TimeZone", "Asia/Tokyo"), "search_path", `public, "a \'b"`)
	c := clone(t, open(t, cfg))
	again, err := pgx.ParseConfig(c.DSN())
	if err != nil {
		t.Fatal(err)
	}
	const show = "SELECT current_database() || ' ' || current_setting('TimeZone') || ' ' || current_setting('search_path')"
	var want, got string
	if err := connect(t, c.Config()).QueryRow(t.Context(), show).Scan(&want); err != nil {
		t.Fatal(err)
	}
	if err := connect(t, again).QueryRow(t.Context(), show).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if got != want || !strings.HasPrefix(got, c.Name()) {
		t.Errorf("through the DSN: %s, want %s", got, want)
	}
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("no psql to try the DSN with")
	}
	out, err := exec.CommandContext(t.Context(), psql, "-XAtc", show, c.DSN()).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("psql: %v, %s, want %s", err, out, want)
	}
}

// The address of a clone and of a kept database was that of the first host, which is not there.
func TestADSNOfSeveralHostsIsThatOfTheOneThatAnswers(t *testing.T) {
	t.Parallel()
	cfg := configOn(apart(t))
	server := parse(t, cfg.DSN)
	cfg.DSN = withSetting(withSetting(cfg.DSN, "host", "127.0.0.1,"+server.Host+",127.0.0.1"), "port", fmt.Sprintf("1,%d,2", server.Port))
	p := open(t, cfg)
	c, w := clone(t, p), lease(t, p)
	for what, got := range map[string]*pgx.ConnConfig{"clone": c.Config(), "worker": w.Config()} {
		if got.Host != server.Host || got.Port != server.Port || len(got.Fallbacks) != len(server.Fallbacks) {
			t.Errorf("the %s is at %s %d, %v", what, got.Host, got.Port, got.Fallbacks)
		}
	}
	connect(t, parse(t, c.DSN())).Close(t.Context())
	report, err := provision.Inspect(t.Context(), cfg.DSN)
	if err != nil {
		t.Fatal(err)
	}
	if want := server.Host; !strings.HasPrefix(report.Address, want) {
		t.Errorf("the server is said to be at %s, want %s", report.Address, want)
	}
	kept, err := w.Keep(t.Context(), "Test", 100)
	if err != nil {
		t.Fatal(err)
	}
	connect(t, parse(t, kept.Conninfo)).Close(t.Context())
}

func TestSSLMode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dsn       string
		encrypted bool
		want      string
	}{
		{"host=h user=u", false, "sslmode=disable"},
		{"host=h user=u", true, "sslmode=require"},
		{"host=h user=u sslmode=prefer", false, "sslmode=prefer"},
		{"postgres://u@h/d?sslmode=allow", true, "sslmode=allow"},
	} {
		got, err := provision.DSNFor(test.dsn, test.encrypted, "d")
		if err != nil || !strings.Contains(got, test.want) {
			t.Errorf("%s, encrypted=%v: %s, %v, want %s", test.dsn, test.encrypted, got, err, test.want)
		}
	}
}

// The password of the client's key was in what a failed test logs and in psql's command line, for everybody to read.
func TestThePasswordOfAKeyIsInNothingPublic(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:s3cret@h/d?sslmode=require&sslpassword=s3cret",
		"host=h user=u password=s3cret dbname=d sslmode=require sslpassword='s3cret'",
	} {
		login, kept, err := provision.PublicFor(dsn, "d")
		if err != nil || strings.Contains(login+kept, "s3cret") || !strings.Contains(login, "sslmode=require") || !strings.Contains(kept, "sslmode=require") {
			t.Errorf("%s: %v, %s, %s", dsn, err, login, kept)
		}
		if own, err := provision.DSNFor(dsn, true, "d"); err != nil || !strings.Contains(own, "sslpassword=s3cret") {
			t.Errorf("%s: %v, the address of a clone is not complete: %s", dsn, err, own)
		}
	}
}

func TestConnectingIsBounded(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]time.Duration{"host=h": 10 * time.Second, "host=h connect_timeout=3": 3 * time.Second} {
		if got, err := provision.ConnectTimeout(dsn); got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", dsn, got, err, want)
		}
	}
}

func TestMajorVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int{"14": 14, "15.18 (Debian 15.18-0+deb12u1)": 15, "19beta1": 19, "9.6.24": 9, "": 0, "devel": 0} {
		if got := provision.MajorVersion(version); got != want {
			t.Errorf("%q: %d, want %d", version, got, want)
		}
	}
}

func TestStrategy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		major int
		size  int64
		want  string
	}{
		{14, provision.BigTemplate, ""},
		{15, provision.BigTemplate - 1, ""},
		{15, provision.BigTemplate, "STRATEGY FILE_COPY"},
	} {
		if got := provision.Strategy(test.major, test.size); got != test.want {
			t.Errorf("version %d, %d bytes: %q, want %q", test.major, test.size, got, test.want)
		}
	}
}
