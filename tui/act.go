package tui

import (
	"fmt"
	"strings"
)

// enterLine takes the input as a line: it is said, or done. What cannot be said stays in the input.
func (m *Model) enterLine() {
	line := m.input.text
	action, err := Parse(line, m.room().name)
	if err != nil {
		m.fail(err)
		m.room().follow()
		return
	}
	if action == nil {
		return
	}
	m.history.add(line)
	m.input = editor{}
	m.act(action)
}

// giveBack puts the last of what was typed in vain back into the input of a room, unless there is something by now. All
// of it is in the input history.
func (m *Model) giveBack(r *room, said []string) {
	input := &r.draft
	if r == m.room() {
		input = &m.input
	}
	if len(said) > 0 && input.text == "" {
		input.insert(said[len(said)-1])
		m.arrange()
	}
}

// act does what the Model does by itself, and hands out the rest.
func (m *Model) act(action Action) {
	r := m.room()
	switch a := action.(type) {
	case Join:
		if m.find(a.Room) != nil {
			m.act(Switch(a))
			return
		}
		m.joining = a.Room
		m.out.Actions = append(m.out.Actions, a)
	case Switch:
		for i := range m.rooms {
			if m.rooms[i].name == a.Room {
				m.show(i)
				return
			}
		}
		m.fail(fmt.Errorf("you are not in #%s: enter it with /join %s", a.Room, a.Room))
	case Leave:
		if m.find(a.Room) == nil {
			m.fail(fmt.Errorf("you are not in #%s", a.Room))
			return
		}
		m.out.Actions = append(m.out.Actions, a)
	case JoinVoice:
		if m.find(a.Room) == nil {
			m.fail(fmt.Errorf("you are not in #%s: enter it first with /join %s", a.Room, a.Room))
			return
		}
		m.out.Actions = append(m.out.Actions, a)
	case Names:
		m.names(a.Room)
	case AskTopic:
		if r.topic == "" {
			m.note(r, itemNotice, "#"+r.name+" has no topic; set one with /topic TEXT")
		} else {
			m.note(r, itemNotice, "topic of #"+r.name+": "+r.topic)
		}
	case Help:
		if a.Topic == "" {
			m.openHelp("")
		} else {
			m.answer(r, "", HelpText(a.Topic))
		}
	case Clear:
		r.clear()
	case Search:
		m.openSearch(a)
	case ShowOlder:
		if a.Lines == 0 {
			a.Lines = max(1, m.layout.timeline.h-1)
		}
		m.scrollBy(-a.Lines)
	case Bell:
		if a.Mode != "" {
			m.bell = a.Mode
		}
		says := map[string]string{
			"off": "never", "mention": "when somebody says your name", "all": "at every message",
		}
		m.note(r, itemNotice, "the bell rings "+says[m.bell]+" (/bell off, mention or all)")
	case Joins:
		if a.Mode != "" {
			m.joins = a.Mode
		}
		says := map[string]string{"all": "all are shown", "smart": "of those who spoke lately are shown", "none": "are hidden"}
		m.note(r, itemNotice, "joins and leaves "+says[m.joins]+" (/joins all, smart or none)")
	case Mouse:
		m.mouse = a.Mode == "on" || a.Mode == "" && !m.mouse
		on := m.mouse
		m.out.Mouse = &on
		m.flash = "the mouse is off: the terminal selects text again"
		if m.mouse {
			m.flash = "the mouse is on: the wheel scrolls, a click chooses (Shift lets the terminal select)"
		}
	default:
		m.out.Actions = append(m.out.Actions, action)
		r.follow()
	}
}

func (m *Model) listRooms() {
	if len(m.known) == 0 {
		m.answer(m.room(), "no rooms are known yet: make one with /join ROOM", nil)
		return
	}
	lines := make([]string, 0, len(m.known))
	for _, k := range m.known {
		mark := " "
		if k.Joined {
			mark = m.sign("●", "*")
		}
		line := mark + " " + padRight("#"+SanitizeLine(k.Room), 20, "…") + padLeft(itoa(k.Members), 5, "")
		if r := m.find(k.Room); r != nil && m.syncText(r) != "" {
			line += "  " + m.syncText(r)
		}
		if k.Topic != "" {
			line += "  " + SanitizeLine(k.Topic)
		}
		lines = append(lines, line)
	}
	m.answer(m.room(), plural(len(m.known), "room", "rooms")+"; go to one with /join ROOM", lines)
}

func (m *Model) names(name string) {
	r := m.find(name)
	if r == nil {
		m.fail(fmt.Errorf("you are not in #%s", name))
		return
	}
	lines := make([]string, 0, len(r.members))
	longest := 0
	for _, mem := range r.people() {
		longest = max(longest, min(24, textWidth(mem.Name)+5))
	}
	for i, mem := range r.people() {
		if i == 500 {
			lines = append(lines, "… and "+itoa(len(r.members)-i)+" more")
			break
		}
		state := "not linked"
		if m.meshed(r) {
			state = "reached through others"
		}
		if l, up := m.links[mem.ID]; up {
			state = "linked"
			if l.Path == "relay" {
				state = "linked through a relay"
			}
			if l.RTT > 0 {
				state += ", " + rtt(l.RTT)
			}
		}
		if mem.ID == m.self.ID {
			state = "you"
		}
		lines = append(lines, padRight(mem.Name+"#"+Tag(mem.ID), longest, "…")+"  "+state)
	}
	title := plural(len(r.members), "person", "people") + " in #" + r.name
	if text := m.syncText(r); text != "" {
		title += ", " + text
	}
	m.answer(m.room(), title, lines)
}

// overlayMode says what lies over the screen, or has taken over the input line.
type overlayMode uint8

const (
	overlayNone   overlayMode = iota
	overlayHelp               // a page over everything
	overlaySwitch             // rooms by a part of their name
	overlayRecall             // search in what was typed
	overlaySearch             // search in all that was said
	overlayPaste              // a question
	overlayCode               // a QR code over everything
)

type overlay struct {
	mode  overlayMode
	query editor
	at    int    // help: first line; switch: selected match; recall: index of the entry found
	text  string // paste
	miss  bool   // nothing fits the query

	codes [][]string // QR codes, see Invitation

	search *searching
}

func (m *Model) openHelp(string) {
	m.overlay = overlay{mode: overlayHelp}
}

// closeOverlay closes it.
func (m *Model) closeOverlay() {
	if m.overlay.mode == overlaySearch {
		m.endSearch()
	}
	m.overlay = overlay{}
}

// overlayKey is a key while something is open.
func (m *Model) overlayKey(op string, k Key) {
	o := &m.overlay
	switch o.mode {
	case overlayHelp:
		m.helpKey(op, k)
		return
	case overlayCode:
		m.overlay = overlay{}
		if k.Text != "" {
			m.typed(k.Text) // it came unasked while somebody was typing
		}
		return
	case overlayPaste:
		switch {
		case op == "enter" || strings.EqualFold(k.Text, "y"):
			text := o.text
			m.overlay = overlay{}
			m.focus = paneInput
			m.typed(text)
		case op == "backspace" || strings.EqualFold(k.Text, "n"):
			m.overlay = overlay{}
		}
		return
	case overlaySearch:
		if m.searchKey(op) {
			return
		}
	}
	switch op {
	case "backspace":
		o.query.cut(o.query.before(), o.query.pos)
		m.overlayChanged()
		return
	case "kill-line", "kill-word":
		o.query = editor{}
		m.overlayChanged()
		return
	case "enter":
		m.acceptOverlay()
		return
	}
	back := op == "up" || op == "page-up" || op == "complete-back" || op == "line-up"
	forth := op == "down" || op == "page-down" || op == "complete" || op == "line-down"
	switch {
	case o.mode == overlaySwitch && (back || forth || op == "room-find"):
		if n := len(m.switchMatches()); n > 0 {
			by := 1
			if back {
				by = -1
			}
			o.at = (o.at + by + n) % n
		}
	case o.mode == overlayRecall && (back || op == "recall"):
		m.recallFrom(o.at)
	case k.Text != "":
		if o.query.insert(cleanInput(k.Text)) {
			m.overlayChanged()
		}
	}
}

func (m *Model) helpKey(op string, k Key) {
	o := &m.overlay
	page := max(1, m.height-2)
	switch {
	case op == "up" || op == "line-up":
		o.at--
	case op == "down" || op == "line-down":
		o.at++
	case op == "page-up":
		o.at -= page
	case op == "page-down" || k.Text == " ":
		o.at += page
	case op == "home" || op == "top":
		o.at = 0
	case op == "end" || op == "bottom":
		o.at = 1 << 20
	default:
		m.overlay = overlay{}
		return
	}
	o.at = max(0, min(o.at, len(m.helpLines())-page))
}

// overlayChanged follows a change of the query.
func (m *Model) overlayChanged() {
	o := &m.overlay
	switch o.mode {
	case overlaySwitch:
		o.at = 0
	case overlayRecall:
		m.recallFrom(len(m.history.entries))
	case overlaySearch:
		o.search.typing = true
		m.startSearch()
	}
}

func (m *Model) acceptOverlay() {
	o := m.overlay
	switch o.mode {
	case overlaySwitch:
		matches := m.switchMatches()
		m.closeOverlay()
		if o.at < len(matches) {
			m.show(matches[o.at])
		}
	case overlayRecall:
		if o.at < len(m.history.entries) {
			m.input.set(m.history.entries[o.at])
		}
		m.closeOverlay()
	case overlaySearch:
		m.searchEnter()
	}
}

// switchMatches are the rooms that fit the query, best first, by their number.
func (m *Model) switchMatches() []int {
	type match struct{ room, score int }
	var list []match
	for i, r := range m.rooms {
		if s := fuzzy(strings.TrimPrefix(m.overlay.query.text, "#"), r.name); s >= 0 || m.overlay.query.text == "" {
			list = append(list, match{i, s})
		}
	}
	for i := 1; i < len(list); i++ { // few: insertion keeps equals in their order
		for j := i; j > 0 && list[j].score > list[j-1].score && m.overlay.query.text != ""; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	out := make([]int, len(list))
	for i := range list {
		out[i] = list[i].room
	}
	return out
}

func (m *Model) recallFrom(from int) {
	o := &m.overlay
	if o.query.text == "" {
		o.at, o.miss = len(m.history.entries), false
		return
	}
	i := m.history.search(o.query.text, from)
	if o.miss = i < 0; !o.miss {
		o.at = i
	}
}
