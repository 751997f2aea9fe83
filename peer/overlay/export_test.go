package overlay

import (
	"time"

	"peerchat/peer/wire"
)

// Sizes are the sizes of the views that are wanted.
func (m *Machine) Sizes() (active, passive int) { return m.target, m.spare }

// Sound is how many neighbours are not suspected.
func (m *Machine) Sound() int { return m.sound() }

// Self is whose machine it is.
func (m *Machine) Self() wire.PeerID { return m.self }

// Quiet tells whether nothing is under way.
func (m *Machine) Quiet() bool { return len(m.waiting) == 0 }

// Unbound makes m want far more neighbours than it says: a planted bug.
func (m *Machine) Unbound() { m.target, m.cfg.Active = 9, 9 }

// NoBridges makes m forget neighbours whose links break: a planted bug.
func (m *Machine) NoBridges() {
	m.timing.Bridge = 1000 * time.Hour
	m.timing.FillMax = 1000 * time.Hour
}
