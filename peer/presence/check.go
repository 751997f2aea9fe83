package presence

import "fmt"

// Check says which of its bounds the machine does not keep, or what it counts wrongly; nil if all is well. It looks at
// everything, and is for tests and simulations, between any two Steps.
func (m *Machine) Check() error {
	t := &m.table
	size, members := 0, 0
	for e := range t.all() {
		size++
		if !e.gone() {
			members++
		}
	}
	switch {
	case size != t.size || members != t.members:
		return fmt.Errorf("%d records of %d members, counted as %d and %d", size, members, t.size, t.members)
	case members > MaxMembers:
		return fmt.Errorf("%d members", members)
	case size-members > maxGone:
		return fmt.Errorf("%d members that are gone", size-members)
	case len(m.neighbours) > MaxNeighbors:
		return fmt.Errorf("%d neighbours", len(m.neighbours))
	case len(m.conducts) > len(m.neighbours)+maxConducts:
		return fmt.Errorf("the conduct of %d, with %d neighbours", len(m.conducts), len(m.neighbours))
	case len(m.downs) > size || len(m.suspects) > 2*size+1 || len(m.reporters) > maxReporters:
		return fmt.Errorf("%d reports and %d suspicions by %d reporters, of %d members", len(m.downs), len(m.suspects), len(m.reporters), size)
	}
	for _, n := range m.neighbours {
		if len(n.queued) > size {
			return fmt.Errorf("%d members are waiting to be told to a neighbour, of %d", len(n.queued), size)
		}
	}
	return nil
}

// Neighbors is how many neighbours it was told of that are not gone.
func (m *Machine) Neighbors() int { return len(m.neighbours) }
