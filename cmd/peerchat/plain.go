package main

import (
	"fmt"
	"strings"
	"time"

	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// maxNames bounds the names that plain mode remembers, to see which are borne by two.
const maxNames = 10_000

// retellAfter is how often a search that goes on is told of.
const retellAfter = 30 * time.Second

// plainPrinter prints a line an event, for people, pipes and screen readers: no colour, no cursor movement. Everything
// that comes from elsewhere is sanitised.
type plainPrinter struct {
	now  func() time.Time
	echo bool // print own messages too: they are not on the screen because they were typed there

	bearers  map[string]wire.PeerID // of names, in lower case; the first of each
	doubt    map[string]bool        // names with more than one bearer
	story    tui.TrackerStory       // of the tracker, as far as it was printed
	searched peer.TrackerChanged    // the last that was printed of a search
	told     time.Time              // when
	linked   map[wire.PeerID]bool   // peers with a link
	linkedAt time.Time              // when the last of them got it
	tracked  bool                   // there is a tracker
	members  map[wire.Room]*plainRoom
	pasts    map[wire.Room]*past
	gaps     map[wire.Room]gap // rooms that lack something
	holes    map[logOf]uint64  // logs that went on without what nobody had, and the number of the last event before that
}

// logOf is somebody's log of a room.
type logOf struct {
	room   wire.Room
	author wire.PeerID
}

func newPlainPrinter(now func() time.Time, echo bool) *plainPrinter {
	p := &plainPrinter{now: now, echo: echo, bearers: map[string]wire.PeerID{}, doubt: map[string]bool{}, linked: map[wire.PeerID]bool{},
		members: map[wire.Room]*plainRoom{}, pasts: map[wire.Room]*past{}}
	p.story.Name = p.leaderName
	return p
}

func (p *plainPrinter) event(b []byte, ev peer.Event, v *view) []byte {
	now := p.now()
	switch ev := ev.(type) {
	case peer.Ready:
		p.meet(ev.Self)
		return line(b, now, fmt.Sprintf("-!- you are %s#%s in %s", tui.SanitizeLine(ev.Self.Name), ev.Self.Peer.Tag(), roomList(ev.Rooms)))
	case peer.TrackerChanged:
		p.tracked = ev.State == peer.TrackerConnected || ev.State == peer.TrackerHosting
		p.trackArrivals()
		if text := p.tracker(ev, now); text != "" {
			return line(b, now, "-!- "+text)
		}
		return b
	case peer.RoomJoined:
		p.entered(ev)
		return b
	case peer.RoomLeft:
		b = p.printPast(b, ev.Room, v)
		delete(p.pasts, ev.Room)
		delete(p.gaps, ev.Room)
		delete(p.members, ev.Room)
		return line(b, now, fmt.Sprintf("<-- you left %s", ev.Room))
	case peer.Synced:
		return p.synced(b, ev)
	case peer.MemberJoined:
		if !p.came(ev) {
			return b
		}
		return line(b, now, fmt.Sprintf("--> %s joined %s (%d here)", p.name(ev.Person), ev.Room, ev.Members))
	case peer.MemberLeft:
		if !p.went(ev) {
			return b
		}
		return line(b, now, fmt.Sprintf("<-- %s left %s (%d here)", p.name(ev.Person), ev.Room, ev.Members))
	case peer.MemberRenamed:
		if !p.renamed(ev, v.self.Peer) {
			return b
		}
		return line(b, now, fmt.Sprintf("-!- %s is now called %s", tui.SanitizeLine(ev.Was), p.name(ev.Person)))
	case peer.VoiceChanged:
		return line(b, now, p.voiceChanged(ev))
	case peer.LinkChanged:
		return p.link(b, now, ev, v)
	case peer.Message:
		if p.isPast(ev) {
			return p.fetched(b, ev, v)
		}
		b = p.printPast(b, ev.Room, v)
		p.pastOf(ev.Room).spoke(ev)
		if ev.Self && !p.echo {
			return b
		}
		return p.message(p.hole(b, now, ev), now, ev, v)
	case peer.Notice:
		return line(b, now, "-!- "+tui.Sanitize(ev.Text))
	case peer.Failure:
		b = line(b, now, "-!- error: "+tui.Sanitize(ev.Text))
		for _, text := range retyped(ev.Said, tui.ParsePlain) {
			b = line(b, now, "-!- not said: "+tui.Sanitize(text))
		}
		return b
	case peer.Answer:
		for _, text := range answerLines(ev, v.gaps) {
			b = line(b, now, "-!- "+text)
		}
	}
	return b
}

// fewEnough is how many may be in each room while every link is told of. In larger ones most people are reached through
// others, and a link more or less means nothing; /peers tells of them.
const fewEnough = 6

// link prints that a link came up or went down: in small rooms each of them, in large ones only the first and the last.
func (p *plainPrinter) link(b []byte, now time.Time, ev peer.LinkChanged, v *view) []byte {
	before := len(p.linked)
	if ev.Up {
		p.linked[ev.Person.Peer], p.linkedAt = true, now
	} else {
		delete(p.linked, ev.Person.Peer)
	}
	many := false
	for _, n := range v.count {
		many = many || n > fewEnough
	}
	switch {
	case many && min(before, len(p.linked)) > 0, !ev.Up && ev.Reason == peer.NotNeeded:
		return b
	case ev.Up:
		return line(b, now, fmt.Sprintf("-!- linked to %s%s", p.name(ev.Person), pathText(ev.Path)))
	}
	why := ""
	if ev.Reason != "" {
		why = ": " + tui.SanitizeLine(ev.Reason)
	}
	if many {
		return line(b, now, fmt.Sprintf("-!- no link to anybody any more%s", why))
	}
	return line(b, now, fmt.Sprintf("-!- no link to %s any more%s", p.name(ev.Person), why))
}

// hole prints, before a message, that some of its author's are missing, and before the first of those that they are
// coming.
func (p *plainPrinter) hole(b []byte, now time.Time, m peer.Message) []byte {
	log := logOf{m.Room, m.Person.Peer}
	last, known := p.holes[log]
	switch {
	case m.Missing > 0:
		if known || len(p.holes) < maxNames {
			if p.holes == nil {
				p.holes = map[logOf]uint64{}
			}
			p.holes[log] = m.Seq - 1 - m.Missing
		}
		return line(b, now, fmt.Sprintf("-!- %s: %s", m.Room, tui.MissingText(p.name(m.Person), m.Missing)))
	case known && m.Seq == last+1:
		delete(p.holes, log)
		return line(b, now, fmt.Sprintf("-!- %s: what was missing of %s has come:", m.Room, p.name(m.Person)))
	}
	return b
}

func (p *plainPrinter) message(b []byte, now time.Time, m peer.Message, v *view) []byte {
	at := now
	if m.History {
		at = m.Sent.Local()
	}
	if y, mo, d := at.Date(); m.History && !sameDay(now, y, mo, d) {
		b = at.AppendFormat(b, "2006-01-02 ")
	}
	where := ""
	if len(v.rooms) > 1 {
		where = m.Room.String() + " "
	}
	text := tui.Sanitize(m.Text)
	switch m.Kind {
	case wire.KindAction:
		return line(b, at, fmt.Sprintf("%s* %s %s", where, p.name(m.Person), text))
	case wire.KindTopic:
		if text == "" {
			return line(b, at, fmt.Sprintf("-!- %s cleared the topic of %s", p.name(m.Person), m.Room))
		}
		return line(b, at, fmt.Sprintf("-!- %s set the topic of %s to: %s", p.name(m.Person), m.Room, text))
	}
	return line(b, at, fmt.Sprintf("%s<%s> %s", where, p.name(m.Person), text))
}

func sameDay(t time.Time, y int, m time.Month, d int) bool {
	ty, tm, td := t.Date()
	return ty == y && tm == m && td == d
}

func (p *plainPrinter) problem(b []byte, _, text string) []byte {
	return line(b, p.now(), "-!- error: "+tui.SanitizeLine(text))
}

func (p *plainPrinter) notice(b []byte, _, text string) []byte {
	return line(b, p.now(), "-!- "+tui.SanitizeLine(text))
}

func (p *plainPrinter) help(b []byte, topic string) []byte {
	for _, l := range tui.HelpText(topic) {
		b = line(b, p.now(), "-!- "+l)
	}
	if topic == "" {
		b = line(b, p.now(), "-!- without a slash work too: peers, room NAME, send TEXT, voice join, voice leave, voice mute, voice unmute, "+
			"voice peers, connect HOST PORT, help, exit")
	}
	return b
}

// tracker says what is new of the tracker; empty if nothing is. A search tells of each try, and is told of now and
// then.
func (p *plainPrinter) tracker(t peer.TrackerChanged, now time.Time) string {
	text, _ := p.story.Tell(toTracker(t))
	if t.State == peer.TrackerLost && text != "" {
		text += tryingText(t)
	}
	searching := t.State == peer.TrackerSearching || t.State == peer.TrackerLost
	last := p.searched
	p.searched = t
	switch {
	case text != "":
	case !searching:
		return ""
	case t.State == last.State && (t.Err == nil || last.Err != nil) && now.Sub(p.told) < retellAfter:
		p.searched = last
		return ""
	default:
		text = searchLine(t)
	}
	p.told = now
	return text
}

// leaderName is what to call the peer that is the tracker. The name may come late, and the ID is its own.
func (p *plainPrinter) leaderName(id, name string) string {
	if name == "" {
		return "#" + tui.Tag(id)
	}
	return name + "#" + tui.Tag(id)
}

// meet takes note of who bears a name.
func (p *plainPrinter) meet(who peer.Person) {
	name := strings.ToLower(who.Name)
	if first, ok := p.bearers[name]; ok {
		if first != who.Peer {
			p.doubt[name] = true
		}
		return
	}
	if len(p.bearers) < maxNames {
		p.bearers[name] = who.Peer
	}
}

// name is what to call somebody: with the tag where two bear the same name.
func (p *plainPrinter) name(who peer.Person) string {
	p.meet(who)
	name := tui.SanitizeLine(who.Name)
	if p.doubt[strings.ToLower(who.Name)] {
		name += "#" + who.Peer.Tag()
	}
	return name
}

// line appends "15:04 text"; the further lines of a text are indented under the first.
func line(b []byte, at time.Time, text string) []byte {
	b = at.AppendFormat(b, "15:04 ")
	for rest := text; ; {
		first, after, more := strings.Cut(rest, "\n")
		b = append(b, first...)
		b = append(b, '\n')
		if !more {
			return b
		}
		b = append(b, "      "...)
		rest = after
	}
}
