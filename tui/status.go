package tui

import (
	"strings"
	"time"
)

// role says what a piece of text means; the theme makes a style of it.
type role uint8

const (
	rolePlain role = iota
	roleDim
	roleStrong
	roleAlert   // something is wrong or awaited
	roleUnread  // unread
	roleMention // unread, and meant for me
)

// segment is a piece of the status line. Short stands in where there is little room; empty goes.
type segment struct {
	text, short string
	role        role
}

// statusLine is the status line in at most width cells: the flash if there is one, else the segments that fit.
func (m *Model) statusLine(width int) []segment {
	if m.flash != "" {
		return []segment{{text: truncate(m.flash, width, m.sign("…", "~"))}}
	}
	all := m.statusSegments()
	// What goes first where there is little room: the clock, then long forms from the end, last the room if
	// the top line has it.
	drop := func(i int) { all[i].text = "" }
	shorten := func(i int) { all[i].text = all[i].short }
	for step := -1; step < len(all); step++ {
		switch {
		case step < 0:
		case step == 0:
			drop(0)
		case step < len(all)-1:
			shorten(len(all) - step)
		case m.layout.top.h > 0:
			drop(1)
		}
		if line, used := bracketed(all); used <= width || step == len(all)-1 {
			return line
		}
	}
	return nil
}

// bracketed puts what has a text in brackets, and counts the cells with a blank between each.
func bracketed(all []segment) (line []segment, used int) {
	for _, s := range all {
		if s.text == "" {
			continue
		}
		if used > 0 {
			used++
		}
		s.text = "[" + s.text + "]"
		used += textWidth(s.text)
		line = append(line, s)
	}
	return line, used
}

// statusSegments are the clock, the room, and then whatever there is to tell.
func (m *Model) statusSegments() []segment {
	r := m.room()
	clock := m.now.In(m.cfg.Location).Format("15:04")
	if m.now.IsZero() {
		clock = "--:--"
	}
	segments := []segment{{text: clock}}
	switch {
	case r.name == "":
		segments = append(segments, segment{text: "no room", short: "no room"})
	case m.layout.rooms.w == 0 && len(m.rooms) > 1:
		at := itoa(m.current+1) + ":#" + r.name
		segments = append(segments, segment{text: at, short: at})
	default:
		segments = append(segments, segment{text: "#" + r.name, short: "#" + r.name})
	}
	if s, ok := m.voiceSegment(r); ok {
		segments = append(segments, s)
	}
	if r.scroll != nil {
		down := m.sign("▼", "v")
		s := segment{text: down + " more", short: down, role: roleDim}
		if r.below > 0 {
			s = segment{text: down + " " + itoa(r.below) + " new", short: down + itoa(r.below), role: roleUnread}
		}
		segments = append(segments, s)
	}
	if r.name != "" {
		linked, others := m.others(r)
		count := itoa(linked) + "/" + itoa(others)
		if m.meshed(r) {
			count = itoa(others)
		}
		s := segment{text: "peers " + count, short: count}
		if linked == 0 && others > 0 {
			s.role = roleAlert
		}
		segments = append(segments, s)
	}
	if s, ok := m.syncSegment(r); ok {
		segments = append(segments, s)
	}
	segments = append(segments, m.trackerSegment())
	if s, ok := m.unreadSegment(); ok {
		segments = append(segments, s)
	}
	return segments
}

// syncedFor is how long the status line says that a room is synced, after it was not.
const syncedFor = 5 * time.Second

// syncSegment says how much of the room is still to come. Without a link nothing is on its way.
func (m *Model) syncSegment(r *room) (segment, bool) {
	linked, _ := m.others(r)
	switch s := r.synced; {
	case s.missing > 0 && linked == 0:
		return segment{text: s.text(), short: s.text(), role: roleUnread}, true
	case s.missing > 0:
		return segment{text: "syncing, " + s.text(), short: s.text(), role: roleUnread}, true
	case s.known && m.now.Sub(s.at) < syncedFor:
		return segment{text: s.text(), short: s.text(), role: roleDim}, true
	}
	return segment{}, false
}

// syncText says whether a room lacks something; empty if nobody is linked who could know.
func (m *Model) syncText(r *room) string {
	if linked, _ := m.others(r); linked == 0 && !r.synced.known {
		return ""
	}
	return r.synced.text()
}

func (s syncState) text() string {
	if s.missing > 0 {
		return itoa(s.missing) + " missing"
	}
	return "synced"
}

func utoa(n uint64) string { return itoa(int(min(n, 1<<53))) }

// unreadSegment lists rooms with something unread; '!' marks those where somebody said my name.
func (m *Model) unreadSegment() (segment, bool) {
	s := segment{role: roleUnread}
	var long, short []string
	for i, r := range m.rooms {
		if r.unread == 0 {
			continue
		}
		count := itoa(r.unread)
		bang := ""
		if r.mentions > 0 {
			s.role = roleMention
			bang = "!"
		}
		if len(long) < 6 {
			long = append(long, "#"+truncate(r.name, 16, m.sign("…", "~"))+"("+count+bang+")")
			short = append(short, itoa(i+1)+bang)
		}
	}
	s.text, s.short = "unread: "+strings.Join(long, ", "), "new: "+strings.Join(short, ",")
	return s, len(long) > 0
}

// topLine is what the top line says: the room, its topic, and how many are in it.
func (m *Model) topLine() (room, topic, people string) {
	r := m.room()
	if r.name == "" {
		return "peerchat", "", ""
	}
	return "#" + r.name, r.topic, plural(max(r.count, len(r.members)), "member", "members")
}

// roomLine is line i of the list of rooms, in width cells: number, name, and what is unread.
func (m *Model) roomLine(i, width int) (text string, count string, as role) {
	r := m.rooms[i]
	mark := " "
	if i == m.current {
		mark, as = m.sign("▸", ">"), roleStrong
	}
	if r.unread > 0 {
		count, as = itoa(min(r.unread, 999)), roleUnread
		if r.mentions > 0 {
			count, as = count+"!", roleMention
		}
	}
	number := " "
	if i < 9 {
		number = itoa(i + 1)
	}
	name := width - 3 - textWidth(count)
	if count != "" {
		name--
	}
	text = mark + number + " " + padRight(r.name, max(0, name), m.sign("…", "~"))
	return text, count, as
}

// memberLine is one line of the list of members: how the link is, and where the room has voice how that is, the name,
// and the link's round trip.
func (m *Model) memberLine(mem Member, width int) (sign, name, delay string, as role) {
	l, up := m.links[mem.ID]
	switch {
	case mem.ID == m.self.ID:
		sign = m.sign("◆", "@")
	case up && l.Path == "relay":
		sign = "~"
	case up:
		sign = m.sign("●", "*")
	default:
		sign, as = m.sign("○", "-"), roleDim
	}
	if up && l.RTT > 0 {
		delay = rtt(l.RTT)
	}
	name = m.shownName(m.room(), mem.ID, mem.Name)
	if len(m.room().voices) > 0 {
		sign += m.voiceSign(m.room(), mem.ID)
	}
	left := width - textWidth(sign) - 1
	if delay != "" {
		left -= textWidth(delay) + 1
	}
	return sign + " ", padRight(name, max(0, left), m.sign("…", "~")), delay, as
}

// rtt is a round trip as people read it.
func rtt(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "<1ms"
	case d < 10*time.Second:
		return itoa(int(d.Milliseconds())) + "ms"
	}
	return itoa(int(d.Seconds())) + "s"
}

// prompt is what stands before the input.
func (m *Model) prompt() string {
	o := m.overlay
	switch o.mode {
	case overlaySwitch:
		return "go to room: "
	case overlayRecall:
		if o.miss {
			return "typed, no match: "
		}
		return "typed: "
	case overlaySearch:
		return "search: "
	case overlayPaste:
		return ""
	}
	name := m.self.Name
	if name == "" {
		return "> "
	}
	return truncate(name, max(3, min(14, m.width/5)), m.sign("…", "~")) + "> "
}

// promptText is what the input line shows, with its cursor.
func (m *Model) promptText() string {
	o := m.overlay
	switch o.mode {
	case overlaySwitch, overlaySearch, overlayRecall:
		return o.query.text
	case overlayPaste:
		lines := strings.Count(o.text, "\n") + 1
		return "paste " + itoa(lines) + " lines into the input? Enter or y: yes, Esc or n: no"
	}
	return m.input.text
}

// hint is dim text behind the cursor: what to do in an empty input, or what a search found.
func (m *Model) hint() string {
	o := m.overlay
	switch {
	case o.mode == overlayRecall && o.at < len(m.history.entries):
		return "  " + m.sign("→ ", "-> ") + strings.ReplaceAll(m.history.entries[o.at], "\n", m.sign("↵", "|"))
	case o.mode == overlaySwitch:
		var names []string
		for i, at := range m.switchMatches() {
			name := m.rooms[at].name
			if i == o.at {
				name = "[" + name + "]"
			}
			names = append(names, name)
		}
		if len(names) == 0 {
			return "  no such room"
		}
		return "  " + strings.Join(names, " ")
	case o.mode != overlayNone || m.input.text != "":
		return ""
	case m.room().name == "":
		return "/join ROOM enters a room, F1 helps"
	}
	return "message #" + m.room().name + ", F1 helps"
}

func (m *Model) inputWidth() int { return max(1, m.width-textWidth(m.prompt())-1) }

// helpLines is the help page: headings start with '#', the rest is two columns. On a narrow screen the second one goes
// below the first.
func (m *Model) helpLines() [][2]string {
	lines := [][2]string{{"#Keys", ""}}
	plain := strings.NewReplacer("↑", "Up", "↓", "Down", "←", "Left", "→", "Right", "…", "..")
	for _, k := range keyHelp() {
		if m.cfg.ASCII {
			k[0], k[1] = plain.Replace(k[0]), plain.Replace(k[1])
		}
		lines = append(lines, k)
	}
	lines = append(lines, [2]string{}, [2]string{"#Commands", ""})
	for _, c := range commands() {
		lines = append(lines, [2]string{c.use(), c.help})
	}
	lines = append(lines, [2]string{"//text", "say a text that starts with a slash"})
	on, off := m.sign("●", "*"), m.sign("○", "-")
	lines = append(lines, [2]string{}, [2]string{"#Signs", ""},
		[2]string{on + "  " + off + "  ~", "member is linked, not linked (reached through others in a room of more than six), linked through a relay"},
		[2]string{m.voiceSigns(), "member is in voice: talks, listens, is muted, is deaf"},
		[2]string{m.sign("…  2/5  ✓", "..  2/5  ok"), "your message: nobody has it yet, 2 of 5 have it, all have it; none: from an earlier run, and not known"},
		[2]string{"3  3!", "unread lines in a room; with your name in them"})
	if m.width >= 80 {
		return lines
	}
	var narrow [][2]string
	for _, l := range lines {
		narrow = append(narrow, [2]string{l[0], ""})
		if l[1] != "" {
			for _, row := range wrap(l[1], m.width-6) {
				narrow = append(narrow, [2]string{"", row})
			}
		}
	}
	return narrow
}
