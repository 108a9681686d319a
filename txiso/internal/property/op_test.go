package property_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// sequence is what is done, in a form that can be kept: its meaning must not change when the generator does.
type sequence struct {
	Kind string // the client: "pgx", "pool" (pgxpool), "db" (database/sql) or "wire" (protocol messages)
	Note string `json:",omitempty"` // what was wrong, for the kept ones
	// Together makes each connection's operations a goroutine of its own.
	Together bool `json:",omitempty"`
	Ops      []op
}

// op is one operation. One that makes no sense where it stands does nothing, so that others can be dropped ahead of it.
type op struct {
	Conn int    `json:",omitempty"` // which connection
	Do   string // see the table of verbs of each client
	SQL  string `json:",omitempty"`
	Name string `json:",omitempty"` // of a statement, portal or table
	Args []arg  `json:",omitempty"`
	Mode string `json:",omitempty"` // pgx's QueryExecMode, or options of a transaction
	N    int    `json:",omitempty"` // how many rows or results are read
	Ops  []op   `json:",omitempty"` // of a batch, a pipeline or a group of messages
}

// arg is an argument: a number if it looks like one, "null" for NULL, a text otherwise.
type arg string

func (a arg) value() any {
	if a == "null" {
		return nil
	}
	if n, err := strconv.Atoi(string(a)); err == nil {
		return n
	}
	return string(a)
}

// text is the argument in PostgreSQL's text format.
func (a arg) text() []byte {
	if a == "null" {
		return nil
	}
	return []byte(a)
}

func (o op) args() (values []any) {
	for _, a := range o.Args {
		values = append(values, a.value())
	}
	return values
}

func (o op) texts() (values [][]byte) {
	for _, a := range o.Args {
		values = append(values, a.text())
	}
	return values
}

func (o op) String() string {
	b, err := json.Marshal(o)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// String is the form in which a sequence is kept.
func (q sequence) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\"Kind\": %q, \"Note\": %q, \"Together\": %v, \"Ops\": [\n", q.Kind, q.Note, q.Together)
	for i, o := range q.Ops {
		sep := ","
		if i == len(q.Ops)-1 {
			sep = ""
		}
		fmt.Fprintf(&b, "  %s%s\n", o, sep)
	}
	b.WriteString("]}\n")
	return b.String()
}
