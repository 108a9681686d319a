package provision_test

import (
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

func BenchmarkClone(b *testing.B) {
	p := open(b, config(b))
	lease(b, p)
	for b.Loop() {
		if err := clone(b, p).Drop(b.Context()); err != nil {
			b.Fatal(err)
		}
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
