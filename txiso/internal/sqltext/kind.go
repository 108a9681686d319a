package sqltext

// Kind is what a statement does, as far as a session that keeps it inside an outer transaction needs to know.
type Kind uint8

const (
	None   Kind = iota // no statement at all: an empty string, or only comments and ';'
	Other              // anything not listed here, and everything malformed that begins like transaction control
	Select             // SELECT, VALUES, TABLE, EXPLAIN, or a parenthesised query
	Show               // SHOW
	With               // WITH ...: may read or write
	Write              // INSERT, UPDATE, DELETE, MERGE
	Copy               // COPY
	DDL                // CREATE, ALTER, DROP, TRUNCATE, GRANT, REVOKE, COMMENT, ...
	Call               // CALL
	Do                 // DO

	Begin                     // BEGIN, START TRANSACTION
	Commit                    // COMMIT, END
	Rollback                  // ROLLBACK, ABORT
	Savepoint                 // SAVEPOINT
	Release                   // RELEASE [SAVEPOINT]
	RollbackTo                // ROLLBACK TO [SAVEPOINT]
	PrepareTransaction        // PREPARE TRANSACTION
	CommitPrepared            // COMMIT PREPARED
	RollbackPrepared          // ROLLBACK PREPARED
	SetTransaction            // SET [LOCAL | SESSION] TRANSACTION, also with SNAPSHOT
	SetSessionCharacteristics // SET SESSION CHARACTERISTICS AS TRANSACTION
	SetConstraints            // SET CONSTRAINTS

	Set        // SET, SET SESSION, RESET
	SetLocal   // SET LOCAL
	Prepare    // PREPARE
	Execute    // EXECUTE
	Deallocate // DEALLOCATE
	Discard    // DISCARD
	Declare    // DECLARE CURSOR
	Fetch      // FETCH, MOVE
	Close      // CLOSE
	Lock       // LOCK
	Listen     // LISTEN
	Unlisten   // UNLISTEN
	Notify     // NOTIFY
)

// String returns the kind's name in Go, for logs and tests.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return "Kind(?)"
	}
	return kindNames[k]
}

var kindNames = [...]string{
	None: "None", Other: "Other", Select: "Select", Show: "Show", With: "With", Write: "Write", Copy: "Copy", DDL: "DDL", Call: "Call", Do: "Do",
	Begin: "Begin", Commit: "Commit", Rollback: "Rollback", Savepoint: "Savepoint", Release: "Release", RollbackTo: "RollbackTo",
	PrepareTransaction: "PrepareTransaction", CommitPrepared: "CommitPrepared", RollbackPrepared: "RollbackPrepared",
	SetTransaction: "SetTransaction", SetSessionCharacteristics: "SetSessionCharacteristics", SetConstraints: "SetConstraints",
	Set: "Set", SetLocal: "SetLocal", Prepare: "Prepare", Execute: "Execute", Deallocate: "Deallocate", Discard: "Discard",
	Declare: "Declare", Fetch: "Fetch", Close: "Close", Lock: "Lock", Listen: "Listen", Unlisten: "Unlisten", Notify: "Notify",
}
