// Package ci_test runs what the CI files beside it would: the same commands, with two shards on one machine.
package ci_test
