package tui

import (
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Repeats of a sentence about the tracker become one line with a count where they are no further apart than flapping:
// in time, and in lines of the timeline.
const (
	flapping     = time.Minute
	flappingBack = 40
)

const inMesh = "only inside the mesh: nobody could dial it"

// TrackerStory tells of a tracker's changes in words, for the screen and for plain mode. The zero value is the
// beginning, when nothing was found yet.
type TrackerStory struct {
	// Name is what a peer is called; nil takes its name, or its tag where it has none.
	Name func(id, name string) string

	now     Tracker
	settled Tracker // the last one that was connected or hosted
	home    string  // URL of the last stand-alone one
}

// Tell takes a change and returns a sentence; empty where there is nothing new, such as another try. Two sentences of
// one kind differ in the term and in reasons at most.
func (s *TrackerStory) Tell(t Tracker) (text, kind string) {
	t = t.clean()
	before := s.now
	s.now = t
	if !before.same(t) {
		text = s.news(before, t)
		bare := t
		bare.Err = ""
		kind = strings.Replace(s.news(before, bare), term(t), "", 1)
	}
	if t.settled() {
		s.settled = t
		if !t.elected() {
			s.home = t.URL
		}
	}
	return text, kind
}

// updateTracker takes a change of the tracker's state: the status line shows it, and what is news gets a line.
func (m *Model) updateTracker(t Tracker) {
	was := m.tracker
	m.tracker = t.clean()
	if id := m.tracker.LeaderID; id != "" && id == was.LeaderID && was.Leader == "" && m.tracker.Leader != "" {
		m.nameInNews("#"+Tag(id), m.story.name(m.tracker))
	}
	if text, kind := m.story.Tell(t); text != "" {
		m.noteTracker(m.room(), kind, text)
	}
}

// nameInNews puts a name in place of a tag in what was told of the tracker: who leads is known before its name is.
func (m *Model) nameInNews(tag, name string) {
	for _, r := range append([]*room{m.lobby}, m.rooms...) {
		for _, it := range r.items {
			if it.news == "" {
				continue
			}
			text := strings.ReplaceAll(" "+it.text, " "+tag, " "+name)[1:]
			r.bytes += len(text) - len(it.text)
			it.text = text
		}
	}
}

// peerName is what the room in view calls a peer.
func (m *Model) peerName(id, name string) string {
	if id == "" {
		return name
	}
	return m.shownName(m.room(), id, name)
}

// clean makes it fit for a terminal, and consistent.
func (t Tracker) clean() Tracker {
	t.URL, t.Leader, t.LeaderID = SanitizeLine(t.URL), SanitizeLine(t.Leader), SanitizeLine(t.LeaderID)
	t.Trying, t.Err = SanitizeLine(t.Trying), SanitizeLine(t.Err)
	t.Self = t.Self || t.State == TrackerHosting
	return t
}

// settled is whether there is a tracker that answers.
func (t Tracker) settled() bool { return t.State == TrackerConnected || t.State == TrackerHosting }

// elected is whether a peer is the tracker, as opposed to a stand-alone one.
func (t Tracker) elected() bool { return t.Self || t.LeaderID != "" || t.Leader != "" }

// who tells trackers apart: peers by their ID, wherever they are dialled, others by their address.
func (t Tracker) who() string {
	switch {
	case t.Self:
		return "self"
	case t.LeaderID != "":
		return "peer " + t.LeaderID
	case t.Leader != "":
		return "name " + t.Leader
	}
	return "at " + t.URL
}

// same is whether there is nothing to tell between two states.
func (t Tracker) same(u Tracker) bool {
	if t.State != u.State {
		return false
	}
	if !t.settled() {
		return true
	}
	return t.who() == u.who() && t.Term == u.Term && t.InMesh == u.InMesh // that it is alone, or no more, members coming show
}

// news is a sentence for a change; empty if there is none to tell.
func (s *TrackerStory) news(before, t Tracker) string {
	switch t.State {
	case TrackerLost:
		if !s.settled.settled() {
			return "" // there was none to lose
		}
		text := s.called(s.settled) + " is lost; the chat goes on between the linked peers"
		if t.Err != "" {
			text += " (" + t.Err + ")"
		}
		return text
	case TrackerElecting:
		return "the peers are electing a new tracker"
	case TrackerConnected, TrackerHosting:
		return s.arrived(before, t)
	}
	return ""
}

// arrived tells of a tracker that answers: who it is, of which term, how it came to it, and who can reach it.
func (s *TrackerStory) arrived(before, t Tracker) string {
	was := s.settled
	known := was.settled() && was.who() == t.who()
	if known && before.settled() && before.Term == t.Term && before.InMesh && !t.InMesh { // only who can reach it has changed
		return s.called(t) + " can be reached from outside the mesh now"
	}
	if known && before.settled() && before.Term == 0 && t.elected() && !t.InMesh { // the first company brings the first term, and nothing new
		return ""
	}
	passed := !known && before.settled() && before.elected() // nothing was lost in between
	var text string
	switch {
	case t.Self && passed:
		text = "the tracker passed from " + s.name(before) + " to you" + term(t) + "; " + reached(t)
	case t.Self && known && before.settled():
		text = "you are still the tracker" + term(t) + "; " + reached(t)
	case t.Self && t.Solo:
		text = "no tracker answers, so you are the tracker now, alone" + term(t) + "; " + reached(t)
	case t.Self:
		text = "you are the tracker now" + term(t) + "; " + reached(t)
	case t.elected() && passed:
		text = "the tracker passed from " + s.name(before) + " to " + s.name(t) + term(t)
	case t.elected() && known && before.settled():
		text = s.name(t) + " is still the tracker" + term(t)
	case t.elected() && !was.settled():
		text = "connected to the tracker, " + s.name(t) + term(t)
	case t.elected() && known && was.Term != t.Term:
		text = s.name(t) + " is the tracker again" + term(t)
	case t.elected() && known:
		text = "connected again to the tracker, " + s.name(t) + term(t)
	case t.elected():
		text = s.name(t) + " is the tracker now" + term(t)
	case was.elected() && s.home == t.URL:
		text = "the home tracker " + trackerHost(t.URL) + " is back" + term(t)
	case was.elected():
		text = "the home tracker " + trackerHost(t.URL) + " is the tracker now" + term(t)
	case known && before.settled():
		text = "the tracker at " + trackerHost(t.URL) + " goes on" + term(t)
	case known:
		text = "connected again to the tracker at " + trackerHost(t.URL) + term(t)
	default:
		text = "connected to the tracker at " + trackerHost(t.URL) + term(t)
	}
	if t.InMesh && !t.Self {
		text += "; " + inMesh
	}
	if t.Solo && !t.Self {
		text += "; it is alone"
	}
	return text
}

// reached says where others find the tracker in this process. What it was dialled at from here may be of no use to
// them.
func reached(t Tracker) string {
	if t.InMesh && !t.Solo {
		return inMesh
	}
	host := trackerHost(t.URL)
	if isLoopback(host) {
		return "it listens at " + host + ", /invite says where others reach it"
	}
	return "others reach it at " + host
}

func term(t Tracker) string {
	if t.Term == 0 {
		return ""
	}
	return " (term " + utoa(t.Term) + ")"
}

// name is a tracker in a sentence: a peer's name, "you", or the address.
func (s *TrackerStory) name(t Tracker) string {
	switch {
	case t.Self:
		return "you"
	case !t.elected():
		return trackerHost(t.URL)
	case s.Name != nil:
		return s.Name(t.LeaderID, t.Leader)
	case t.Leader != "":
		return t.Leader
	}
	return "#" + Tag(t.LeaderID)
}

// called is a tracker at the start of a sentence.
func (s *TrackerStory) called(t Tracker) string {
	switch {
	case t.Self:
		return "your tracker"
	case t.elected():
		return "the tracker, " + s.name(t) + ","
	}
	return "the tracker at " + trackerHost(t.URL)
}

// noteTracker puts a sentence into a timeline. One of the same key that came shortly before goes, and is counted: so
// flapping fills no screen, and the line at the end is always the last state.
func (m *Model) noteTracker(r *room, key, text string) {
	it := &item{kind: itemNotice, at: m.now, text: text, news: key, times: 1}
	for i := len(r.items) - 1; i >= max(0, len(r.items)-flappingBack); i-- {
		if old := r.items[i]; old.news == key && m.now.Sub(old.at) < flapping {
			if r.scroll != nil && !r.scroll.item.less(old) {
				break // it is in view or above, and the view does not move
			}
			it.times += old.times
			r.remove(i)
			break
		}
	}
	if it.times > 1 {
		it.text += " (" + itoa(it.times) + " times)"
	}
	r.add(it)
}

// trackerHost is the part of a tracker's URL that people care for.
func trackerHost(s string) string {
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		return u.Host
	}
	return s
}

// isLoopback reports whether host:port means this machine to whoever reads it.
func isLoopback(hostPort string) bool {
	u := url.URL{Host: hostPort}
	ip, err := netip.ParseAddr(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// trackerSegment always tells who the tracker is, or what is being tried.
func (m *Model) trackerSegment() segment {
	t := m.tracker
	more := m.sign("…", "~")
	switch t.State {
	case TrackerConnected, TrackerHosting:
		who, short := trackerHost(t.URL), truncate(trackerHost(t.URL), 16, more)
		if t.elected() {
			who = truncate(m.story.name(t), 20, more)
			short = who
		}
		s := segment{text: "tracker: " + who, short: "trk: " + short}
		if t.Term > 0 {
			s.text += ", term " + utoa(t.Term)
		}
		if t.InMesh {
			s.text, s.short = s.text+", only in the mesh", s.short+", in mesh"
		}
		if t.Solo {
			s.text, s.short = s.text+", alone", s.short+", alone"
		}
		return s
	case TrackerElecting:
		electing := "electing" + m.sign("…", "...")
		return segment{text: "tracker: " + electing, short: "trk: " + electing, role: roleAlert}
	}
	state := "searching"
	if t.State == TrackerLost {
		state = "lost"
	}
	s := segment{text: "tracker: " + state, short: "trk: " + state, role: roleAlert}
	if t.Trying != "" {
		what := strings.Replace(strings.TrimPrefix(t.Trying, "ws://"), "/ws (", " (", 1)
		s.text += ", trying " + truncate(what, 40, more)
	}
	return s
}
