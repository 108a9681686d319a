// Package conformance holds no code, only tests: named behaviours, each of which runs on a plain private database with
// real commits, which is the truth, and on txiso, and must come out the same. Go-txdb alone runs them, too, for the record.
//
// A body does things and records what it saw; the test compares the records. What differs is a documented limit or a bug.
// The table of all behaviours is docs/conformance.md, written by
//
//	go test ./txiso/internal/conformance -run TestTable -update
package conformance
