package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// /older in line mode: lines that were not printed yet are read from the history, backwards from the first that was
// printed. Where it has no more, the other peers are asked, and it is read again, from the last that was printed: what
// they send may belong anywhere.

const (
	olderLinesAsked = 20 // of an /older without a number
	maxOlders       = 16 // that wait
	// maxPrinted is how many lines of a room are remembered as printed: more than the history holds of it, unless that
	// is set otherwise.
	maxPrinted = 1 << 14
	// olderPatience is how long, at the end of the input, the others' lines may take.
	olderPatience = 12 * time.Second
)

// placeOf is where an event stands in a room's log.
type placeOf struct {
	lamport uint64
	author  wire.PeerID
}

func (p placeOf) before(q placeOf) bool {
	return p.lamport < q.lamport || p.lamport == q.lamport && p.author.Less(q.author)
}

// backlog is what was printed of a room, so that nothing is printed twice.
type backlog struct {
	from    placeOf // what is before it is to be looked through; see begun
	last    placeOf // the last one that was printed, in display order
	begun   bool    // else there is nothing yet that it could be before
	entered bool    // the room is entered, and its newest lines have been told
	printed map[uuid.UUID]bool
	order   []uuid.UUID // of printed, the oldest at next
	next    int
}

func (m *lineMode) backlog(room wire.Room) *backlog {
	b := m.backlogs[room]
	if b == nil {
		b = &backlog{printed: map[uuid.UUID]bool{}}
		m.backlogs[room] = b
	}
	return b
}

// saw notes a message that is printed.
func (b *backlog) saw(ev peer.Message) {
	at := placeOf{ev.Lamport, ev.Person.Peer}
	if !b.begun {
		b.from, b.last, b.begun = at, at, true
	}
	if b.last.before(at) {
		b.last = at
	}
	b.note(ev.ID)
}

func (b *backlog) note(id uuid.UUID) {
	if b.printed[id] {
		return
	}
	b.printed[id] = true
	if len(b.order) < maxPrinted {
		b.order = append(b.order, id)
		return
	}
	delete(b.printed, b.order[b.next])
	b.order[b.next] = id
	b.next = (b.next + 1) % maxPrinted
}

// olderAsk is an /older that waits, or is being answered.
type olderAsk struct {
	room    wire.Room
	lines   int
	got     []olderLine // from the last to the first
	holes   map[wire.PeerID]holeOf
	bytes   int
	reading bool // it is its turn
	fetched bool // the others were asked
	answer  peer.OlderAnswer
}

// olderLine is a message, and how many of its author are missing just after it, if what is behind them was printed
// before.
type olderLine struct {
	peer.Message
	missing uint64
}

// holeOf is what is missing before a line that was printed.
type holeOf struct{ after, lines uint64 }

// olderLines is what came of an /older.
type olderLines struct {
	room  wire.Room
	lines []olderLine // in display order
	// end says why there are no more: "beginning", "alone" (nobody is linked who could have more), "error", or empty:
	// there may be more.
	end, text string
}

// older is /older in line mode. They are answered one after the other.
func (m *lineMode) older(a tui.ShowOlder) {
	room := wire.Room(a.Room)
	switch {
	case !m.view.in(room):
		m.problem("room", fmt.Sprintf("you are not in %s; enter it with /join %s", room, a.Room))
		return
	case len(m.olders) >= maxOlders:
		m.problem("older", fmt.Sprintf("no older lines: %d others wait for theirs already", maxOlders))
		return
	}
	if a.Lines == 0 {
		a.Lines = olderLinesAsked
	}
	m.olders = append(m.olders, olderAsk{room: room, lines: a.Lines})
	m.startOlder()
}

// startOlder begins with the first that waits, if its room has been entered: a script may ask before that.
func (m *lineMode) startOlder() {
	if len(m.olders) > 0 && !m.olders[0].reading && m.backlog(m.olders[0].room).entered {
		m.olders[0].reading = true
		m.readOlder()
	}
}

// leaveOlder forgets a room, and those who wait for its lines.
func (m *lineMode) leaveOlder(room wire.Room) {
	delete(m.backlogs, room)
	m.olders = slices.DeleteFunc(m.olders, func(a olderAsk) bool { return a.room == room && !a.reading })
}

// readOlder reads on for the first that waits.
func (m *lineMode) readOlder() {
	room := m.olders[0].room
	from := placeOf{lamport: math.MaxInt64}
	if b := m.backlog(room); b.begun {
		from = b.from
	}
	pages := m.pages
	if !m.archive.before(room, from, func(page olderEvents) { pages.Post(page) }) {
		m.endOlder("error", "the history is being closed, or too much is asked of it")
	}
}

// olderRead takes what was read.
func (m *lineMode) olderRead(page olderEvents) {
	if len(m.olders) == 0 || page.room != m.olders[0].room || !m.olders[0].reading {
		return
	}
	ask, b := &m.olders[0], m.backlog(page.room)
	if page.err != nil {
		m.endOlder("error", page.err.Error())
		return
	}
	for i := len(page.events) - 1; i >= 0; i-- {
		e := &page.events[i]
		if len(ask.got) == ask.lines || ask.bytes >= maxPageBytes {
			m.endOlder("", "")
			return
		}
		b.from, b.begun = placeOf{e.Lamport, e.Author}, true
		if missing := page.missing[i]; missing > 0 && b.printed[e.ID] {
			if ask.holes == nil {
				ask.holes = map[wire.PeerID]holeOf{}
			}
			ask.holes[e.Author] = holeOf{after: e.Seq - 1 - missing, lines: missing}
		}
		if !isShown(e.Kind) || b.printed[e.ID] {
			continue
		}
		b.note(e.ID)
		ask.bytes += len(e.Body)
		l := olderLine{Message: toMessage(e, m.view.self.Peer, page.missing[i])}
		if h, ok := ask.holes[e.Author]; ok && e.Seq <= h.after {
			l.missing = h.lines
			delete(ask.holes, e.Author)
		}
		ask.got = append(ask.got, l)
	}
	switch {
	case len(ask.got) == ask.lines:
		m.endOlder("", "")
	case !page.first:
		m.readOlder()
	case !ask.fetched:
		ask.fetched = true
		m.buf = m.print.asking(m.buf[:0], ask.room)
		m.out.add(m.buf)
		m.node.Do(peer.FetchOlder{Ref: "older", Room: ask.room, Events: ask.lines - len(ask.got)})
	default:
		m.olderEnds()
	}
}

// olderFetched takes what the others had.
func (m *lineMode) olderFetched(a peer.OlderAnswer) {
	if len(m.olders) == 0 || m.olders[0].room != a.Room || !m.olders[0].fetched {
		return
	}
	m.olders[0].answer = a
	if a.Events == 0 {
		m.olderEnds()
		return
	}
	if b := m.backlog(a.Room); b.begun && b.from.before(b.last) {
		b.from = b.last
	}
	m.readOlder()
}

// olderEnds ends an /older that got less than it asked for, and says why.
func (m *lineMode) olderEnds() {
	ask := &m.olders[0]
	switch a := ask.answer; {
	case errors.Is(a.Err, peer.ErrAlone):
		m.endOlder("alone", fmt.Sprintf("no more of %s is held here, and nobody is linked who could have older lines", ask.room))
	case a.Err != nil:
		m.endOlder("error", noOlderText(a))
	case a.More:
		m.endOlder("", "")
	default:
		m.endOlder("beginning", "this is the beginning of "+ask.room.String())
	}
}

// endOlder prints what the first that waits got, and goes on with the next.
func (m *lineMode) endOlder(end, text string) {
	ask := m.olders[0]
	m.olders = m.olders[1:]
	o := olderLines{room: ask.room, end: end, text: text}
	for i := len(ask.got) - 1; i >= 0; i-- {
		o.lines = append(o.lines, ask.got[i])
	}
	m.buf = m.print.older(m.buf[:0], o, &m.view)
	m.out.add(m.buf)
	m.startOlder()
}

// toMessage is an event of the history as a Message.
func toMessage(e *wire.Event, self wire.PeerID, missing uint64) peer.Message {
	return peer.Message{Room: e.Room, Person: peer.Person{Peer: e.Author, Name: e.Name}, ID: e.ID, Seq: e.Seq, Lamport: e.Lamport, Kind: e.Kind,
		Text: string(e.Body), Sent: e.Time, Self: e.Author == self, Missing: missing, History: true}
}

func (p *plainPrinter) asking(b []byte, room wire.Room) []byte {
	return line(b, p.now(), fmt.Sprintf("-!- asking the others for older lines of %s", room))
}

func (p *plainPrinter) older(b []byte, o olderLines, v *view) []byte {
	now := p.now()
	b = p.printPast(b, o.room, v)
	if len(o.lines) > 0 {
		b = line(b, now, fmt.Sprintf("-!- older lines of %s, %d:", o.room, len(o.lines)))
	}
	for _, msg := range o.lines {
		b = p.message(p.hole(b, now, msg.Message), now, msg.Message, v)
		if msg.missing > 0 {
			b = line(b, now, fmt.Sprintf("-!- %s: %s", o.room, tui.MissingText(p.name(msg.Person), msg.missing)))
		}
	}
	text := tui.SanitizeLine(o.text)
	if text == "" {
		text = "these were older lines; /older shows more"
	}
	return line(b, now, "-!- "+text)
}

func (p *jsonPrinter) asking(b []byte, _ wire.Room) []byte { return b }

// jsonOlder is a line of an answer to /older, like a message.
type jsonOlder struct {
	Peer    string `json:"peer"`
	Name    string `json:"name"`
	ID      string `json:"id"`
	Seq     uint64 `json:"seq"`
	Kind    string `json:"kind"`
	Text    string `json:"text"`
	Sent    string `json:"sent"`
	Self    bool   `json:"self"`
	Lamport uint64 `json:"lamport"`
	Missing uint64 `json:"missing_before,omitempty"`
	After   uint64 `json:"missing_after,omitempty"`
}

func (p *jsonPrinter) older(b []byte, o olderLines, _ *view) []byte {
	lines := make([]jsonOlder, 0, len(o.lines))
	for _, m := range o.lines {
		lines = append(lines, jsonOlder{Peer: idString(m.Person.Peer), Name: m.Person.Name, ID: m.ID.String(), Seq: m.Seq, Kind: kindName(m.Kind),
			Text: m.Text, Sent: m.Sent.UTC().Format(jsonTime), Self: m.Self, Lamport: m.Lamport, Missing: m.Missing, After: m.missing})
	}
	return p.begin(b, "older").str("room", string(o.room)).any("lines", lines).str("end", o.end).str("text", o.text).end()
}
