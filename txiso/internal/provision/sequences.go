package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Sequence is the state of a sequence. It is known by its OID, which a clone has from its template.
type Sequence struct {
	OID    uint32 `json:"oid"`
	Last   int64  `json:"last"`
	Called bool   `json:"called,omitzero"` // the next value is the one behind Last
}

// Sequences returns the sequences that migrations or seed have moved, as they are in the template. All others of the
// template have not been used.
func (w *WorkerDB) Sequences() []Sequence {
	if m := w.keeper.held(); m != nil {
		return m.Sequences
	}
	return nil
}

// A sequence tells its state as a table of one row does, so that each has to be asked. One that the role may not read counts as not used.
const selectSequences = `SELECT coalesce(json_agg(json_build_object('name', s.seqrelid::regclass::text, 'oid', s.seqrelid::bigint, 'start', s.seqstart)), '[]')
FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
WHERE c.relpersistence <> 't' AND has_schema_privilege(c.relnamespace, 'USAGE') AND has_sequence_privilege(s.seqrelid, 'SELECT')`

// movedSequences reads the sequences of a database that have been used.
func (p *Provisioner) movedSequences(ctx context.Context, name string) (moved []Sequence, err error) {
	cfg := p.base.Copy()
	cfg.Database = name
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, doing("looking at the template's sequences", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "SET search_path = pg_catalog"); err != nil { // so that names come qualified
		return nil, doing("looking at the template's sequences", err)
	}
	var list []byte
	if err := conn.QueryRow(ctx, selectSequences).Scan(&list); err != nil {
		return nil, doing("looking at the template's sequences", err)
	}
	query, err := stateQuery(list)
	if err != nil || query == "" {
		return nil, err
	}
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, doing("looking at the template's sequences", err)
	}
	moved, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Sequence])
	return moved, doing("looking at the template's sequences", err)
}

// stateQuery makes a query for the states of the listed sequences that are not as they were created.
func stateQuery(list []byte) (string, error) {
	var sequences []struct {
		Name       string
		OID, Start int64
	}
	if err := json.Unmarshal(list, &sequences); err != nil {
		return "", fmt.Errorf("txiso: cannot read the list of the template's sequences: %w", err)
	}
	var selects []string
	for _, s := range sequences {
		selects = append(selects, fmt.Sprintf("SELECT %d::oid, last_value, is_called FROM %s WHERE is_called OR last_value <> %d", s.OID, s.Name, s.Start))
	}
	return strings.Join(selects, " UNION ALL "), nil
}
