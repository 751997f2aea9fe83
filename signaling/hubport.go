package signaling

import (
	"net/netip"
	"time"

	"peerchat/peer/wire"
)

// This file is what the hub is made of, and what goes into it and comes out.

// ConnID names a connection to a hub. The shell numbers them and never uses one twice.
type ConnID uint64

// HubInput is what happens to a Hub: one of the types below.
type HubInput interface{ hubInput() }

type (
	// HubArrived is a new connection, not yet greeted.
	HubArrived struct {
		Conn ConnID
		Addr netip.Addr
	}
	// HubHello is a hello whose signature the shell has checked. Observed and STUN go into its answer.
	HubHello struct {
		Conn     ConnID
		Req      *HelloRequest
		Observed string
		STUN     []string
	}
	// HubRequest is any other request; Size is its length on the wire in bytes.
	HubRequest struct {
		Conn ConnID
		Req  Request
		Size int
	}
	// HubBad is a message that could not be read.
	HubBad struct {
		Conn ConnID
		Err  *BadRequest
	}
	// HubDropped is a connection that ended; Seen is when something was last heard on it.
	HubDropped struct {
		Conn ConnID
		Seen time.Time
	}
	// HubMoved makes the hub stand by: it sends everybody, and whoever comes later, to another tracker, until HubServe.
	// An empty Tracker: nobody is known.
	HubMoved struct {
		Tracker string
		Term    uint64
		Leader  wire.PeerID
	}
	// HubStopped makes the hub say goodbye to everybody.
	HubStopped struct{ Text string }
	// HubTick is nothing but the time.
	HubTick struct{}
)

func (HubArrived) hubInput() {}
func (HubHello) hubInput()   {}
func (HubRequest) hubInput() {}
func (HubBad) hubInput()     {}
func (HubDropped) hubInput() {}
func (HubMoved) hubInput()   {}
func (HubStopped) hubInput() {}
func (HubTick) hubInput()    {}

// HubSend is a message for a connection.
type HubSend struct {
	Conn ConnID
	Msg  Message
}

// HubOutput collects what a Step wants done: first Send, in order, then Close; Dial whenever it can be. Wake is when
// the hub wants its next Step at the latest; zero means never. The caller empties Send, Close and Dial.
type HubOutput struct {
	Send  []HubSend
	Close []ConnID
	Dial  []HubDial
	Wake  time.Time

	// Messages that were done with, for the next signal: see Done.
	note   *SignalNote
	answer *Answer
}

// Done gives a message of Send back, which nobody may look at any more. It need not be called.
func (o *HubOutput) Done(m Message) {
	switch m := m.(type) {
	case *SignalNote:
		o.note = m
	case *Answer:
		o.answer = m
	}
}

func reuse[T any](spare **T) *T {
	m := *spare
	if *spare = nil; m == nil {
		m = new(T)
	}
	return m
}

// HubConfig is what a Hub is made of. Zero fields get defaults.
type HubConfig struct {
	Seed   uint64
	Term   uint64
	Leader wire.PeerID
	// Standby begins without serving, as after HubMoved to nobody.
	Standby bool
	Limits  Limits
	// Sample is the most members that a joiner is told of, and the most that are told of a change in a larger room;
	// default DefaultSample. So the cost of a join does not grow with the room.
	Sample int
	// Linger is how long a dropped connection keeps its rooms, so that a client that comes back causes no flapping;
	// default 3 s. It ends when the client has not been heard for three times the ping that it was told.
	Linger time.Duration
	// RestoreLinger is how long a member that was taken over from another tracker has to say hello; default 10 s.
	RestoreLinger time.Duration
	// Ping is the silence that a client is told to end with a ping; default 1.5 s. Where that would make more than
	// PingBudget pings a second in all (default 4,000), clients are told to take longer, and their deaths show later.
	Ping       time.Duration
	PingBudget int
}

func (c HubConfig) withDefaults() HubConfig {
	c.Limits = c.Limits.withDefaults()
	if c.Sample == 0 {
		c.Sample = DefaultSample
	}
	if c.Linger == 0 {
		c.Linger = 3 * time.Second
	}
	if c.RestoreLinger == 0 {
		c.RestoreLinger = 10 * time.Second
	}
	if c.Ping == 0 {
		c.Ping = 1500 * time.Millisecond
	}
	if c.PingBudget == 0 {
		c.PingBudget = 4000
	}
	return c
}
