package main

import (
	"fmt"
	"strings"
	"time"

	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// lineHits is how many hits the plain and the JSON mode show.
const lineHits = 50

// A room that lacks something is told of in plain mode when that lasts: after gapPatience, and again every gapRetold.
const (
	gapPatience = 3 * time.Second
	gapRetold   = 30 * time.Second
)

// search is /search in line mode. Several may be under way; they are answered in their order.
func (m *lineMode) search(a tui.Search) {
	f := found{room: wire.Room(a.Room), query: strings.TrimSpace(a.Text)}
	if f.query == "" {
		m.problem("search", "search for what? usage: /search [-a] WORDS")
		return
	}
	finds := m.finds
	if !m.archive.find(searchAsk{room: f.room, text: f.query, limit: lineHits}, func(res history.Results, err error) {
		f.res, f.err = res, err
		finds.Post(f)
	}) {
		m.problem("search", fmt.Sprintf("not searched: %d searches wait already", maxArchiveAsks))
		return
	}
	m.searching++
}

func (p *plainPrinter) found(b []byte, f found, _ *view) []byte {
	where := "all rooms"
	if f.room != "" {
		where = f.room.String()
	}
	now, query := p.now(), tui.SanitizeLine(f.query)
	switch {
	case f.err != nil:
		return p.problem(b, "search", fmt.Sprintf("searching %s for %s: %v", where, f.query, f.err))
	case len(f.res.Hits) == 0:
		return line(b, now, fmt.Sprintf("-!- nothing was found in %s for %s", where, query))
	}
	text := fmt.Sprintf("-!- found in %s for %s, the newest first:", where, query)
	if f.res.More {
		text = fmt.Sprintf("-!- found in %s for %s, the newest %d:", where, query, len(f.res.Hits))
	}
	b = line(b, now, text)
	for i := range f.res.Hits {
		b = line(b, now, "-!- "+hitText(&f.res.Hits[i]))
	}
	return b
}

func (p *jsonPrinter) found(b []byte, f found, _ *view) []byte {
	if f.err != nil {
		return p.problem(b, "search", fmt.Sprintf("searching for %s: %v", f.query, f.err))
	}
	return jsonSearch(p.begin(b, "search"), f.room, f.query, f.res).end()
}

// gap is what a room lacks.
type gap struct {
	missing int
	since   time.Time
	told    time.Time // zero: not yet
	alone   bool      // it was told that nobody is linked who could send it
}

// synced takes note of what a room lacks. What was told is taken back when it is there.
func (p *plainPrinter) synced(b []byte, ev peer.Synced) []byte {
	now := p.now()
	g, known := p.gaps[ev.Room]
	switch {
	case ev.Missing > 0 && !known:
		if p.gaps == nil {
			p.gaps = map[wire.Room]gap{}
		}
		p.gaps[ev.Room] = gap{missing: ev.Missing, since: now}
	case ev.Missing > 0:
		g.missing = ev.Missing
		p.gaps[ev.Room] = g
	case known:
		delete(p.gaps, ev.Room)
		if !g.told.IsZero() {
			return line(b, now, fmt.Sprintf("-!- %s is synced", ev.Room))
		}
	}
	return b
}

// linkedIn tells whether somebody of a room is linked.
func (p *plainPrinter) linkedIn(room wire.Room) bool {
	r := p.members[room]
	if r == nil {
		return false
	}
	for id := range p.linked {
		if _, there := r.members[id]; there {
			return true
		}
	}
	return false
}

func (p *plainPrinter) waits() bool {
	for _, x := range p.pasts {
		if len(x.lines) > 0 {
			return true
		}
	}
	return len(p.gaps) > 0 || p.awaitsHere()
}

func (p *plainPrinter) tick(b []byte, v *view) []byte {
	now := p.now()
	b = p.tickPast(p.tickHere(b, now), v)
	for _, room := range sortedRooms(p.gaps) {
		g := p.gaps[room]
		alone := !p.linkedIn(room)
		if now.Sub(g.since) < gapPatience || !g.told.IsZero() && (now.Sub(g.told) < gapRetold || alone && g.alone) {
			continue // whoever is alone may be so for long, and nothing changes meanwhile
		}
		g.told, g.alone = now, alone
		p.gaps[room] = g
		text := fmt.Sprintf("-!- syncing %s, %d missing", room, g.missing)
		if alone {
			text = fmt.Sprintf("-!- %s: %d missing, nobody is linked", room, g.missing)
		}
		b = line(b, now, text)
	}
	return b
}

// JSON tells of each change at once.

func (p *jsonPrinter) waits() bool { return false }

func (p *jsonPrinter) tick(b []byte, _ *view) []byte { return b }
