package session

import (
	"encoding/binary"
	"testing"
)

// A COPY that had waited for its turn was moved to the front of its buffer as a whole for every batch that was sent of it, while
// everybody else waited: 200 MB took twenty seconds.
func TestWhatIsSentIsNotMovedForEveryBatch(t *testing.T) {
	const batches, size = 1000, 8
	var o outgoing
	for i := range uint64(batches) {
		o.buf = binary.BigEndian.AppendUint64(o.buf, i)
		o.batches = append(o.batches, batch{end: len(o.buf), first: 'd'})
	}
	o.scanned = len(o.buf)
	moves := 0
	for i := range uint64(batches) {
		if got := o.batch(); len(got) != size || binary.BigEndian.Uint64(got) != i {
			t.Fatalf("batch %d is %v", i, got)
		}
		was := o.taken
		o.dropBatch()
		if o.ready() && o.taken < was {
			moves++
		}
		if unsent := len(o.rest()) - (o.scanned - o.taken); unsent != 0 {
			t.Fatalf("%d bytes are to be cut again behind batch %d", unsent, i)
		}
	}
	if o.ready() || len(o.rest()) > 0 {
		t.Errorf("left: %d batches, %d bytes", len(o.batches), len(o.rest()))
	}
	if moves > 10 { // each moves less than half
		t.Errorf("the rest was moved %d times", moves)
	}
}
