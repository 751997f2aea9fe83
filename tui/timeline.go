package tui

import "sort"

// Bounds of one room's timeline. What is beyond leaves the memory; the log keeps it.
const (
	maxLines     = 5000
	maxLineBytes = 4 << 20
	maxTail      = 500
	maxTailBytes = 1 << 20
)

// timeline is a part of a room's lines, in order and bounded; the log has the rest, and page.go brings it. It remembers
// where the reader is.
type timeline struct {
	items []*item
	ids   map[string]*item // of the items, and those of the tail, that have one
	bytes int
	next  uint64 // seq of the newest item

	known bool  // what is loaded begins at from, and nothing is missing in it; else there may be holes at its beginning
	from  place // see known
	first bool  // and the log held nothing before it
	cut   bool  // the log goes on behind the last item

	// While it is cut, the newest lines are kept here: they may not be in the log yet.
	tail      []*item
	tailBytes int
	tailLost  int // how many were dropped

	cleared bool // by the user: there may be lines, though the screen shows none
	holed   bool // there may be items before which lines are missing

	scroll *anchor // nil: the newest line is at the bottom, and stays there
	below  int     // messages that came below the view while it was scrolled up
	read   *item   // the last one that was read when the room was left; nil is none
	found  *item   // the one that a search found
	words  []string

	paging paging
}

// anchor is the row at the bottom of a scrolled view: the row of an item that has that many of its rows under it. They
// are counted from the end, because the line of a new day above an item comes and goes with what is before it.
type anchor struct {
	item  *item
	under int
}

// add puts an item in its place and reports whether it is new and was kept.
func (t *timeline) add(it *item) bool {
	if it.id != "" && t.ids[it.id] != nil {
		return false
	}
	t.next++
	it.seq = t.next
	if it.peer == "" {
		it.peer = local
	}
	t.mend(it)
	if it.isLocal() {
		it.order = 0
		if last := t.last(); last != nil {
			it.order = last.order
		}
	}
	if t.cut && (it.isLocal() || t.until().before(it.place())) {
		t.keep(it)
		return true
	}
	if t.known && !it.isLocal() && it.place().before(t.from) {
		if !t.first {
			return false // there is more between it and what is loaded: it comes with that
		}
		t.from = it.place()
	}
	if len(t.items) >= maxLines && it.less(t.items[0]) {
		return false
	}
	t.insert(it)
	if t.scroll != nil && it.isMessage() && t.scroll.item.less(it) {
		t.below++
	}
	t.trim()
	return true
}

// insert puts an item that is new in its place.
func (t *timeline) insert(it *item) {
	at := len(t.items)
	if at > 0 && it.less(t.items[at-1]) {
		at = sort.Search(len(t.items), func(i int) bool { return it.less(t.items[i]) })
	}
	if it.history {
		at = t.letPass(it, at)
	}
	t.items = append(t.items, nil)
	copy(t.items[at+1:], t.items[at:])
	t.items[at] = it
	t.bytes += it.size()
	t.register(it)
}

// mend takes note that a line has come that may have been missing, whether it is kept or not. Before it others may be
// missing still, which it says itself.
func (t *timeline) mend(it *item) {
	if !t.holed || !it.history || it.number == 0 {
		return
	}
	for _, items := range [][]*item{t.items, t.tail} {
		for _, later := range items {
			if later.peer == it.peer && it.number < later.number && later.number-it.number <= later.missing {
				later.missing = later.number - it.number - 1
			}
		}
	}
}

// register makes an item known by its ID.
func (t *timeline) register(it *item) {
	t.holed = t.holed || it.missing > 0
	if it.id == "" {
		return
	}
	if t.ids == nil {
		t.ids = map[string]*item{}
	}
	t.ids[it.id] = it
}

// letPass moves what happened on this side behind a fetched event that was said before it: else all that was
// noted before the history came would stand above it. It returns the event's place.
func (t *timeline) letPass(it *item, at int) int {
	if at < len(t.items) && t.items[at].order == it.order {
		return at
	}
	for ; at > 0 && t.items[at-1].isLocal() && t.items[at-1].at.After(it.at); at-- {
		t.items[at-1].order = it.order
	}
	return at
}

// keep puts an item into the tail.
func (t *timeline) keep(it *item) {
	it.tailed = true
	t.register(it)
	t.tail = append(t.tail, it)
	t.tailBytes += it.size()
	if it.isMessage() {
		t.below++
	}
	drop := max(0, len(t.tail)-maxTail)
	for bytes, i := t.tailBytes, 0; bytes > maxTailBytes && i < len(t.tail)-1; i++ {
		bytes -= t.tail[i].size()
		drop = max(drop, i+1)
	}
	for _, old := range t.tail[:drop] {
		t.tailBytes -= old.size()
		delete(t.ids, old.id)
	}
	t.tail = t.tail[drop:]
	t.tailLost += drop
}

// untail takes an item out of the tail.
func (t *timeline) untail(it *item) {
	for i := range t.tail {
		if t.tail[i] == it {
			t.tail = append(t.tail[:i:i], t.tail[i+1:]...)
			t.tailBytes -= it.size()
			break
		}
	}
	it.tailed = false
	delete(t.ids, it.id)
}

// attach puts the tail behind what is loaded, which reaches the end of the log.
func (t *timeline) attach() {
	tail := t.tail
	t.cut, t.tail, t.tailBytes, t.tailLost = false, nil, 0, 0
	for _, it := range tail {
		it.tailed = false
		delete(t.ids, it.id)
		if it.isLocal() && it.order == 0 && len(t.items) > 0 {
			it.order = t.items[len(t.items)-1].order
		}
		if !t.known || t.first || !it.place().before(t.from) {
			t.insert(it)
		}
	}
	t.trim()
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
	t.bytes -= it.size()
}

// trim drops lines beyond the bounds, some at once so that it is not done for every line: the oldest, or the newest if
// those are further away from what is in view.
func (t *timeline) trim() {
	for range 2 {
		over := 0
		if len(t.items) > maxLines+maxLines/10 {
			over = len(t.items) - maxLines
		}
		if over == 0 && t.bytes <= maxLineBytes {
			return
		}
		seen := len(t.items) - 1
		if t.scroll != nil {
			seen = t.index(t.scroll.item)
		}
		old := seen >= len(t.items)/2
		drop, most := over, seen
		if !old {
			most = len(t.items) - 1 - seen
		}
		for i, bytes := 0, t.bytes; t.bytes > maxLineBytes && bytes > maxLineBytes/8*7 && i < most; i++ {
			at := i
			if !old {
				at = len(t.items) - 1 - i
			}
			bytes -= t.items[at].size()
			drop = max(drop, i+1)
		}
		if drop = min(drop, most); old {
			t.dropOld(drop)
		} else {
			t.dropNew(drop)
		}
	}
}

// dropOld drops the oldest items.
func (t *timeline) dropOld(n int) {
	if n == 0 {
		return
	}
	t.forget(t.items[:n])
	rest := copy(t.items, t.items[n:])
	clear(t.items[rest:])
	t.items = t.items[:rest]
	t.first, t.paging.why = false, ""
	if it := t.firstEvent(); it != nil {
		t.from = it.place()
	}
}

// dropNew drops the newest items; the last of them stay in the tail.
func (t *timeline) dropNew(n int) {
	at := len(t.items) - n
	dropped := append([]*item(nil), t.items[at:]...)
	t.forget(dropped)
	clear(t.items[at:])
	t.items = t.items[:at]
	if t.cut {
		return // and the tail has what is newer than those
	}
	t.cut = true
	below := t.below
	for _, it := range dropped[max(0, len(dropped)-maxTail/2):] {
		t.keep(it)
	}
	t.below = below
}

// forget takes note that items are gone.
func (t *timeline) forget(items []*item) {
	for _, it := range items {
		delete(t.ids, it.id)
		t.bytes -= it.size()
	}
}

// empty drops all items; the newest stay in the tail.
func (t *timeline) empty() {
	t.dropNew(len(t.items))
	t.known, t.first, t.from = false, false, place{}
}

func (t *timeline) clear() {
	*t = timeline{next: t.next, cleared: true}
}

// firstEvent is the first item that is of the log, or nil.
func (t *timeline) firstEvent() *item {
	for _, it := range t.items {
		if !it.isLocal() {
			return it
		}
	}
	return nil
}

// until is the place of the last item that is of the log.
func (t *timeline) until() place {
	for i := len(t.items) - 1; i >= 0; i-- {
		if it := t.items[i]; !it.isLocal() {
			return it.place()
		}
	}
	return place{}
}

// last is the newest item, or nil.
func (t *timeline) last() *item {
	switch {
	case len(t.tail) > 0:
		return t.tail[len(t.tail)-1]
	case len(t.items) == 0 || t.cut:
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

// follow goes to the newest line. Where that is not loaded, it is asked for, and no other place any more.
func (t *timeline) follow() {
	t.scroll, t.below, t.found, t.words = nil, 0, nil, nil
	p := &t.paging
	if p.from == PageOldest || p.from == PageAround {
		p.ask = 0
	}
	p.oldest, p.owed, p.pull, p.push = false, 0, pullNone, false
}
