package conformance_test

// Bugs that several behaviours show.
const (
	lostTag = "The command tag of a statement in the simple protocol is lost when deferred constraints were looked up behind it."
)

// Limits: what cannot be otherwise, why, and what to do about it.
const (
	plpgsqlContext = "after an expression of a PL/pgSQL function has failed once in a transaction, PostgreSQL evaluates it in another way " +
		"in the rest of that transaction, and the context of its next error has a line more (exec_eval_simple_expr, expr_simple_in_use). " +
		"Everything else of the error is equal. Do not compare PgError.Where, or use Clone"
)
