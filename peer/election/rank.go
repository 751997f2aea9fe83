package election

import (
	"bytes"
	"cmp"

	"peerchat/peer/wire"
)

// DefaultPort is where newcomers look for a tracker when nobody told them a port.
const DefaultPort = 5000

// Rank orders candidates and leaders. Fields are compared in order, and the higher is the better.
type Rank struct {
	Firm     bool // leaders only: somebody else is there; a solo leader yields to any other of its term
	Home     bool // leaders only: the tracker that users named
	Dialable bool
	Priority int16
	Port     uint16 // the nearer to DefaultPort the better, because newcomers look there; 0, none, is the worst
	ID       wire.PeerID
}

// Compare is negative, zero or positive as r ranks below, equal to or above s.
func (r *Rank) Compare(s *Rank) int {
	if r.Firm != s.Firm {
		return truth(r.Firm)
	}
	if c := r.able(s); c != 0 {
		return c
	}
	if c := cmp.Compare(closeness(r.Port), closeness(s.Port)); c != 0 {
		return c
	}
	return bytes.Compare(r.ID[:], s.ID[:])
}

// able compares what makes a real difference to users.
func (r *Rank) able(s *Rank) int {
	if r.Home != s.Home {
		return truth(r.Home)
	}
	if r.Dialable != s.Dialable {
		return truth(r.Dialable)
	}
	return cmp.Compare(r.Priority, s.Priority)
}

func truth(first bool) int {
	if first {
		return 1
	}
	return -1
}

func closeness(port uint16) int {
	switch {
	case port == 0:
		return 0
	case port < DefaultPort:
		return 1<<16 - (DefaultPort - int(port))
	default:
		return 1<<16 - (int(port) - DefaultPort)
	}
}

// Reign names one lead: which of two takes precedence is decided by term, then rank, then seq.
type Reign struct {
	Term uint64
	Rank Rank
	Seq  uint64 // grows with each new announcement of the same lead
}

func (a *Reign) compare(b *Reign) int {
	if c := cmp.Compare(a.Term, b.Term); c != 0 {
		return c
	}
	if c := a.Rank.Compare(&b.Rank); c != 0 {
		return c
	}
	return cmp.Compare(a.Seq, b.Seq)
}

// leader is the ID of the leading peer, zero for a home tracker or none.
func (a *Reign) leader() wire.PeerID {
	if a.Rank.Home {
		return wire.PeerID{}
	}
	return a.Rank.ID
}

// none reports whether there is no lead at all.
func (a *Reign) none() bool { return !a.Rank.Home && a.Rank.ID.IsZero() }
