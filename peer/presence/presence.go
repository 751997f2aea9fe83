// Package presence keeps who is in one room, known to all of its members, without a tracker and with few links each:
// soft state that is spread along a tree of its own, compared between neighbours, and expires. docs/presence.md is the
// protocol on two pages.
//
// The parts: machine.go holds the state, the clock and the entry; self.go says what this peer says of itself; take.go
// takes records in, down.go deaths, roll.go those that nobody reports, and vote.go what neighbours say of these;
// table.go keeps them; spread.go sends them on, at a bounded rate; tree.go says to whom; compare.go finds and mends
// differences between neighbours; record.go, message.go, encode.go and decode.go are what travels; limits.go bounds
// what others can make a Machine do. shared.go and check.go are for simulations.
//
// It is pure: Machine is a function of its inputs and the clock it is given, and owns what it knows of the room's
// members. It must never import anything of ours but peer/cbor and peer/wire, nor touch sockets, goroutines, timers or
// time.Now.
package presence

import (
	"crypto/ed25519"
	"time"

	"peerchat/peer/wire"
)

// Config is what a Machine needs to know for its life.
type Config struct {
	Key  ed25519.PrivateKey
	Room wire.Room
	// Rand drives jitter and the choice of neighbours; seeded by the caller.
	Rand interface{ Uint64() uint64 }
	// Run is the start of this process in milliseconds since 1970; 0: the time of the first Step. It tells the records
	// of one life from those of the next. Where the clock went back in between, hearing the own old record lifts it.
	Run uint64
	// Rate is the most bytes a second that are sent to one neighbour in the long run; 0: 64 KiB.
	Rate   int
	Timing Timing // zero fields get their defaults
	// Shared is for simulations; nil: this machine does all by itself.
	Shared *Shared
}

// Timing is how long a Machine waits for what.
type Timing struct {
	Refresh   time.Duration // 30 s: how often a member says again that it is there, at least 5 s
	PerMember time.Duration // 60 ms: and this long for each member, if that is longer
	Suspect   time.Duration // 3 s: how long who is said to be dead has to contradict
	Batch     time.Duration // 40 ms: the least time between two messages of news to a neighbour; up to four times as long in a large room
	Lazy      time.Duration // 2 s: how long a refresh may wait at each member for others to travel with; less where periods are short
	Compare   time.Duration // 15 s: how often one random neighbour is compared with
	Hurry     time.Duration // 1 s: the same just after the tree or a neighbour broke, doubling up to Compare
	Offer     time.Duration // 250 ms: how long those who are not on the tree wait until they are offered news; as above, and eight times as long if somebody joined
	Ask       time.Duration // 10 s: how long a neighbour that is asked may say nothing
	First     time.Duration // 300 ms: how long the first word waits to hear how large the room is
}

func (t *Timing) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.Refresh, 30*time.Second)
	set(&t.PerMember, 60*time.Millisecond)
	set(&t.Suspect, 3*time.Second)
	set(&t.Batch, 40*time.Millisecond)
	set(&t.Lazy, 2*time.Second)
	set(&t.Compare, 15*time.Second)
	set(&t.Hurry, time.Second)
	set(&t.Offer, 250*time.Millisecond)
	set(&t.Ask, 10*time.Second)
	set(&t.First, 300*time.Millisecond)
}

// Limits of the protocol.
const (
	// MaxMembers is the most members of a room that a Machine keeps.
	MaxMembers = 20_000
	// MaxMessage is the longest encoded message, in bytes. It is small, so that what a chat has to say waits for
	// little.
	MaxMessage = 8 << 10
	// MaxPeriod is the longest time that a member may promise to say nothing for, in seconds; MinPeriod the shortest.
	MaxPeriod = 1200
	MinPeriod = 5
	// lifetimes is how many periods a record is believed for without a newer one.
	lifetimes = 3
	// MaxNeighbors bounds the links that a Machine knows.
	MaxNeighbors = 256
)

// Voice is how a member takes part in the room's voice.
type Voice struct {
	In    bool
	Muted bool // it sends no sound
	Deaf  bool // it plays none
}

// Member is somebody who is in the room.
type Member struct {
	Peer   wire.PeerID
	Name   string
	Status string
	Voice  Voice
}

// Input is one thing that happened. It is one of the types below.
type Input interface{ input() }

type (
	// NeighborUp tells that a link of the room's active view is ready for messages.
	NeighborUp struct{ Peer wire.PeerID }
	// NeighborDown tells that it is gone. Died: it broke without a goodbye, so its peer is said to be dead unless it
	// contradicts.
	NeighborDown struct {
		Peer wire.PeerID
		Died bool
	}
	// Busy tells that a neighbour's send queue is full, or free again. While it is full nothing is sent to it.
	Busy struct {
		Peer wire.PeerID
		Busy bool
	}
	// Self is what this peer says of itself from now on. The first one makes it a member.
	Self struct {
		Name   string // as wire.ParseName gives it
		Status string // the same, or empty
		Voice  Voice
	}
	// Receive is a message from a neighbour. Data is not kept.
	Receive struct {
		From wire.PeerID
		Data []byte
	}
	// Leave tells the room that this peer leaves it. It is the last input: what follows does nothing.
	Leave struct{}
	// Tick is the passing of time: the caller sends it at Output.Wake or later.
	Tick struct{}
)

func (NeighborUp) input()   {}
func (NeighborDown) input() {}
func (Busy) input()         {}
func (Self) input()         {}
func (Receive) input()      {}
func (Leave) input()        {}
func (Tick) input()         {}

// Output is what a Step wants done. Step appends; the caller resets.
type Output struct {
	Sends   []Send
	Changes []Changed // in order
	Faults  []Fault
	Wake    time.Time // when to send the next Tick; zero: never
}

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Sends)
	clear(o.Changes)
	clear(o.Faults)
	*o = Output{Sends: o.Sends[:0], Changes: o.Changes[:0], Faults: o.Faults[:0]}
}

// Send is a message for a neighbour, over the reliable and ordered channel. Data is never changed.
type Send struct {
	To   wire.PeerID
	Data []byte
}

// What is what changed of a member.
type What string

// The changes. A member that is started again, faster than it is found to be dead, changes nothing.
const (
	Joined  What = "joined"
	Left    What = "left"
	Renamed What = "renamed"
	Status  What = "status"
	Voiced  What = "voice"
)

// Cause is why somebody left.
type Cause string

// The causes.
const (
	Said    Cause = "said"    // it said so itself
	Died    Cause = "died"    // a neighbour lost it, and it did not contradict
	Expired Cause = "expired" // it was not heard of for three of its periods
	Crowded Cause = "crowded" // it had to make room, because the room is too large to know everybody in it
)

// Changed tells of another member; this peer itself is not told of. Was is what the member was before; of one who
// joined it is empty.
type Changed struct {
	What   What
	Cause  Cause // of Left
	Member Member
	Was    Member
}

// Fault is misbehaviour. Drop says that the link to Peer should be closed for it.
type Fault struct {
	Peer    wire.PeerID // the neighbour it came from; the own ID where it is nobody's
	Subject wire.PeerID // whom it is about, if it is about one
	Code    Code
	Text    string
	Drop    bool
}

// Code names a kind of Fault.
type Code string

// The faults.
const (
	Malformed Code = "malformed" // a message that does not decode
	Forged    Code = "forged"    // a signature that does not fit
	Flood     Code = "flood"     // a neighbour sends more than is of any use, or a member changes too often
	Crowd     Code = "crowd"     // a neighbour shows more new identities than a room of this size can have
	Slander   Code = "slander"   // a member said too often of living ones that they are dead
	Full      Code = "full"      // the room has more members than MaxMembers
	Twin      Code = "twin"      // another process uses this peer's identity
)
