package tui

import (
	"sort"
	"strings"
	"time"
)

// Bounds of one room's timeline. Older lines leave the screen; the store keeps them.
const (
	maxLines     = 5000
	maxLineBytes = 4 << 20
)

// itemKind says what an item of the timeline is.
type itemKind uint8

const (
	itemText itemKind = iota
	itemAction
	itemTopic
	itemPresence // joins, leaves and renames, coalesced
	itemNotice
	itemError
	itemAnswer // lines shown as they are
)

// item is one entry of a timeline. Its place is (order, peer, seq): log events by their lamport clock and author, what
// happened on this side (peer == local) behind the last event that was there.
type item struct {
	order uint64
	peer  string
	seq   uint64

	kind    itemKind
	at      time.Time
	id      string
	name    string
	text    string
	self    bool
	history bool
	mention bool

	delivered, of int
	presence      *presence

	news  string // what a notice about the tracker tells; equal ones are told once, with a count
	times int
}

// local sorts behind every peer ID.
const local = "\xff"

func (a *item) less(b *item) bool {
	if a.order != b.order {
		return a.order < b.order
	}
	if a.peer != b.peer {
		return a.peer < b.peer
	}
	return a.seq < b.seq
}

func (a *item) isMessage() bool { return a.kind <= itemTopic }

// presence is a run of joins and leaves in one line. Somebody who joined and left again within it is left out.
type presence struct {
	order   []string // IDs, in order of appearance
	by      map[string]*coming
	renames []string
}

type coming struct {
	name          string
	joined, left  int
	spokeRecently bool
}

const maxComings = 50 // people in one coalesced line

func (p *presence) add(id, name string, joined, spoke bool) bool {
	c := p.by[id]
	if c == nil {
		if len(p.order) >= maxComings {
			return false
		}
		c = &coming{}
		p.by[id] = c
		p.order = append(p.order, id)
	}
	c.name = name
	c.spokeRecently = c.spokeRecently || spoke
	if joined {
		c.joined++
	} else {
		c.left++
	}
	return true
}

// text is the line: who came, who went, who came back. With smart it tells only of those who spoke lately.
func (p *presence) text(smart bool) (sign, text string) {
	var came, went, back []string
	for _, id := range p.order {
		c := p.by[id]
		switch {
		case smart && !c.spokeRecently:
		case c.joined > c.left:
			came = append(came, c.name)
		case c.left > c.joined:
			went = append(went, c.name)
		default:
			back = append(back, c.name)
		}
	}
	var parts []string
	say := func(names []string, verb string) {
		if len(names) > 0 {
			parts = append(parts, strings.Join(names, ", ")+" "+verb)
		}
	}
	say(came, "joined")
	say(went, "left")
	say(back, "came and went")
	parts = append(parts, p.renames...)
	switch {
	case len(parts) == 0:
		return "", ""
	case len(came) == 0 && len(went) > 0:
		sign = "<--"
	case len(came) == 0 && len(back) == 0:
		sign = "-!-"
	default:
		sign = "-->"
	}
	return sign, strings.Join(parts, " · ")
}

// timeline is a room's lines in order, bounded. It remembers where the reader is.
type timeline struct {
	items []*item
	ids   map[string]*item // of the items that have one
	bytes int
	next  uint64 // seq of the newest item

	scroll *anchor // nil: the newest line is at the bottom, and stays there
	below  int     // messages that came below the view while it was scrolled up
	read   *item   // the last one that was read when the room was left; nil is none
}

// anchor is the row at the bottom of a scrolled view: row number row of an item.
type anchor struct {
	item *item
	row  int
}

// add puts an item in its place and reports whether it is new and was kept.
func (t *timeline) add(it *item) bool {
	if it.id != "" {
		if t.ids[it.id] != nil {
			return false
		}
	}
	t.next++
	it.seq = t.next
	if it.peer == "" {
		it.peer = local
	}
	if it.peer == local {
		it.order = 0
		if n := len(t.items); n > 0 {
			it.order = t.items[n-1].order
		}
	}
	at := len(t.items)
	if at > 0 && it.less(t.items[at-1]) {
		at = sort.Search(len(t.items), func(i int) bool { return it.less(t.items[i]) })
	}
	if at == 0 && len(t.items) >= maxLines {
		return false // older than all that is shown
	}
	if it.history {
		at = t.letPass(it, at)
	}
	t.items = append(t.items, nil)
	copy(t.items[at+1:], t.items[at:])
	t.items[at] = it
	if it.id != "" {
		if t.ids == nil {
			t.ids = map[string]*item{}
		}
		t.ids[it.id] = it
	}
	t.bytes += len(it.text) + 64
	if t.scroll != nil && it.isMessage() && t.scroll.item.less(it) {
		t.below++
	}
	t.trim()
	return true
}

// letPass moves what happened on this side behind a fetched event that was said before it: else all that was
// noted before the history came would stand above it. It returns the event's place.
func (t *timeline) letPass(it *item, at int) int {
	if at < len(t.items) && t.items[at].order == it.order {
		return at
	}
	for ; at > 0 && t.items[at-1].peer == local && t.items[at-1].at.After(it.at); at-- {
		t.items[at-1].order = it.order
	}
	return at
}

// remove takes item i of this side out, which must be below what is in view.
func (t *timeline) remove(i int) {
	it := t.items[i]
	if t.read == it {
		t.read = nil
		if i > 0 {
			t.read = t.items[i-1]
		}
	}
	copy(t.items[i:], t.items[i+1:])
	t.items[len(t.items)-1] = nil
	t.items = t.items[:len(t.items)-1]
	t.bytes -= len(it.text) + 64
}

// trim drops the oldest lines beyond the bounds, some at once so that it is not done for every line.
func (t *timeline) trim() {
	drop := 0
	if len(t.items) > maxLines+maxLines/10 {
		drop = len(t.items) - maxLines
	}
	if t.bytes > maxLineBytes {
		bytes := t.bytes
		for i := 0; i < len(t.items)-1 && bytes > maxLineBytes/8*7; i++ {
			bytes -= len(t.items[i].text) + 64
			drop = max(drop, i+1)
		}
	}
	if drop == 0 {
		return
	}
	for _, it := range t.items[:drop] {
		delete(t.ids, it.id)
		t.bytes -= len(it.text) + 64
	}
	n := copy(t.items, t.items[drop:])
	clear(t.items[n:])
	t.items = t.items[:n]
}

func (t *timeline) clear() {
	*t = timeline{next: t.next}
}

// last is the newest item, or nil.
func (t *timeline) last() *item {
	if len(t.items) == 0 {
		return nil
	}
	return t.items[len(t.items)-1]
}

// index finds an item; where it is gone, what took its place.
func (t *timeline) index(it *item) int {
	i := sort.Search(len(t.items), func(i int) bool { return !t.items[i].less(it) })
	return min(i, len(t.items)-1)
}

// leave notes that all is read, when the reader turns to another room.
func (t *timeline) leave() {
	if it := t.last(); it != nil && t.scroll == nil {
		t.read = it
	}
}

// follow goes to the newest line.
func (t *timeline) follow() { t.scroll, t.below = nil, 0 }

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
	body[0].first = true
	if it.kind != itemAnswer {
		body[0].stamp = day.Format("15:04")
	}
	return append(rows, body...)
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
		rows[0].mark = m.deliveryMark(it)
	case itemAction:
		put(rowAction, "*", wrap(name+" "+it.text, width))
		rows[0].mark = m.deliveryMark(it)
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

// deliveryMark says who has an own message: "…" nobody yet, "2/5" some, "✓" everybody.
func (m *Model) deliveryMark(it *item) string {
	if !it.self {
		return ""
	}
	switch {
	case it.delivered <= 0:
		return m.sign("…", "..")
	case it.delivered >= it.of:
		return m.sign("✓", "ok")
	}
	return itoa(it.delivered) + "/" + itoa(it.of)
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
	if len(r.items) == 0 || height < 1 {
		return nil
	}
	i, cutoff := len(r.items)-1, -1
	if r.scroll != nil {
		i, cutoff = r.index(r.scroll.item), r.scroll.row
	}
	var upward []row
	for ; i >= 0 && len(upward) < height; i-- {
		rows := m.rowsOf(r, i, width)
		if cutoff >= 0 {
			rows = rows[:min(len(rows), cutoff+1)]
			cutoff = -1
		}
		for j := len(rows) - 1; j >= 0 && len(upward) < height; j-- {
			upward = append(upward, rows[j])
		}
	}
	for a, b := 0, len(upward)-1; a < b; a, b = a+1, b-1 {
		upward[a], upward[b] = upward[b], upward[a]
	}
	return upward
}

// scrollBy moves the view by rows, up when negative. It stops where the oldest line is at the top, and follows new
// lines again where the newest is at the bottom.
func (m *Model) scrollBy(by int) {
	r := m.room()
	_, width := m.columns()
	height := m.layout.timeline.h
	if len(r.items) == 0 {
		return
	}
	i := len(r.items) - 1
	rows := m.rowsOf(r, i, width)
	at := len(rows) - 1
	if r.scroll != nil {
		i = r.index(r.scroll.item)
		rows = m.rowsOf(r, i, width)
		at = min(r.scroll.row, len(rows)-1)
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
	if by > 0 {
		if !down(by) {
			r.follow()
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
	r.scroll = &anchor{item: r.items[i], row: at}
	if missing := height - len(m.viewRows(r, width, height)); missing > 0 && !down(missing) {
		r.follow()
		return
	}
	if i == len(r.items)-1 && at >= len(rows)-1 {
		r.follow()
		return
	}
	r.scroll = &anchor{item: r.items[i], row: at}
	if i == len(r.items)-1 {
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
	r.scroll = &anchor{item: it, row: len(rows) - 1}
	m.scrollBy(m.layout.timeline.h / 2)
}
