package conformance_test

import (
	"fmt"
	"os"
	"testing"
	"testing/fstest"

	"github.com/txiso/txiso-go/txiso"
	"go.uber.org/goleak"
)

// iso gives the plain column its databases (Clone) and the txiso column its sessions.
var iso = txiso.New(txiso.Config{Migrations: schema})

func TestMain(m *testing.M) {
	code := m.Run()
	dropping.Wait()
	if err := iso.Close(); err != nil {
		fmt.Println(err)
		code = 1
	}
	if os.Getenv(childList) == "" && code == 0 { // what go-txdb leaves running in a child is its own affair
		if err := goleak.Find(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

// schema is what every behaviour starts from.
var schema = fstest.MapFS{"00001_schema.sql": {Data: []byte(`-- +goose Up
create table items (
	id   bigint primary key,
	name text not null unique,
	qty  integer not null default 0 check (qty >= 0),
	note varchar(20)
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
create table events (n integer primary key generated always as identity, what text not null);
create table audited (id integer primary key, v integer not null);
-- +goose StatementBegin
create function audit() returns trigger language plpgsql as $$
begin
	if new.v < 0 then
		raise exception 'audited: % is negative', new.v using errcode = '23514';
	end if;
	insert into events (what) values (format('%s=%s', new.id, new.v));
	return null;
end $$;
-- +goose StatementEnd
create constraint trigger audited_at_commit after insert or update on audited
	deferrable initially deferred for each row execute function audit();
create sequence counter;
`)}}
