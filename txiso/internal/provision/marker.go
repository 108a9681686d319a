package provision

import (
	"encoding/json"
	"hash/fnv"
	"strings"
	"time"
)

// Kinds of databases, as their markers name them.
const (
	kindTemplate = "template"
	kindSlot     = "slot"
	kindSpoiled  = "spoiled" // a slot with other content than the template's
	kindClone    = "clone"
	kindKept     = "kept"
)

// marker is the comment of a database of ours. A database has it from the moment it is complete:
// one without it was left behind by a process that was killed while creating it. Slots are
// complete without, see [database.spare].
type marker struct {
	Kind        string    `json:"kind"`
	Fingerprint string    `json:"fingerprint"`
	Home        string    `json:"home"` // the maintenance database whose locks count
	Created     time.Time `json:"created"`
	Used        time.Time `json:"used,omitzero"` // of a template: last use, to the hour
	Size        int64     `json:"size,omitzero"` // of a template: bytes when it was built
	Test        string    `json:"test,omitzero"` // of a kept one: whose it was

	Sequences []Sequence `json:"sequences,omitempty"` // of a template: those that have been used
	Settings  []setting  `json:"settings,omitempty"`  // of a template: its own
	Grants    []grant    `json:"grants,omitempty"`    // of a template: the privileges on it, if not those of a new database
}

const markerPrefix = "txiso "

// String is the text of the comment.
func (m marker) String() string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and times always marshal
	}
	return markerPrefix + string(text)
}

// parseMarker returns nil for a comment that is not ours.
func parseMarker(comment string) *marker {
	text, ok := strings.CutPrefix(comment, markerPrefix)
	m := new(marker)
	if !ok || json.Unmarshal([]byte(text), m) != nil {
		return nil
	}
	return m
}

// lastUse is when the database was last known to be of use to somebody.
func (m marker) lastUse() time.Time {
	if m.Used.After(m.Created) {
		return m.Used
	}
	return m.Created
}

// birthmark is the connection limit of every database we create: a number nobody would choose,
// far above what any server allows. CREATE DATABASE cannot set a comment, so this is what tells
// a database of ours that has no marker yet, perhaps because its creator was killed, from a stranger's
// that has one of our names. It depends on the maintenance database, as all ownership does.
func birthmark(home string) int {
	h := fnv.New32a()
	h.Write([]byte(home))
	return 1<<30 | int(h.Sum32()>>2)
}
