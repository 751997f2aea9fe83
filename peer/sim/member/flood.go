package member

import (
	"slices"
	"time"

	"peerchat/peer/sim"
	"peerchat/peer/wire"
)

// Flood is the Rider that passes on what it has not seen to every neighbour but the one it came from. It is what a
// broadcast has to be compared with, and shows what the overlay is good for.
type Flood struct {
	Seen       map[uint64]int // how many links a line has crossed when it first came here
	Duplicates int            // what came again
	neighbors  []wire.PeerID
}

// Line is what a Flood carries.
type Line struct {
	ID    uint64
	Hops  int
	Bytes int
}

// Size is the length in bytes.
func (l Line) Size() int { return l.Bytes }

// NewFlood makes one.
func NewFlood() *Flood { return &Flood{Seen: map[uint64]int{}} }

// Say sends a line to all neighbours.
func (f *Flood) Say(l Line, out *sim.Output) { f.take(l, wire.PeerID{}, out) }

func (f *Flood) take(l Line, from wire.PeerID, out *sim.Output) {
	if _, ok := f.Seen[l.ID]; ok {
		f.Duplicates++
		return
	}
	f.Seen[l.ID] = l.Hops
	l.Hops++
	for _, n := range f.neighbors {
		if n != from {
			out.Sends = append(out.Sends, sim.Send{To: n, Message: l})
		}
	}
}

// NeighborUp is Rider's, as are the others.
func (f *Flood) NeighborUp(_ time.Time, peer wire.PeerID, _ *sim.Output) {
	f.neighbors = append(f.neighbors, peer)
}

// NeighborDown forgets a neighbour.
func (f *Flood) NeighborDown(_ time.Time, peer wire.PeerID, _ bool, _ *sim.Output) {
	f.neighbors = slices.DeleteFunc(f.neighbors, func(id wire.PeerID) bool { return id == peer })
}

// Receive takes a line.
func (f *Flood) Receive(_ time.Time, from wire.PeerID, msg sim.Message, out *sim.Output) {
	if l, ok := msg.(Line); ok {
		f.take(l, from, out)
	}
}

// Tick does nothing, and Wake asks for none.
func (f *Flood) Tick(time.Time, *sim.Output) {}

// Wake is zero.
func (f *Flood) Wake() time.Time { return time.Time{} }
