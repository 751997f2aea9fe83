package wire

import (
	"time"

	"github.com/google/uuid"
)

// Kind says what an Event means to a room.
type Kind uint8

// The kinds of this version. A peer stores and relays a kind that it does not know, and does not show it.
const (
	KindText   Kind = 1 // Body is what was said, UTF-8
	KindAction Kind = 2 // Body is what the author does ("/me waves"), UTF-8
	KindTopic  Kind = 3 // Body is the room's new topic, UTF-8, may be empty
)

// Event is one signed item of a room's log. Seq counts per author and room from 1 without gaps, but for those between
// two runs (see LogID); ID is a UUIDv7; Lamport is greater than that of every event of the room that the author had
// seen. Events are shown in the order of (Lamport, Author, Seq). Two different events with the same (Room, Author, Seq)
// are an equivocation.
type Event struct {
	Room    Room
	Author  PeerID
	Seq     uint64
	ID      uuid.UUID
	Lamport uint64
	Time    time.Time // the author's wall clock, millisecond precision, UTC; a claim, never trusted for order
	Name    string    // the author's username when it was said, so that those who come later know it; a claim, ParseName's form
	Kind    Kind
	Body    []byte
	Proof   Proof
}

// Proof is an event's signature. Events that their author makes in one go are the leaves of a Merkle tree
// (RFC 9162 section 2.1) whose root is signed with Ed25519 once; each event carries its inclusion proof, so it can
// be verified alone, by anybody, whatever way it came. A single event is a tree of one: an empty path.
type Proof struct {
	Index uint8      // the leaf's place in its batch, below Size
	Size  uint8      // leaves in the batch, 1 to MaxBatch
	Path  [][32]byte // sibling hashes, leaf to root
	Sig   [64]byte   // Ed25519 over the domain-separated root
}
