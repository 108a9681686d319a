//go:build !unix

package session

// peek cannot look without waiting here: a dead connection is found at its next use.
func (p *physical) peek() (data, ended bool) { return false, false }

// look cannot look without waiting either.
func (p *physical) look() bool { return false }
