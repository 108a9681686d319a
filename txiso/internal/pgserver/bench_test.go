//go:build unix && !solaris && !aix

package pgserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkStart is what the first test of a process pays, beside initdb alone.
func BenchmarkStart(b *testing.B) {
	start := func(b *testing.B, config Config) {
		if _, err := Start(b.Context(), config); err != nil {
			b.Fatal(err)
		}
	}
	stop := func(b *testing.B, config Config) {
		if err := Stop(context.Background(), config); err != nil {
			b.Fatal(err)
		}
	}
	for _, state := range []string{"cold", "stopped", "running"} {
		b.Run("server="+state, func(b *testing.B) {
			config := Config{Home: publicDir(b)}
			defer stop(b, config)
			start(b, config)
			for b.Loop() {
				b.StopTimer()
				if state != "running" {
					stop(b, config)
				}
				if state == "cold" {
					removeServers(b, config.Home)
				}
				b.StartTimer()
				start(b, config)
			}
		})
	}
	b.Run("initdb", benchmarkInitdb)
}

func benchmarkInitdb(b *testing.B) {
	c, err := resolve(b.Context(), Config{Home: publicDir(b)}, usualPlaces())
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(c.makeDir(), c.makePrivate()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := c.initdb(b.Context(), c.data()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		removeServers(b, c.data())
		b.StartTimer()
	}
}

func removeServers(b *testing.B, dir string) {
	for _, path := range entries(dir, "") {
		if err := os.RemoveAll(path); err != nil && filepath.Base(path) != "probes" {
			b.Fatal(err)
		}
	}
}
