// Package member is one member of one simulated room: the overlay of peer/overlay as a participant of peer/sim, and a
// Rider, such as a broadcast, that uses its neighbours.
//
// A Member owns its machine and its Rider, and is owned by its sim.World. The package must never import more of ours
// than peer/sim, peer/overlay and peer/wire, so that every broadcast can ride on it.
package member

import (
	"fmt"
	"slices"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/sim"
	"peerchat/peer/wire"
)

// Rider is what uses the neighbours. It appends what it wants sent to out.Sends, and leaves the rest of out alone.
type Rider interface {
	NeighborUp(now time.Time, peer wire.PeerID, out *sim.Output)
	// NeighborDown tells that one is none any more. Broken says that it is because the link broke, and neither of the
	// two closed it.
	NeighborDown(now time.Time, peer wire.PeerID, broken bool, out *sim.Output)
	// Receive is a message that another Rider sent. It may come from who is no neighbour any more, or is none yet.
	Receive(now time.Time, from wire.PeerID, msg sim.Message, out *sim.Output)
	// Tick comes at Wake or later; Wake is zero if it is not needed. It is asked for after each of the others.
	Tick(now time.Time, out *sim.Output)
	Wake() time.Time
}

// Busier is a Rider that wants to know when a link has more to carry than it can.
type Busier interface {
	Busy(now time.Time, peer wire.PeerID, busy bool, out *sim.Output)
}

// Starter is a Rider that has something to do when its life begins, before the overlay has.
type Starter interface {
	Start(now time.Time, out *sim.Output)
}

// Informer is a Rider that knows more of the room than the overlay: what it has learned since it was asked last.
type Informer interface {
	Learned() []overlay.Input
}

// Message is one of the overlay's, as it travels through a sim.World.
type Message struct {
	overlay.Message
	size int
}

// Size is the length of its encoding, in bytes.
func (m Message) Size() int { return m.size }

// Config is what a Member starts with.
type Config struct {
	Overlay  overlay.Config // Self and Rand must be set
	Contacts []overlay.Contact
	Rider    Rider // nil for none
	// Origin tells where a link with a peer leads; nil: nobody knows.
	Origin func(peer wire.PeerID) string
	// OnNeed is called when the overlay has run out of contacts. What it returns is given to it. It may be nil.
	OnNeed func() []overlay.Contact
	// Before sees each input of the overlay and may change it, or drop it by returning nil; After sees what came of it,
	// and may change that. They are for tests, and may be nil.
	Before func(m *Member, in overlay.Input) overlay.Input
	After  func(m *Member, in overlay.Input, out *overlay.Output)
}

// Member is a participant of a sim.World.
type Member struct {
	cfg     Config
	m       *overlay.Machine
	out     overlay.Output
	wake    time.Time   // of the overlay
	broken  wire.PeerID // whose link broke, in this Step
	Changes int         // how often a neighbour came or went
	Faults  []overlay.Fault
	scratch []byte
}

// New makes a member. It panics if the overlay's Config is wrong, as only its caller can be.
func New(cfg Config) *Member {
	m, err := overlay.New(cfg.Overlay)
	if err != nil {
		panic(err)
	}
	return &Member{cfg: cfg, m: m}
}

// Overlay is the machine, to look at; Rider what rides on it.
func (m *Member) Overlay() *overlay.Machine { return m.m }
func (m *Member) Rider() Rider              { return m.cfg.Rider }

// Step is sim.Participant's.
func (m *Member) Step(now time.Time, in sim.Input, out *sim.Output) {
	rider := m.cfg.Rider
	switch in := in.(type) {
	case sim.Start:
		if s, ok := rider.(Starter); ok {
			s.Start(now, out)
		}
		m.Input(now, overlay.Contacts{Peers: m.cfg.Contacts}, out)
	case sim.LinkUp:
		up := overlay.LinkUp{Peer: in.Peer}
		if m.cfg.Origin != nil {
			up.Origin = m.cfg.Origin(in.Peer)
		}
		m.Input(now, up, out)
	case sim.LinkDown:
		if !in.Closed {
			m.broken = in.Peer
		}
		m.Input(now, overlay.LinkDown{Peer: in.Peer}, out)
		m.broken = wire.PeerID{}
	case sim.LinkFailed:
		m.Input(now, overlay.LinkFailed{Peer: in.Peer}, out)
	case sim.LinkBusy:
		if b, ok := rider.(Busier); ok {
			b.Busy(now, in.Peer, in.Busy, out)
		}
	case sim.Receive:
		if msg, ok := in.Message.(Message); ok {
			m.Input(now, overlay.Receive{From: in.From, Message: msg.Message}, out)
		} else if rider != nil {
			rider.Receive(now, in.From, in.Message, out)
		}
	case sim.Tick:
		if !m.wake.IsZero() && !m.wake.After(now) {
			m.Input(now, overlay.Tick{}, out)
		}
		if rider != nil && !rider.Wake().IsZero() && !rider.Wake().After(now) {
			rider.Tick(now, out)
		}
	}
	if knows, ok := rider.(Informer); ok {
		for _, in := range knows.Learned() {
			m.Input(now, in, out)
		}
	}
	m.SetWake(out)
}

// Input gives the overlay an input and carries out what it puts out. Whoever calls it outside of Step calls SetWake
// after it.
func (m *Member) Input(now time.Time, in overlay.Input, out *sim.Output) {
	if m.cfg.Before != nil {
		if in = m.cfg.Before(m, in); in == nil {
			return
		}
	}
	m.out.Reset()
	m.m.Step(now, in, &m.out)
	if m.cfg.After != nil {
		m.cfg.After(m, in, &m.out)
	}
	m.wake = m.out.Wake
	m.Faults = append(m.Faults, m.out.Faults[:min(len(m.out.Faults), max(0, 64-len(m.Faults)))]...)
	for _, s := range m.out.Sends {
		b, err := overlay.AppendMessage(m.scratch[:0], s.Message)
		if err != nil {
			panic(fmt.Sprintf("the overlay sends what cannot be encoded: %v", err))
		}
		m.scratch = b
		out.Sends = append(out.Sends, sim.Send{To: s.To, Message: Message{Message: s.Message, size: len(b)}, Fast: s.Fast})
	}
	for _, a := range m.out.Actions {
		switch a := a.(type) {
		case overlay.Connect:
			out.Connect = append(out.Connect, a.Peer)
			// The world makes links before it ends any. Who was released before in this Step is wanted again.
			out.Close = slices.DeleteFunc(out.Close, func(id wire.PeerID) bool { return id == a.Peer })
		case overlay.Release:
			out.Close = append(out.Close, a.Peer)
		case overlay.NeighborUp:
			m.Changes++
			if m.cfg.Rider != nil {
				m.cfg.Rider.NeighborUp(now, a.Peer, out)
			}
		case overlay.NeighborDown:
			m.Changes++
			if m.cfg.Rider != nil {
				m.cfg.Rider.NeighborDown(now, a.Peer, a.Peer == m.broken, out)
			}
		}
	}
	if m.out.NeedContacts && m.cfg.OnNeed != nil {
		if more := m.cfg.OnNeed(); len(more) > 0 {
			m.Input(now, overlay.Contacts{Peers: more}, out)
		}
	}
}

// SetWake asks for the next Tick.
func (m *Member) SetWake(out *sim.Output) {
	out.Wake = m.wake
	if m.cfg.Rider == nil {
		return
	}
	if w := m.cfg.Rider.Wake(); !w.IsZero() && (out.Wake.IsZero() || w.Before(out.Wake)) {
		out.Wake = w
	}
}
