// Package migrations holds the sample schema of this repository, a small bank, as goose SQL files.
//
// The examples, the benchmarks and the library's own tests run against it. It is an example, not
// part of the library: point txiso.Config.Migrations at an embed.FS of your own, built like this one.
package migrations

import "embed"

// FS holds the goose migrations at its root. It is read-only and safe for concurrent use.
//
//go:embed *.sql
var FS embed.FS
