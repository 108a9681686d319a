// Package measure times things that take turns at random, so that noise hits all of them alike.
package measure

import (
	"slices"
	"time"
)

// Sample is what one contender took, a unit of work at a time.
type Sample []time.Duration

// Quantile returns the value below which the share q of the sample lies, interpolated.
func (s Sample) Quantile(q float64) time.Duration { return Quantile(s, q) }

// Quantile is [Sample.Quantile] of anything.
func Quantile[T ~int64 | ~float64](s []T, q float64) T {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 == len(sorted) {
		return sorted[low]
	}
	part := at - float64(low)
	return sorted[low] + T(part*float64(sorted[low+1]-sorted[low]))
}

// Median is the middle of the sample.
func (s Sample) Median() time.Duration { return s.Quantile(0.5) }

// Spread is the width of the middle half of the sample as a share of its median.
func (s Sample) Spread() float64 {
	if s.Median() == 0 {
		return 0
	}
	return float64(s.Quantile(0.75)-s.Quantile(0.25)) / float64(s.Median())
}
