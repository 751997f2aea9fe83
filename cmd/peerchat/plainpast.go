package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"peerchat/peer"
	"peerchat/peer/wire"
)

// Plain mode prints a line once, and cannot put another before it. Others send what was said before one came in pieces,
// the newest first, so what is fetched is held back until no more comes, and printed in order. A live line never waits:
// what is fetched after it is said to belong before it.

const (
	pastQuiet = 500 * time.Millisecond  // that long nothing more must come
	pastGap   = 2500 * time.Millisecond // the same while more is to be expected: others are known to have it, or one is new in the room, where what there is may take 2 s to become known
	pastMost  = 10 * time.Second        // the longest
	// What comes as live within pastLink after a link came up and was said more than pastLate ago is a part of what is
	// fetched: neighbours send the last 10 s of a conversation so.
	pastLink = 15 * time.Second
	pastLate = 2 * time.Second
	// maxPast and maxPastBytes are how many lines of a room are held back, and bytes of their texts.
	maxPast      = 2000
	maxPastBytes = 4 << 20
)

// past are the fetched lines of a room that were not printed yet, and where those end that were.
type past struct {
	lines       []peer.Message
	bytes       int
	first, last time.Time // when the first and the last of them came
	fresh       bool      // they are the first of the room, and others have sent them
	begun       bool      // some were printed
	end         placeOf   // the last of these, in display order
}

// spoke takes note of a line that is printed, or that was typed on the terminal.
func (p *past) spoke(m peer.Message) {
	if at := (placeOf{m.Lamport, m.Person.Peer}); !p.begun || p.end.before(at) {
		p.end, p.begun = at, true
	}
}

// due is when the lines are printed if no more come.
func (p *past) due(gap bool) time.Time {
	quiet := pastQuiet
	if gap || p.fresh {
		quiet = pastGap
	}
	if most := p.first.Add(pastMost); most.Before(p.last.Add(quiet)) {
		return most
	}
	return p.last.Add(quiet)
}

// isPast tells whether a line was said before and comes with others.
func (p *plainPrinter) isPast(m peer.Message) bool {
	return m.History || !m.Self && p.now().Sub(p.linkedAt) < pastLink && p.now().Sub(m.Sent) > pastLate
}

// pastOf is what is known of a room.
func (p *plainPrinter) pastOf(room wire.Room) *past {
	if p.pasts[room] == nil {
		p.pasts[room] = &past{}
	}
	return p.pasts[room]
}

// fetched takes in a line that was said before, and prints what there is if that is much.
func (p *plainPrinter) fetched(b []byte, m peer.Message, v *view) []byte {
	x, now := p.pastOf(m.Room), p.now()
	if len(x.lines) == 0 {
		x.first, x.fresh = now, !x.begun && len(p.linked) > 0 // without a link it is the own history
	}
	x.last = now
	x.lines = append(x.lines, m)
	if x.bytes += len(m.Text); len(x.lines) >= maxPast || x.bytes >= maxPastBytes {
		return p.printPast(b, m.Room, v)
	}
	return b
}

// printPast prints what was held back of a room: first, with a mark, what belongs before lines that were printed.
func (p *plainPrinter) printPast(b []byte, room wire.Room, v *view) []byte {
	x := p.pasts[room]
	if x == nil || len(x.lines) == 0 {
		return b
	}
	lines := x.lines
	x.lines, x.bytes = nil, 0
	slices.SortStableFunc(lines, func(a, b peer.Message) int {
		return cmp.Or(cmp.Compare(a.Lamport, b.Lamport), slices.Compare(a.Person.Peer[:], b.Person.Peer[:]), cmp.Compare(a.Seq, b.Seq))
	})
	older := 0
	for x.begun && older < len(lines) && (placeOf{lines[older].Lamport, lines[older].Person.Peer}).before(x.end) {
		older++
	}
	now, last := p.now(), map[wire.PeerID]uint64{}
	if older > 0 {
		b = line(b, now, fmt.Sprintf("-!- older lines of %s, %d, from before those above:", room, older))
	}
	for i, m := range lines {
		if i > 0 && i == older {
			b = line(b, now, "-!- these were older lines")
		}
		if before, ok := last[m.Person.Peer]; ok && before < m.Seq && m.Seq-1-m.Missing < before {
			m.Missing = m.Seq - 1 - before // some of them came later, and stand before it now
		}
		last[m.Person.Peer] = m.Seq
		x.spoke(m)
		b = p.message(p.hole(b, now, m), now, m, v)
	}
	if older > 0 && older == len(lines) {
		b = line(b, now, "-!- these were older lines")
	}
	return b
}

// rest prints all that is held back.
func (p *plainPrinter) rest(b []byte, v *view) []byte {
	for _, room := range sortedRooms(p.pasts) {
		b = p.printPast(b, room, v)
	}
	return b
}

// tickPast prints what waited for long enough.
func (p *plainPrinter) tickPast(b []byte, v *view) []byte {
	for _, room := range sortedRooms(p.pasts) {
		if _, gap := p.gaps[room]; len(p.pasts[room].lines) > 0 && !p.now().Before(p.pasts[room].due(gap)) {
			b = p.printPast(b, room, v)
		}
	}
	return b
}

// JSON has each line at once, with what orders it.
func (p *jsonPrinter) rest(b []byte, _ *view) []byte { return b }
