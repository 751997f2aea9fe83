// Package gossip spreads the events of rooms over the links there are, and repairs what did not arrive.
//
// The parts: machine.go holds the state and the entry, link.go the neighbours, order.go takes events in, early.go those
// that are delivered before they are stored, broadcast.go sends live ones and tells who holds what, tree.go chooses the
// links they are pushed along, orphan.go finds others when these are gone, suspect.go tells who is silent, unstored.go
// keeps what the Log does not take, runs.go follows an author that begins anew, repair.go compares logs and fetches
// what is missing, ask.go decides how long to wait for that, contact.go begins with a room that is new here, present.go
// tells what was said since this peer came, older.go fetches what comes before the start of a log, demand.go for the
// user, apart.go what does not join up to it, lost.go and vanished.go tell what nobody has any more, missing.go what
// somebody has, absent.go remembers what those had who have gone. docs/gossip.md is the protocol on a page.
//
// It is pure: Machine is a function of its inputs and the clock it is given; it owns what each neighbour is known to
// hold and the order of each author's log. It reads and appends to the Log it was given, and must never import
// anything of ours but peer/wire, nor touch sockets, goroutines, timers or time.Now.
package gossip

import (
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// Log is where events are kept: of each author one log, or several if it has lost what it had said (see wire.LogID).
// The Machine is its only writer. Append must be durable against the death of the process before it returns, because a
// sequence number that was sent must never be used again.
type Log interface {
	// Append adds events, each the next of its log, all or none. It keeps no reference to them.
	Append(events []wire.Event) error
	// Prepend puts events of one author, in order, before its log, which begins after the last of them: all, or none
	// and an error. Where a room is full it may keep fewer, or none; Base tells. The log then begins before them, or
	// even earlier, where it finds more that Rebase had parted from it.
	Prepend(events []wire.Event) error
	// Insert puts events of one author, in order, far before its log, which does not begin with them, and has a hole
	// between: all, or none and an error. Where a room is full it may keep fewer, or none; Parts tells.
	Insert(events []wire.Event) error
	// Parts returns what is held of a log before where it begins, behind holes: runs without gaps, the last first.
	Parts(room wire.Room, log wire.LogID) ([]wire.Head, error)
	// Range returns up to limit events of author in room with from <= Seq <= to, in order, of the log that from belongs
	// to; where to is not above its base, of the one of its Parts that has from.
	Range(room wire.Room, author wire.PeerID, from, to uint64, limit int) ([]wire.Event, error)
	// Heads returns how far each log of room goes, and the highest Lamport clock in it.
	Heads(room wire.Room) (heads []wire.Head, lamport uint64, err error)
	// Base returns after which event a log of room begins, as Heads does. It rises when old events are pruned or lost.
	Base(room wire.Room, log wire.LogID) uint64
	// Rebase says that a log of room goes on after base, which is above its head: what is between is given up. If the
	// log held something that is a hole, else as many events just before base are one as are said to be missing.
	Rebase(room wire.Room, log wire.LogID, base, missing uint64) error
	// Hole returns how many events are missing just before the base of a log: what is left of what Rebase made a hole.
	Hole(room wire.Room, log wire.LogID) uint64
	// Forget removes a log with all its events.
	Forget(room wire.Room, log wire.LogID) error
}

// Refusal is an error of Append and Rebase, wrapped or not, that is about one author alone: the Log begins no more logs
// in this room. The Machine then goes on without new authors there.
type Refusal interface {
	error
	// Refused is whose log the Log does not begin, and where.
	Refused() (wire.Room, wire.PeerID)
}

// Window is how much of a room is fetched where nothing of it is here yet, or has been lost. Zero fields are the
// defaults. It is best no larger than what the Log keeps of a room, or the end of it is fetched in vain.
type Window struct {
	Events int           // at most; default 1,000; negative: none
	Age    time.Duration // none older, by the clocks of their authors; default 7 days; negative: no bound
}

// Config is what a Machine needs to know for its life.
type Config struct {
	Key ed25519.PrivateKey
	Log Log
	// NewID makes the IDs of own events (UUIDv7).
	NewID func() uuid.UUID
	// Run is the run in which own events are numbered: 0, or if Log lost what it held while Key has been in use before,
	// one that was never used (see wire.RunAt). It stays the same as long as Log loses nothing.
	Run uint32
	// Window is how much of a room that is new here is fetched.
	Window Window
	// Patience is how long a neighbour has at least to acknowledge an event before a second copy is sent, and to answer
	// the first question before another is asked; zero: what its round trip lets expect.
	Patience time.Duration
	// Verify returns nil if the author signed the event; nil: a wire.Verifier. A simulator of thousands of peers in one
	// process has each event verified once.
	Verify func(*wire.Event) error
	// Rand drives jitter and the choice of neighbours; seeded by the caller.
	Rand interface{ Uint64() uint64 }
}

// Input is one thing that happened. It is one of the types below.
type Input interface{ input() }

// Subscribe makes the machine take part in a room; Unsubscribe ends that.
type (
	Subscribe   struct{ Room wire.Room }
	Unsubscribe struct{ Room wire.Room }
)

// LinkUp tells of a neighbour and the rooms shared with it; a later LinkUp of the same peer changes the rooms. RTT is
// the round trip if it is known, or else it is measured, at the cost of some second copies that nobody needs.
type LinkUp struct {
	Peer  wire.PeerID
	Rooms []wire.Room
	RTT   time.Duration
}

// LinkDown tells that a neighbour is gone.
type LinkDown struct{ Peer wire.PeerID }

// LinkBusy tells that a neighbour's send queue is full (or free again): while it is, nothing but tiny frames are sent
// to it, and what it missed is repaired by digest afterwards.
type LinkBusy struct {
	Peer wire.PeerID
	Busy bool
}

// Receive is a frame from a neighbour: Events, Digest, Have, Want, Prune or Graft. Others are ignored.
type Receive struct {
	From  wire.PeerID
	Frame wire.Frame
}

// Publish is what the user says: drafts become events of one batch, are appended, sent and delivered.
type Publish struct {
	Room   wire.Room
	Name   string // the author's username now
	Drafts []Draft
}

// Draft is an event before it has a number and a signature.
type Draft struct {
	Kind wire.Kind
	Body []byte
	Ref  any // returned in the Deliver of the event, so that the caller can tell which draft it was
}

// FetchOlder asks for about Events events of a room that come before those that are here, whatever the Window says. A
// Fetched answers it, after ten seconds at the latest. While one is under way in a room, another one only raises the
// number.
type FetchOlder struct {
	Room   wire.Room
	Events int
}

// Flush says that no more input waits. A caller that drains a queue sends it at the end of each drain, so that what can
// be done once for many inputs is: what was delivered early is proven and stored, acknowledgements are sent. Without it
// that waits for the next Tick. What was put out before Flush is best carried out before it.
type Flush struct{}

// Tick is the passing of time: the caller sends it at Output.Wake or later.
type Tick struct{}

func (Subscribe) input()   {}
func (Unsubscribe) input() {}
func (LinkUp) input()      {}
func (LinkDown) input()    {}
func (LinkBusy) input()    {}
func (Receive) input()     {}
func (Publish) input()     {}
func (FetchOlder) input()  {}
func (Flush) input()       {}
func (Tick) input()        {}

// Output is what a Step wants done, in order within each slice. Step appends; the caller resets.
type Output struct {
	Sends    []Send
	Delivers []Deliver
	Held     []Held
	Faults   []Fault
	Refused  []Refused
	Fetched  []Fetched
	Lost     []Lost
	// Suspicions tell whom to suspect, and whom no longer. Looks are rooms whose neighbours should be looked after by
	// other means: a live event went to them by offers only, which nobody needs to answer.
	Suspicions []Suspicion
	Looks      []wire.Room
	Wake       time.Time // when to send the next Tick; zero: not needed
}

// Send is a frame for a neighbour. Fast asks for the unreliable, unordered channel: the frame fits it, and its loss
// is repaired by the machine.
type Send struct {
	To    wire.PeerID
	Frame wire.Frame
	Fast  bool
}

// Deliver hands an event to the room, once. Those of an author come in order, save for the Older ones: these come
// before some that were delivered already, a run of them in order at a time, the newest run first.
type Deliver struct {
	Event   wire.Event
	From    wire.PeerID // the neighbour it came from; the own ID for own events
	History bool        // it was fetched, not broadcast live
	Older   bool        // it was put before the start of its log, or its author has gone on in another
	Asked   bool        // and is here because of a FetchOlder
	Missing uint64      // events that its log went on past just before it, and that were said while this peer was here
	Hops    uint8       // links that it travelled; 0: it is an own one
	Ref     any         // own events: Draft.Ref
}

// ErrNotStored is why a draft is Refused that the Log did not take: it may be said again.
var ErrNotStored = errors.New("it is stored before it is sent, and that failed")

// Refused tells that a draft was not said: it is in no log, and nobody was sent it.
type Refused struct {
	Room wire.Room
	Ref  any // Draft.Ref
	Err  error
}

// Fetched answers a FetchOlder.
type Fetched struct {
	Room   wire.Room
	Events int   // how many older ones have come
	More   bool  // a neighbour has still older ones
	Err    error // why there are not as many as were asked for; nil, too, where every log is here from its first event on
}

// Held tells that peer is now known to hold the own events of room up to Seq.
type Held struct {
	Room wire.Room
	Peer wire.PeerID
	Seq  uint64
}

// Suspicion tells that a neighbour with a link does not acknowledge what it is sent, so that it may be dead long before
// its link is seen to end; or, if not Suspected, that it was heard of again. Many that are suspected at once are a
// reason to look for others; one may have lost some packets.
type Suspicion struct {
	Peer      wire.PeerID
	Suspected bool
}

// Fault is misbehaviour of a neighbour or an author. Drop says that the link should be closed for it.
type Fault struct {
	Peer   wire.PeerID // the neighbour it came from
	Author wire.PeerID // whose event or log it is about; zero: no author's
	Room   wire.Room
	Code   string // "forged", "equivocation", "flood", "sequence", "runs", "clock", "claims", "silent", "log"
	Text   string
	Drop   bool
}
