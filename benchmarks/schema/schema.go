// Package schema makes databases of any size for the benchmarks, and the work that a test does in them.
package schema

import (
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"
)

// Schema is what a test finds in its database.
type Schema struct {
	Migrations fs.FS    // goose files, with their way down
	Create     string   // the same tables as one SQL text
	Drop       string   // and back
	Tables     []string // each after those that it refers to
	Fill       string   // inserts the rows that every test starts with; "" for none
	Rows       int      // how many of them a table gets
}

// New returns a schema of tables with foreign keys, unique constraints and indexes, as an application has them, each with
// rows rows. No constraint is deferrable.
func New(tables, rows int) Schema {
	s := Schema{Rows: rows}
	files := fstest.MapFS{}
	for i := range tables {
		name := fmt.Sprintf("t%03d", i)
		s.Tables = append(s.Tables, name)
		create, drop := createTable(name, i), "DROP TABLE "+name+";\n"
		s.Create += create
		s.Drop = drop + s.Drop
		s.Fill += fill(name, i, rows)
		files[fmt.Sprintf("%05d_%s.sql", i+1, name)] = &fstest.MapFile{
			Data: []byte("-- +goose Up\n" + create + "\n-- +goose Down\n" + drop),
		}
	}
	s.Migrations = files
	return s
}

// createTable makes trees of ten tables: nine that refer to the first.
func createTable(name string, i int) string {
	parent := "integer"
	if i%10 != 0 {
		parent = fmt.Sprintf("bigint REFERENCES t%03d (id)", i/10*10)
	}
	return fmt.Sprintf(`CREATE TABLE %[1]s (
	id bigserial PRIMARY KEY,
	parent_id %[2]s,
	name text NOT NULL UNIQUE,
	amount integer NOT NULL DEFAULT 0 CHECK (amount >= 0),
	details jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON %[1]s (parent_id);
`, name, parent)
}

// fill gives rows negative ids, which the sequences of the tests never reach.
func fill(name string, i, rows int) string {
	if rows == 0 {
		return ""
	}
	parent := "NULL"
	if i%10 != 0 {
		parent = "-g"
	}
	return fmt.Sprintf("INSERT INTO %s (id, parent_id, name, amount) SELECT -g, %s, 'seed ' || g, g FROM generate_series(1, %d) g;\n",
		name, parent, rows)
}

// DeleteAll empties the tables row by row, referring tables first.
func (s Schema) DeleteAll() string {
	var sql strings.Builder
	for i := len(s.Tables) - 1; i >= 0; i-- {
		fmt.Fprintf(&sql, "DELETE FROM %s;\n", s.Tables[i])
	}
	return sql.String()
}

// TruncateAll empties the tables at once.
func (s Schema) TruncateAll() string {
	return "TRUNCATE " + strings.Join(s.Tables, ", ") + " RESTART IDENTITY CASCADE"
}
