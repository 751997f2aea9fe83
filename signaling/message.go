package signaling

import (
	"encoding/json"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// The limits of the signaling protocol.
const (
	// Subprotocol is what a client asks for when it opens the WebSocket.
	Subprotocol = "peerchat.v1"
	// MaxMessage is the longest message in either direction, in bytes of JSON.
	MaxMessage = 64 << 10
	// MaxData is the longest data of a signal, in bytes of JSON, so that what carries it stays below MaxMessage.
	MaxData = 60 << 10
	// MaxAgent is the longest agent, in bytes.
	MaxAgent = 64
	// DefaultSample is how many members of a room a tracker tells of at once. In a room with no more others everybody
	// is told of everybody; in a larger one each hears of a random part.
	DefaultSample = 32
	// MaxListed is the most rooms that one answer lists.
	MaxListed = 256
)

// Message is one JSON object on the wire. Append adds its encoding to b.
type Message interface {
	Append(b []byte) []byte
}

// Request is what a client asks. ReqID comes back as the "re" of the answer.
type Request interface {
	Message
	ReqID() uuid.UUID
	Op() string // the "type" on the wire
}

// Requests, one type each.
type (
	// HelloRequest answers a Challenge: it says who the client is and proves it.
	HelloRequest struct {
		ID     uuid.UUID
		Peer   wire.PeerID
		Name   string
		Agent  string   // program and version, for people, at most MaxAgent bytes
		Sig    [64]byte // Ed25519 over HelloText
		Resume bool     // the client had a session before and wants its rooms back
		// Process is a random number of the client's process, so that it can tell its own late attempt from another
		// process with the same identity; zero: not told.
		Process uuid.UUID
	}
	// JoinRequest enters a room. It may be repeated, and then confirms the membership.
	JoinRequest struct {
		ID   uuid.UUID
		Room wire.Room
	}
	// LeaveRequest leaves a room.
	LeaveRequest struct {
		ID   uuid.UUID
		Room wire.Room
	}
	// RoomsRequest asks for the list of rooms.
	RoomsRequest struct{ ID uuid.UUID }
	// MembersRequest asks for another sample of a room that the client is in.
	MembersRequest struct {
		ID   uuid.UUID
		Room wire.Room
	}
	// SignalRequest has the tracker hand Data to another peer.
	SignalRequest struct {
		ID   uuid.UUID
		To   wire.PeerID
		Data json.RawMessage // any JSON value, at most MaxData bytes
	}
	// NameRequest changes the client's name.
	NameRequest struct {
		ID   uuid.UUID
		Name string
	}
	// DialbackRequest asks whether the client's own tracker can be reached from here: the tracker dials the client's
	// observed address, and never another, at Port, and asks whose tracker is there.
	DialbackRequest struct {
		ID   uuid.UUID
		Port uint16
	}
	// ByeRequest ends the session for good: the client's rooms hear of it at once.
	ByeRequest struct{ ID uuid.UUID }
)

// Answers, one type for each shape.
type (
	// Answer is the plain answer to a request; Text is for people and set unless Status is OK.
	Answer struct {
		Op     string // the request's type; empty when the tracker could not read it
		Re     uuid.UUID
		Status Status
		Text   string
	}
	// HelloAnswer admits a client.
	HelloAnswer struct {
		Re       uuid.UUID
		Observed string   // the client's address and port as the tracker sees it
		STUN     []string // URLs, "stun:host:port"
		Term     uint64
		Leader   wire.PeerID // zero for a stand-alone tracker
		Resumed  bool        // the tracker still held the client's rooms
		Ping     int         // milliseconds of silence after which the client should send a WebSocket ping
		Proof    []byte      // the leader's signed announcement, at most MaxProof bytes; nil if there is none
	}
	// MembersAnswer admits to a room, or answers MembersRequest: a sample of the others, and the count of all.
	MembersAnswer struct {
		Op      string // "join" or "members"
		Re      uuid.UUID
		Room    wire.Room
		Members []Member
		Count   int
	}
	// RoomsAnswer lists rooms, the largest first, MaxListed at most; Total counts all.
	RoomsAnswer struct {
		Re    uuid.UUID
		Rooms []Room
		Total int
	}
	// DialbackAnswer says what came of dialling back: whether the client's tracker answered, at Address. Text is for
	// people and set unless OK.
	DialbackAnswer struct {
		Re      uuid.UUID
		OK      bool
		Address string // "ip:port"
		Text    string
	}
)

// Notifications, one type each.
type (
	// Challenge is the tracker's first message on a connection.
	Challenge struct{ Nonce [32]byte }
	// JoinedNote tells a room of a new member; Count is the count after it.
	JoinedNote struct {
		Room   wire.Room
		Member Member
		Count  int
	}
	// LeftNote tells a room that a member is gone.
	LeftNote struct {
		Room  wire.Room
		Peer  wire.PeerID
		Count int
	}
	// RenamedNote tells of a member's new name.
	RenamedNote struct{ Member Member }
	// SignalNote is another peer's signal.
	SignalNote struct {
		From Member
		Data json.RawMessage
	}
	// TermNote tells every client that the tracker serves under a new term or leader, who may be zero.
	TermNote struct {
		Term   uint64
		Leader wire.PeerID
	}
	// ByeNote is the tracker's last message on a connection, and says why. With Moved, Tracker is where to go; empty:
	// the tracker knows of none.
	ByeNote struct {
		Status  Status
		Text    string
		Tracker string
		Term    uint64
		Leader  wire.PeerID
		Process uuid.UUID // with Conflict: the Process of the hello that replaced this connection's
	}
)

// ReqID implements Request.
func (m *HelloRequest) ReqID() uuid.UUID    { return m.ID }
func (m *JoinRequest) ReqID() uuid.UUID     { return m.ID }
func (m *LeaveRequest) ReqID() uuid.UUID    { return m.ID }
func (m *RoomsRequest) ReqID() uuid.UUID    { return m.ID }
func (m *MembersRequest) ReqID() uuid.UUID  { return m.ID }
func (m *SignalRequest) ReqID() uuid.UUID   { return m.ID }
func (m *NameRequest) ReqID() uuid.UUID     { return m.ID }
func (m *DialbackRequest) ReqID() uuid.UUID { return m.ID }
func (m *ByeRequest) ReqID() uuid.UUID      { return m.ID }

// Op implements Request.
func (*HelloRequest) Op() string    { return "hello" }
func (*JoinRequest) Op() string     { return "join" }
func (*LeaveRequest) Op() string    { return "leave" }
func (*RoomsRequest) Op() string    { return "rooms" }
func (*MembersRequest) Op() string  { return "members" }
func (*SignalRequest) Op() string   { return "signal" }
func (*NameRequest) Op() string     { return "name" }
func (*DialbackRequest) Op() string { return "dialback" }
func (*ByeRequest) Op() string      { return "bye" }

// HelloText is what a client signs to prove that it holds peer's key: a domain of its own, the tracker's nonce, the
// peer.
func HelloText(nonce [32]byte, peer wire.PeerID) []byte {
	b := append(make([]byte, 0, 96), "peerchat.v1 signaling hello\x00"...)
	b = append(b, nonce[:]...)
	return append(b, peer[:]...)
}
