package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// Bounds of the archive.
const (
	maxArchiveAsks = 256     // questions that wait; a front end asks a few at a time
	pageChunk      = 300     // events that are read at once
	maxPage        = 10_000  // lines of a page
	maxPageBytes   = 6 << 20 // of their texts
	snippetBytes   = 240     // of a hit, for the screen
)

// archive reads the history for a front end, in a goroutine of its own: neither the screen nor the Node waits for the
// disk, and a long search holds up nobody but the next question. One goroutine asks; the answers are told by the
// archive's, which may only post them.
type archive struct {
	path string
	self wire.PeerID
	mail *peer.Mailbox[func()]
	done chan struct{}

	// What follows belongs to the goroutine that asks.

	searching context.Context    // of the searches that run or wait
	drop      context.CancelFunc // ends them
	all       context.Context
	ending    context.CancelFunc

	// What follows belongs to the archive's goroutine.

	reader *history.Reader
	search searchAsk // the last one that was answered
	next   history.Cursor
}

// searchAsk is a search. One with the ID of the one before goes on behind its last hit.
type searchAsk struct {
	id    uint64
	room  wire.Room // empty: all
	text  string
	more  bool
	limit int
}

// openArchive begins to read the history at path. Nothing is opened before something is asked for.
func openArchive(path string, self wire.PeerID) *archive {
	a := &archive{path: path, self: self, done: make(chan struct{}),
		mail: peer.NewMailbox(maxArchiveAsks, func(func()) int { return 1 })}
	a.all, a.ending = context.WithCancel(context.Background())
	a.searching, a.drop = context.WithCancel(a.all)
	go a.run()
	return a
}

// close ends a running search, and waits for the goroutine. What still waited is not answered.
func (a *archive) close() error {
	a.ending()
	a.drop()
	a.mail.Close()
	<-a.done
	if a.reader == nil {
		return nil
	}
	return a.reader.Close()
}

func (a *archive) run() {
	defer close(a.done)
	for {
		asks, err := a.mail.Take(a.all)
		if err != nil {
			return
		}
		for _, ask := range asks {
			if a.all.Err() == nil {
				ask()
			}
		}
	}
}

// page answers a question of the screen. It reports whether there will be an answer.
func (a *archive) page(ask tui.AskPage, answer func(tui.Page)) bool {
	return a.mail.Post(func() {
		p := tui.Page{Ask: ask.Ask, Room: ask.Room}
		if err := a.read(func(v *history.Reader) error { return a.turn(v, ask, &p) }); err != nil {
			p = tui.Page{Ask: ask.Ask, Room: ask.Room, Err: err.Error()}
		}
		answer(p)
	})
}

// olderEvents are events of a room that come before a place, in display order, and how many of its author are missing
// before each. First says that the log holds nothing before them.
type olderEvents struct {
	room    wire.Room
	events  []wire.Event
	missing []uint64
	first   bool
	err     error
}

// before reads up to pageChunk events that come before a place in a room. It reports whether there will be an answer.
func (a *archive) before(room wire.Room, at placeOf, answer func(olderEvents)) bool {
	return a.mail.Post(func() {
		page := olderEvents{room: room}
		page.err = a.read(func(v *history.Reader) (err error) {
			if page.events, err = v.Before(room, at.lamport, at.author, pageChunk); err == nil {
				page.missing, err = v.Gaps(room, page.events)
			}
			return err
		})
		page.first = len(page.events) < pageChunk
		answer(page)
	})
}

// find searches. It reports whether there will be an answer, unless endSearches is called.
func (a *archive) find(ask searchAsk, answer func(history.Results, error)) bool {
	ctx := a.searching
	return a.mail.Post(func() {
		if ctx.Err() != nil || ask.more && a.search.id != ask.id {
			return
		}
		from := a.next
		if !ask.more {
			from = history.Cursor{}
		}
		var res history.Results
		err := a.read(func(v *history.Reader) (err error) {
			if res, err = v.Search(ctx, ask.room, ask.text, from, ask.limit); ctx.Err() != nil {
				return nil // that is no failure of the history
			}
			return err
		})
		if ctx.Err() == nil {
			a.search, a.next = ask, res.Next
			answer(res, err)
		}
	})
}

// endSearches ends what is being searched for: nobody waits for it any more.
func (a *archive) endSearches() {
	a.drop()
	a.searching, a.drop = context.WithCancel(a.all)
}

// read calls f with the history. After a failure it is opened anew the next time.
func (a *archive) read(f func(*history.Reader) error) (err error) {
	if a.reader == nil {
		if a.reader, err = history.OpenReader(a.path); err != nil {
			a.reader = nil
			return err
		}
	}
	if err = f(a.reader); err != nil {
		err = errors.Join(err, a.reader.Close())
		a.reader = nil
	}
	return err
}

// turn reads a page.
func (a *archive) turn(v *history.Reader, ask tui.AskPage, p *tui.Page) error {
	room, limit := wire.Room(ask.Room), max(1, min(ask.Lines, maxPage))
	var author wire.PeerID
	if ask.From == tui.PageBefore || ask.From == tui.PageAfter || ask.From == tui.PageAround {
		var err error
		if author, err = wire.ParsePeerID(ask.Peer); err != nil {
			return fmt.Errorf("read %s: %w", room, err)
		}
	}
	switch ask.From {
	case tui.PageNewest:
		p.Last = true
		return a.fill(v, true, room, math.MaxInt64, author, limit, p)
	case tui.PageBefore:
		return a.fill(v, true, room, ask.Order, author, limit, p)
	case tui.PageOldest:
		p.First = true
		return a.fill(v, false, room, 0, wire.PeerID{}, limit, p)
	case tui.PageAfter:
		return a.fill(v, false, room, ask.Order, author, limit, p)
	}
	events, err := v.Around(room, ask.Order, author, limit)
	if err != nil || len(events) == 0 {
		return err
	}
	if p.Lines, err = a.lines(v, room, events); err != nil {
		return err
	}
	before, err := v.Before(room, events[0].Lamport, events[0].Author, 1)
	if err != nil {
		return err
	}
	last := events[len(events)-1]
	after, err := v.After(room, last.Lamport, last.Author, 1)
	p.First, p.Last = len(before) == 0, len(after) == 0
	return err
}

// fill puts up to limit events into the page, and more until there is a line: those before a place, or those after it.
func (a *archive) fill(v *history.Reader, before bool, room wire.Room, lamport uint64, author wire.PeerID, limit int, p *tui.Page) error {
	read, end := v.After, &p.Last
	if before {
		read, end = v.Before, &p.First
	}
	for bytes := 0; bytes < maxPageBytes && (limit > 0 || len(p.Lines) == 0); {
		n := max(1, min(limit, pageChunk))
		events, err := read(room, lamport, author, n)
		if err != nil {
			return err
		}
		lines, err := a.lines(v, room, events)
		if err != nil {
			return err
		}
		bytes += pageBytes(lines)
		next := len(events) - 1 // the place to go on from
		if before {
			next = 0
			p.Lines = append(lines, p.Lines...)
		} else {
			p.Lines = append(p.Lines, lines...)
		}
		if *end = len(events) < n; *end {
			return nil
		}
		lamport, author, limit = events[next].Lamport, events[next].Author, limit-n
	}
	return nil
}

func pageBytes(lines []tui.Line) (n int) {
	for i := range lines {
		n += len(lines[i].Text)
	}
	return n
}

// lines are the events that are for people.
func (a *archive) lines(v *history.Reader, room wire.Room, events []wire.Event) ([]tui.Line, error) {
	missing, err := v.Gaps(room, events)
	if err != nil {
		return nil, err
	}
	lines := make([]tui.Line, 0, len(events))
	behind := map[wire.PeerID]uint64{} // what is missing before events that are not shown
	for i := range events {
		e := &events[i]
		lost := behind[e.Author] + missing[i]
		if !isShown(e.Kind) {
			if lost > 0 {
				behind[e.Author] = lost
			}
			continue
		}
		delete(behind, e.Author)
		l := toLine(e, a.self)
		l.Missing = lost
		lines = append(lines, l)
	}
	return lines, nil
}

func isShown(k wire.Kind) bool {
	return k == wire.KindText || k == wire.KindAction || k == wire.KindTopic
}

// toLine is an event of the history as the screen shows it.
func toLine(e *wire.Event, self wire.PeerID) tui.Line {
	return tui.Line{Room: string(e.Room), Kind: toLineKind(e.Kind), ID: e.ID.String(), Peer: e.Author.String(), Name: e.Name,
		Text: string(e.Body), Sent: e.Time, Order: e.Lamport, Seq: e.Seq, Self: e.Author == self, History: true}
}

// toFound is what a search found as the screen shows it.
func toFound(id uint64, res history.Results, err error, self wire.PeerID) tui.Found {
	found := tui.Found{Ask: id, More: res.More}
	if err != nil {
		found.Err = err.Error()
	}
	for i := range res.Hits {
		text, spans := res.Hits[i].Snippet(snippetBytes)
		hit := tui.Hit{Line: toLine(&res.Hits[i].Event, self), Text: text}
		for _, s := range spans {
			hit.Spans = append(hit.Spans, [2]int{s.From, s.To})
		}
		found.Hits = append(found.Hits, hit)
	}
	return found
}
