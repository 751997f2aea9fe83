package tui

import (
	"strings"
	"time"
)

// Key is one stroke. Name is how the key is called, with its modifiers in the order Ctrl, Alt, Shift: "Ctrl+P",
// "Alt+Left", "PgUp", "F7", "Alt+a". A plain character has an empty Name and the character as Text.
type Key struct {
	Name string
	Text string
}

// Esc followed by a key within escWait is that key with Alt; a second Ctrl+C within quitWait leaves.
const (
	escWait  = 2 * time.Second
	quitWait = 3 * time.Second
)

// pasteAsks is how many lines of pasted text go in without a question.
const pasteAsks = 3

// bindings are the keys as they come: name of the key → operation.
func bindings() map[string]string {
	keys := map[string]string{
		"Ctrl+P": "room-previous", "Alt+Left": "room-previous", "Alt+Up": "room-previous",
		"Ctrl+N": "room-next", "Alt+Right": "room-next", "Alt+Down": "room-next",
		"Alt+a": "room-unread", "Ctrl+K": "room-find",
		"PgUp": "page-up", "PgDn": "page-down", "Ctrl+Home": "top", "Ctrl+End": "bottom",
		"Shift+Up": "line-up", "Shift+Down": "line-down", "Alt+PgUp": "page-up", "Alt+PgDn": "page-down",
		"Ctrl+F": "find", "Ctrl+R": "recall",
		"Tab": "complete", "Backtab": "complete-back",
		"Up": "up", "Down": "down", "Left": "left", "Right": "right", "Home": "home", "End": "end",
		"Ctrl+A": "home", "Ctrl+E": "end", "Ctrl+B": "left",
		"Ctrl+W": "kill-word", "Alt+Backspace": "kill-word", "Alt+d": "kill-word-after", "Ctrl+Delete": "kill-word-after",
		"Ctrl+U": "kill-line", "Alt+k": "kill-rest", "Ctrl+Y": "yank",
		"Alt+b": "word-left", "Ctrl+Left": "word-left", "Alt+f": "word-right", "Ctrl+Right": "word-right",
		"Backspace": "backspace", "Delete": "delete", "Ctrl+D": "delete",
		"Enter": "enter", "Alt+Enter": "newline", "Ctrl+J": "newline",
		"F1": "help", "F6": "focus-next", "Shift+F6": "focus-previous", "F7": "rooms", "F8": "members",
		"Alt+o": "focus-next", "Alt+r": "rooms", "Alt+m": "mouse", "Alt+l": "bare", "Alt+n": "members", "Alt+h": "help",
		"Ctrl+C": "cancel", "Ctrl+L": "redraw",
		"F2": "talk", "F3": "mute", "F4": "deafen", "Alt+t": "talk", "Alt+u": "mute", "Alt+e": "deafen",
	}
	for d := '1'; d <= '9'; d++ {
		keys["Alt+"+string(d)] = "room-" + string(d)
	}
	return keys
}

// keyHelp is the help on keys, a line each: the keys, then what they do.
func keyHelp() [][2]string {
	return [][2]string{
		{"Enter", "send; Alt+Enter starts a new line"},
		{"Tab, Shift+Tab", "complete names, /commands and #rooms"},
		{"↑ ↓, Ctrl+R", "what you typed before; search in it"},
		{"Ctrl+A E W U Y", "line start, end; cut word, line; put back"},
		{"Alt+B F D, Ctrl+← →", "word back, forth, cut"},
		{"Ctrl+P, Ctrl+N", "previous, next room (Alt+← →, Alt+↑ ↓)"},
		{"Alt+1 … 9", "room by number (Esc then the digit too)"},
		{"Alt+A", "next unread room, mentions first"},
		{"Ctrl+K", "go to a room by a part of its name"},
		{"PgUp PgDn", "scroll; Ctrl+Home, Ctrl+End to the ends"},
		{"Ctrl+F", "search all that was said; Tab: all rooms"},
		{"F2, F3, F4", "talk (hold or tap), mute, deafen (Alt+T U E)"},
		{"+, -", "in the members: how loud one is for you"},
		{"F6, Shift+F6", "move the focus (Alt+O); Esc back to the input"},
		{"F7, F8", "show or hide rooms, members (Alt+R, Alt+N)"},
		{"Alt+L, Alt+M", "bare text for copying; mouse on or off"},
		{"F1, ?", "this help (? in an empty input, Alt+H)"},
		{"Ctrl+L", "paint the screen anew"},
		{"Ctrl+C", "clear the line; twice leaves"},
	}
}

// Key takes a stroke in.
func (m *Model) Key(now time.Time, k Key) Effects {
	m.now, m.out = now, Effects{}
	m.flash = ""
	m.room().paging.owed = 0
	if k.Name == "Esc" {
		m.escape()
		m.arrange()
		m.turnPages()
		return m.out
	}
	if !m.escAt.IsZero() && now.Sub(m.escAt) < escWait {
		if k.Text != "" {
			k = Key{Name: "Alt+" + strings.ToLower(k.Text)}
		} else if k.Name != "" && !strings.Contains(k.Name, "+") {
			k.Name = "Alt+" + k.Name
		}
	}
	m.escAt = time.Time{}
	op := m.keys[k.Name]
	if strings.HasPrefix(k.Name, "Alt+") && op == "" {
		op = m.keys[strings.ToLower(k.Name[:5])+k.Name[5:]]
		if op == "" {
			op = m.keys["Alt+"+strings.ToLower(k.Name[4:])]
		}
	}
	if op != "complete" && op != "complete-back" {
		m.completing = nil
	}
	if !strings.HasPrefix(op, "kill") {
		m.kills.grow = false
	}
	if op != "cancel" {
		m.ctrlCAt = time.Time{}
	}
	switch {
	case op == "cancel":
		m.cancel()
	case op == "redraw":
		m.out.Redraw = true
	case op == "talk" || op == "mute" || op == "deafen":
		m.voiceKey(op)
	case m.bare:
		m.bareKey(op)
	case m.overlay.mode != overlayNone:
		m.overlayKey(op, k)
	case m.focus != paneInput && m.paneKey(op, k):
	case k.Text != "":
		m.focus = paneInput
		if k.Text == "?" && m.input.text == "" {
			m.openHelp("")
			break
		}
		m.typed(k.Text)
	default:
		m.do(op)
	}
	m.arrange()
	m.turnPages()
	return m.out
}

func (m *Model) typed(s string) {
	if !m.input.insert(cleanInput(s)) {
		m.flash = "not put in: the input holds " + itoa(maxInput>>10) + " KiB at most"
	}
}

// Paste takes pasted text in. More than a few lines ask first.
func (m *Model) Paste(now time.Time, text string) Effects {
	m.now, m.out = now, Effects{}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	text = cleanInput(text)
	trimmed := strings.TrimRight(text, "\n")
	switch {
	case trimmed == "" || m.bare:
	case m.overlay.mode == overlaySwitch || m.overlay.mode == overlayRecall || m.overlay.mode == overlaySearch:
		m.overlay.query.insert(strings.ReplaceAll(trimmed, "\n", " "))
		m.overlayChanged()
	case strings.Count(trimmed, "\n") >= pasteAsks:
		m.overlay = overlay{mode: overlayPaste, text: trimmed}
	default:
		m.overlay = overlay{}
		m.focus = paneInput
		m.typed(trimmed)
	}
	m.arrange()
	return m.out
}

// escape closes what is open, goes back to the input, or makes the next key an Alt key.
func (m *Model) escape() {
	switch {
	case m.bare:
		m.setBare(false)
	case m.overlay.mode != overlayNone:
		m.closeOverlay()
	case m.focus != paneInput:
		m.focus = paneInput
	default:
		m.escAt = m.now
	}
}

// cancel is Ctrl+C: it empties the line, and leaves when there is nothing to empty and it comes twice.
func (m *Model) cancel() {
	switch {
	case m.overlay.mode != overlayNone:
		m.closeOverlay()
		return
	case !m.ctrlCAt.IsZero() && m.now.Sub(m.ctrlCAt) < quitWait:
		m.out.Actions = append(m.out.Actions, Quit{})
		m.flash = "leaving …"
		return
	case m.input.text != "":
		m.kills.cut(m.input.text, false)
		m.kills.grow = false
		m.input = editor{}
		m.history.at = len(m.history.entries)
		m.flash = "cleared (Ctrl+Y puts it back); Ctrl+C again leaves peerchat"
	default:
		m.flash = "Ctrl+C again leaves peerchat"
	}
	m.setBare(false)
	m.focus = paneInput
	m.ctrlCAt = m.now
}

func (m *Model) setBare(on bool) {
	if m.bare != on {
		m.bare = on
		mouse := m.mouse && !on // the terminal's own selection works only without ours
		m.out.Mouse = &mouse
	}
}

func (m *Model) bareKey(op string) {
	switch op {
	case "bare":
		m.setBare(false)
	case "page-up", "page-down", "top", "bottom", "line-up", "line-down":
		m.do(op)
	case "up":
		m.scrollBy(-1)
	case "down":
		m.scrollBy(1)
	}
}

// paneKey is a key while a list or the timeline has the focus; false passes it on to the input.
func (m *Model) paneKey(op string, k Key) bool {
	if m.focus == paneTimeline {
		switch op {
		case "up":
			m.scrollBy(-1)
		case "down":
			m.scrollBy(1)
		case "home":
			m.do("top")
		case "end":
			m.do("bottom")
		case "enter":
			m.focus = paneInput
		case "complete":
			m.moveFocus(1)
		case "complete-back":
			m.moveFocus(-1)
		default:
			return false
		}
		return true
	}
	size := len(m.rooms)
	if m.focus == paneMembers {
		size = len(m.room().members)
		if m.volumeKey(k) {
			return true
		}
	}
	switch op {
	case "up":
		m.cursor--
	case "down":
		m.cursor++
	case "page-up":
		m.cursor -= max(1, m.layout.timeline.h-1)
	case "page-down":
		m.cursor += max(1, m.layout.timeline.h-1)
	case "home", "top":
		m.cursor = 0
	case "end", "bottom":
		m.cursor = size - 1
	case "complete":
		m.moveFocus(1)
		return true
	case "complete-back":
		m.moveFocus(-1)
		return true
	case "enter":
		m.choose(m.focus, m.cursor)
		m.focus = paneInput
	default:
		return false
	}
	m.cursor = max(0, min(m.cursor, size-1))
	return true
}

// choose takes line i of a list: it goes to the room, or puts the member's name into the input.
func (m *Model) choose(p pane, i int) {
	switch {
	case p == paneRooms && i >= 0 && i < len(m.rooms):
		m.show(i)
	case p == paneMembers && i >= 0 && i < len(m.room().people()):
		after := " "
		if m.input.pos == 0 {
			after = ": "
		}
		m.typed(m.room().people()[i].Name + after)
	}
}

// moveFocus goes round the panes that are on the screen.
func (m *Model) moveFocus(by int) {
	order := []pane{paneInput}
	for _, p := range []pane{paneRooms, paneTimeline, paneMembers} {
		if m.layout.shows(p) {
			order = append(order, p)
		}
	}
	at := 0
	for i, p := range order {
		if p == m.focus {
			at = i
		}
	}
	m.focus = order[(at+by+len(order))%len(order)]
	m.cursor = 0
	keys := m.sign("↑ ↓", "Up Down")
	switch m.focus {
	case paneRooms:
		m.cursor = m.current
		m.flash = "rooms: " + keys + " choose, Enter goes there, Esc goes back"
	case paneTimeline:
		m.flash = "timeline: " + keys + " scroll, Esc goes back"
	case paneMembers:
		m.flash = "members: " + keys + " choose, Enter names them, + - change their volume, Esc goes back"
	}
}

// do carries out an operation by its name.
func (m *Model) do(op string) {
	page := max(1, m.layout.timeline.h-2)
	e := &m.input
	switch op {
	case "room-previous", "room-next":
		by := 1
		if op == "room-previous" {
			by = -1
		}
		if n := len(m.rooms); n > 0 {
			m.show((m.current + by + n) % n)
		}
	case "room-unread":
		m.showUnread()
	case "room-find":
		m.overlay = overlay{mode: overlaySwitch}
	case "page-up":
		m.scrollBy(-page)
	case "page-down":
		m.scrollBy(page)
	case "line-up":
		m.scrollBy(-1)
	case "line-down":
		m.scrollBy(1)
	case "top":
		m.toOldest()
	case "bottom":
		m.room().follow()
	case "find":
		m.openSearch(Search{Room: m.room().name})
	case "recall":
		m.overlay = overlay{mode: overlayRecall, at: len(m.history.entries)}
	case "complete":
		m.complete(1)
	case "complete-back":
		m.complete(-1)
	case "up", "down":
		by := 1
		if op == "up" {
			by = -1
		}
		if e.vertical(by, m.inputWidth()) {
			return
		}
		if line, ok := m.history.move(by, e.text); ok {
			e.set(line)
		}
	case "left":
		e.pos = e.before()
	case "right":
		e.pos = e.after()
	case "word-left":
		e.pos = e.wordBefore()
	case "word-right":
		e.pos = e.wordAfter()
	case "home":
		e.pos = e.lineStart()
	case "end":
		if e.text == "" {
			m.room().follow() // there is no line to go to the end of
		}
		e.pos = e.lineEnd()
	case "backspace":
		e.cut(e.before(), e.pos)
	case "delete":
		e.cut(e.pos, e.after())
	case "kill-word":
		m.kills.cut(e.cut(e.blankBefore(), e.pos), true)
	case "kill-word-after":
		m.kills.cut(e.cut(e.pos, e.wordAfter()), false)
	case "kill-line":
		m.kills.cut(e.cut(e.lineStart(), e.pos), true)
	case "kill-rest":
		m.kills.cut(e.cut(e.pos, e.lineEnd()), false)
	case "yank":
		m.typed(m.kills.last())
	case "newline":
		m.typed("\n")
	case "enter":
		m.enterLine()
	case "help":
		m.openHelp("")
	case "focus-next":
		m.moveFocus(1)
	case "focus-previous":
		m.moveFocus(-1)
	case "rooms":
		m.showRooms = !m.showRooms
		m.narrowHint()
	case "members":
		m.showMembers = !m.showMembers
		m.narrowHint()
	case "mouse":
		m.act(Mouse{})
	case "bare":
		m.setBare(true)
	default:
		if n, ok := strings.CutPrefix(op, "room-"); ok && len(n) == 1 {
			m.show(int(n[0] - '1'))
		}
	}
}

func (m *Model) narrowHint() {
	if m.width < wideEnough {
		m.flash = "the side panes need " + itoa(wideEnough) + " columns; this screen has " + itoa(m.width)
	}
}

// showUnread goes to the next room with a mention, else to the next with something unread.
func (m *Model) showUnread() {
	n := len(m.rooms)
	for _, wanted := range []func(*room) bool{
		func(r *room) bool { return r.mentions > 0 },
		func(r *room) bool { return r.unread > 0 },
	} {
		for i := 1; i < n; i++ {
			if at := (m.current + i) % n; wanted(m.rooms[at]) {
				m.show(at)
				return
			}
		}
	}
	m.flash = "nothing is unread"
}

// Wheel scrolls the timeline by rows, up when negative.
func (m *Model) Wheel(now time.Time, by int) Effects {
	m.now, m.out = now, Effects{}
	switch m.overlay.mode {
	case overlayHelp:
		m.overlay.at = max(0, m.overlay.at+by)
	case overlaySearch:
		m.searchMove(by)
	default:
		m.room().paging.owed = 0
		m.scrollBy(by)
	}
	m.arrange()
	m.turnPages()
	return m.out
}

// Click takes a click on a cell.
func (m *Model) Click(now time.Time, x, y int) Effects {
	m.now, m.out = now, Effects{}
	l := m.layout
	switch {
	case m.overlay.mode == overlayHelp || m.overlay.mode == overlayCode:
		m.closeOverlay()
	case m.overlay.mode == overlaySearch && l.timeline.has(x, y):
		m.searchClick(y - l.timeline.y)
	case m.overlay.mode != overlayNone || m.bare:
	case l.rooms.has(x, y):
		m.choose(paneRooms, y-l.rooms.y+listTop(m.current, len(m.rooms), l.rooms.h))
	case l.members.has(x, y):
		cursor := 0
		if m.focus == paneMembers {
			cursor = m.cursor
		}
		m.choose(paneMembers, y-l.members.y+listTop(cursor, len(m.room().members), l.members.h))
	default:
		m.focus = paneInput
	}
	m.arrange()
	m.turnPages()
	return m.out
}
