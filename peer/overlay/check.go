package overlay

import (
	"fmt"

	"peerchat/peer/wire"
)

// Check says which of its bounds the machine does not keep, or what of its state does not fit together; nil if all is
// well. It looks at everything, and is for tests and simulations, between any two Steps.
func (m *Machine) Check() error {
	switch {
	case len(m.active) > MaxActive:
		return fmt.Errorf("%d neighbours", len(m.active))
	case len(m.passive) > m.spare:
		return fmt.Errorf("%d in a passive view of %d", len(m.passive), m.spare)
	case len(m.links) > MaxLinks || len(m.waiting) > len(m.links):
		return fmt.Errorf("%d links, %d of them waited for", len(m.links), len(m.waiting))
	case m.dials() > maxDials:
		return fmt.Errorf("%d links were asked for at once", m.dials())
	case len(m.contacts) > MaxContacts || len(m.lost) > maxLost || len(m.relays) > maxRelays || len(m.origins) > maxOrigins:
		return fmt.Errorf("%d contacts, %d lost, %d relays, %d origins", len(m.contacts), len(m.lost), len(m.relays), len(m.origins))
	case !m.left && !m.last.IsZero() && m.swapAt.IsZero():
		return fmt.Errorf("no shuffle is due")
	}
	seen := map[wire.PeerID]string{m.self: "this peer itself"}
	for _, l := range m.active {
		if was := seen[l.peer]; was != "" {
			return fmt.Errorf("a neighbour is %s", was)
		}
		seen[l.peer] = "a neighbour"
		if !l.up || !l.active || !l.held {
			return fmt.Errorf("a neighbour's link is up: %v, active: %v, held: %v", l.up, l.active, l.held)
		}
		if found, _ := m.find(l.peer); found != l {
			return fmt.Errorf("a neighbour is not among the links")
		}
	}
	for _, k := range m.passive {
		if was := seen[k.peer]; was != "" {
			return fmt.Errorf("a passive peer is %s", was)
		}
		seen[k.peer] = "a passive peer"
	}
	waiting := map[*link]bool{}
	for _, l := range m.waiting {
		waiting[l] = true
	}
	for i, l := range m.links {
		switch {
		case i > 0 && !m.links[i-1].peer.Less(l.peer):
			return fmt.Errorf("the links are out of order")
		case !l.up && !l.dialing:
			return fmt.Errorf("a link is neither there nor asked for")
		case l.up && l.dialing:
			return fmt.Errorf("a link is there and asked for")
		case l.busy() != waiting[l] || waiting[l] == l.deadline.IsZero():
			return fmt.Errorf("a link is busy: %v, waited for: %v, until %v", l.busy(), waiting[l], l.deadline)
		case l.kin() && !l.active:
			return fmt.Errorf("a parent or a child is no neighbour")
		case l.held && !l.active && !l.busy():
			return fmt.Errorf("a link is held for nothing")
		}
	}
	return nil
}
