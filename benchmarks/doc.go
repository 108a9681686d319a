// Package benchmarks compares what a test pays for an isolated database, strategy by strategy.
package benchmarks
