package conformance_test

// areas are all behaviours.
var areas = []area{
	{"Statement errors", statementErrors},
	{"App transactions", appTransactions},
}
