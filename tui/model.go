package tui

import (
	"strconv"
	"strings"
	"time"
)

// spokeLately is how long somebody who spoke counts as taking part, for the filter of joins and leaves.
const spokeLately = 30 * time.Minute

// maxKnownRooms bounds the rooms remembered for completion, maxPeople the names remembered per room.
const (
	maxKnownRooms = 1000
	maxPeople     = 4096
)

// ModelConfig is what a Model is made with.
type ModelConfig struct {
	Location *time.Location    // for times of day; nil is UTC
	ASCII    bool              // no character beyond ASCII in what the program itself draws
	Mouse    bool              // the mouse is on at the start
	Bell     string            // "off", "mention" (also if empty) or "all"
	Joins    string            // "all", "smart" (also if empty) or "none"
	Keys     map[string]string // rebound keys: name of the key, such as "Ctrl+P" → operation, such as "room-previous"
}

// Effects is what comes out of an Update or a Key.
type Effects struct {
	Actions []Action
	Bell    bool
	Mouse   *bool // switch the mouse on or off
	Redraw  bool  // paint every cell anew
}

// Model is the whole state of the screen. It is a pure value: its owner tells it the time and what happened, and draws
// what it holds. It is not safe for concurrent use.
type Model struct {
	cfg  ModelConfig
	keys map[string]string

	self    Self
	tracker Tracker
	story   TrackerStory
	links   map[string]Link // those that are up
	known   []RoomInfo      // the last answer to /list

	rooms   []*room // in the order of entering
	current int
	lobby   *room  // in view while there is no room
	joining string // to be shown as soon as it is entered

	voice voiceView

	input      editor
	history    history
	kills      killRing
	completing *completion

	width, height int
	layout        layout
	showRooms     bool
	showMembers   bool
	focus         pane
	cursor        int // the selected line of the focused list
	bare          bool
	mouse         bool
	bell          string
	joins         string
	overlay       overlay // what lies over the screen or takes over the input line
	flash         string  // a hint in place of the status line until the next key
	escAt         time.Time
	ctrlCAt       time.Time

	asks uint64 // questions that were asked, see AskPage and Search

	now time.Time
	out Effects
}

// room is one room's state.
type room struct {
	timeline
	name     string
	topic    string
	topicBy  uint64 // lamport clock of the topic
	members  map[string]Member
	count    int
	sorted   []Member // members by name, nil when it has to be made anew
	unread   int
	mentions int
	draft    editor
	joined   time.Time
	spoke    map[string]spoke
	owners   map[string]string // lower-case name → the first peer that had it
	shared   map[string]bool   // lower-case names that more than one peer had
	voices   map[string]voiceMark
	synced   syncState
	arrivals Arrivals
	allHold  uint64 // up to this number of the own log, all others have shown to hold it
}

// syncState is what is known of the events of a room that others have and this peer has not.
type syncState struct {
	known   bool
	missing int
	at      time.Time // of the last change
}

type spoke struct {
	order uint64
	at    time.Time
}

// NewModel makes a Model of a screen of 80 by 24.
func NewModel(cfg ModelConfig) *Model {
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	m := &Model{
		cfg: cfg, keys: bindings(), links: map[string]Link{}, lobby: newRoom(""),
		tracker:   Tracker{State: TrackerSearching},
		voice:     voiceView{talking: map[string]bool{}},
		showRooms: true, showMembers: true, mouse: cfg.Mouse, bell: cfg.Bell, joins: cfg.Joins,
	}
	m.story.Name = m.peerName
	for key, op := range cfg.Keys {
		m.keys[key] = op
	}
	if m.bell == "" {
		m.bell = "mention"
	}
	if m.joins == "" {
		m.joins = "smart"
	}
	m.Resize(80, 24)
	return m
}

func newRoom(name string) *room {
	return &room{name: name, members: map[string]Member{}, spoke: map[string]spoke{}, owners: map[string]string{},
		shared: map[string]bool{}, voices: map[string]voiceMark{}}
}

// room is the room in view; the lobby where there is none.
func (m *Model) room() *room {
	if len(m.rooms) == 0 {
		return m.lobby
	}
	return m.rooms[m.current]
}

func (m *Model) find(name string) *room {
	for _, r := range m.rooms {
		if r.name == name {
			return r
		}
	}
	return nil
}

// roomOr is the named room, or the one in view.
func (m *Model) roomOr(name string) *room {
	if r := m.find(name); r != nil {
		return r
	}
	return m.room()
}

// Resize tells the size of the screen in cells.
func (m *Model) Resize(width, height int) {
	m.width, m.height = width, height
	m.arrange()
}

// Tick tells the time: for the clock of the status line, and for what is said by itself, see Wake.
func (m *Model) Tick(now time.Time) {
	m.now = now
	m.settle()
}

// Update takes a Msg in.
func (m *Model) Update(now time.Time, msg Msg) Effects {
	m.now, m.out = now, Effects{}
	m.update(msg)
	m.settle()
	m.turnPages()
	return m.out
}

func (m *Model) update(msg Msg) {
	switch msg := msg.(type) {
	case Self:
		m.self = Self{ID: SanitizeLine(msg.ID), Name: SanitizeLine(msg.Name)}
		for _, r := range m.rooms {
			r.learn(Member(m.self))
		}
		m.arrange() // the prompt has another width
	case Tracker:
		m.updateTracker(msg)
		m.trackArrivals()
	case RoomJoined:
		m.enter(msg)
		m.arrange()
	case RoomLeft:
		m.exit(msg.Room)
		m.arrange()
	case MembersAre:
		if r := m.find(msg.Room); r != nil {
			m.setMembers(r, msg.Members, msg.Count)
		}
	case MemberJoined:
		m.memberCame(msg)
	case MemberLeft:
		m.memberWent(msg)
	case MemberRenamed:
		m.memberRenamed(msg)
	case Link:
		m.updateLink(msg)
	case Line:
		m.addLine(msg)
	case Delivered:
		if r := m.find(msg.Room); r != nil {
			if it := r.ids[msg.ID]; it != nil {
				it.delivered, it.of = msg.Peers, msg.Of
			}
			if msg.Of > 0 && msg.Peers >= msg.Of {
				r.allHold = max(r.allHold, msg.Seq)
			}
		}
	case Topic:
		if r := m.find(msg.Room); r != nil {
			r.topic = SanitizeLine(msg.Text)
		}
	case Notice:
		m.note(m.roomOr(msg.Room), itemNotice, Sanitize(msg.Text))
	case Failure:
		m.note(m.roomOr(msg.Room), itemError, Sanitize(msg.Text))
		m.giveBack(m.roomOr(msg.Room), msg.Said)
	case Answer:
		m.answer(m.roomOr(msg.Room), msg.Title, msg.Lines)
	case Invitation:
		m.invited(msg)
	case Entering:
		if m.find(msg.Room) != nil {
			m.act(Switch(msg))
		} else {
			m.joining = msg.Room
		}
	case Voice:
		m.updateVoice(msg)
	case VoiceMember:
		m.updateVoiceMember(msg)
	case Talking:
		m.updateTalking(msg)
	case MicLevel:
		m.voice.mic = msg
	case MutedTalk:
		m.voice.cuedAt = m.now
	case Rooms:
		m.known = append(m.known[:0], msg.Rooms[:min(len(msg.Rooms), maxKnownRooms)]...)
		m.listRooms()
	case Synced:
		if r := m.find(msg.Room); r != nil {
			r.synced = syncState{known: true, missing: max(0, msg.Missing), at: m.now}
		}
	case Page:
		m.pageCame(msg)
	case Older:
		m.olderFetched(msg)
	case Found:
		m.searchFound(msg)
	}
}

// note puts a line of this side into a timeline.
func (m *Model) note(r *room, kind itemKind, text string) {
	r.add(&item{kind: kind, at: m.now, text: strings.TrimRight(text, "\n")})
}

func (m *Model) fail(err error) { m.note(m.room(), itemError, Sanitize(err.Error())) }

func (m *Model) answer(r *room, title string, lines []string) {
	if title != "" {
		m.note(r, itemNotice, SanitizeLine(title))
	}
	for _, line := range lines {
		m.note(r, itemAnswer, Sanitize(line))
	}
	r.follow()
}

func (m *Model) enter(msg RoomJoined) {
	name := SanitizeLine(msg.Room)
	r := m.find(name)
	if r == nil {
		r = newRoom(name)
		r.joined = m.now
		if len(m.rooms) == 0 {
			r.timeline, m.lobby.timeline = m.lobby.timeline, timeline{}
			r.draft = m.input
		}
		m.rooms = append(m.rooms, r)
		if m.joining == name {
			m.show(len(m.rooms) - 1)
		}
	}
	if m.joining == name {
		m.joining = ""
	}
	m.setMembers(r, msg.Members, 0)
	if _, others := m.others(r); !r.arrivals.Settled() {
		r.arrivals.Came(m.now, others, others+1)
		m.trackArrivals()
	}
}

func (m *Model) exit(name string) {
	for i, r := range m.rooms {
		if r.name != name {
			continue
		}
		if i == m.current {
			r.draft = m.input
		}
		m.rooms = append(m.rooms[:i], m.rooms[i+1:]...)
		switch {
		case len(m.rooms) == 0:
			m.current = 0
			m.lobby = newRoom("")
			m.note(m.lobby, itemNotice, "you left #"+name+"; enter a room with /join ROOM")
		case i < m.current:
			m.current--
		case i == m.current:
			m.current = min(i, len(m.rooms)-1)
			m.input, m.completing = m.room().draft, nil
			m.room().unread, m.room().mentions = 0, 0
		}
		return
	}
}

// show turns to room number i. The input stays behind as that room's draft.
func (m *Model) show(i int) {
	if i < 0 || i >= len(m.rooms) || i == m.current {
		return
	}
	old := m.room()
	old.draft = m.input
	old.leave()
	m.current = i
	m.input, m.completing = m.room().draft, nil
	m.room().unread, m.room().mentions = 0, 0
	m.history.at = len(m.history.entries)
}

// itemOf is a line of the log, cleaned.
func (m *Model) itemOf(l *Line) *item {
	it := &item{
		order: l.Order, peer: SanitizeLine(l.Peer), at: l.Sent, id: l.ID, name: SanitizeLine(l.Name), self: l.Self,
		number: l.Seq, missing: l.Missing, history: l.History,
		text: strings.TrimRight(Sanitize(l.Text), "\n"),
	}
	switch l.Kind {
	case LineAction:
		it.kind = itemAction
	case LineTopic:
		it.kind, it.text = itemTopic, SanitizeLine(l.Text)
	}
	it.mention = !l.Self && it.kind != itemTopic && mentions(it.text, m.self.Name)
	return it
}

func (m *Model) addLine(l Line) {
	r := m.find(l.Room)
	if r == nil {
		return
	}
	it := m.itemOf(&l)
	if !r.add(it) {
		return
	}
	r.own(it.peer, it.name)
	if it.kind == itemTopic && l.Order >= r.topicBy {
		r.topic, r.topicBy = it.text, l.Order
	}
	if s := r.spoke[it.peer]; l.Order >= s.order {
		if len(r.spoke) >= maxPeople {
			clear(r.spoke)
		}
		r.spoke[it.peer] = spoke{order: l.Order, at: l.Sent}
	}
	if l.Self {
		if !l.History {
			r.follow() // who speaks wants to see it
		}
		return
	}
	if l.History && l.Sent.Before(r.joined) {
		return // what was said before one came is not unread
	}
	if r != m.room() {
		r.unread++
		if it.mention {
			r.mentions++
		}
	}
	if !l.History && (m.bell == "all" || m.bell == "mention" && it.mention) {
		m.out.Bell = true
	}
}

// sign is a character of the program's own, or its ASCII stand-in.
func (m *Model) sign(fancy, ascii string) string {
	if m.cfg.ASCII {
		return ascii
	}
	return fancy
}

func itoa(n int) string { return strconv.Itoa(n) }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return itoa(n) + " " + many
}
