package tui

import "time"

// How a room's log gets into its timeline, which holds a part of it: what is loaded moves with the reader, a page at a
// time. The Model asks (AskPage) when the view comes near an end of what is loaded, and takes what comes (Page). Where
// the log has no more, the other peers are asked to send older lines (FetchOlder, Older), and the log is read again.

const (
	pageLines  = 300 // that are asked for at once
	fetchLines = 500 // of the neighbours
	fetchPause = 3 * time.Second
)

// pull is what is wanted above the first line.
type pull uint8

const (
	pullNone pull = iota
	pullLog       // what the log has, and if it has no more, what the neighbours have, unless they had nothing
	pullAll       // and those are asked again
)

// paging is what a room has asked for.
type paging struct {
	ask    uint64 // the number of the question that is open; 0: there is none
	from   PageFrom
	target string // ID of the line to go to
	words  []string
	lines  int // how many were asked for
	lost   int // tailLost when it was asked

	pull   pull
	owed   int // rows that the reader wanted to scroll up, and there were none
	oldest bool
	push   bool   // what comes after the last line is wanted
	late   int    // how many lines others have sent since what is loaded was read: some may belong between those
	dated  uint64 // the question that was open when they came

	fetching bool
	why      string    // what came of it
	told     time.Time // when
}

// turnPages asks for what the room in view lacks. It comes after everything that may have moved the view.
func (m *Model) turnPages() {
	r := m.room()
	p := &r.paging
	switch {
	case r.name == "" || p.ask != 0:
	case r.cut && r.scroll == nil:
		m.askPage(r, PageNewest, place{}, pageLines)
	case p.oldest:
		m.askPage(r, PageOldest, place{}, pageLines)
	case p.pull != pullNone && !p.fetching:
		m.pullOlder(r)
	case p.push && r.cut:
		m.askPage(r, PageAfter, r.until(), pageLines)
	default:
		p.push = false
	}
}

func (m *Model) pullOlder(r *room) {
	p := &r.paging
	first := r.firstEvent()
	switch {
	case r.known && r.first && (p.pull == pullAll || p.why == ""):
		if p.told.IsZero() || m.now.Sub(p.told) >= fetchPause {
			m.edge(r, p.pull == pullAll, func() { p.fetching, p.why = true, "" })
			m.out.Actions = append(m.out.Actions, FetchOlder{Room: r.name, Lines: fetchLines})
		} else {
			p.owed = 0
		}
		p.pull = pullNone
	case r.known && r.first:
		p.pull = pullNone
	case r.known:
		m.askPage(r, PageBefore, r.from, pageLines)
	case r.cut && first != nil: // there may be holes in what is loaded: it is read again
		m.askPage(r, PageBefore, r.until(), r.again())
	default:
		m.askPage(r, PageNewest, place{}, r.again())
	}
}

// again is how many lines reach back to what is loaded, with those that belong between them, and by a page more.
func (r *room) again() int { return r.events() + r.paging.late + pageLines }

// events is how many items are of the log.
func (t *timeline) events() (n int) {
	for _, it := range t.items {
		if !it.isLocal() {
			n++
		}
	}
	return n
}

func (m *Model) askPage(r *room, from PageFrom, at place, lines int) {
	m.asks++
	r.paging.ask, r.paging.from, r.paging.lines, r.paging.lost = m.asks, from, lines, r.tailLost
	m.out.Actions = append(m.out.Actions, AskPage{Ask: m.asks, Room: r.name, From: from, Order: at.order, Peer: at.peer, Lines: lines})
}

// goTo shows a line of the log, whether it is loaded or not, and marks words in it.
func (m *Model) goTo(r *room, l *Line, words []string) {
	r.found, r.words = nil, words
	if it := r.ids[l.ID]; it != nil && !it.tailed {
		r.found = it
		m.scrollTo(it)
		return
	}
	r.paging = paging{target: l.ID, words: words, fetching: r.paging.fetching}
	m.askPage(r, PageAround, place{l.Order, SanitizeLine(l.Peer)}, pageLines)
}

// pageCame takes what was asked for.
func (m *Model) pageCame(msg Page) {
	r := m.find(msg.Room)
	if r == nil || msg.Ask == 0 || msg.Ask != r.paging.ask {
		return // it was asked for before something else was
	}
	defer m.fill(r)
	p := &r.paging
	p.ask = 0
	if msg.Ask == p.dated { // it may have been read before lines came that belong into it
		defer r.doubt()
	}
	if msg.Err != "" {
		m.pageFailed(r, msg.Err)
		return
	}
	lines := make([]*item, 0, len(msg.Lines))
	for i := range msg.Lines {
		it := m.itemOf(&msg.Lines[i])
		it.history = true
		r.own(it.peer, it.name)
		lines = append(lines, it)
	}
	last := msg.Last && p.lost == r.tailLost // else more was said since than is remembered
	switch p.from {
	case PageNewest:
		if r.cut && r.scroll == nil {
			r.reload(lines, msg.First)
			r.attach()
			r.below = 0
			return
		}
		if !msg.First && p.lines < r.again() {
			return // so much was said since that these may not reach back to what is loaded: turnPages asks for more
		}
		m.olderCame(r, lines, msg.First)
	case PageBefore:
		m.olderCame(r, lines, msg.First)
	case PageAfter:
		p.push = false
		r.load(lines)
		if last {
			r.attach()
		}
		r.trim()
	case PageOldest:
		p.oldest, p.pull = false, pullNone
		if len(lines) == 0 {
			return
		}
		if !r.known || r.ids[lines[0].id] == nil || r.ids[lines[0].id].tailed {
			r.reload(lines, true)
			if last {
				r.attach()
			}
		}
		r.first = true
		r.scroll = &anchor{item: r.items[0]}
		if r == m.room() {
			_, width := m.columns()
			m.move(r, -1<<30, width, m.layout.timeline.h)
		}
	case PageAround:
		target, words := p.target, p.words
		if len(lines) == 0 {
			m.flash = "this line is not in the history any more"
			return
		}
		r.reload(lines, msg.First)
		if last {
			r.attach()
		}
		it := r.ids[target]
		if it == nil {
			it = r.items[len(r.items)/2]
		}
		r.found, r.words = it, words
		if r == m.room() {
			m.scrollTo(it)
		} else {
			r.scroll = &anchor{item: it}
		}
		r.paging.pull, r.paging.owed = pullNone, 0
	}
}

// olderCame takes lines that come before those that are loaded, or all of them once more.
func (m *Model) olderCame(r *room, lines []*item, first bool) {
	p := &r.paging
	r.known, r.first, p.late = true, first, 0
	if len(lines) > 0 {
		r.from = lines[0].place()
	} else if it := r.firstEvent(); it != nil {
		r.from = it.place()
	}
	r.dropStrays()
	if r.load(lines) == 0 {
		return // the end of the log: turnPages goes on from here
	}
	p.pull = pullNone
	r.trim()
	if by := p.owed; by != 0 && r == m.room() {
		p.owed = 0
		m.scrollBy(by)
		p.pull = min(p.pull, pullLog)
	}
}

// dropStrays drops events before the first one behind which nothing is missing.
func (t *timeline) dropStrays() {
	kept := t.items[:0]
	for _, it := range t.items {
		if !it.isLocal() && it.place().before(t.from) {
			t.forget([]*item{it})
			continue
		}
		kept = append(kept, it)
	}
	clear(t.items[len(kept):])
	t.items = kept
}

// load puts lines of the log into the timeline, and reports how many are new in it.
func (t *timeline) load(lines []*item) (added int) {
	for _, it := range lines {
		if old := t.ids[it.id]; old != nil {
			old.missing, t.holed = it.missing, t.holed || it.missing > 0
			if !old.tailed {
				continue
			}
			t.untail(old)
			it = old
		} else {
			t.next++
			it.seq = t.next
		}
		t.insert(it)
		added++
	}
	t.mendAll()
	return added
}

// mendAll is mend for all that is loaded: lines may have come since a page was read that says that they are missing.
func (t *timeline) mendAll() {
	if !t.holed {
		return
	}
	last := map[string]uint64{}
	t.holed = false
	for _, it := range t.items {
		if before := last[it.peer]; before < it.number && it.number-before <= it.missing {
			it.missing = it.number - before - 1
		}
		if it.number > 0 {
			last[it.peer] = it.number
		}
		t.holed = t.holed || it.missing > 0
	}
	for _, it := range t.tail {
		t.holed = t.holed || it.missing > 0
	}
}

// reload puts lines of the log in place of all that are loaded. What came last is in the tail.
func (t *timeline) reload(lines []*item, first bool) {
	read := t.read
	t.empty()
	t.load(lines)
	t.known, t.first = true, first
	if len(lines) > 0 {
		t.from = lines[0].place()
	}
	if read != nil && t.ids[read.id] != nil {
		t.read = t.ids[read.id]
	}
}

// pageFailed says that the log could not be read.
func (m *Model) pageFailed(r *room, why string) {
	p := &r.paging
	text := "the history could not be read: " + SanitizeLine(why)
	switch p.from {
	case PageNewest, PageBefore:
		if r.cut && r.scroll == nil { // what is kept in memory has to do
			r.empty()
			r.attach()
		}
	}
	*p = paging{fetching: p.fetching, why: p.why, told: p.told, late: p.late}
	m.note(r, itemError, text)
}

// fill moves the view down where it has come to show less than there is room for.
func (m *Model) fill(r *room) {
	_, width := m.columns()
	height := m.layout.timeline.h
	if r == m.room() && r.scroll != nil && len(r.items) > 0 && len(m.viewRows(r, width, height)) < height {
		m.move(r, 0, width, height)
		r.paging.push = r.cut
	}
}

// olderFetched takes what the neighbours had.
func (m *Model) olderFetched(msg Older) {
	r := m.find(msg.Room)
	if r == nil {
		return
	}
	defer m.fill(r)
	p := &r.paging
	asked := p.fetching // else the screen was cleared since
	if msg.Lines > 0 {
		r.doubt()
		p.fetching, p.told, p.dated = false, time.Time{}, p.ask
		p.late = min(p.late+msg.Lines, maxLines)
		if asked {
			p.pull = pullLog
		}
		return
	}
	if !asked {
		return
	}
	p.told = m.now
	m.edge(r, r.scroll != nil, func() {
		p.fetching, p.owed = false, 0
		p.why = "this is the beginning of #" + r.name
		if msg.Why != "" {
			p.why = SanitizeLine(msg.Why)
		}
	})
}

// edge changes what is said above the first line, and brings that into view if the first line is, and the reader wants
// to know.
func (m *Model) edge(r *room, wanted bool, change func()) {
	_, width := m.columns()
	height := m.layout.timeline.h
	_, top := m.look(r, width, height)
	change()
	if top && wanted && r == m.room() && len(r.items) > 0 {
		m.move(r, -len(m.edgeRows(r)), width, height)
	}
}

// edgeRows are what is said above the first line.
func (m *Model) edgeRows(r *room) []row {
	p := &r.paging
	text := p.why
	switch {
	case m.bare:
		return nil
	case p.fetching:
		text = "fetching older lines" + m.sign("…", "...")
	case p.ask != 0 && (p.from == PageBefore || p.from == PageNewest && !r.cut):
		text = "reading older lines" + m.sign("…", "...")
	}
	if text == "" {
		return nil
	}
	var rows []row
	for _, line := range wrap(text, max(1, m.layout.timeline.w-4)) {
		rows = append(rows, row{kind: rowEdge, text: line})
	}
	return rows
}

// toOldest goes to the first line that there is here.
func (m *Model) toOldest() {
	r := m.room()
	m.scrollBy(-1 << 30)
	r.paging.owed = 0
	if r.name != "" && !(r.known && r.first) {
		r.paging.pull, r.paging.oldest = pullNone, true
	}
}

// missed takes note that lines did not come: there may be holes in what is loaded.
func (m *Model) missed() {
	for _, r := range m.rooms {
		r.doubt()
		r.tailLost++
	}
}

// doubt takes note that there may be holes in what is loaded.
func (t *timeline) doubt() { t.known, t.first = false, false }
