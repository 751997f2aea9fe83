// Package election decides which peer is the tracker when there is none, or more than one: Bully after Garcia-Molina
// (1982) with terms, signatures, and waiting by rank. docs/election.md is the protocol on two pages, and
// docs/election/bully.pml its model.
//
// The parts: machine.go holds the state, the clock and the entry; neighbour.go relays and compares; candidate.go keeps
// the ranking; suspect.go decides whether the tracker is lost and who speaks; lead.go takes, keeps and gives up the
// lead; rank.go orders; message.go, encode.go and decode.go are what travels.
//
// It is pure: Machine is a function of its inputs and the clock it is given, and owns its term, its ranking and what it
// believes of the leader. It must never import anything of ours but peer/wire, nor touch sockets, goroutines, timers or
// time.Now.
package election

import (
	"crypto/ed25519"
	"time"

	"peerchat/peer/wire"
)

// Config is what a Machine needs to know for its life.
type Config struct {
	Key   ed25519.PrivateKey
	Offer Offer // what this peer could host; a later Offer input changes it
	// Term is the highest term of an earlier life, from Persist.
	Term uint64
	// Rand drives jitter and the choice of neighbours; seeded by the caller.
	Rand   interface{ Uint64() uint64 }
	Timing Timing // zero fields get their defaults
}

// Timing is how long a Machine waits for what. The defaults are for a network of one place; where the tracker takes
// longer to answer, it and neighbours are waited for by so much longer.
type Timing struct {
	Step      time.Duration // 25 ms: each place in the ranking waits so much longer before it speaks
	Jitter    time.Duration // 5 ms: at most this is added to each such wait
	Vouch     time.Duration // 100 ms: how long neighbours may take to say that the tracker lives
	Leader    time.Duration // 50 ms: the same, where the leader itself is the only one to ask
	Isolated  time.Duration // 300 ms: how long a peer without neighbours waits before it hosts for itself
	Answer    time.Duration // 60 ms: how long a lower candidate listens for a better one
	Announce  time.Duration // 400 ms: how long a candidate that was answered waits for the better one to take over
	Retry     time.Duration // 1 s: how long a vouched-for tracker may stay unreachable before it is doubted again
	Pull      time.Duration // 60 ms: a peer that lost its tracker and hears nothing asks around after one to three times this
	Sync      time.Duration // 5 s: how often one random neighbour is asked to compare
	Refresh   time.Duration // 60 s: how often a candidate says again that it is there
	Expire    time.Duration // 200 s: when a candidate that did not is forgotten
	Settle    time.Duration // 30 s: how long a more able candidate must be there before a leader hands over to it
	SettleTie time.Duration // 10 min: the same for one that is only of higher port or ID
	HandOver  time.Duration // 500 ms: how long a successor may take
	Home      time.Duration // 1 s: the home tracker must be back for this long; doubled each time it is lost soon after
}

func (t *Timing) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.Step, 25*time.Millisecond)
	set(&t.Jitter, 5*time.Millisecond)
	set(&t.Vouch, 100*time.Millisecond)
	set(&t.Leader, 50*time.Millisecond)
	set(&t.Isolated, 300*time.Millisecond)
	set(&t.Answer, 60*time.Millisecond)
	set(&t.Announce, 400*time.Millisecond)
	set(&t.Retry, time.Second)
	set(&t.Pull, 60*time.Millisecond)
	set(&t.Sync, 5*time.Second)
	set(&t.Refresh, time.Minute)
	set(&t.Expire, 200*time.Second)
	set(&t.Settle, 30*time.Second)
	set(&t.SettleTie, 10*time.Minute)
	set(&t.HandOver, 500*time.Millisecond)
	set(&t.Home, time.Second)
}

// Limits of the protocol and of a Machine.
const (
	// MaxMessage is the longest encoded message, in bytes.
	MaxMessage = 4 << 10
	// MaxAddresses is the most addresses of a leader or candidate, MaxAddress the longest of them in bytes.
	MaxAddresses = 8
	MaxAddress   = 255
	// MaxRanking is how many candidates, the best, everybody knows. The others keep silent until one of these is gone.
	MaxRanking = 16
	// MaxNeighbours bounds the links that a Machine knows.
	MaxNeighbours = 256
	// MaxHops is how many links a message crosses at most.
	MaxHops = 64
	// maxAsked is how many neighbours are asked whether the tracker lives.
	maxAsked = 5
	// maxVetoes is how often a single neighbour's word that the tracker lives stops an election; then the majority
	// counts.
	maxVetoes = 3
	// maxYields is how often a better candidate that does not take over is waited for.
	maxYields = 3
	// maxMute is how often neighbours are asked that say nothing at all, before this peer takes itself for cut off.
	maxMute = 3
	// maxCover is how many recipients a flood names, so that they do not send it to each other.
	maxCover = 64
	// maxGap is the most time that passes between two Steps; more is a clock that jumped, or a machine that slept.
	maxGap = 30 * time.Second
)

// Offer is what a peer brings as a tracker.
type Offer struct {
	Candidate bool  // it could host a tracker, and may
	Dialable  bool  // measured: the tracker could dial its tracker port
	Priority  int16 // the user's wish, higher is better
	Port      uint16
	Addresses []string // where its tracker would be found, best first: at most MaxAddresses printable ASCII strings
}

// Input is one thing that happened. It is one of the types below.
type Input interface{ input() }

type (
	// NeighbourUp tells that a link is ready for messages, NeighbourDown that it is gone.
	NeighbourUp   struct{ Peer wire.PeerID }
	NeighbourDown struct{ Peer wire.PeerID }
	// Receive is a message from a neighbour. Data is not kept.
	Receive struct {
		From wire.PeerID
		Data []byte
	}
	// Learn is an announcement that came another way than over a link: from a tracker that was joined or met. Data is
	// what Proof gave there. It is not kept.
	Learn struct{ Data []byte }
	// Tick is the passing of time: the caller sends it at Output.Wake or later.
	Tick struct{}
	// Connected tells that this peer's client has joined the tracker that Follow, or its own search, led to. Leader is
	// zero for a home (stand-alone) tracker. It comes again when the tracker's term changes.
	Connected struct {
		Leader    wire.PeerID
		Term      uint64
		Addresses []string
	}
	// Heard tells that something came from the tracker: a pong after Probe, or any message (once in 100 ms is enough).
	Heard struct{}
	// Suspect tells that the tracker is lost: its socket was closed, or it is silent or cannot be joined.
	Suspect struct{ Closed bool }
	// Host tells that this peer found no tracker at its start and hosts one, at Config's or Offer's addresses.
	Host struct{}
	// HostFailed tells that what Become asked for cannot be done, Withdraw that a solo lead is not needed, because this
	// machine has a tracker already.
	HostFailed struct{}
	Withdraw   struct{}
	// HomeBack tells that the home tracker, found at Addresses, answers this peer; HomeGone that it no longer does.
	HomeBack struct{ Addresses []string }
	HomeGone struct{}
	// Resign asks to hand over, if this peer leads; StepDown is the answer, and follows within about 2 s.
	Resign struct{}
)

func (Offer) input()         {}
func (NeighbourUp) input()   {}
func (NeighbourDown) input() {}
func (Receive) input()       {}
func (Learn) input()         {}
func (Withdraw) input()      {}
func (Tick) input()          {}
func (Connected) input()     {}
func (Heard) input()         {}
func (Suspect) input()       {}
func (Host) input()          {}
func (HostFailed) input()    {}
func (HomeBack) input()      {}
func (HomeGone) input()      {}
func (Resign) input()        {}

// Output is what a Step wants done. Step appends; the caller resets. Persist comes before everything else.
type Output struct {
	Persist uint64 // a new term to keep before Sends leave; 0: as before
	Sends   []Send
	Actions []Action // in order
	Changed *State   // for the screen, when it differs from the last
	Faults  []Fault
	Wake    time.Time // when to send the next Tick
}

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Sends)
	clear(o.Actions)
	*o = Output{Sends: o.Sends[:0], Actions: o.Actions[:0], Faults: o.Faults[:0]}
}

// Send is a message for a neighbour, over the reliable channel. Several Sends share one Data, which is never changed.
type Send struct {
	To   wire.PeerID
	Data []byte
}

// Action is what the process has to do. It is one of the types below.
type Action interface{ action() }

type (
	// Become asks to host the tracker, or, while it is hosted, to give it a new term.
	Become struct {
		Term   uint64
		Solo   bool // nobody else is there; any real leader takes precedence
		InMesh bool // nobody could dial this peer when that was measured
	}
	// StepDown asks to stop hosting: those who are connected are sent to Leader at Addresses by MOVED. Addresses are
	// empty when nobody takes over.
	StepDown struct {
		Leader    wire.PeerID // zero: the home tracker, or nobody
		Term      uint64
		Addresses []string
		Home      bool
	}
	// Follow asks the client to move to this tracker, after a jitter of the caller's. It is not sent for the tracker
	// that the client is connected to.
	Follow struct {
		Leader    wire.PeerID // zero: the home tracker
		Term      uint64
		Addresses []string
		Home      bool
		InMesh    bool // it is not dialable as far as is known
	}
	// Reconnect asks the client to dial the present tracker again now: others hear it.
	Reconnect struct{}
	// Probe asks for a sign of life of the tracker: a ping now, and Heard when its pong comes.
	Probe struct{}
	// TellHome asks to tell the home tracker its term.
	TellHome struct {
		Term      uint64
		Addresses []string
	}
)

func (Become) action()    {}
func (StepDown) action()  {}
func (Follow) action()    {}
func (Reconnect) action() {}
func (Probe) action()     {}
func (TellHome) action()  {}

// Phase is what a Machine is at.
type Phase string

// The phases, as the screen tells them.
const (
	PhaseNone      Phase = "none"      // no tracker is known yet
	PhaseFollowing Phase = "following" // a leader or home tracker is known and not in doubt
	PhaseLost      Phase = "lost"      // the tracker is lost, and others have to replace it, or say that it lives
	PhaseElecting  Phase = "electing"  // the tracker is lost, and this candidate takes part in replacing it
	PhaseHosting   Phase = "hosting"
)

// State is a Machine's view for the screen.
type State struct {
	Phase  Phase
	Leader wire.PeerID // zero: the home tracker, or nobody
	Term   uint64
	Home   bool
	Solo   bool
	InMesh bool // the leader is not dialable as far as is known: it coordinates inside the mesh only
	Place  int  // own place among the candidates, from 0; -1: not a candidate
}

// Standing is one candidate, for the screen.
type Standing struct {
	Peer  wire.PeerID
	Offer Offer
	Self  bool
	Age   time.Duration // since its last word
}

// Fault is misbehaviour. Drop says that the link to From should be closed for it.
type Fault struct {
	From wire.PeerID // the neighbour it came from
	Peer wire.PeerID // who signed it, where that was proved; else zero
	Code string      // "malformed", "forged", "flood", "term", "twin"
	Text string
	Drop bool
}
