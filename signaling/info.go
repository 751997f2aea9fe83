package signaling

import "peerchat/peer/wire"

// Info is what a tracker says of itself to anybody who asks.
type Info struct {
	Peer    wire.PeerID // whose tracker it is; zero for a stand-alone one
	Serving bool        // it takes clients; else it stands by, and sends them on
	Term    uint64
	Leader  wire.PeerID
	Tracker string // where it sends people while it stands by; may be empty
	Proof   []byte // the leader's signed announcement, opaque here
}

// Greeting is how the tracker of one group introduces itself to another.
type Greeting struct {
	Term  uint64
	Proof []byte
}

// Move says where a tracker sends its clients. An empty Tracker: nobody is known.
type Move struct {
	Tracker string
	Term    uint64
	Leader  wire.PeerID
}
