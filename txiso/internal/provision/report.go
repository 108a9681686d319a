package provision

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Report is what a server says about itself and what txiso has there. It was true when it was made.
type Report struct {
	Version        string    // of PostgreSQL, for instance "15.18"
	Address        string    // host:port, or the directory of a unix socket
	Started        time.Time //
	Connections    int       // of clients, the one that reports not counted
	MaxConnections int
	Databases

	base      *pgx.ConnConfig
	encrypted bool
}

// Databases are those that the role of the connection owns and the maintenance database has the
// locks of, by kind. Their field names in JSON are fixed.
type Databases struct {
	Templates  []Database `json:"templates"`
	Workers    []Database `json:"workers"`
	Clones     []Database `json:"clones"`
	Kept       []Database `json:"kept"`
	Incomplete []Database `json:"incomplete"` // left by a process that was killed, or about to be complete

	// Others is how many databases have a name like ours but are not ours: a stranger's, or those
	// of another role or another maintenance database.
	Others int `json:"others"`
}

// Database is one database of a [Report].
type Database struct {
	Name        string    `json:"name"`
	Kind        string    `json:"kind"` // template, worker, clone, kept or incomplete
	Template    string    `json:"template"`
	Test        string    `json:"test,omitempty"`   // whose a kept one is
	Created     time.Time `json:"created,omitzero"` // zero for an incomplete one, and for a worker database that nobody has used yet
	Used        time.Time `json:"used,omitzero"`    // of a template: its last use, to the hour
	Size        int64     `json:"size"`             // in bytes
	Connections int       `json:"connections"`      // to it
	Holders     []Holder  `json:"holders"`          // live processes, by their locks
}

// Holder is a process that keeps a database from being dropped or leased by another.
type Holder struct {
	Backend     int       `json:"backend"`        // the server's process of the connection that has the lock
	Application string    `json:"application"`    // application_name of that connection
	User        string    `json:"user"`           // its role
	Client      string    `json:"client"`         // its address, "" on a unix socket
	Process     int       `json:"process"`        // on the client's machine; 0 if it does not say so
	Program     string    `json:"program"`        //
	Since       time.Time `json:"since,omitzero"` // when it connected
}

// Kinds of a [Database] that no marker names so.
const (
	Worker     = "worker"
	Incomplete = "incomplete"
)

// Inspect reports what txiso has on the server that dsn names. It changes nothing and locks
// nothing. Its errors are those of [Open].
func Inspect(ctx context.Context, dsn string) (*Report, error) {
	o, err := observe(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer o.link.hangUp()
	r, err := o.report(ctx)
	return r, doing("looking at the server", err)
}

// observer looks at a server without a template of its own.
type observer struct {
	link *link
}

func observe(ctx context.Context, dsn string) (*observer, error) {
	base, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	l, err := dial(ctx, base, "command")
	if err != nil {
		return nil, err
	}
	l.base = pinned(ctx, base, l.conn)
	return &observer{l}, nil
}

const selectServer = `SELECT extract(epoch FROM pg_postmaster_start_time()), current_setting('max_connections'),
(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()); `

const selectHolders = `SELECT (l.classid::int8 << 32) | l.objid::int8, l.pid, a.application_name, a.usename, host(a.client_addr),
extract(epoch FROM a.backend_start) FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY a.backend_start, l.pid; `

const selectBackends = `SELECT datname, numbackends FROM pg_stat_database WHERE numbackends > 0; `

func (o *observer) report(ctx context.Context) (*Report, error) {
	results, err := o.link.exec(ctx, selectServer+selectHolders+selectBackends+selectSurvey)
	if err != nil {
		return nil, err
	}
	server := results[0]
	version, _, _ := strings.Cut(o.link.conn.ParameterStatus("server_version"), " ") // without the distribution's name
	r := &Report{
		base: o.link.base, encrypted: encrypted(o.link),
		Version: version, Address: address(o.link.base), Started: moment(text(server, 0, 0)),
		MaxConnections: number(text(server, 0, 1)), Connections: number(text(server, 0, 2)),
		// A list without elements is written as [], not as null.
		Databases: Databases{Templates: []Database{}, Workers: []Database{}, Clones: []Database{}, Kept: []Database{}, Incomplete: []Database{}},
	}
	holders, backends := readHolders(results[1]), readBackends(results[2])
	databases := o.link.readSurvey(results[3:]).databases
	slices.SortFunc(databases, func(a, b *database) int { return byName(a.name, b.name) })
	for _, d := range databases {
		if d.dropping {
			continue
		}
		if !d.droppable() {
			r.Others++
			continue
		}
		size, err := o.link.size(ctx, d.name)
		if err != nil {
			continue // it has been dropped meanwhile
		}
		r.add(d.describe(size, backends[d.name], holders[lockKey(d.name)]))
	}
	return r, nil
}

func (d *database) describe(size int64, connections int, holders []Holder) Database {
	described := Database{
		Name: d.name, Kind: Incomplete, Template: templateName(fingerprintOf(d.name)),
		Size: size, Connections: connections, Holders: append([]Holder{}, holders...), // never null in JSON
	}
	if d.kept() {
		described.Template, described.Test = templateName(d.mark.Fingerprint), d.mark.Test
	}
	if d.complete() && !d.building() {
		described.Kind, described.Created, described.Used = d.mark.Kind, d.mark.Created, d.mark.Used
		if described.Kind == kindSlot {
			described.Kind = Worker
		}
	}
	return described
}

func (r *Databases) add(d Database) {
	list := map[string]*[]Database{kindTemplate: &r.Templates, Worker: &r.Workers, kindClone: &r.Clones, kindKept: &r.Kept}[d.Kind]
	if list == nil {
		list = &r.Incomplete
	}
	*list = append(*list, d)
}

// All returns the databases of every kind, each template followed by what was cloned from it.
func (r *Databases) All() []Database {
	all := slices.Concat(r.Templates, r.Workers, r.Clones, r.Kept, r.Incomplete)
	slices.SortFunc(all, func(a, b Database) int {
		return cmp.Or(cmp.Compare(a.Template, b.Template), byName(a.Name, b.Name))
	})
	return all
}

// byName compares names whose numbers have no leading zeros.
func byName(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// Named returns the database of a name, nil if there is none.
func (r *Databases) Named(name string) *Database {
	for _, d := range r.All() {
		if d.Name == name {
			return &d
		}
	}
	return nil
}

// DSN returns a URL for a database of the report, as [CloneDB.DSN] does. Transactions in a worker
// database are read only unless the client asks for another mode: tests trust that it is as its
// template is.
func (r *Report) DSN(d Database) string { return dsnFor(r.client(d), r.encrypted, d.Name) }

// Login is DSN in two parts, for a command line that everybody on the machine can read.
func (r *Report) Login(d Database) (url, password string) {
	base := r.client(d)
	return loginFor(base, r.encrypted, d.Name), base.Password
}

// client is how a client should connect to d.
func (r *Report) client(d Database) *pgx.ConnConfig {
	base := r.base.Copy()
	if d.Kind == Worker {
		base.RuntimeParams["default_transaction_read_only"] = "on"
	}
	return base
}

func readHolders(rows *pgconn.Result) map[int64][]Holder {
	holders := make(map[int64][]Holder)
	for i := range rows.Rows {
		key, _ := strconv.ParseInt(text(rows, i, 0), 10, 64)
		h := Holder{
			Backend: number(text(rows, i, 1)), Application: text(rows, i, 2), User: text(rows, i, 3),
			Client: text(rows, i, 4), Since: moment(text(rows, i, 5)),
		}
		h.Process, h.Program = processOf(h.Application)
		holders[key] = append(holders[key], h)
	}
	return holders
}

// processOf reads what applicationName has written.
func processOf(application string) (pid int, program string) {
	words := strings.SplitN(application, " ", 4)
	if len(words) < 4 || words[0] != "txiso" {
		return 0, ""
	}
	return number(words[2]), words[3]
}

func readBackends(rows *pgconn.Result) map[string]int {
	backends := make(map[string]int)
	for i := range rows.Rows {
		backends[text(rows, i, 0)] = number(text(rows, i, 1))
	}
	return backends
}

// address tells where a server is: no user, no password.
func address(base *pgx.ConnConfig) string {
	if isSocket(base.Host) {
		return base.Host
	}
	return net.JoinHostPort(base.Host, strconv.Itoa(int(base.Port)))
}

// number reads what the server printed as an integer.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// moment reads seconds since 1970; the zero time if there are none.
func moment(epoch string) time.Time {
	seconds, err := strconv.ParseFloat(epoch, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6))
}
