package session

import "strings"

// A session whose default_transaction_read_only is on has read-only transactions, and so are its statements outside of them.
// Here both are savepoints, for which the setting does not count: each is told.

const readOnlySetting = "default_transaction_read_only"

const setReadOnly = "SET TRANSACTION READ ONLY"

// readOnlyByDefault reports that what c begins now is read-only. The server reports the setting of who spoke last.
func (s *Session) readOnlyByDefault(c *conn) bool {
	if s.settings.of == c || len(s.settings.names) == 0 {
		return s.settings.readOnly
	}
	value, ok := c.setting(readOnlySetting)
	if !ok {
		value = s.phys.first[readOnlySetting]
	}
	return isOn(value)
}

// isOn reads a boolean setting as the server does (manual 20.1.1).
func isOn(value string) bool {
	value = strings.ToLower(value)
	return value == "on" || value == "1" || value != "" && (strings.HasPrefix("true", value) || strings.HasPrefix("yes", value))
}
