package tui

import (
	"slices"
	"time"
)

// rowKind says how a row of the screen looks.
type rowKind uint8

const (
	rowMessage rowKind = iota
	rowAction
	rowTopic
	rowPresence
	rowNotice
	rowError
	rowAnswer
	rowDay
	rowMarker
	rowEdge // what is above the first line
	rowHole // lines are missing here
)

// row is one row of the timeline on the screen.
type row struct {
	kind  rowKind
	first bool // of its item: it shows time, name and mark
	item  *item
	stamp string
	name  string // author, or a sign such as -->
	mark  string // delivery
	text  string
}

// rowsOf lays out item i for a width of text cells: a line for a new day, the read marker, then the item itself.
func (m *Model) rowsOf(r *room, i, width int) []row {
	it := r.items[i]
	body := m.bodyOf(r, it, width)
	if len(body) == 0 {
		return nil
	}
	var rows []row
	day := it.at.In(m.cfg.Location)
	if before := m.visibleBefore(r, i); before == nil || !sameDay(before.at.In(m.cfg.Location), day) {
		rows = append(rows, row{kind: rowDay, item: it, text: day.Format("Monday, 2 January 2006")})
	}
	if i > 0 && r.read != nil && r.items[i-1] == r.read && m.markerShown(r) {
		rows = append(rows, row{kind: rowMarker, item: it, text: "new"})
	}
	rows = append(rows, m.holeRows(r, it)...)
	body[0].first = true
	if it.kind != itemAnswer {
		body[0].stamp = day.Format("15:04")
	}
	return append(rows, body...)
}

// holeRows say that lines of its author are missing before an item.
func (m *Model) holeRows(r *room, it *item) (rows []row) {
	if it.missing == 0 {
		return nil
	}
	text, width := MissingText(m.shownName(r, it.peer, it.name), it.missing), m.layout.timeline.w
	if m.bare {
		text = it.at.In(m.cfg.Location).Format("15:04 ") + "-!- " + text
	} else {
		width -= 4
	}
	for _, line := range wrap(text, max(1, width)) {
		rows = append(rows, row{kind: rowHole, item: it, text: line})
	}
	return rows
}

// MissingText says that so many lines of somebody are missing in this place. No log has as many as its author's numbers
// go on by when it has lost its own log: then nobody knows how many lie in between.
func MissingText(name string, lines uint64) string {
	const most = 1_000_000_000
	switch {
	case lines == 1:
		return "1 line of " + name + " is missing here"
	case lines > most:
		return "lines of " + name + " may be missing here"
	}
	return itoa(int(lines)) + " lines of " + name + " are missing here"
}

// markerShown is whether a message came after the read marker.
func (m *Model) markerShown(r *room) bool {
	for i := len(r.items) - 1; i >= 0 && r.items[i] != r.read; i-- {
		if r.items[i].isMessage() {
			return true
		}
	}
	return false
}

func sameDay(a, b time.Time) bool {
	return a.Year() == b.Year() && a.YearDay() == b.YearDay()
}

// visibleBefore is the item before i that is not filtered out. It looks back a little only: a day line too many does
// no harm.
func (m *Model) visibleBefore(r *room, i int) *item {
	for j := i - 1; j >= 0 && j >= i-64; j-- {
		if r.items[j].kind != itemPresence {
			return r.items[j]
		}
		if _, text := m.presenceText(r.items[j]); text != "" {
			return r.items[j]
		}
	}
	return nil
}

func (m *Model) presenceText(it *item) (sign, text string) {
	if m.joins == "none" {
		return "", ""
	}
	return it.presence.text(m.joins == "smart")
}

func (m *Model) bodyOf(r *room, it *item, width int) []row {
	var rows []row
	put := func(kind rowKind, name string, lines []string) {
		for i, line := range lines {
			if i > 0 {
				name = ""
			}
			rows = append(rows, row{kind: kind, item: it, name: name, text: line})
		}
	}
	if it.kind == itemPresence {
		if _, text := m.presenceText(it); text == "" {
			return nil
		}
	}
	name := m.shownName(r, it.peer, it.name)
	if m.bare {
		put(rowMessage, "", wrap(m.bareText(it, name), width))
		return rows
	}
	switch it.kind {
	case itemText:
		put(rowMessage, name, wrap(it.text, width))
		rows[0].mark = m.deliveryMark(r, it)
	case itemAction:
		put(rowAction, "*", wrap(name+" "+it.text, width))
		rows[0].mark = m.deliveryMark(r, it)
	case itemTopic:
		put(rowTopic, "-!-", wrap(topicText(name, it.text), width))
	case itemPresence:
		if sign, text := m.presenceText(it); text != "" {
			put(rowPresence, sign, wrap(text, width))
		}
	case itemNotice:
		put(rowNotice, "-!-", wrap(it.text, width))
	case itemError:
		put(rowError, "error", wrap(it.text, width))
	case itemAnswer:
		name, _ := m.columns()
		put(rowAnswer, "", wrap(it.text, width+name)) // the names' column is free
	}
	return rows
}

// bareText is an item as plain text for copying; empty if it is filtered out.
func (m *Model) bareText(it *item, name string) string {
	stamp := it.at.In(m.cfg.Location).Format("15:04 ")
	switch it.kind {
	case itemText:
		return stamp + name + ": " + it.text
	case itemAction:
		return stamp + "* " + name + " " + it.text
	case itemTopic:
		return stamp + "-!- " + topicText(name, it.text)
	case itemPresence:
		sign, text := m.presenceText(it)
		return stamp + sign + " " + text
	case itemAnswer:
		return it.text
	}
	return stamp + "-!- " + it.text
}

func topicText(name, topic string) string {
	if topic == "" {
		return name + " cleared the topic"
	}
	return name + " set the topic: " + topic
}

// deliveryMark says who has an own message: "…" nobody yet, "2/5" some, "✓" everybody. Who has one that was read back
// from the log is known only if everybody has shown to hold a later one; else it has no mark.
func (m *Model) deliveryMark(r *room, it *item) string {
	switch {
	case !it.self:
		return ""
	case it.of > 0 && it.delivered >= it.of, 0 < it.number && it.number <= r.allHold:
		return m.sign("✓", "ok")
	case it.delivered > 0:
		return itoa(it.delivered) + "/" + itoa(it.of)
	case it.history:
		return ""
	}
	return m.sign("…", "..")
}

// columns are the widths of the names and of the text. A row is: time, blank or '!', name, two blanks, text.
func (m *Model) columns() (name, text int) {
	w := m.layout.timeline.w
	if m.bare {
		return 0, max(1, w)
	}
	name = min(max(w/5, 6), 14)
	return name, max(1, w-6-name-2)
}

// viewRows are the rows in view, oldest first, at most height.
func (m *Model) viewRows(r *room, width, height int) []row {
	rows, _ := m.look(r, width, height)
	return rows
}

// look is viewRows, and whether nothing that is loaded is above them.
func (m *Model) look(r *room, width, height int) (rows []row, top bool) {
	if height < 1 {
		return nil, false
	}
	i, under := len(r.items)-1, 0
	if r.scroll != nil {
		i, under = r.index(r.scroll.item), r.scroll.under
	}
	var upward []row
	take := func(rows []row) (all bool) {
		for j := len(rows) - 1; j >= 0; j-- {
			if len(upward) == height {
				return false
			}
			upward = append(upward, rows[j])
		}
		return true
	}
	top = true
	for ; i >= 0 && top; i-- {
		rows := m.rowsOf(r, i, width)
		rows = rows[:max(0, len(rows)-under)]
		under = 0
		top = take(rows) && (i == 0 || len(upward) < height)
	}
	if top {
		top = take(m.edgeRows(r))
	}
	slices.Reverse(upward)
	return upward, top
}

// scrollBy moves the view by rows, up when negative. It stops where the oldest line is at the top, and follows new
// lines again where the newest is at the bottom. Where more is to be loaded then, it is.
func (m *Model) scrollBy(by int) {
	r := m.room()
	_, width := m.columns()
	height := m.layout.timeline.h
	before, wasTop := m.look(r, width, height)
	if len(r.items) > 0 {
		m.move(r, by, width, height)
	}
	if by > 0 {
		r.paging.owed = 0
	}
	switch _, top := m.look(r, width, height); {
	case by < 0 && wasTop:
		if r.paging.pull = pullAll; len(before) == height {
			r.paging.owed = by
		}
	case by < 0 && (top || m.bottomItem(r) < 2*height):
		r.paging.pull = max(r.paging.pull, pullLog)
	case by > 0 && r.cut && m.bottomItem(r) >= len(r.items)-height:
		r.paging.push = true
	}
}

// bottomItem is the number of the item at the bottom of the view.
func (m *Model) bottomItem(r *room) int {
	if r.scroll != nil {
		return r.index(r.scroll.item)
	}
	return len(r.items) - 1
}

// move is scrollBy within what is loaded.
func (m *Model) move(r *room, by, width, height int) {
	i := len(r.items) - 1
	rows := m.rowsOf(r, i, width)
	at := len(rows) - 1
	if r.scroll != nil {
		i = r.index(r.scroll.item)
		rows = m.rowsOf(r, i, width)
		at = max(len(rows)-1-r.scroll.under, min(0, len(rows)-1))
	}
	down := func(n int) bool {
		for ; n > 0; n-- {
			if at+1 < len(rows) {
				at++
				continue
			}
			if i+1 >= len(r.items) {
				return false
			}
			i++
			rows, at = m.rowsOf(r, i, width), -1
			n++ // entered the next item, above its first row
		}
		return true
	}
	// bottom stops at the last line: the newest, or the last that is loaded.
	bottom := func() {
		if !r.cut {
			r.follow()
			return
		}
		r.scroll = &anchor{item: r.items[i]}
	}
	if by > 0 {
		if !down(by) {
			bottom()
			return
		}
	}
	for n := -by; n > 0; n-- {
		for at--; at < 0 && i > 0; {
			i--
			rows = m.rowsOf(r, i, width)
			at = len(rows) - 1
		}
		if at < 0 {
			at = 0
			break
		}
	}
	r.scroll = &anchor{item: r.items[i], under: len(rows) - 1 - at}
	if missing := height - len(m.viewRows(r, width, height)); missing > 0 && !down(missing) {
		bottom()
		return
	}
	if i == len(r.items)-1 && at >= len(rows)-1 {
		bottom()
		return
	}
	r.scroll = &anchor{item: r.items[i], under: len(rows) - 1 - at}
	if i == len(r.items)-1 && !r.cut {
		r.below = 0
	}
}

// scrollTo brings an item to the middle of the view.
func (m *Model) scrollTo(it *item) {
	r := m.room()
	_, width := m.columns()
	rows := m.rowsOf(r, r.index(it), width)
	if len(rows) == 0 {
		return
	}
	r.scroll = &anchor{item: it}
	m.scrollBy(m.layout.timeline.h / 2)
}
