// Package provision turns a PostgreSQL server into databases for tests: it builds a template
// once per set of migrations, leases worker databases cloned from it to one process at a time,
// clones private databases, and drops what nobody uses any more. It works with SQL alone and
// knows nothing about sessions, transactions of tests or how the server was started.
//
// # Names
//
//	txiso_<fp>              the template; fp are 16 hex digits of the fingerprint
//	txiso_build_<fp>        the template while it is being built
//	txiso_<fp>_<n>          worker database n (a slot); a spare one, which nobody has used yet, may become a clone
//	txiso_<fp>_c<12 hex>    a clone
//	txiso_kept_<test>_<6 hex>    what a failed test has left for somebody to look into
//
// # Ownership
//
// The lock of a database is the PostgreSQL advisory lock on its name, taken in the maintenance
// database (the one the DSN names; PostgreSQL keeps advisory locks apart by database). Who holds
// it may create, use or drop the database. Locks belong to a connection, so the death of a
// process, however it comes about, gives back everything the process held: there is no lock
// file, no heartbeat and no timeout. The lock of a template is shared by all processes that use
// it and exclusive for the one that drops it.
//
// One connection per Provisioner, the keeper, holds these locks. It runs short statements only;
// whatever can take long (CREATE DATABASE, DROP DATABASE, waiting for a collector) runs on an admin
// connection that is closed afterwards. Who waits for another process to build the template asks
// again and again on the keeper, so that the waiting do not take the builder's connections.
//
// # What is ours
//
// A database is ours when its name fits the patterns above, the connection's role owns it, and it
// carries our marker: a comment that names the same maintenance database. A database gets the
// comment when it is complete, a slot when it is first used. Until then it carries a birthmark, a connection limit
// no one else would choose, which CREATE DATABASE sets together with the name: so what a killed process left
// unfinished, and a spare slot, can be told from a stranger's. Nothing else is ever altered or dropped.
package provision
