package property_test

// wireOp is a group of messages: those that a driver would send, and those that none does.
func (g *gen) wireOp() op {
	if g.IntN(15) == 0 {
		return op{Do: "close"}
	}
	o := op{Do: "group"}
	for range 1 + g.IntN(6) {
		o.Ops = append(o.Ops, g.messages()...)
	}
	return o
}

func (g *gen) messages() []op {
	switch n := g.IntN(20); {
	case n < 6:
		return g.wholeStatement()
	case n < 9:
		return []op{{Do: "Query", SQL: g.wireText()}}
	case n < 11:
		return []op{{Do: "Parse", Name: g.wireName(), SQL: g.wireText()}}
	case n < 13:
		return []op{{Do: "Bind", Name: g.wireName(), Mode: g.portal()}}
	case n < 15:
		return []op{{Do: "Execute", Name: g.portal(), N: g.IntN(3)}}
	case n < 16:
		return []op{{Do: pick(g, "DescribeStatement", "CloseStatement"), Name: g.wireName()}}
	case n < 17:
		return []op{{Do: pick(g, "DescribePortal", "ClosePortal"), Name: g.portal()}}
	case n < 18:
		return []op{{Do: "Flush", Mode: pick(g, "", "flush")}}
	}
	return []op{{Do: "Sync", Mode: pick(g, "", "flush")}}
}

// wholeStatement is what drivers send for one statement.
func (g *gen) wholeStatement() []op {
	name, portal := g.wireName(), g.portal()
	sql, args := g.statement(false)
	if g.has("text") && g.IntN(3) == 0 {
		sql, args = g.control(), nil
	}
	ops := []op{{Do: "Parse", Name: name, SQL: sql}}
	if g.IntN(2) == 0 {
		ops = append(ops, op{Do: "DescribeStatement", Name: name})
	}
	ops = append(ops, op{Do: "Bind", Name: name, Mode: portal, Args: args})
	if g.IntN(2) == 0 {
		ops = append(ops, op{Do: "DescribePortal", Name: portal})
	}
	ops = append(ops, op{Do: "Execute", Name: portal, N: g.IntN(3)})
	if name != "" && g.IntN(2) == 0 {
		ops = append(ops, op{Do: "CloseStatement", Name: name})
	}
	return ops
}

func (g *gen) wireText() string {
	switch {
	case g.has("text") && g.IntN(2) == 0:
		return g.control()
	case g.has("text") && g.IntN(3) == 0:
		return g.several()
	case g.has("settings") && g.IntN(3) == 0:
		return g.setting()
	case g.IntN(12) == 0:
		return pick(g, "", ";", " ", "-- nothing")
	}
	sql, _ := g.statement(true)
	return sql
}

func (g *gen) wireName() string { return pick(g, "", "", "w1", "w2") }
func (g *gen) portal() string   { return pick(g, "", "", "", "p1") }
