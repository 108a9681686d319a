package property_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// allFeatures are what a sequence can be about. Each is about some of them: few make long plots, many make strange ones.
var allFeatures = []string{"failing", "deferred", "ddl", "text", "cancel", "copy", "prepare", "settings", "open", "batch", "routines"}

// generate makes the sequence of a seed.
func generate(seed uint64) sequence {
	g := &gen{Rand: rand.New(rand.NewPCG(seed, 0)), features: make(map[string]bool)}
	for _, f := range allFeatures {
		g.features[f] = g.IntN(2) == 0
	}
	g.kind = pick(g, "pgx", "pgx", "pgx", "pool", "db", "db", "wire", "wire")
	g.conns = 1
	if g.kind != "db" && g.kind != "pool" && g.IntN(2) == 0 {
		g.conns = 2 + g.IntN(2)
		g.features["settings"] = false // seen by the others: a limit
	}
	if g.kind == "db" || g.kind == "pool" {
		g.features["settings"] = false
	}
	if g.kind == "pgx" && g.IntN(6) == 0 {
		return g.concurrent()
	}
	if g.features["settings"] {
		g.features["cancel"] = false // what is set outlives the connection: the same limit
	}
	q := sequence{Kind: g.kind}
	for range 5 + g.IntN(40) {
		q.Ops = append(q.Ops, g.op())
	}
	return q
}

func (g *gen) op() op {
	var o op
	switch g.kind {
	case "wire":
		o = g.wireOp()
	case "db":
		o = g.weighted(dbMakers)
	default:
		o = g.weighted(pgxMakers)
	}
	o.Conn = g.IntN(g.conns)
	return o
}

// maker makes an operation. One without a feature is always there.
type maker struct {
	feature string
	weight  int
	make    func(*gen) op
}

func (g *gen) weighted(makers []maker) op {
	total := 0
	for _, m := range makers {
		if m.feature == "" || g.has(m.feature) {
			total += m.weight
		}
	}
	n := g.IntN(total)
	for _, m := range makers {
		if m.feature != "" && !g.has(m.feature) {
			continue
		}
		if n -= m.weight; n < 0 {
			return m.make(g)
		}
	}
	panic("unreachable")
}

var pgxMakers = []maker{
	{"", 10, (*gen).execOp},
	{"", 8, (*gen).queryOp},
	{"", 4, func(g *gen) op {
		return op{Do: "begin", Mode: pick(g, "", "", "", "read only", "repeatable read", "serializable deferrable")}
	}},
	{"", 4, func(g *gen) op { return op{Do: pick(g, "commit", "commit", "rollback")} }},
	{"", 1, (*gen).closeOp},
	{"", 3, func(g *gen) op { return op{Do: "params"}.with(g.statement(false)) }},
	{"text", 8, (*gen).textOp},
	{"text", 3, (*gen).severalOp},
	{"cancel", 1, (*gen).cancelOp},
	{"copy", 3, (*gen).copyOp},
	{"prepare", 6, (*gen).prepareOp},
	{"settings", 6, func(g *gen) op { return op{Do: "query", SQL: g.setting(), Mode: g.mode()} }},
	{"open", 5, (*gen).openOp},
	{"batch", 5, (*gen).batchOp},
	{"batch", 4, (*gen).pipelineOp},
}

func (g *gen) closeOp() op {
	if g.has("settings") {
		return op{Do: "deallocateall"}
	}
	return op{Do: "close"}
}

func (o op) with(sql string, args []arg) op {
	o.SQL, o.Args = sql, args
	return o
}

func (g *gen) mode() string { return pick(g, slices.Sorted(maps.Keys(execModes))...) }

func (g *gen) execOp() op { return op{Do: "exec", Mode: g.mode()}.with(g.statement(g.IntN(3) == 0)) }

func (g *gen) queryOp() op {
	return op{Do: "query", Mode: g.mode(), N: g.IntN(3)}.with(g.statement(g.IntN(3) == 0))
}

// textOp leaves a pool's connections without open transactions.
func (g *gen) textOp() op {
	switch {
	case g.kind == "pgx":
		return op{Do: pick(g, "exec", "exec", "multi", "params"), Mode: g.mode(), SQL: g.control()}
	case g.IntN(2) == 0:
		return op{Do: "exec", Mode: g.mode(), SQL: pick(g, "commit", "rollback", "savepoint a", "release a")}
	}
	return op{Do: "exec", Mode: "simple", SQL: g.wholeTransaction()}
}

func (g *gen) severalOp() op {
	if g.kind == "pgx" {
		return op{Do: pick(g, "multi", "multi", "exec"), Mode: "simple", SQL: g.several()}
	}
	return op{Do: "exec", Mode: "simple", SQL: g.wholeTransaction()}
}

func (g *gen) cancelOp() op {
	key := g.key()
	switch g.IntN(5) {
	case 0:
		return op{Do: "cancel", Mode: "before", SQL: fmt.Sprintf("insert into items (id, name) values (%d, 'cancelled')", key)}
	case 1:
		return op{Do: "cancel", SQL: "select pg_sleep(20)"}
	case 2:
		return op{Do: "cancel", SQL: fmt.Sprintf("with i as (insert into items (id, name) values (%d, 'cancelled') on conflict do nothing) select pg_sleep(20)", key)}
	case 3:
		return op{Do: "cancel", SQL: fmt.Sprintf("insert into items (id, name) values (%d, 'cancelled') on conflict do nothing; select pg_sleep(20)", key)}
	}
	return op{Do: "interrupt", Mode: g.mode(), SQL: "select pg_sleep(20)"}
}

func (g *gen) copyOp() op {
	switch g.IntN(4) {
	case 0:
		return op{Do: "copyout", SQL: "copy " + pick(g, "(select * from items order by id)", "nowhere", "(select 1/(3-i) from generate_series(1,5) i)", "pairs") + " to stdout"}
	case 1:
		o := op{Do: "copyin", SQL: "copy " + pick(g, "parents", "parents", "nowhere", "children") + " from stdin", N: g.IntN(4) / 3}
		for range g.IntN(4) {
			k := g.key()
			o.Args = append(o.Args, arg(pick(g, fmt.Sprint(k), fmt.Sprint(k), fmt.Sprintf("%d\t%d", k, g.key()), "x")))
		}
		return o
	case 2:
		return op{Do: "copyfrom", Name: "children", SQL: "id,parent", N: g.IntN(3), Ops: g.copyRows(func() []arg { return []arg{arg(fmt.Sprint(g.key())), arg(fmt.Sprint(g.key()))} })}
	}
	return op{Do: "copyfrom", Name: pick(g, "items", "items", "nowhere"), SQL: "id,name", N: g.IntN(3), Ops: g.copyRows(func() []arg { return []arg{arg(fmt.Sprint(g.key())), arg(g.name())} })}
}

func (g *gen) copyRows(row func() []arg) (rows []op) {
	for range 1 + g.IntN(3) {
		rows = append(rows, op{Args: row()})
	}
	return rows
}

func (g *gen) statementName() string { return pick(g, "s1", "s2") }

func (g *gen) prepareOp() op {
	switch g.IntN(8) {
	case 0, 1, 2:
		o := op{Do: "prepare", Name: g.statementName()}.with(g.statement(false))
		o.Args = nil
		if g.has("text") && g.kind == "pgx" && g.IntN(3) == 0 {
			o.SQL = g.control()
		}
		return o
	case 3:
		return op{Do: "deallocate", Name: g.statementName()}
	case 4:
		return op{Do: pick(g, "deallocateall", "deallocate"), Name: g.statementName()}
	}
	return op{Do: "query", SQL: g.statementName(), Args: g.someArgs()}
}

func (g *gen) someArgs() (args []arg) {
	for range g.IntN(4) {
		args = append(args, arg(fmt.Sprint(g.key())))
	}
	return args
}

func (g *gen) openOp() op {
	switch g.IntN(4) {
	case 0, 1:
		p := &params{gen: g}
		sql := read(p)
		if g.has("failing") && g.IntN(3) == 0 {
			sql = "select 10 / (i - 20) from generate_series(1, 30) i"
			p.args = nil
		}
		return op{Do: "open", SQL: sql, Args: p.args, Mode: g.mode()}
	case 2:
		return op{Do: "next", N: 1 + g.IntN(3)}
	}
	return op{Do: "done"}
}

func (g *gen) batchOp() op {
	o := op{Do: "batch"}
	if g.IntN(4) == 0 {
		o.N = 1 + g.IntN(2)
	}
	for range 1 + g.IntN(5) {
		inner := op{Do: pick(g, "exec", "query")}.with(g.statement(g.IntN(2) == 0))
		if g.has("text") && g.kind == "pgx" && g.IntN(4) == 0 {
			inner = op{Do: "exec", SQL: g.control()}
		}
		o.Ops = append(o.Ops, inner)
	}
	return o
}

func (g *gen) pipelineOp() op {
	o := op{Do: "pipeline"}
	if g.IntN(5) == 0 {
		o.N = 1 + g.IntN(3)
	}
	for range 1 + g.IntN(6) {
		o.Ops = append(o.Ops, g.pipelineStep())
	}
	return o
}

func (g *gen) pipelineStep() op {
	switch n := g.IntN(12); {
	case n < 5:
		o := op{Do: "query"}.with(g.statement(g.IntN(2) == 0))
		if g.has("text") && g.IntN(4) == 0 {
			o = op{Do: "query", SQL: g.control()}
		}
		return o
	case n < 6:
		o := op{Do: "prepare", Name: "p1"}.with(g.statement(false))
		o.Args = nil
		return o
	case n < 8:
		return op{Do: "prepared", Name: pick(g, "p1", "s1"), Args: g.someArgs()}
	case n < 9:
		return op{Do: "deallocate", Name: pick(g, "p1", "s1")}
	case n < 10:
		return op{Do: "flush", N: g.IntN(2)}
	}
	return op{Do: "sync", N: g.IntN(2)}
}

var dbMakers = []maker{
	{"", 10, (*gen).execOp},
	{"", 8, (*gen).queryOp},
	{"", 5, func(g *gen) op {
		return op{Do: "begin", Mode: pick(g, "", "", "", "read only", "repeatable read", "serializable", "linearizable")}
	}},
	{"", 5, func(g *gen) op { return op{Do: pick(g, "commit", "commit", "rollback")} }},
	{"", 2, func(g *gen) op { return op{Do: pick(g, "take", "give", "limits", "ping"), N: g.IntN(3)} }},
	{"text", 4, (*gen).textOp},
	{"cancel", 2, (*gen).dbCancelOp},
	{"prepare", 8, (*gen).dbPrepareOp},
	{"open", 5, (*gen).openOp},
}

func (g *gen) dbCancelOp() op {
	if g.IntN(2) == 0 {
		return g.cancelOp()
	}
	return op{Do: "cancelbegin"}.with(g.statement(false))
}

func (g *gen) dbPrepareOp() op {
	switch g.IntN(6) {
	case 0, 1:
		o := op{Do: "prepare", Name: g.statementName()}.with(g.statement(false))
		o.Args = nil
		return o
	case 2:
		return op{Do: "deallocate", Name: g.statementName()}
	}
	return op{Do: "prepared", Name: g.statementName(), Mode: pick(g, "exec", ""), Args: g.someArgs()}
}

// concurrent is a sequence for several goroutines with rows of their own. What they write they write in transactions, because
// a statement outside would run inside another's: a limit.
func (g *gen) concurrent() sequence {
	g.together, g.conns = true, 2+g.IntN(3)
	for _, f := range []string{"ddl", "settings", "open", "routines"} {
		g.features[f] = false
	}
	q := sequence{Kind: "pgx", Together: true}
	for range 2 + g.IntN(4) {
		for g.who = range g.conns {
			for _, o := range g.transaction() {
				o.Conn = g.who
				q.Ops = append(q.Ops, o)
			}
		}
	}
	return q
}

func (g *gen) transaction() (ops []op) {
	if g.has("text") && g.IntN(3) == 0 {
		return []op{{Do: "multi", SQL: g.wholeTransaction()}}
	}
	ops = append(ops, op{Do: "begin"})
	for range g.IntN(4) {
		ops = append(ops, g.weighted(concurrentMakers))
	}
	ops = append(ops, op{Do: pick(g, "commit", "commit", "rollback")})
	if g.IntN(2) == 0 {
		ops = append(ops, op{Do: "query", Mode: g.mode(), SQL: pick(g, read(&params{gen: g}), readLocal)})
	}
	return ops
}

const readLocal = "select current_setting('work_mem')"

var concurrentMakers = []maker{
	{"", 2, func(g *gen) op {
		return op{Do: "query", Mode: g.mode(), SQL: pick(g, readLocal, fmt.Sprintf("select set_config('work_mem', '%dMB', true)", 1+g.who))}
	}},
	{"", 10, (*gen).execOp},
	{"", 5, (*gen).queryOp},
	{"batch", 3, func(g *gen) op {
		o := op{Do: "batch"}
		for range 1 + g.IntN(3) {
			o.Ops = append(o.Ops, op{Do: "exec"}.with(g.statement(false)))
		}
		return o
	}},
	{"cancel", 1, func(g *gen) op { return op{Do: "cancel", SQL: "select pg_sleep(20)"} }},
	{"prepare", 3, func(g *gen) op { return op{Do: "query", Mode: "statement"}.with(g.statement(false)) }},
}
