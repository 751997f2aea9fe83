package gossip

import (
	"fmt"
	"slices"
)

// Check says which of its bounds the machine does not keep, or what of its state does not fit together; nil if all is
// well. It looks at everything, and is for tests and simulations, between any two Steps.
func (m *Machine) Check() error {
	held, older := 0, 0
	asks := make(map[*link]int)
	for _, r := range m.roomList {
		if len(r.sorted) != len(r.logs) || len(r.logs) > 2*maxAuthors {
			return fmt.Errorf("it has %d logs in order and %d in all: at most %d are allowed", len(r.sorted), len(r.logs), 2*maxAuthors)
		}
		for _, a := range r.sorted {
			if len(a.pending) > maxUnproven || len(a.shown) > maxUnproven {
				return fmt.Errorf("it holds %d events of %s back and has shown %d: at most %d are allowed of each", len(a.pending), a.author.Tag(),
					len(a.shown), maxUnproven)
			}
			if _, next := a.pending[a.head+1]; next != a.unstored {
				return fmt.Errorf("it holds event %d of %s back, which is the next, and says of its log that it could not be stored: %v", a.head+1, a.author.Tag(), a.unstored)
			}
			if len(a.unseen) > maxGaps || len(a.torn.gaps) > maxGaps {
				return fmt.Errorf("it remembers %d gaps of %s, and %d that were not told of: at most %d are allowed of each", len(a.unseen), a.author.Tag(),
					len(a.torn.gaps), maxGaps)
			}
			for _, h := range a.pending {
				held += heldSize(&h.event)
			}
			if a.ask != nil {
				asks[a.ask.to]++
			}
			if a.older != nil {
				asks[a.older.to]++
				older += a.older.size
			}
		}
		if len(r.asked) > maxOlderAsks || slices.ContainsFunc(r.asked, func(a *authorLog) bool { return a.older == nil }) {
			return fmt.Errorf("it asks for older events of %d logs: at most %d are allowed", len(r.asked), maxOlderAsks)
		}
		if len(r.absent) > maxAbsent || slices.ContainsFunc(r.absent, func(x *absent) bool { return len(x.holds) > maxAbsentLogs }) {
			return fmt.Errorf("it remembers %d who are absent: at most %d are allowed, with %d logs each", len(r.absent), maxAbsent, maxAbsentLogs)
		}
		if err := m.checkMissing(r); err != nil {
			return err
		}
		if err := m.checkForest(r); err != nil {
			return err
		}
	}
	switch {
	case held != m.heldBytes || held > maxHeldBytes:
		return fmt.Errorf("it holds %d bytes back and counts %d", held, m.heldBytes)
	case older != m.olderBytes || older > maxAllOlderBytes:
		return fmt.Errorf("it holds %d bytes of older events and counts %d", older, m.olderBytes)
	case len(m.unproven) > maxUnproven:
		return fmt.Errorf("it has delivered %d events that it has not stored", len(m.unproven))
	case len(m.links) != len(m.linkList):
		return fmt.Errorf("it has %d links in order and %d in all", len(m.linkList), len(m.links))
	}
	for _, l := range m.linkList {
		if len(l.hedges) > maxHedges || len(l.serves) > maxServes || l.asks > maxAsks || l.asks != asks[l] || l.claims > maxClaims {
			return fmt.Errorf("it keeps %d hedges, %d answers, %d questions (and counts %d), %d claims for %s", len(l.hedges), len(l.serves),
				asks[l], l.asks, l.claims, l.peer.Tag())
		}
		known := 0
		for _, s := range l.shares {
			if len(s.parts) > maxPartLogs {
				return fmt.Errorf("it remembers parts of %d logs of %s: at most %d are allowed", len(s.parts), l.peer.Tag(), maxPartLogs)
			}
			known += len(s.known)
		}
		if known != l.known || known > maxKnown {
			return fmt.Errorf("it knows %d heads of %s and counts %d", known, l.peer.Tag(), l.known)
		}
	}
	return nil
}

// checkMissing says what is known to be missing in a room that is said to miss nothing.
func (m *Machine) checkMissing(r *room) error {
	if r.crowded || m.Missing(r.name) > 0 {
		return nil
	}
	for _, a := range r.sorted {
		for _, l := range m.linkList {
			if s := l.share(r); s != nil && !l.cut {
				k := s.known[a.id]
				if _, waits := a.pending[max(a.head, k.base)+1]; k.seq > max(a.head, k.base) && !waits {
					return fmt.Errorf("it holds %s up to %d and knows that %s holds %d, and says that nothing is missing", a.author.Tag(), a.head,
						l.peer.Tag(), k.seq)
				}
			}
		}
	}
	return nil
}

// checkForest says what is wrong with the trees of a room's logs.
func (m *Machine) checkForest(r *room) error {
	seats := uint64(0)
	for i, s := range r.slots {
		if s == nil {
			continue
		}
		if seats |= 1 << i; s.slot != int8(i) || s.link != m.links[s.link.peer] {
			return fmt.Errorf("it has a neighbour in place %d that is none", i)
		}
		for _, a := range s.acks {
			if a.acks&s.bit() == 0 {
				return fmt.Errorf("it means to acknowledge %s and does not know of it", a.author.Tag())
			}
		}
	}
	for _, a := range r.sorted {
		if seats != r.seats || (a.eager|a.told|a.ahead|a.acks|a.lost)&^seats != 0 {
			return fmt.Errorf("it has taken the places %x, and uses %x, %x, %x, %x and %x of them for %s", r.seats, a.eager, a.told, a.ahead, a.acks, a.lost,
				a.author.Tag())
		}
		for _, s := range []*share{a.parent, a.failed} {
			if s != nil && (s.slot < 0 || r.slots[s.slot] != s) {
				return fmt.Errorf("it waits for events of %s from a neighbour that has gone", a.author.Tag())
			}
		}
	}
	return nil
}

// Links is how many neighbours it was told of that are not gone.
func (m *Machine) Links() int { return len(m.links) }
