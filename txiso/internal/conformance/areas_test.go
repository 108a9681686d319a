package conformance_test

// areas are all behaviours.
var areas = []area{
	{"Statement errors", statementErrors},
	{"App transactions", appTransactions},
	{"Overlap", overlap},
	{"Contexts", contexts},
	{"Deferred constraints and triggers", deferred},
	{"Transaction control as text", controlAsText},
	{"Rows and types", rowsAndTypes},
	{"Statements", statements},
	{"COPY", copying},
	{"Session state", sessionState},
	{"DDL", ddl},
	{"Time and ids", timeAndIDs},
	{"What needs a real commit", realCommits},
	{"Other clients", otherClients},
}
