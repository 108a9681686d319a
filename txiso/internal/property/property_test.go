package property_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fixedSeeds is how many sequences every run of the tests goes through: some seconds' worth.
const fixedSeeds = 40

// TestSequences runs generated sequences: the fixed seeds, that of TXISO_PROPERTY_SEED, or random ones for the duration that
// TXISO_PROPERTY gives.
func TestSequences(t *testing.T) {
	c := newComparison(t)
	if seed, err := strconv.ParseUint(os.Getenv("TXISO_PROPERTY_SEED"), 10, 64); err == nil {
		c.check(t, seed)
		return
	}
	if long, err := time.ParseDuration(os.Getenv("TXISO_PROPERTY")); err == nil {
		c.checkFor(t, long)
		return
	}
	for seed := range uint64(fixedSeeds) {
		c.check(t, seed)
	}
	c.expectUseful(t)
}

// TestKeptSequences runs what has differed once.
func TestKeptSequences(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sequences are kept: %v", err)
	}
	c := newComparison(t)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			q := readKept(t, file)
			if difference, stacks := c.difference(q); difference != "" {
				t.Errorf("%s\n%s\n%s", q.Note, difference, stacks)
			}
		})
	}
}

func readKept(t *testing.T, file string) (q sequence) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &q); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return q
}

// comparison runs sequences in two worlds.
type comparison struct {
	plain, isolated world
	useless         []outcome // sequences that hang on plain PostgreSQL
}

func newComparison(t *testing.T) *comparison {
	t.Helper()
	p := newPlain(t)
	return &comparison{plain: p, isolated: &isolated{monitor: p}}
}

func (c *comparison) checkFor(t *testing.T, long time.Duration) {
	n := 0
	for end := time.Now().Add(long); time.Now().Before(end); n++ {
		seed := rand.Uint64() >> 32
		for kind := os.Getenv("TXISO_PROPERTY_KIND"); kind != "" && generate(seed).Kind != kind; {
			seed = rand.Uint64() >> 32
		}
		c.check(t, seed)
	}
	t.Logf("%d sequences", n)
	c.expectUseful(t)
}

// expectUseful watches over the generator: sequences that hang on plain PostgreSQL compare nothing, and take long.
func (c *comparison) expectUseful(t *testing.T) {
	t.Helper()
	for _, out := range c.useless {
		t.Errorf("a sequence hangs on plain PostgreSQL, so it says nothing about txiso; do not generate such ones:\n%s\n%s",
			strings.Join(out.lines, "\n"), out.stacks)
	}
}

// check runs the sequence of a seed, and makes it small if it differs.
func (c *comparison) check(t *testing.T, seed uint64) {
	t.Helper()
	q := generate(seed)
	difference, stacks := c.difference(q)
	if difference == "" {
		return
	}
	small := shrink(q, func(q sequence) bool {
		d, s := c.difference(q)
		return d != "" && (s != "") == (stacks != "") // a hang stays one
	})
	if d, s := c.difference(small); d != "" {
		difference, stacks = d, s
	}
	t.Errorf("seed %d differs: %s\nkeep it in testdata:\n%s\n%s", seed, difference, small, stacks)
}

// difference returns the first thing that txiso does differently, and where all goroutines stood if it hung.
func (c *comparison) difference(q sequence) (difference, stacks string) {
	truth := play(c.plain, q)
	if truth.hung { // it waits for locks of its own, or the generator has made what is no use
		c.useless = append(c.useless, truth)
		return "", ""
	}
	seen := play(c.isolated, q)
	return firstDifference(truth.lines, seen.lines), seen.stacks
}
