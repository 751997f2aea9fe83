// Package overlay decides which peers of a room keep links with each other, so that a room of thousands is connected
// while each member has a handful of links: HyParView after Leitão, Pereira and Rodrigues (DSN 2007). docs/overlay.md
// is the protocol on a page, with what differs from the paper.
//
// The parts: machine.go holds the state, the clock and the entry; active.go asks for neighbours, takes and drops them;
// join.go is how newcomers come in; fill.go replaces neighbours and finds lost ones again; suspect.go does so before
// they are seen to be lost; origin.go keeps one party from being all of them; passive.go and shuffle.go keep the others
// known; limits.go is what one peer may ask for; message.go and codec.go are what travels.
//
// It is pure: a Machine is a function of its inputs and the clock it is given, and owns the views of one room. It must
// never import anything of ours but peer/wire, nor touch sockets, goroutines, timers or time.Now.
package overlay

import (
	"fmt"
	"time"

	"peerchat/peer/wire"
)

// Config is what a Machine needs to know for its life. Zero fields get their defaults.
type Config struct {
	Self wire.PeerID
	// Rand drives every choice and all jitter; seeded by the caller.
	Rand interface{ Uint64() uint64 }
	// RoomSize is how many are in the room, as far as is known; a RoomSize input changes it. The sizes of the views
	// follow: active max(5, ln n + 1, rounded), passive 6 times that.
	RoomSize int
	// Active and Passive fix the sizes of the views, if they are set.
	Active, Passive int
	// Slack is how many neighbours more than that are taken when they ask, before any is refused or dropped. The paper
	// has 0. Where links are dear, 1 saves most of those that are made in vain: nobody is left with a place that nobody
	// has the other end for.
	Slack int
	// ActiveWalk is how far a newcomer's name is carried (the paper's ARWL, 6), PassiveWalk how many hops before the
	// end of that it is noted (PRWL, 3).
	ActiveWalk, PassiveWalk uint8
	// SampleActive and SamplePassive are how many of each view a shuffle tells (ka, 3, and kp, 4).
	SampleActive, SamplePassive int
	Timing                      Timing
}

// Timing is how long a Machine waits for what.
type Timing struct {
	Shuffle time.Duration // 10 s: between two shuffles, give or take a quarter
	Connect time.Duration // 20 s: how long a link may take, if the caller does not say that it failed
	Answer  time.Duration // 5 s: how long a peer may take to answer over a link
	Hedge   time.Duration // 1 s: a newcomer that has no answer after this tries one more contact
	Fill    time.Duration // 1 s: how long a free place waits for somebody to ask for it; doubled after each refusal
	FillMax time.Duration // 1 min: the longest such wait
	Ping    time.Duration // 80 ms: how long a neighbour may take to answer a Ping, or more if its round trip is longer; two are sent in this time
	Bridge  time.Duration // 5 s: a neighbour whose link broke is tried again after this, doubled each time up to FillMax
}

// Limits of the protocol and of a Machine.
const (
	// MaxMessage is the longest encoded message, in bytes.
	MaxMessage = 1 << 10
	// MaxActive and MaxPassive bound the views, MaxSample the peers that one message names.
	MaxActive  = 32
	MaxPassive = 192
	MaxSample  = 16
	// MaxWalk is the longest walk.
	MaxWalk = 16
	// MaxLinks is how many links a Machine takes note of, MaxContacts how many contacts it remembers.
	MaxLinks    = 256
	MaxContacts = 32
	// maxLost is how many neighbours with broken links are remembered, maxTries how often each is tried again: about an
	// hour.
	maxLost  = 16
	maxTries = 64
	// maxDials is how many links are asked for at once.
	maxDials = 16
	// maxTakes is how many of them may be for newcomers that others tell of, so that nobody's inventions leave none for
	// what this peer needs.
	maxTakes = 12
	// maxHedge is how many contacts, or, while there are no neighbours, other peers are tried at once.
	maxHedge = 3
	// maxRelays is how many shuffles are remembered to carry the answer back.
	maxRelays = 128
	// maxGap is the most time that passes between two Steps; more is a clock that jumped, or a machine that slept.
	maxGap = time.Minute
)

func (c *Config) defaults() error {
	for _, d := range []struct {
		at *time.Duration
		to time.Duration
	}{{&c.Timing.Shuffle, 10 * time.Second}, {&c.Timing.Connect, 20 * time.Second}, {&c.Timing.Answer, 5 * time.Second},
		{&c.Timing.Hedge, time.Second}, {&c.Timing.Fill, time.Second}, {&c.Timing.FillMax, time.Minute},
		{&c.Timing.Ping, 80 * time.Millisecond}, {&c.Timing.Bridge, 5 * time.Second}} {
		if *d.at <= 0 {
			*d.at = d.to
		}
	}
	if c.ActiveWalk == 0 {
		c.ActiveWalk = 6
	}
	if c.PassiveWalk == 0 {
		c.PassiveWalk = 3
	}
	if c.SampleActive == 0 {
		c.SampleActive = 3
	}
	if c.SamplePassive == 0 {
		c.SamplePassive = 4
	}
	switch {
	case c.Self.IsZero():
		return fmt.Errorf("make an overlay: Config.Self is not set")
	case c.Rand == nil:
		return fmt.Errorf("make an overlay: Config.Rand is not set")
	case c.Active < 0 || c.Active > MaxActive || c.Passive < 0 || c.Passive > MaxPassive:
		return fmt.Errorf("make an overlay: views of %d and %d: at most %d and %d are allowed", c.Active, c.Passive, MaxActive, MaxPassive)
	case c.Slack < 0 || c.Slack > MaxActive:
		return fmt.Errorf("make an overlay: a slack of %d: want 0 to %d", c.Slack, MaxActive)
	case c.ActiveWalk > MaxWalk || c.PassiveWalk > c.ActiveWalk:
		return fmt.Errorf("make an overlay: walks of %d and %d: want at most %d, and the second no longer than the first", c.ActiveWalk, c.PassiveWalk, MaxWalk)
	case c.SampleActive < 0 || c.SamplePassive < 0 || c.SampleActive+c.SamplePassive > MaxSample:
		return fmt.Errorf("make an overlay: samples of %d and %d: at most %d together", c.SampleActive, c.SamplePassive, MaxSample)
	}
	return nil
}

// Input is one thing that happened. It is one of the types below.
type Input interface{ input() }

type (
	// Contacts names members of the room that may be asked for a way in: from the tracker, an invitation or history.
	// They may come at any time; a peer that has neighbours notes them for later. Apart says that they should be heard
	// of in the room by now and are not: the room is in two parts, and a link with one of them mends that.
	Contacts struct {
		Peers []Contact
		Apart bool
	}
	// RoomSize is how many are in the room, as far as is known.
	RoomSize struct{ N int }
	// LinkUp tells that there is a link with a member of this room, whoever asked for it and for what. Origin is where
	// it leads as this peer sees it (see Contact), RTT its round trip, if that is known.
	LinkUp struct {
		Peer   wire.PeerID
		Origin string
		RTT    time.Duration
	}
	// LinkDown tells that it is gone, LinkFailed that the link which Connect asked for cannot be made.
	LinkDown   struct{ Peer wire.PeerID }
	LinkFailed struct{ Peer wire.PeerID }
	// Suspect tells that a neighbour does not answer, so that it may be dead though its link is not seen to end; Trust
	// that it was heard of again.
	Suspect struct{ Peer wire.PeerID }
	Trust   struct{ Peer wire.PeerID }
	// Look has this peer look after its neighbours, if that was not done of late.
	Look struct{}
	// Receive is a message from a peer with a link.
	Receive struct {
		From    wire.PeerID
		Message Message
	}
	// Leave tells the neighbours and gives up all links. After it a Machine does nothing any more.
	Leave struct{}
	// Tick is the passing of time: the caller sends it at Output.Wake or later.
	Tick struct{}
)

// Contact is a peer and where it is. Origin groups peers that one party can have many of for nothing: the IPv4 address,
// or the IPv6 /64 network, as this peer has seen it itself; empty if it has not. Nobody's word about somebody else
// belongs there.
type Contact struct {
	Peer   wire.PeerID
	Origin string
}

func (Contacts) input()   {}
func (RoomSize) input()   {}
func (LinkUp) input()     {}
func (LinkDown) input()   {}
func (LinkFailed) input() {}
func (Suspect) input()    {}
func (Trust) input()      {}
func (Look) input()       {}
func (Receive) input()    {}
func (Leave) input()      {}
func (Tick) input()       {}

// Output is what a Step wants done: first Sends, then Actions, each in order. Step appends; the caller resets.
type Output struct {
	Sends   []Send
	Actions []Action
	Faults  []Fault
	// NeedContacts says that this peer has places for neighbours, or too many neighbours at one origin, and has asked
	// all it knows of: the caller should name members that it knows of otherwise, as from a tracker. The first of them
	// are tried at once if they come at the same time (now).
	NeedContacts bool
	Wake         time.Time // when to send the next Tick; zero: not needed
}

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Sends)
	clear(o.Actions)
	*o = Output{Sends: o.Sends[:0], Actions: o.Actions[:0], Faults: o.Faults[:0]}
}

// Send is a message for a peer with a link, over its reliable channel, or over the fast one that may lose it.
type Send struct {
	To      wire.PeerID
	Message Message
	Fast    bool
}

// Action is something else that is to be done. It is one of the types below.
type Action interface{ action() }

type (
	// Connect asks for a link, and to keep it; if there is one, only that. LinkUp or LinkFailed must follow if there is
	// none.
	Connect struct{ Peer wire.PeerID }
	// Release says that this room needs the link no more that Connect asked for, or that NeighborUp told of.
	Release struct{ Peer wire.PeerID }
	// NeighborUp and NeighborDown tell what joins and leaves the active view. A link is needed as long as its peer is
	// in it.
	NeighborUp   struct{ Peer wire.PeerID }
	NeighborDown struct{ Peer wire.PeerID }
)

func (Connect) action()      {}
func (Release) action()      {}
func (NeighborUp) action()   {}
func (NeighborDown) action() {}

// Fault is misbehaviour of a peer. Drop says that the link with it should be closed.
type Fault struct {
	Peer wire.PeerID
	Code string // "flood"
	Text string
	Drop bool
}
