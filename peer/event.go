package peer

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// Event is what a Node tells its user: one of the types below.
type Event interface{ event() }

// Person is somebody as a room shows them.
type Person struct {
	Peer wire.PeerID
	Name string
}

// Path is the way that a link takes.
type Path struct {
	Kind   string        // "host", "srflx", "prflx" or "relay": the local candidate in use (RFC 8445 section 5.1.1)
	Local  string        // address:port
	Remote string        // address:port
	RTT    time.Duration // zero while unknown
}

// NotNeeded is why a link goes down that nothing is wrong with: no room needs it any more.
const NotNeeded = "not needed"

// TrackerState says how a Node stands to its tracker.
type TrackerState string

// The states of TrackerChanged.
const (
	TrackerSearching TrackerState = "searching" // nothing found yet; Trying says what is being tried
	TrackerConnected TrackerState = "connected"
	TrackerLost      TrackerState = "lost" // Trying says what is being tried
	TrackerElecting  TrackerState = "electing"
	TrackerHosting   TrackerState = "hosting" // this process is the tracker
)

// VoiceState is what changed of somebody's voice.
type VoiceState string

// The states of VoiceChanged.
const (
	VoiceJoined     VoiceState = "joined"
	VoiceLeft       VoiceState = "left"
	VoiceMuted      VoiceState = "muted"
	VoiceUnmuted    VoiceState = "unmuted"
	VoiceDeafened   VoiceState = "deafened"
	VoiceUndeafened VoiceState = "undeafened"
)

type (
	// Ready is sent once, when the Node is in its first rooms at a tracker.
	Ready struct {
		Self  Person
		Rooms []wire.Room
	}
	// TrackerChanged tells of each change of state.
	TrackerChanged struct {
		State  TrackerState
		URL    string
		Term   uint64
		Leader wire.PeerID // zero for a stand-alone tracker
		Name   string      // the leader's name, if it is known
		Self   bool        // this process is the tracker
		Solo   bool        // it leads for itself alone: nobody else was there
		InMesh bool        // the leader is not dialable as far as is known: it serves those who reach it
		Trying string      // what is being tried, for people; empty when nothing is
		Err    error       // why the last attempt failed
	}
	// RoomJoined says that this peer is now in a room, RoomLeft that it no longer is.
	RoomJoined struct {
		Room    wire.Room
		Members []Person // the others that are known by now
	}
	RoomLeft struct{ Room wire.Room }
	// MemberJoined, MemberLeft and MemberRenamed tell of the others (and Renamed of oneself). Members counts
	// everybody in the room after the change, oneself included.
	MemberJoined struct {
		Room    wire.Room
		Person  Person
		Members int
	}
	MemberLeft struct {
		Room    wire.Room
		Person  Person
		Members int
	}
	MemberRenamed struct {
		Room    wire.Room
		Person  Person
		Was     string
		Members int
	}
	// VoiceChanged tells how somebody takes part in a room's voice: one change each. It tells of the rooms that this
	// peer is in, whether it is in their voice or not. Who comes muted or deaf has joined first. When a link goes down,
	// its peer has left voice; when a room is left, that of the others there ends without a word.
	VoiceChanged struct {
		Room        wire.Room
		Person      Person
		State       VoiceState
		Self        bool
		Members     int  // who are in voice there now, oneself included
		Muted, Deaf bool // how it stands when all that is told at once has been told
	}
	// LinkChanged tells that a link came up or went down, LinkMeasured how it is doing.
	LinkChanged struct {
		Person Person
		Up     bool
		Path   Path
		Reason string // why it went down; NotNeeded: nothing went wrong
	}
	LinkMeasured struct {
		Peer wire.PeerID
		Path Path
	}
	// Message is an item of a room's log that is shown: text, action or topic.
	Message struct {
		Room    wire.Room
		Person  Person
		ID      uuid.UUID
		Seq     uint64
		Lamport uint64
		Kind    wire.Kind
		Text    string
		Sent    time.Time // the author's time
		Self    bool
		// Missing is how many events of its author's log are missing here just before it, where there were some before
		// those, or this peer was here when they were said: nobody had them when the log went on. What comes of them
		// later is told as History. An author that has lost its own log goes on with far higher numbers; then this is
		// far more than ever was said.
		Missing uint64
		// History: it was fetched, or read from the own log, as opposed to broadcast live. Live messages of a person
		// come in order; what is fetched may be older than what was told before: display order is (Lamport, Peer, Seq).
		History bool
	}
	// Delivered tells how many other members are known to hold an own message, which means that they hold the own log
	// up to it, as far back as theirs goes. It is sent when that changes, at most a few times a second. Of what was
	// said before the room was entered it tells of the last message only.
	Delivered struct {
		Room  wire.Room
		ID    uuid.UUID
		Seq   uint64
		Peers int
		Of    int
	}
	// Notice is information for people, Failure a problem: what was tried, what happened, what to do. Code is a stable
	// word for scripts. Room may be empty.
	Notice struct {
		Room wire.Room
		Code string
		Text string
	}
	Failure struct {
		Room wire.Room
		Code string
		Text string
		Said []Say // what was not said because of it, though it could be another time
	}
	// Synced tells how many events of a room are known to be held by somebody linked, or were when the link ended, are
	// wanted (see Window), and are not here yet; 0: there is nothing left to fetch. Without a link to somebody of the
	// room nothing of it is on its way. It is told when that changes, at most five times a second, and not for what is
	// mended within 300 ms. It is an estimate by what neighbours say, and goes down when they turn out to be wrong.
	Synced struct {
		Room    wire.Room
		Missing int
	}
	// Answer is the result of a query Command, with its Ref.
	Answer struct {
		Ref   any
		Value any // PeersAnswer, RoomsAnswer, NetAnswer, InviteAnswer or OlderAnswer
	}
	// Stopped is the last event: the others have been told and everything is closed.
	Stopped struct{}
)

func (Ready) event()          {}
func (TrackerChanged) event() {}
func (RoomJoined) event()     {}
func (RoomLeft) event()       {}
func (MemberJoined) event()   {}
func (MemberLeft) event()     {}
func (MemberRenamed) event()  {}
func (VoiceChanged) event()   {}
func (LinkChanged) event()    {}
func (LinkMeasured) event()   {}
func (Message) event()        {}
func (Delivered) event()      {}
func (Notice) event()         {}
func (Failure) event()        {}
func (Synced) event()         {}
func (Answer) event()         {}
func (Stopped) event()        {}

// PeersAnswer lists everybody this peer knows of.
type PeersAnswer struct{ Peers []PeerInfo }

// PeerInfo is one line of it.
type PeerInfo struct {
	Person
	State string // "linked", "linking", "known" or "gone"
	Rooms []wire.Room
	Voice wire.Voice // by its word over the link; zero while not linked
	Path  Path
	Since time.Time // of State
}

// RoomsAnswer lists the rooms that the tracker and the neighbours know, joined ones first.
type RoomsAnswer struct{ Rooms []RoomInfo }

// RoomInfo is one line of it.
type RoomInfo struct {
	Room    wire.Room
	Members int
	Joined  bool
	Topic   string
}

// NetAnswer is how things stand.
type NetAnswer struct {
	Self     Person
	Voice    wire.Voice // of oneself; Muted and Deaf are kept while not in voice
	Tracker  TrackerChanged
	STUN     []string
	Observed string // this peer's address as the tracker sees it
	Linked   int
	Known    int
	Peers    []PeerInfo
	Term     uint64 // the highest of the election that was seen
	// Candidates are the peers that could be the tracker, the best first.
	Candidates []CandidateInfo
	Counters   map[string]uint64 // frames and bytes sent, received, dropped, faults by code …
}

// CandidateInfo is a peer that could be the tracker.
type CandidateInfo struct {
	Person
	Place     int  // in the ranking, from 1
	Dialable  bool // measured: the tracker could connect to it
	Priority  int16
	Port      uint16
	Addresses []string // URLs of its tracker, best first
	Leader    bool     // it is the tracker now
	Self      bool
	Age       time.Duration // since its last word
}

// InviteAnswer says where others find this peer's rooms: addresses of the tracker and of those who could replace it, as
// URLs, best first.
type InviteAnswer struct {
	Room      wire.Room
	Addresses []string
}

// OlderAnswer tells what came of FetchOlder.
type OlderAnswer struct {
	Room   wire.Room
	Events int  // that were fetched and are in the Store now
	More   bool // a neighbour has older ones still
	// Err says why there are not as many as were asked for: nobody linked has older ones, nobody is linked at all
	// (ErrAlone), the Store keeps no more of the room, or they did not come within 10 s. It is nil when there are, and
	// when as far as anybody linked knows all that was ever said there is here.
	Err error
}

// ErrAlone is why nothing older came of a room in which nobody is linked.
var ErrAlone = errors.New("nobody is linked who could have any; try again when somebody is")

// Command is what the user wants of a Node: one of the types below. Node.Do takes it and returns at once; what goes
// wrong is reported as a Failure.
type Command interface{ command() }

type (
	// JoinRoom and LeaveRoom enter and leave a room.
	JoinRoom  struct{ Room wire.Room }
	LeaveRoom struct{ Room wire.Room }
	// Say publishes into a room: KindText, KindAction or KindTopic.
	Say struct {
		Room wire.Room
		Kind wire.Kind
		Text string
	}
	// Rename changes the own username.
	Rename struct{ Name string }
	// ListPeers, ListRooms and ShowNet are answered by an Answer with the same Ref.
	ListPeers struct{ Ref any }
	ListRooms struct{ Ref any }
	ShowNet   struct{ Ref any }
	// Invite asks for what an invitation into Room needs; it is answered, too.
	Invite struct {
		Ref  any
		Room wire.Room
	}
	// FetchOlder fetches about Events events of a room that come before what is held of it here; 0 or less asks only
	// whether there are any. It is answered with an OlderAnswer. What it brings is not told as Message: it is read from
	// the history.
	FetchOlder struct {
		Ref    any
		Room   wire.Room
		Events int
	}
	// JoinVoice enters the voice of a room that this peer is in, and leaves that of another; LeaveVoice leaves it.
	// Leaving the room leaves its voice, too.
	JoinVoice  struct{ Room wire.Room }
	LeaveVoice struct{}
	// SetVoice tells the others whether this peer sends sound and plays theirs. It may come before JoinVoice, and is
	// kept for the next one.
	SetVoice struct{ Muted, Deaf bool }
	// Reconnect tries everything at once again: the tracker and every link that is down.
	Reconnect struct{}
)

func (JoinRoom) command()   {}
func (LeaveRoom) command()  {}
func (Say) command()        {}
func (Rename) command()     {}
func (ListPeers) command()  {}
func (ListRooms) command()  {}
func (ShowNet) command()    {}
func (Invite) command()     {}
func (JoinVoice) command()  {}
func (LeaveVoice) command() {}
func (SetVoice) command()   {}
func (Reconnect) command()  {}
func (FetchOlder) command() {}
