package property_test

import (
	"fmt"
	"os"
	"testing"
	"testing/fstest"

	"github.com/txiso/txiso-go/txiso"
	"go.uber.org/goleak"
)

// iso gives both sides their databases: plain ones by Clone.
var iso = txiso.New(txiso.Config{Migrations: fstest.MapFS{
	"00001_schema.sql": {Data: []byte("-- +goose Up\n-- +goose StatementBegin\n" + schema + "\n-- +goose StatementEnd\n")},
}})

func TestMain(m *testing.M) {
	code := m.Run()
	if err := iso.Close(); err != nil {
		fmt.Println(err)
		code = 1
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

// schema is what every sequence starts from.
const schema = `
create table items (
	id   bigint primary key,
	name text not null unique,
	qty  integer not null default 0 check (qty >= 0),
	note varchar(8)
);
create table parents (id integer primary key);
create table children (
	id     integer primary key,
	parent integer not null references parents deferrable initially deferred
);
create table pairs (
	id    integer primary key,
	place integer not null,
	constraint pairs_place unique (place) deferrable initially immediate
);
create table events (id integer primary key, v integer not null);
create function audit() returns trigger language plpgsql as $$
begin
	if new.v < 0 then
		raise exception 'audited: % is negative', new.v using errcode = '23514';
	end if;
	raise notice 'audited: %', new.v;
	return null;
end $$;
create constraint trigger audited after insert or update on events
	deferrable initially deferred for each row execute function audit();
insert into items select i, 'item ' || i, i, null from generate_series(1, 3) i;
insert into parents values (1), (2);
insert into pairs values (1, 1), (2, 2);
`

// tables are looked at when a sequence has ended; the last two are there only if it has created them.
var tables = []string{"items", "parents", "children", "pairs", "events", "x1", "x2"}
