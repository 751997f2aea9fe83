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
		State    ClientState
		URL      string // ws:// or wss:// of the tracker in question
		Hosting  bool   // the tracker is in this process
		Leader   wire.PeerID
		Term     uint64
		Observed string   // this peer's address as the tracker sees it
		STUN     []string // stun: URLs that the tracker offers
		Resumed  bool     // the tracker still knew this peer: rooms and members are as before
		Trying   string
		Retry    time.Time
		Err      error
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
)

func (StateChanged) clientEvent()  {}
func (Joined) clientEvent()        {}
func (Refused) clientEvent()       {}
func (MemberJoined) clientEvent()  {}
func (MemberLeft) clientEvent()    {}
func (MemberRenamed) clientEvent() {}
func (Signaled) clientEvent()      {}
func (RoomList) clientEvent()      {}

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
