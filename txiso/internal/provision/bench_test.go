package provision_test

import (
	"fmt"
	"testing"

	"github.com/txiso/txiso-go/txiso/internal/provision"
)

// BenchmarkFirstLease is what a second process pays: connect, find the template, lease a slot.
func BenchmarkFirstLease(b *testing.B) {
	cfg := config(b)
	lease(b, open(b, cfg)).Release()
	for b.Loop() {
		p, err := provision.Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		lease(b, p)
		b.StopTimer()
		closeNow(b, p)
		b.StartTimer()
	}
}

func BenchmarkLease(b *testing.B) {
	b.Run("slot=existing", func(b *testing.B) {
		p := open(b, config(b))
		lease(b, p).Release()
		for b.Loop() {
			lease(b, p).Release()
		}
	})
	b.Run("slot=new", func(b *testing.B) {
		p := open(b, config(b))
		lease(b, p)
		for b.Loop() {
			w := lease(b, p)
			b.StopTimer()
			if err := w.Discard(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}

// BenchmarkClone is what the tests of one process wait for that use a clone each, one after the other, until it ends. The processes
// before it have had the same template.
func BenchmarkClone(b *testing.B) {
	for _, tests := range []int{1, 3, 20} {
		b.Run(fmt.Sprintf("tests=%d", tests), func(b *testing.B) {
			cfg := config(b)
			lease(b, open(b, cfg))
			for b.Loop() {
				b.StopTimer()
				p, err := provision.Open(b.Context(), cfg)
				if err != nil {
					b.Fatal(err)
				}
				lease(b, p)
				b.StartTimer()
				for range tests {
					if err := clone(b, p).Drop(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				closeNow(b, p)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*tests), "ms/clone")
		})
	}
}

// BenchmarkTemplate builds a template of one table and drops it.
func BenchmarkTemplate(b *testing.B) {
	for b.Loop() {
		p := open(b, config(b))
		lease(b, p)
		b.StopTimer()
		closeNow(b, p)
		dropTemplate(b, p.Template())
		b.StartTimer()
	}
}
