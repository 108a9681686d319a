package session

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A client may ask for settings in its startup message (manual 55.2.1, and 20.1.4 for its "options"). What the physical
// connection has anyway costs nothing. The rest is set in an exchange ahead of the client's first, whose answer is the
// greeting: the server decides what the values are worth. Connections of one lease that ask for the same are greeted at once
// from the second on.

// parameters reads the settings that a startup message asks for. refusal names what cannot be had. Whatever stands first, the
// server reads the options ahead of the rest, which holds against them (process_startup_options in src/backend/utils/init/postinit.c).
func (s *Session) parameters(body []byte) (asked map[string]string, refusal string) {
	var rest [][2]string
	for len(body) > 0 {
		name, behind, ok := cstring(body)
		if !ok || name == "" {
			break
		}
		var value string
		if value, body, ok = cstring(behind); !ok {
			break
		}
		switch name = strings.ToLower(name); {
		case name != "options":
			rest = append(rest, [2]string{name, value})
		case !s.opened(name, value):
			if refusal = s.options(&asked, value); refusal != "" {
				return nil, refusal
			}
		}
	}
	for _, parameter := range rest {
		switch name, value := parameter[0], parameter[1]; {
		case strings.HasPrefix(name, "_pq_."):
		case name == "user" && value == s.virtual.User, name == "database" && value == s.virtual.Database:
		case name == "client_encoding" && isUTF8(value), s.opened(name, value):
			delete(asked, name)
		case name == "client_encoding", name == "replication", name == "user", name == "database":
			return nil, name + "=" + value
		default:
			s.ask(&asked, name, value)
		}
	}
	return asked, ""
}

// options reads the command-line options of a startup message.
func (s *Session) options(asked *map[string]string, options string) (refusal string) {
	words := optionWords(options)
	for i := 0; i < len(words); i++ {
		word := words[i]
		setting, ok := strings.CutPrefix(word, "--")
		if !ok {
			setting, ok = strings.CutPrefix(word, "-c")
			if setting == "" && i+1 < len(words) {
				i++
				setting = words[i]
			}
		}
		name, value, set := strings.Cut(setting, "=")
		if !ok || !set {
			return "options=" + word
		}
		s.ask(asked, strings.ToLower(strings.ReplaceAll(name, "-", "_")), value)
	}
	return ""
}

// optionWords splits at white space that has no backslash in front of it.
func optionWords(options string) (words []string) {
	var word strings.Builder
	escaped := false
	for _, r := range options + " " {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case !strings.ContainsRune(" \t\n\v\f\r", r):
			word.WriteRune(r)
		case word.Len() > 0:
			words = append(words, word.String())
			word.Reset()
		}
	}
	return words
}

func isUTF8(encoding string) bool {
	switch strings.ToLower(strings.ReplaceAll(encoding, "-", "")) {
	case "utf8", "unicode":
		return true
	}
	return false
}

// opened reports that the physical connection was opened with a parameter, be it "options".
func (s *Session) opened(name, value string) bool {
	given, ok := s.virtual.RuntimeParams[name]
	return ok && given == value
}

func (s *Session) ask(asked *map[string]string, name, value string) {
	if s.phys.first[name] == value {
		delete(*asked, name)
		return
	}
	if *asked == nil {
		*asked = make(map[string]string)
	}
	(*asked)[name] = value
}

// wish is what a startup message asked for, with the greeting that it got.
type wish struct {
	asked    map[string]string
	lasting  map[string]string // the same, by the settings in which it lasts
	greeting []byte
}

// wished returns a wish of this lease that was granted, or nil.
func (s *Session) wished(asked map[string]string) *wish {
	for _, w := range s.settings.wishes {
		if maps.Equal(w.asked, asked) {
			return w
		}
	}
	return nil
}

// queueWish makes the grant of c's wish its first exchange. It looks like a Sync.
func (c *conn) queueWish() {
	o := &c.out
	o.buf = slices.Insert(o.buf, o.taken, syncMessage...)
	o.scanned = o.taken + len(syncMessage)
	o.batches = []batch{{end: o.scanned, first: 'S'}}
}

// grant asks the server for what c wishes.
func (s *Session) grant(c *conn) {
	s.ex.open = false
	s.ready(c)
	s.ex.granting = true
	names := slices.Sorted(maps.Keys(c.wish.asked))
	sql := (&conn{startup: c.wish.asked}).settingsSQL(names, inAnyCase)
	c.wish.lasting = make(map[string]string, len(names))
	for _, name := range names {
		c.wish.lasting[lastsAs(name)] = c.wish.asked[name]
		if slices.Contains(parkable, name) {
			sql += parkSQL([]string{name}, "('')")
		}
	}
	s.bind()
	s.wbuf = appendQuery(s.wbuf, sql)
	s.push(step{kind: 'Q', drop: true, quiet: true, grant: true, end: true})
	s.forgetUnnamed()
}

// granted greets c, or tells what the server thinks of its wish.
func (s *Session) granted(c *conn) {
	w := c.wish
	c.wish = nil
	if s.ex.refusal != nil {
		c.in = encode(c.in, s.ex.refusal)
		c.eof = true
		return
	}
	c.startup = w.lasting
	for name := range w.asked {
		if changesMeaning(name) {
			s.ddl = true
			s.statements.invalidate()
		}
		if slices.Contains(parkable, name) {
			s.settings.parked = append(s.settings.parked, name)
		}
	}
	s.ex.sets = slices.Sorted(maps.Keys(w.lasting))
	w.greeting = greeting(s.phys.params)
	s.settings.wishes = append(s.settings.wishes, w)
	c.in = c.greet(c.in, w.greeting)
}

// refuseWish turns the server's answer to a wish into the end of a startup.
func (s *Session) refuseWish(m message) {
	var e pgproto3.ErrorResponse
	if err := e.Decode(m.body()); err != nil {
		s.fail(fmt.Errorf("txiso: the server refused the parameters of a connection in a way that cannot be read: %w", err))
		return
	}
	e.Severity, e.SeverityUnlocalized = "FATAL", "FATAL"
	if e.Code == "55P02" { // cannot be changed any more: it is a matter of the physical connection
		e.Hint = "The connections of one test share one connection to the server, which is there already. Put the parameter into Config.DSN."
	}
	s.ex.refusal, s.ex.failed = &e, true
}
