package overlay

import "peerchat/peer/wire"

// Message is one of the types below. Each is a CBOR array (RFC 8949) in core deterministic encoding, whose first item
// is its type:
//
//	[1, nonce]                          Join
//	[2, peer, ttl]                      ForwardJoin
//	[3, nonce, high]                    Neighbor
//	[4, nonce, accepted]                NeighborAnswer
//	[5, leaving, instead]               Disconnect
//	[6, id, origin, ttl, [peer ...]]    Shuffle
//	[7, id, [peer ...]]                 ShuffleReply
//	[8, nonce, alarm]                   Ping
//	[9, nonce]                          Pong
//
// A peer is a byte string of 32 bytes, nonce and id are unsigned and not 0, a nonce below 2^32; ttl is at most 16, and
// a message names at most 16 peers. instead is a peer, or an empty byte string for none.
type Message interface{ kind() byte }

const (
	kindJoin           = 1
	kindForwardJoin    = 2
	kindNeighbor       = 3
	kindNeighborAnswer = 4
	kindDisconnect     = 5
	kindShuffle        = 6
	kindShuffleReply   = 7
	kindPing           = 8
	kindPong           = 9
)

// Join asks to be let into the room. It is answered by NeighborAnswer, and its sender is taken into the active view.
type Join struct{ Nonce uint32 }

// ForwardJoin carries the name of a newcomer on a random walk.
type ForwardJoin struct {
	Peer wire.PeerID
	TTL  uint8
}

// Neighbor asks to be taken into the active view. High asks it of somebody who must not refuse, because the sender has
// no neighbours, or because a partition may be between.
type Neighbor struct {
	Nonce uint32
	High  bool
}

// NeighborAnswer answers Join and Neighbor.
type NeighborAnswer struct {
	Nonce    uint32 // theirs
	Accepted bool
}

// Disconnect ends it that two peers are neighbours. Leaving says that the sender leaves the room. Instead is who got
// the place, if somebody did: the receiver becomes that one's neighbour, so that the path between the two stays.
type Disconnect struct {
	Leaving bool
	Instead wire.PeerID
}

// Shuffle carries some of what Origin knows on a random walk; who gets it at the end answers.
type Shuffle struct {
	ID     uint64
	Origin wire.PeerID
	TTL    uint8
	Sample []wire.PeerID
}

// ShuffleReply goes back the way that the Shuffle came.
type ShuffleReply struct {
	ID     uint64
	Sample []wire.PeerID
}

// Ping asks a neighbour for a sign of life. Alarm says that most neighbours of the sender are silent, or at least some,
// so that the receiver should look after its own.
type Ping struct {
	Nonce uint32
	Alarm bool
}

// Pong answers Ping.
type Pong struct{ Nonce uint32 } // theirs

func (Join) kind() byte           { return kindJoin }
func (ForwardJoin) kind() byte    { return kindForwardJoin }
func (Neighbor) kind() byte       { return kindNeighbor }
func (NeighborAnswer) kind() byte { return kindNeighborAnswer }
func (Disconnect) kind() byte     { return kindDisconnect }
func (Shuffle) kind() byte        { return kindShuffle }
func (ShuffleReply) kind() byte   { return kindShuffleReply }
func (Ping) kind() byte           { return kindPing }
func (Pong) kind() byte           { return kindPong }
