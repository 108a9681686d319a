package session

import "strings"

// A function of PL/pgSQL is compiled when a connection calls it first, and then the types of its variables are looked up (manual 43.11.2):
// one of %TYPE has that of the column as it was, and goes on having it, whatever becomes of the column, until the function itself is
// changed or the connection ends. No statement makes a connection forget it. So one on which a test has changed the schema serves
// no other test, if there are such functions.

// Spent reports that the session should be closed when its lease has ended.
func (s *Session) Spent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spent
}

// noteAltered is called with the tag of what may have changed the schema. What is temporary has names of its own. What a function, DO or
// CALL does is not seen.
func (s *Session) noteAltered(tag string) {
	switch word, _, _ := strings.Cut(tag, " "); {
	case (word == "CREATE" || word == "SELECT") && s.ex.temporary > 0:
		s.ex.temporary--
	case word == "CREATE", word == "ALTER", word == "DROP", word == "SELECT":
		s.altered = true
	}
}
