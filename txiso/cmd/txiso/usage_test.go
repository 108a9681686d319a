//go:build unix

package main_test

import (
	"strings"
	"testing"
)

func TestAWrongCommandLine(t *testing.T) {
	t.Parallel()
	for line, text := range map[string]string{
		"":                         "Usage:",
		"frob":                     `there is no command "frob", only status, psql, dsn, clean, stop and help`,
		"help frob":                `there is no command "frob"`,
		"status -frob":             "flag provided but not defined: -frob; see txiso help status",
		"status more":              `status takes no "more"; see txiso help status`,
		"stop more":                `stop takes no "more"`,
		"clean more":               `clean takes no "more"`,
		"clean -unused soon":       `invalid value "soon" for flag -unused`,
		"clean -unused -1h":        "-unused -1h0m0s is negative",
		"clean -all -unused 1h":    "-all drops whatever the age: leave out -unused",
		"dsn":                      "dsn needs the NAME of a database, which txiso status shows; see txiso help dsn",
		"psql":                     "psql needs the NAME of a database",
		"dsn txiso_1 -dsn host=/x": "flags before it",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			r := txiso(t, []string{"TXISO_HOME=" + t.TempDir()}, strings.Fields(line)...).expect(2, text)
			if r.out != "" {
				t.Errorf("standard output has %q", r.out)
			}
		})
	}
}

// A DSN is easily put where a command or a name belongs.
func TestAMisplacedDSNIsNotRepeated(t *testing.T) {
	t.Parallel()
	const url = "postgres://ann:" + password + "@db/x"
	for _, args := range [][]string{
		{url},
		{"-dsn=" + url, "status"},
		{"-dsn", url, "status"},
		{"help", url},
		{"status", url},
		{"status", "-" + url},
		{"clean", "-unused", url},
		{"clean", "host=db", "password=" + password},
		{"clean", "host=db", "PASSWORD=", password},
		{"psql", url},
		{"psql", "host=db password=" + password},
		{"dsn", url},
		{"dsn", "a", url},
		{"stop", "ann:" + password + "@db"},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			r := txiso(t, []string{"TXISO_HOME=" + t.TempDir()}, args...).expect(2, "use `txiso status -dsn …`")
			if strings.Contains(r.out+r.errOut, password) {
				t.Errorf("%q prints the password:\n%s%s", args, r.out, r.errOut)
			}
		})
	}
}

func TestHelpTeachesEveryCommand(t *testing.T) {
	t.Parallel()
	overview := txiso(t, nil, "help").expect(0, "The exit status is 0", "TXISO_HOME", "-dsn")
	for _, name := range []string{"status", "psql", "dsn", "clean", "stop"} {
		overview.expect(0, "txiso "+name)
		asked := txiso(t, nil, "help", name).expect(0, "txiso "+name, "Examples:\n", "TXISO_DSN", "TXISO_POSTGRES_BIN")
		if flag := txiso(t, nil, name, "-h").expect(0); flag.out != asked.out {
			t.Errorf("%s -h says something else than help %[1]s:\n%s", name, flag.out)
		}
	}
	for _, flag := range []string{"-h", "--help", "-help"} {
		if r := txiso(t, nil, flag).expect(0); r.out != overview.out {
			t.Errorf("%s says something else than help:\n%s", flag, r.out)
		}
	}
}
