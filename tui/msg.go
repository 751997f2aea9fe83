package tui

import "time"

// Msg is what the program tells the screen: one of the types below. Rooms are canonical names without '#'; peers
// are full IDs, whose first four characters are their tag. Strings need not be clean: the Model sanitises them.
type Msg interface{ msg() }

// TrackerState says how this peer stands to its tracker; the words are those of the JSON mode.
type TrackerState string

// The states of a tracker.
const (
	TrackerSearching TrackerState = "searching" // nothing found yet; Trying says what is being tried
	TrackerConnected TrackerState = "connected"
	TrackerLost      TrackerState = "lost" // Trying says what is being tried
	TrackerElecting  TrackerState = "electing"
	TrackerHosting   TrackerState = "hosting" // this process is the tracker
)

// LineKind says how a line of the timeline looks.
type LineKind uint8

// The kinds of line.
const (
	LineText   LineKind = iota // somebody says Text
	LineAction                 // somebody does Text, as in /me
	LineTopic                  // somebody sets the topic to Text, which may be empty
)

// Member is somebody in a room.
type Member struct {
	ID   string // full peer ID
	Name string
}

type (
	// Self says who this peer is. It comes first, and again when the own name changes.
	Self struct{ ID, Name string }

	// Tracker tells of each change of the tracker's state.
	Tracker struct {
		State    TrackerState
		URL      string
		Leader   string // name of the elected peer that hosts it; empty for a stand-alone tracker
		LeaderID string // full ID of that peer
		Term     uint64
		Self     bool   // this process is the tracker
		Solo     bool   // it leads for itself alone: nobody else was there
		InMesh   bool   // nobody could dial it: it serves those who reach it
		Trying   string // what is being tried, for people; empty when nothing is
		Err      string // why the last attempt failed
	}

	// RoomJoined says that this peer is in a room now, with everybody known in it (oneself or not, it does not
	// matter). RoomLeft says that it no longer is.
	RoomJoined struct {
		Room    string
		Members []Member
	}
	RoomLeft struct{ Room string }

	// MembersAre replaces what is known of a room's members. Count is everybody, oneself included; zero means
	// len(Members).
	MembersAre struct {
		Room    string
		Members []Member
		Count   int
	}
	// MemberJoined, MemberLeft and MemberRenamed tell of one person. Count is everybody in the room after it,
	// oneself included.
	MemberJoined struct {
		Room   string
		Member Member
		Count  int
	}
	MemberLeft struct {
		Room   string
		Member Member
		Count  int
	}
	MemberRenamed struct {
		Room   string
		Member Member // with the new name
		Was    string
		Count  int
	}

	// Link tells that the link to a peer came up, changed its path or round trip, or went down.
	Link struct {
		Peer   string
		Name   string
		Up     bool
		Path   string        // "host", "srflx", "prflx" or "relay"
		RTT    time.Duration // zero while unknown
		Reason string        // why it went down
	}

	// Line is an item of a room's log. Lines are kept in the order of (Order, Peer), whenever they come; one
	// with an ID that the room already shows is ignored.
	Line struct {
		Room    string
		Kind    LineKind
		ID      string
		Peer    string // the author's full ID
		Name    string // the author's name
		Text    string
		Sent    time.Time // the author's clock
		Order   uint64    // lamport clock
		Seq     uint64    // its number in its author's log, from 1; 0: not known
		Missing uint64    // how many of the author's lines just before it are missing here: nobody had them when the log went on
		Self    bool      // written by this peer
		History bool      // fetched: it neither rings nor interrupts
	}

	// Delivered says how many of the Of other members hold an own message, and with it those before it.
	Delivered struct {
		Room  string
		ID    string
		Seq   uint64 // its number in the own log
		Peers int
		Of    int
	}

	// Topic sets a room's topic without a line in its timeline.
	Topic struct{ Room, Text string }

	// Notice is information for people, Failure a problem: what was tried, what happened, what to do. An empty
	// Room means the one in view. Said is what was typed in vain because of it, as it was typed.
	Notice  struct{ Room, Text string }
	Failure struct {
		Room, Text string
		Said       []string
	}

	// Answer is the result of a question such as /peers or /net, shown in Room, or in the one in view if that is
	// empty. Lines are shown as they are, columns and all.
	Answer struct {
		Room  string
		Title string
		Lines []string
	}
	// Invitation answers /invite. Link is for others to use; empty where there is none, and Note says why. Note is what
	// else is to be known. Codes are the link as QR codes, the most complete first: those that follow name fewer
	// addresses, and are smaller. A code is rows of half blocks, light on dark. They are there if /invite asked for
	// them.
	Invitation struct {
		Room  string
		Link  string
		Note  string
		Codes [][]string
	}
	// Entering says that the user wants into a room by another way than Join: it comes into view as soon as it is
	// entered.
	Entering struct{ Room string }
	// Rooms answers /list. It also feeds completion.
	Rooms struct{ Rooms []RoomInfo }

	// Synced says how many events of a room others are known to hold that are not here yet; 0: none.
	Synced struct {
		Room    string
		Missing int
	}
	// Page answers AskPage, with its Ask: lines of a room's log, in order, none of them left out in between. First says
	// that the log holds nothing before them, Last nothing after. Err says why there are none.
	Page struct {
		Ask         uint64
		Room        string
		Lines       []Line
		First, Last bool
		Err         string
	}
	// Older answers FetchOlder: that many lines came from other peers, and are in the log. Where none did, Why says
	// why; empty: there are no older ones.
	Older struct {
		Room  string
		Lines int
		Why   string
	}
	// Found answers Search, with its Ask: some hits more, and whether there may be more behind them. Err says why there
	// are none.
	Found struct {
		Ask  uint64
		Hits []Hit
		More bool
		Err  string
	}

	// Voice says how one's own voice stands, at each change.
	Voice struct {
		Room     string // in whose voice one is; empty: in none
		Muted    bool
		Deaf     bool
		Mode     VoiceMode
		NoMic    bool // there is no microphone
		NoOutput bool // there is no loudspeaker
	}
	// VoiceMember tells of somebody's voice, one's own too. Count is everybody in the room's voice after it, oneself
	// included.
	VoiceMember struct {
		Room   string
		Member Member
		State  VoiceState
		Count  int
	}
	// Talking says that somebody begins or ceases to be heard; oneself: to be heard by others.
	Talking struct {
		Peer string
		On   bool
	}
	// MicLevel is the level of the microphone, and the level that opens it by voice, in dBFS.
	MicLevel struct{ Level, Threshold float64 }
	// MutedTalk says that somebody talks into one's own microphone while it is muted.
	MutedTalk struct{}

	// Stopped says that everything is closed: the App ends. A Reason is shown by whoever called Run.
	Stopped struct{ Reason string }
)

// VoiceMode says what opens the microphone.
type VoiceMode string

// The modes of the microphone.
const (
	VoiceByLevel VoiceMode = ""     // voice, by its level
	VoiceByKey   VoiceMode = "ptt"  // the talk key
	VoiceOpen    VoiceMode = "open" // it is always open
)

// VoiceState says what became of somebody's voice; the words are those of the JSON mode.
type VoiceState string

// The changes of a voice.
const (
	VoiceJoined     VoiceState = "joined"
	VoiceLeft       VoiceState = "left"
	VoiceMuted      VoiceState = "muted"
	VoiceUnmuted    VoiceState = "unmuted"
	VoiceDeafened   VoiceState = "deafened"
	VoiceUndeafened VoiceState = "undeafened"
)

// Hit is a line that was found. Text is a part of it, and Spans are the words in that: from and to, in bytes,
// ascending.
type Hit struct {
	Line  Line
	Text  string
	Spans [][2]int
}

// RoomInfo is one line of Rooms.
type RoomInfo struct {
	Room    string
	Members int
	Joined  bool
	Topic   string
}

func (Self) msg()          {}
func (Tracker) msg()       {}
func (RoomJoined) msg()    {}
func (RoomLeft) msg()      {}
func (MembersAre) msg()    {}
func (MemberJoined) msg()  {}
func (MemberLeft) msg()    {}
func (MemberRenamed) msg() {}
func (Link) msg()          {}
func (Line) msg()          {}
func (Delivered) msg()     {}
func (Topic) msg()         {}
func (Notice) msg()        {}
func (Failure) msg()       {}
func (Answer) msg()        {}
func (Invitation) msg()    {}
func (Entering) msg()      {}
func (Rooms) msg()         {}
func (Voice) msg()         {}
func (VoiceMember) msg()   {}
func (Talking) msg()       {}
func (MicLevel) msg()      {}
func (MutedTalk) msg()     {}
func (Stopped) msg()       {}
func (Synced) msg()        {}
func (Page) msg()          {}
func (Older) msg()         {}
func (Found) msg()         {}

// Action is what the user wants: one of the types below. Parse makes them from what was typed. Those of the first
// group go out to the program, through Config.OnAction in the TUI; those of the second the Model does itself,
// and plain mode does as far as it can.
type Action interface{ action() }

type (
	// Say says Text in Room, Me does it (`/me waves`).
	Say struct{ Room, Text string }
	Me  struct{ Room, Text string }
	// Join enters a room, or goes to it if it is entered already; Leave leaves it.
	Join  struct{ Room string }
	Leave struct{ Room string }
	// List asks for the rooms (answer with Rooms), Names for a room's members, Peers for everybody known, Net for how
	// things stand (answer with Answer). The Model answers Names by itself; plain mode has to.
	List  struct{}
	Names struct{ Room string }
	Peers struct{}
	Net   struct{}
	// Nick changes the own username. SetTopic changes a room's topic; Text may be empty. AskTopic wants to know
	// it, which the Model answers by itself.
	Nick     struct{ Name string }
	SetTopic struct{ Room, Text string }
	AskTopic struct{ Room string }
	// Connect connects to a tracker at an address, by hand: "host", "host:port", a ws:// URL, or an invitation.
	Connect struct{ Addr string }
	// Invite asks for a link by which others come into Room, and with Code for a QR code of it (answer with
	// Invitation).
	Invite struct {
		Room string
		Code bool
	}
	// Reconnect tries everything at once again.
	Reconnect struct{}
	// Quit leaves everything. The program answers with Stopped; the App ends by itself if that takes too long.
	Quit struct{}
	// Version asks which version this is (answer with Notice).
	Version struct{}

	// AskPage wants Lines lines of a room's log (answer with Page), counted from the line (Order, Peer), which is left
	// out, but with PageAround in the middle. The Model asks one question at a time for each room.
	AskPage struct {
		Ask   uint64
		Room  string
		From  PageFrom
		Order uint64
		Peer  string
		Lines int
	}
	// FetchOlder asks the other peers for lines that come before all that the log holds (answer with Older).
	FetchOlder struct {
		Room  string
		Lines int
	}
	// Search finds what was said in a room, or in all if Room is empty (answer with Found). The Model numbers its
	// searches: one with another Ask replaces the one before, the same Ask with More goes on behind the last hit, and
	// an empty Text is the end of it.
	Search struct {
		Ask  uint64
		Room string
		Text string
		More bool
	}

	// JoinVoice enters the voice of a room, LeaveVoice leaves the voice one is in. AskVoice asks who is in it and how
	// (answer with Answer).
	JoinVoice  struct{ Room string }
	LeaveVoice struct{}
	AskVoice   struct{}
	// VoiceSet sets what /voice set knows, by name.
	VoiceSet struct{ Name, Value string }
	// Mute shuts the own microphone, or silences Who for this user alone; Unmute undoes it. Who is a name, name#tag or
	// a full ID.
	Mute   struct{ Who string }
	Unmute struct{ Who string }
	// Deafen silences the loudspeaker and the microphone: "on", "off", or empty to toggle.
	Deafen struct{ Mode string }
	// PTT makes the talk key open the microphone: "on", "off", or empty to toggle. TalkKey is a press or a repeat of
	// that key.
	PTT     struct{ Mode string }
	TalkKey struct{}
	// VAD says what level opens the microphone: "level" (DB, in dBFS), "auto" (learnt), or "off": it is always open.
	VAD struct {
		Mode string
		DB   float64
	}
	// ListDevices asks for microphones and loudspeakers (answer with Answer). Input and Output choose one: a SOURCE or
	// SINK of the command line, "default" for the system's.
	ListDevices struct{}
	Input       struct{ Device string }
	Output      struct{ Device string }
	// Volume makes somebody louder or softer for this user: DB, or by DB more than now if Relative.
	Volume struct {
		Who      string
		DB       float64
		Relative bool
	}
	// TestAudio records for three seconds and plays it back.
	TestAudio struct{}
	// Record writes what is heard and said into a WAVE file, with Stop no longer; with neither it chooses a name.
	Record struct {
		File string
		Stop bool
	}
	// Stats asks how well voice gets through (answer with Answer).
	Stats struct{}
)

type (
	// ShowOlder shows older lines of a room; 0: as many as fit. The screen scrolls up by so many rows; plain and JSON
	// mode print so many lines that were not printed yet.
	ShowOlder struct {
		Room  string
		Lines int
	}
	// Help shows all commands and keys, or those about Topic.
	Help struct{ Topic string }
	// Clear empties the room's timeline on the screen, nothing else.
	Clear struct{}
	// Switch goes to a room that is already entered.
	Switch struct{ Room string }
	// Bell says when the terminal rings: "off", "mention" or "all"; empty asks.
	Bell struct{ Mode string }
	// Mouse is "on", "off", or empty to toggle.
	Mouse struct{ Mode string }
	// Joins says which joins and leaves are shown: "all", "smart" (of people who spoke lately) or "none"; empty asks.
	Joins struct{ Mode string }
)

// PageFrom says which lines AskPage wants.
type PageFrom uint8

// The pages of a log.
const (
	PageNewest PageFrom = iota
	PageOldest
	PageBefore // the newest before (Order, Peer)
	PageAfter  // the oldest after it
	PageAround // it in the middle
)

func (Say) action()        {}
func (Me) action()         {}
func (Join) action()       {}
func (Leave) action()      {}
func (List) action()       {}
func (Names) action()      {}
func (Peers) action()      {}
func (Net) action()        {}
func (Nick) action()       {}
func (SetTopic) action()   {}
func (AskTopic) action()   {}
func (Connect) action()    {}
func (Invite) action()     {}
func (Reconnect) action()  {}
func (Quit) action()       {}
func (Version) action()    {}
func (Help) action()       {}
func (Clear) action()      {}
func (Switch) action()     {}
func (Bell) action()       {}
func (Mouse) action()      {}
func (Joins) action()      {}
func (AskPage) action()    {}
func (FetchOlder) action() {}
func (Search) action()     {}

func (JoinVoice) action()   {}
func (LeaveVoice) action()  {}
func (AskVoice) action()    {}
func (VoiceSet) action()    {}
func (Mute) action()        {}
func (Unmute) action()      {}
func (Deafen) action()      {}
func (PTT) action()         {}
func (TalkKey) action()     {}
func (VAD) action()         {}
func (ListDevices) action() {}
func (Input) action()       {}
func (Output) action()      {}
func (Volume) action()      {}
func (TestAudio) action()   {}
func (Record) action()      {}
func (Stats) action()       {}
func (ShowOlder) action()   {}

// Tag is the short form of a peer ID that tells two people of one name apart: its first four characters.
func Tag(id string) string {
	if len(id) < 4 {
		return id
	}
	return id[:4]
}
