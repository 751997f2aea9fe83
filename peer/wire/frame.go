package wire

import "github.com/google/uuid"

// Frame is one message on a link. It is one of the types below.
type Frame interface{ frame() }

// Version is the link protocol's version, said in Hello.
const Version = 1

// Hello is the first frame each side sends on a new link; nothing else is accepted before it. Peer and Session must
// be those that the signed offer or answer named.
type Hello struct {
	Version uint64
	Peer    PeerID
	Session uuid.UUID
	Agent   string // program and version, for people, at most 64 bytes
	Presence
}

// Presence is what a peer says of itself: sent in Hello, at each change, and again about every half minute. It is never
// stored.
type Presence struct {
	// Seq counts the changes of this process. A link may move from one session to another, and what was under way on
	// the old one then comes late: a Presence with a lower Seq than the last from the same process is ignored.
	Seq   uint64
	Name  string
	Rooms []Room
	Voice Voice
}

// Voice is how a peer takes part in voice. The zero value: not at all.
type Voice struct {
	Room  Room // one of its rooms
	Muted bool // it sends no sound
	Deaf  bool // it plays none
}

// Events carries items of a log: live ones as they are said, or older ones in answer to Want.
type Events struct {
	Hops   uint8 // links travelled before this one; a frame with Hops >= MaxHops is not relayed
	Live   bool  // being broadcast now, as opposed to fetched
	Events []Event
}

// MaxHops bounds how far a live event is relayed.
const MaxHops = 64

// Head says how far a log goes, the one that Seq belongs to: every event of Author after Base, up to and including Seq,
// is held. Base is the log's Start if that is all; it grows when old events are pruned, or were never fetched.
type Head struct {
	Author PeerID
	Base   uint64
	Seq    uint64
}

// Digest is the state of one room at the sender: the heads of its logs in ascending order of these, one of each. A
// digest of more than MaxHeads goes in several frames; one with fewer than MaxHeads is the last.
type Digest struct {
	Room  Room
	Heads []Head
	Reply bool // this answers a Digest; do not answer it with another
}

// Have announces that the sender holds the given heads, in the order of a Digest. To a neighbour that sent the events
// it acknowledges delivery; to others it offers them (IHAVE in Plumtree).
type Have struct {
	Room  Room
	Heads []Head
	// Ways says how the last event of each head came to the sender, in the order of Heads. It is empty where that is
	// not told.
	Ways []Way
}

// Way is how an event came.
type Way struct {
	Hops uint8 // links it has travelled
	Age  uint8 // milliseconds since then, 255 for all that are more
}

// Want asks for events of a log, inclusive on both ends, at most what the answering side chooses to give. Ranges are in
// ascending order of (Author, From) and do not overlap.
type Want struct {
	Room   Room
	Ranges []Range
}

// Range is a run of one author's events.
type Range struct {
	Author   PeerID
	From, To uint64
}

// Bye says that the sender closes the link on purpose, and why.
type Bye struct {
	Leaving bool   // the peer is leaving for good, not only this link
	Reason  string // for people, at most 128 bytes
}

// Election carries a message of the election; package election knows its layout. It goes over the reliable channel
// only.
type Election struct{ Data []byte }

// Signal carries half of a negotiation through the mesh, from neighbour to neighbour. Data is what would go through the
// tracker, and is checked like that: nobody on the way is trusted with From.
type Signal struct {
	Hops     uint8 // links travelled before this one; a frame with Hops >= MaxHops is not passed on
	To, From PeerID
	Data     []byte
}

// Overlay carries a message of a room's overlay; package overlay knows its layout. It goes over the reliable channel
// only, as do the next two.
type Overlay struct {
	Room Room
	Data []byte
}

// Members carries who is in a room; package presence knows its layout.
type Members struct {
	Room Room
	Data []byte
}

// Holders tells who holds how much of an author's log, on the way to the author: up to MaxHolders peers in ascending
// order.
type Holders struct {
	Room    Room
	Author  PeerID
	Holders []Holder
}

// Holder is a peer that holds the events of an author up to Seq.
type Holder struct {
	Peer PeerID
	Seq  uint64
}

// Prune asks not to be sent the live events of these authors any more, because they come another way first: the link
// leaves the authors' broadcast trees. Authors are in ascending order.
type Prune struct {
	Room    Room
	Authors []PeerID
}

// Graft is a Want, and asks to be sent the live events of its authors from now on: the link joins their broadcast
// trees. Ranges may begin after the last event there is.
type Graft struct {
	Room   Room
	Ranges []Range
}

func (Hello) frame()    {}
func (Presence) frame() {}
func (Events) frame()   {}
func (Digest) frame()   {}
func (Have) frame()     {}
func (Want) frame()     {}
func (Bye) frame()      {}
func (Election) frame() {}
func (Signal) frame()   {}
func (Overlay) frame()  {}
func (Members) frame()  {}
func (Holders) frame()  {}
func (Prune) frame()    {}
func (Graft) frame()    {}
