package signaling

import (
	"encoding/json"
	"time"

	"peerchat/peer/wire"
)

// ClientEvent is what a Client reports to its sink: one of the types below. While the sink blocks, the tracker waits.
type ClientEvent interface{ clientEvent() }

// ClientState says how a Client stands to a tracker.
type ClientState string

// A Client is Searching until its first connection, then Connected or Lost.
const (
	Searching ClientState = "searching"
	Connected ClientState = "connected"
	Lost      ClientState = "lost"
)

// Member is somebody in a room as the tracker tells it.
type Member struct {
	Peer wire.PeerID `json:"peer"`
	Name string      `json:"name"`
}

// Room is one line of the tracker's list of rooms.
type Room struct {
	Room    wire.Room `json:"room"`
	Members int       `json:"members"`
}

type (
	// StateChanged tells of the connection. While not Connected, Trying says what is being tried, and Err why the
	// last attempt failed.
	StateChanged struct {
		State   ClientState
		URL     string // ws:// or wss:// of the tracker in question
		Hosting bool   // the tracker is in this process
		Leader  wire.PeerID
		Term    uint64
		Proof   []byte // the leader's signed announcement, opaque here; nil if the tracker gave none
		// Addresses are where others reach this tracker, best first: the URL that was dialled, or where that is of this
		// machine alone, this machine's addresses, and it last.
		Addresses []string
		Named     bool     // the user named this tracker
		Observed  string   // this peer's address as the tracker sees it
		STUN      []string // stun: URLs that the tracker offers
		Resumed   bool     // the tracker still knew this peer: rooms and members are as before
		Closed    bool     // Lost: the socket was closed, as opposed to silent
		Replaced  bool     // Lost: another process with this identity took this client's place, which waits for Redial
		Moved     bool     // Lost: the tracker sent this client on to another
		Failed    int      // rounds of looking for a tracker that failed since the last connection, or Follow to another leader
		Trying    string
		Retry     time.Time
		Err       error
	}
	// Joined answers Join, and comes again after each reconnection: Members is a bounded sample without oneself,
	// Count everybody with oneself.
	Joined struct {
		Room    wire.Room
		Members []Member
		Count   int
	}
	// Refused says that the tracker did not do what was asked.
	Refused struct {
		Op     string // "join", "name", "signal" …
		Room   wire.Room
		Peer   wire.PeerID
		Status Status
		Text   string
	}
	// MemberJoined, MemberLeft, MemberRenamed are the tracker's notifications.
	MemberJoined struct {
		Room   wire.Room
		Member Member
		Count  int
	}
	MemberLeft struct {
		Room  wire.Room
		Peer  wire.PeerID
		Count int
	}
	MemberRenamed struct{ Member Member }
	// Signaled is a relayed message from another peer; Data is the sender's, unchecked.
	Signaled struct {
		From wire.PeerID
		Name string
		Data json.RawMessage
	}
	// RoomList answers List.
	RoomList struct {
		Ref   any
		Rooms []Room
		Err   error
	}
	// NoneFound says that there has been no tracker since the start, and that a round of looking for one failed.
	NoneFound struct{ Err error }
	// Pong answers Ping: the tracker is alive.
	Pong struct{}
	// Dialled answers Dialback. OK counts only where Err is nil.
	Dialled struct {
		Port    uint16
		OK      bool
		Address string // "ip:port", as the tracker sees this peer
		Err     error  // the tracker did not try
	}
	// Offered tells what this peer could host, when that changes.
	Offered struct {
		Candidate bool
		Dialable  bool // measured: somebody else's connection reached it
		Port      uint16
		Addresses []string // URLs, best first, at most MaxAddresses
	}
	// Leading says that the own tracker serves, LeadFailed that it cannot.
	Leading struct {
		URL  string
		URLs []string
	}
	LeadFailed struct {
		Err       error
		Elsewhere bool // the port has a tracker that serves, to which the client goes
	}
	// Met tells of a serving tracker other than the one that the client is connected to; it comes again as long as the
	// tracker is seen. Leader is zero for a stand-alone one.
	Met struct {
		URLs   []string
		Term   uint64
		Leader wire.PeerID
		Proof  []byte
	}
	// HomeGone says that the stand-alone tracker that was met no longer answers.
	HomeGone struct{}
)

// MaxAddresses is the most addresses that a tracker is known by.
const MaxAddresses = 8

// MaxProof is the longest announcement of a leader that trackers hand on, in bytes.
const MaxProof = 4 << 10

// Target is a tracker to go to.
type Target struct {
	Leader wire.PeerID // zero: a stand-alone tracker
	Term   uint64
	URLs   []string      // best first
	Jitter time.Duration // wait for a random part of this, so that not all come at once
}

// Lead makes a peer's own tracker serve.
type Lead struct {
	Term    uint64
	Leader  wire.PeerID
	Proof   []byte     // the signed announcement, for those who join
	Solo    bool       // nobody else was there: a tracker that this machine has already is as good
	Members []Restored // who was in which room before, at most MaxRestored
	// Replaces are the addresses of the tracker that was lost: if it was on this machine, its port is opened, too.
	Replaces []string
}

// MaxRestored is the most members that a new tracker takes over.
const MaxRestored = 4096

// Restored is a member whom a new tracker expects, because the old one had it.
type Restored struct {
	Peer  wire.PeerID
	Name  string
	Rooms []wire.Room
}

func (StateChanged) clientEvent()  {}
func (Joined) clientEvent()        {}
func (Refused) clientEvent()       {}
func (MemberJoined) clientEvent()  {}
func (MemberLeft) clientEvent()    {}
func (MemberRenamed) clientEvent() {}
func (Signaled) clientEvent()      {}
func (RoomList) clientEvent()      {}
func (NoneFound) clientEvent()     {}
func (Pong) clientEvent()          {}
func (Dialled) clientEvent()       {}
func (Offered) clientEvent()       {}
func (Leading) clientEvent()       {}
func (LeadFailed) clientEvent()    {}
func (Met) clientEvent()           {}
func (HomeGone) clientEvent()      {}

// Status is the outcome of a request.
type Status string

// The statuses of the protocol.
const (
	OK           Status = "OK"
	RequestError Status = "REQUEST_ERROR"
	Unauthorized Status = "UNAUTHORIZED"
	NotFound     Status = "NOT_FOUND"
	Conflict     Status = "CONFLICT"
	RateLimited  Status = "RATE_LIMITED"
	ServerError  Status = "SERVER_ERROR"
	Moved        Status = "MOVED"
)
