package sqltext

// Mode is a list of transaction modes. Its zero value means that none was given. Where one is given twice the last counts, as on the server.
type Mode struct {
	Isolation  Isolation
	Access     Access
	Deferrable Deferrable
}

// Isolation is an isolation level as written.
type Isolation uint8

const (
	DefaultIsolation Isolation = iota // not given
	ReadUncommitted
	ReadCommitted
	RepeatableRead
	Serializable
)

// Access is an access mode as written.
type Access uint8

const (
	DefaultAccess Access = iota // not given
	ReadOnly
	ReadWrite
)

// Deferrable is a deferrable mode as written.
type Deferrable uint8

const (
	DefaultDeferrable Deferrable = iota // not given
	IsDeferrable
	NotDeferrable
)

// modes reads transaction modes, separated by commas or nothing, up to the end of the statement. n is their number.
func (p *parser) modes() (m Mode, n int, ok bool) {
	for n = 0; !p.atEnd(); n++ {
		if n > 0 {
			p.symbol(',')
		}
		if !p.mode(&m) {
			return Mode{}, 0, false
		}
	}
	return m, n, true
}

func (p *parser) mode(m *Mode) bool {
	switch {
	case p.words("isolation", "level"):
		m.Isolation = p.isolation()
		return m.Isolation != DefaultIsolation
	case p.words("read", "only"):
		m.Access = ReadOnly
	case p.words("read", "write"):
		m.Access = ReadWrite
	case p.words("deferrable"):
		m.Deferrable = IsDeferrable
	case p.words("not", "deferrable"):
		m.Deferrable = NotDeferrable
	default:
		return false
	}
	return true
}

func (p *parser) isolation() Isolation {
	switch {
	case p.words("read", "uncommitted"):
		return ReadUncommitted
	case p.words("read", "committed"):
		return ReadCommitted
	case p.words("repeatable", "read"):
		return RepeatableRead
	case p.words("serializable"):
		return Serializable
	}
	return DefaultIsolation
}
