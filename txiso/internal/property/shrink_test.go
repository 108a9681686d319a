package property_test

import (
	"slices"
	"time"
)

// shrinkTime bounds the attempts to make a sequence smaller: each takes long when it hangs.
const shrinkTime = 2 * time.Minute

// shrink drops operations for as long as the sequence still differs. Hunks are dropped first, single ones last, then
// those inside of others.
func shrink(q sequence, stillDiffers func(sequence) bool) sequence {
	start := time.Now()
	differs := func(q sequence) bool { return time.Since(start) < shrinkTime && stillDiffers(q) }
	for before := -1; before != size(q); {
		before = size(q)
		q.Ops = dropHunks(q.Ops, func(ops []op) bool { return differs(q.withOps(ops)) })
		for i := range q.Ops {
			q.Ops[i].Ops = dropHunks(q.Ops[i].Ops, func(inner []op) bool {
				ops := slices.Clone(q.Ops)
				ops[i].Ops = inner
				return differs(q.withOps(ops))
			})
		}
	}
	return q
}

func (q sequence) withOps(ops []op) sequence {
	q.Ops = ops
	return q
}

func size(q sequence) (n int) {
	for _, o := range q.Ops {
		n += 1 + len(o.Ops)
	}
	return n
}

func dropHunks(ops []op, differs func([]op) bool) []op {
	for hunk := max(len(ops)/2, 1); hunk > 0 && len(ops) > 0; hunk /= 2 {
		for start := 0; start < len(ops); {
			less := slices.Concat(ops[:start], ops[min(start+hunk, len(ops)):])
			if differs(less) {
				ops = less
			} else {
				start += hunk
			}
		}
	}
	return ops
}
