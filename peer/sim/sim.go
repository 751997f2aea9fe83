// Package sim runs thousands of peers in simulated time: a seeded world of participants, the links between them, and
// what goes wrong with both.
//
// The parts: sim.go is what a participant is and says, world.go the peers and their lives, network.go the links,
// delays, losses and partitions, heap.go the order of events.
//
// A World is one goroutine's and deterministic: the same seed and the same calls give the same events to the last bit,
// and Hash is the proof. It knows nothing of what the participants say to each other, must never import anything of
// ours but peer/wire, and reads no clock.
package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"peerchat/peer/wire"
)

// Participant is one life of one peer. It is a function of its inputs and the time, as our machines are; what it draws
// by chance comes from a source that the caller seeds, from World.Seed.
type Participant interface {
	// Step takes one input and appends to out what is to be done. out is emptied before each Step and belongs to the
	// world.
	Step(now time.Time, in Input, out *Output)
}

// Message is what one participant says to another. Nobody may change it once it was sent: all copies are the same.
type Message interface {
	// Size is its length on a link, in bytes.
	Size() int
}

// Input is one thing that happens to a participant. It is one of the types below. What its user does to it, such as to
// say a line, is no Input: see World.Do.
type Input interface{ input() }

type (
	// Start begins the life.
	Start struct{}
	// Tick comes at Output.Wake.
	Tick struct{}
	// LinkUp tells of a new link, LinkDown that it is gone, whoever ended it, the participant itself included. Closed
	// says that one of the two did, or that a newer link took its place; else it broke.
	LinkUp   struct{ Peer wire.PeerID }
	LinkDown struct {
		Peer   wire.PeerID
		Closed bool
	}
	// LinkFailed is the other outcome of Output.Connect.
	LinkFailed struct{ Peer wire.PeerID }
	// LinkBusy tells that more than Network.Buffer waits to be sent to Peer; or, at half of that, no longer.
	LinkBusy struct {
		Peer wire.PeerID
		Busy bool
	}
	// Receive is a message that came over a link.
	Receive struct {
		From    wire.PeerID
		Message Message
	}
)

func (Start) input()      {}
func (Tick) input()       {}
func (LinkUp) input()     {}
func (LinkDown) input()   {}
func (LinkFailed) input() {}
func (LinkBusy) input()   {}
func (Receive) input()    {}

// Output is what a participant wants done, in this order: messages, then new links, then links to end. So what is sent
// to a peer and then closed arrives before the end.
type Output struct {
	Sends []Send
	// Connect asks for links: LinkUp or LinkFailed follows for each, unless there is one already.
	Connect []wire.PeerID
	Close   []wire.PeerID
	Wake    time.Time // when to send Tick; zero: not needed. It holds until the next Step.
}

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Sends)
	*o = Output{Sends: o.Sends[:0], Connect: o.Connect[:0], Close: o.Close[:0]}
}

// Send is a message for a linked peer; to others it is lost. Fast asks for the channel that neither repairs losses nor
// keeps the order.
type Send struct {
	To      wire.PeerID
	Message Message
	Fast    bool
}

// Config is what a World starts with.
type Config struct {
	Seed    uint64
	Start   time.Time // when the world begins; zero: 2026-01-01 UTC
	Network Network
	// OnSend sees each message that is put on a link, before it is known whether it arrives. It may be nil.
	OnSend func(from, to int, s Send)
}

// Network is how the links behave. The zero value is instant and perfect.
type Network struct {
	// A message takes Delay, plus up to Spread that is drawn for each two peers once, plus up to Jitter that is drawn
	// for each message.
	Delay, Spread, Jitter time.Duration
	// Loss is the part of packets that are lost. A message on the reliable channel then comes Retransmit later, and
	// holds up those behind it; on the fast channel it never comes.
	Loss       float64
	Retransmit time.Duration
	// Duplicate is the part of the fast messages that come twice, Reorder what is added to their delay at most.
	Duplicate float64
	Reorder   time.Duration
	// Rate is how many bytes a second go over a link in one direction; 0: as many as you like. See also World.Slow.
	Rate float64
	// Buffer is how many bytes may wait for that before LinkBusy tells; 0: it is never told.
	Buffer int
	// RoundTrips is how many round trips a new link takes; 0 counts as 1.
	RoundTrips int
	// Fail is how long it takes to find that a peer cannot be linked; 0: one round trip.
	Fail time.Duration
	// Detect is how long it takes to see that a linked peer died or cannot be reached any more. 0 is the end of a
	// socket, which is told by a packet.
	Detect time.Duration
}

// ID is a peer ID for the i-th peer of a world whose participants need no keys.
func ID(i int) wire.PeerID {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(i))
	return sha256.Sum256(b[:])
}

// Source is a seeded source of chance, in the shape that our machines' Config.Rand takes.
func Source(seed uint64) *rand.PCG { return rand.NewPCG(seed, 0x9e3779b97f4a7c15) }
