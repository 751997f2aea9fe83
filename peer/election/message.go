package election

import (
	"crypto/ed25519"

	"peerchat/peer/wire"
)

// Message is one of the types below. The encoding is fixed binary, big-endian, and every value has exactly one:
//
//	Candidate    1 route age(2) peer(32) seq(8) offer         sig(64)
//	Coordinator  2 route signer(32) term(8) seq(8) offer      sig(64)
//	Election     3 route peer(32) term(8) seq(8) rank         sig(64)
//	Resignation  4 route leader(32) term(8) successor(32)     sig(64)
//	Answer       5 to(32) by(32) term(8) seq(8) alive(1)      sig(64)
//	Vouch        6 term(8) leader(32)
//	Vouched      7 term(8) verdict(1)
//	Summary      8 reply(1) floor(8) term(8) seq(8) rank id(32) n(1) n × [peer(32) seq(8)]
//
//	route = hops(1) n(1) n × cover(4)
//	rank  = flags(1) priority(2) port(2)       flags: 1 dialable, 2 home, 4 firm; priority is the number + 32768
//	offer = rank n(1) n × [length(1) address]  addresses are printable ASCII without spaces
//
// A signature is Ed25519 over "peerchat election v1", 0x00, the type byte, and the message after the route up to the
// signature. The route is no part of it, nor the age, because each relay writes its own.
type Message interface{ kind() byte }

const (
	kindCandidate   = 1
	kindCoordinator = 2
	kindElection    = 3
	kindResign      = 4
	kindAnswer      = 5
	kindVouch       = 6
	kindVouched     = 7
	kindSummary     = 8
)

const domain = "peerchat election v1\x00"

// Route is the part of a flooded message that each relay writes anew.
type Route struct {
	Hops  uint8    // links crossed so far
	Cover []uint32 // the first four bytes of the IDs of those who get it from the same sender
}

// Candidate says that a peer could be the tracker.
type Candidate struct {
	Route Route
	// Age is how long ago the peer said so, as far as the sender knows; in seconds, rounded up. Without it a record
	// would live for ever, because there is always one who heard it later than the others forgot it.
	Age       uint16
	Peer      wire.PeerID
	Seq       uint64
	Rank      Rank // of flags only Dialable
	Addresses []string
	Sig       [64]byte
}

// Coordinator says who the tracker is. Rank.ID is who signed it: the leader, or whoever speaks for the home tracker.
type Coordinator struct {
	Route     Route
	Reign     Reign
	Addresses []string
	Sig       [64]byte
}

// Election asks whether a better candidate, or the leader, is alive.
type Election struct {
	Route Route
	Reign Reign // what the asker would announce
	Sig   [64]byte
}

// Resignation hands the lead over.
type Resignation struct {
	Route     Route
	Leader    wire.PeerID
	Term      uint64
	Successor wire.PeerID
	Sig       [64]byte
}

// Answer tells the sender of an Election that a better one is there (it takes over), or that the tracker is (Alive). It
// goes back the way the Election came.
type Answer struct {
	To, By wire.PeerID
	Term   uint64 // of the Election
	Seq    uint64 // of the Election
	Alive  bool
	Sig    [64]byte
}

// Vouch asks a neighbour whether it hears the tracker of a term.
type Vouch struct {
	Term   uint64
	Leader wire.PeerID
}

// Verdict is what a neighbour knows of the tracker.
type Verdict uint8

// The verdicts.
const (
	Unsure Verdict = iota
	Gone
	Alive
)

// Vouched answers Vouch.
type Vouched struct {
	Term    uint64
	Verdict Verdict
}

// Summary is what a peer knows, for a neighbour to compare. Reply says that it answers a Summary, and wants none back.
type Summary struct {
	Reply      bool
	Floor      uint64 // the sender's own term: it accepts no lower one
	Reign      Reign
	Candidates []version
}

type version struct {
	Peer wire.PeerID
	Seq  uint64
}

func (Candidate) kind() byte   { return kindCandidate }
func (Coordinator) kind() byte { return kindCoordinator }
func (Election) kind() byte    { return kindElection }
func (Resignation) kind() byte { return kindResign }
func (Answer) kind() byte      { return kindAnswer }
func (Vouch) kind() byte       { return kindVouch }
func (Vouched) kind() byte     { return kindVouched }
func (Summary) kind() byte     { return kindSummary }

// short is how an ID is named in a Route.
func short(id wire.PeerID) uint32 {
	return uint32(id[0])<<24 | uint32(id[1])<<16 | uint32(id[2])<<8 | uint32(id[3])
}

// sealed is the signed part of m with its domain, and who must have signed it.
func sealed(scratch []byte, m Message) (text []byte, signer wire.PeerID) {
	b := append(append(scratch[:0], domain...), m.kind())
	switch m := m.(type) {
	case *Candidate:
		return m.body(b), m.Peer
	case *Coordinator:
		return m.body(b), m.Reign.Rank.ID
	case *Election:
		return m.body(b), m.Reign.Rank.ID
	case *Resignation:
		return m.body(b), m.Leader
	case *Answer:
		return m.body(b), m.By
	}
	return nil, signer
}

// signature is where m keeps its signature; nil if it has none.
func signature(m Message) *[64]byte {
	switch m := m.(type) {
	case *Candidate:
		return &m.Sig
	case *Coordinator:
		return &m.Sig
	case *Election:
		return &m.Sig
	case *Resignation:
		return &m.Sig
	case *Answer:
		return &m.Sig
	}
	return nil
}

func sign(key ed25519.PrivateKey, m Message) {
	text, _ := sealed(nil, m)
	copy(signature(m)[:], ed25519.Sign(key, text))
}
