package provision

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
)

const prefix = "txiso_"

// layout is part of every fingerprint: change it when a template built by older code must not
// be used by newer code.
const layout = "6"

// ourName matches every name this package gives to a database. Its groups are the build prefix,
// the fingerprint, the number of a slot and the tail of a clone.
var ourName = regexp.MustCompile(`^txiso_(build_)?([0-9a-f]{16})(?:_(?:([1-9][0-9]{0,8})|(c[0-9a-f]{12})))?$`)

// fingerprint is of everything that decides what a template contains or who may use it. The
// maintenance database is part of it because locks taken in another one would not be seen, the
// role because only the owner of a template may clone it, the runtime parameters (search_path,
// say) because migrations run with them. So is the version of the system's collations: after an update PostgreSQL clones no database
// that was made before (15 and newer), and its indexes may be in the wrong order. The server's locale is not: it never changes
// under a database that exists.
func fingerprint(migrations string, l *link, base *pgx.ConnConfig) string {
	h := sha256.New()
	fmt.Fprintf(h, "layout %s server %d collation %q home %q role %q %s", layout, l.major, l.collation, l.home, l.role, migrations)
	for _, name := range slices.Sorted(maps.Keys(base.RuntimeParams)) {
		if name != "application_name" {
			fmt.Fprintf(h, " %q=%q", name, base.RuntimeParams[name])
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func templateName(fingerprint string) string    { return prefix + fingerprint }
func buildName(fingerprint string) string       { return prefix + "build_" + fingerprint }
func slotName(fingerprint string, n int) string { return prefix + fingerprint + "_" + strconv.Itoa(n) }
func cloneName(fingerprint string) string       { return prefix + fingerprint + "_c" + randomHex(6) }
func fingerprintOf(name string) string          { return group(name, 2) }
func numbered(name string) bool                 { return group(name, 3) != "" } // as slots are

func group(name string, i int) string {
	if m := ourName.FindStringSubmatch(name); m != nil {
		return m[i]
	}
	return ""
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}
