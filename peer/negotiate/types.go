package negotiate

import (
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// Timing of a Machine. Where a delay grows, it doubles with each attempt since the link was last well, up to MaxDelay,
// and is spread by a quarter either way.
const (
	// Patience is how long the other side is given to offer before we do.
	Patience = time.Second
	// SignalTimeout is how long the first offer may go unanswered before another is sent beside it. It grows.
	SignalTimeout = 700 * time.Millisecond
	// OpenTimeout is how long the first attempt may take from the answer to being open before another is started beside
	// it. It grows.
	OpenTimeout = 350 * time.Millisecond
	// MaxDelay bounds the delays that grow.
	MaxDelay = 15 * time.Second
	// Grace is how long after the opening of a session the surplus ones are kept.
	Grace = time.Second
	// Settled is how long a link must have been up for an offer of the same instance to mean that the other side lost
	// it.
	Settled = 3 * time.Second
	// Well is how long a link must have been up for its loss to be no sign of trouble: the delays begin anew.
	Well = 10 * time.Second
	// AttemptLife is how long an attempt may live without opening.
	AttemptLife = 10 * time.Second
	// toilFactor is how much longer than its description the rest of a session may take on a busy machine: a
	// description is about a tenth of the work.
	toilFactor = 10
)

// Bounds of what a remote peer can make a Machine hold or do.
const (
	// MaxAttempts is the most sessions in each direction that are not open; the oldest makes room for a new one.
	MaxAttempts = 3
	// MaxCandidates is the most candidates passed on for a session.
	MaxCandidates = 64
	// maxEnded is how many sessions that are over are remembered, so that late messages do not bring them back.
	maxEnded = 64
	// Offers are taken in a burst of this many, then one each offerRefill.
	offerBurst  = 8
	offerRefill = 500 * time.Millisecond
)

// Config is what a Machine needs to know for its life.
type Config struct {
	Self, Remote wire.PeerID
	// Instance names this run of the program. It is another one after each start, so that the remote peer knows that
	// what it had with an earlier run is dead, however fast the new one came.
	Instance uuid.UUID
	// MustOffer says that this side can only offer, RemoteMustOffer that the other can: as the answerer, a browser
	// refuses our audio codec.
	MustOffer, RemoteMustOffer bool
	// NewID makes session IDs (UUIDv7).
	NewID func() uuid.UUID
	// Pace is shared by the Machines of all remote peers; nil: this one goes by its own.
	Pace *Pace
	// Rand spreads delays; seeded by the caller.
	Rand interface{ Uint64() uint64 }
}

// Description is one side's half of a session: its SDP (without candidates that are still to trickle).
type Description struct {
	SDP string
	// Fingerprint is the SHA-256 of the DTLS certificate, as in SDP: "AB:CD:…". It is the only one in SDP.
	Fingerprint string
}

// Candidate is a trickled ICE candidate in the form of W3C RTCIceCandidateInit; an empty Candidate ends them.
type Candidate struct {
	Candidate     string  `json:"candidate"`
	SDPMid        *string `json:"sdpMid,omitempty"`
	SDPMLineIndex *uint16 `json:"sdpMLineIndex,omitempty"`
}

// Input is one thing that happened: one of the types below.
type Input interface{ input() }

type (
	// Want asks for a link; Eager offers at once and forgets earlier failures, else the other side is given Patience.
	Want struct{ Eager bool }
	// Unwant asks for none: everything is closed, and offers are rejected.
	Unwant struct{}
	// Described, Gathered and Closed are the transport's events. Opened says that a session carries frames both ways:
	// it is open, and the other side's Hello has come.
	Described struct {
		Session     uuid.UUID
		Description Description
	}
	Gathered struct {
		Session   uuid.UUID
		Candidate Candidate
	}
	Opened struct{ Session uuid.UUID }
	Closed struct {
		Session uuid.UUID
		Err     error
	}
	// Remote is a message from the remote peer that Verify has passed.
	Remote struct{ Message Message }
	// Tick is the passing of time: the caller sends it at Output.Wake or later.
	Tick struct{}
)

func (Want) input()      {}
func (Unwant) input()    {}
func (Described) input() {}
func (Gathered) input()  {}
func (Opened) input()    {}
func (Closed) input()    {}
func (Remote) input()    {}
func (Tick) input()      {}

// Output is what a Step wants done, in order within each slice. Step appends; the caller resets. Wake is when to send
// the next Tick; zero: not needed.
type Output struct {
	Signals []Message // to be signed and sent to the remote peer
	Actions []Action  // for the transport
	Changes []Change  // of the link
	Wake    time.Time
}

// Action is a call of the transport: one of the types below.
type Action interface{ action() }

type (
	// Offer starts a session as its offerer, Accept as its answerer.
	Offer  struct{ Session uuid.UUID }
	Accept struct {
		Session uuid.UUID
		Offer   Description
	}
	// Answer gives a session that we offered its answer, AddCandidate a candidate of the other side.
	Answer struct {
		Session uuid.UUID
		Answer  Description
	}
	AddCandidate struct {
		Session   uuid.UUID
		Candidate Candidate
	}
	// CloseSession ends a session; the machine has forgotten it already.
	CloseSession struct{ Session uuid.UUID }
)

func (Offer) action()        {}
func (Accept) action()       {}
func (Answer) action()       {}
func (AddCandidate) action() {}
func (CloseSession) action() {}

// Change is news of the link: one of the types below.
type Change interface{ change() }

type (
	// LinkUp says that there is a link, and the session to send on. LinkMoved says that it is another one now.
	LinkUp    struct{ Session uuid.UUID }
	LinkMoved struct{ Session uuid.UUID }
	// LinkDown says that there is none any more.
	LinkDown struct{ Reason string }
)

func (LinkUp) change()    {}
func (LinkMoved) change() {}
func (LinkDown) change()  {}
