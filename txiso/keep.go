package txiso

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/txiso/txiso-go/txiso/internal/lease"
	"github.com/txiso/txiso-go/txiso/internal/provision"
)

const (
	keepVariable   = "TXISO_KEEP"
	defaultMaxKept = 10
)

// keeps says whether the databases of failed tests are kept, and how many.
type keeps struct {
	always bool
	most   int
}

// wanted reports whether t has failed and its database is to be kept.
func (k keeps) wanted(t TB) bool {
	value := os.Getenv(keepVariable)
	always, err := strconv.ParseBool(value)
	if (!k.always && value == "") || !failed(t) {
		return false
	}
	if err != nil && value != "" {
		t.Logf("txiso: %s is %q, so nothing is kept; set it to 1 or 0", keepVariable, value)
		return false
	}
	return k.always || always
}

// finish ends the test's ground: it is rolled back, or kept if the test has failed and that is wanted. Nothing that goes
// wrong with the keeping fails the test, which has failed already.
func (h *test) finish(t TB) (findings []string, err error) {
	if !h.iso.keeps.wanted(t) {
		return h.ground.End(endTimeout)
	}
	l, ok := h.ground.(*lease.Lease)
	if !ok {
		t.Logf("txiso: what the nested %s did is not kept, because it is rolled back for the next; what the test around it did is", who(nameOf(t)))
		return h.ground.End(endTimeout)
	}
	kept, remark, findings, err := l.Keep(endTimeout, nameOf(t), h.iso.keeps.most)
	h.iso.sayKept(t, kept, remark, err)
	return findings, nil
}

// sayKept tells where the database of a failed test is.
func (iso *Iso) sayKept(t TB, kept *provision.Kept, remark string, err error) {
	if err != nil {
		t.Logf("txiso: the database of this failed test could not be kept: %v", err)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "txiso: kept the database of this failed test")
	if remark != "" {
		b.WriteString(", " + remark)
	}
	fmt.Fprintf(&b, "; open it with\n\tpsql %s\n", shellQuote(kept.Conninfo))
	if iso.pool.Embedded() {
		fmt.Fprintf(&b, "while the embedded server runs, and at any time with\n\tgo run github.com/txiso/txiso-go/txiso/cmd/txiso psql %s\n", kept.Name)
	}
	fmt.Fprintf(&b, "The latest %d are kept; txiso clean drops them.", iso.keeps.most)
	t.Logf("%s", b.String())
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
