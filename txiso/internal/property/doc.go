// Package property holds no code, only tests: random sequences of operations, each of which runs on a plain private database
// with real connections and real commits, which is the truth, and on txiso. Everything that a program can see must come out
// the same: values, command tags, every field of an error, notices, the transaction status after each step, and what is in
// the tables at the end.
//
// A sequence that differs is made as small as possible and reported as JSON. Put into testdata, it runs with every test
// from then on.
//
//	go test ./txiso/internal/property                      # the kept sequences, and a few seconds of fixed seeds
//	TXISO_PROPERTY=10m go test ./txiso/internal/property -timeout 0
//	TXISO_PROPERTY=10m TXISO_PROPERTY_KIND=wire …          # only one kind: pgx, pool, db or wire
//	TXISO_PROPERTY_SEED=42 go test ./txiso/internal/property -run TestSequences
//
// What txiso documents as a limit is not generated: statements of a connection while another one has a transaction open,
// and settings of a session when there are several connections.
package property
