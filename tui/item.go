package tui

import (
	"strings"
	"time"
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
	number  uint64 // in its author's log; 0: not known
	missing uint64 // see Line.Missing
	self    bool
	history bool // it was fetched, or read from the log: who has it is not known
	tailed  bool // in the tail
	mention bool

	delivered, of int
	presence      *presence

	news  string // what a notice about the tracker tells; equal ones are told once, with a count
	times int
}

// local sorts behind every peer ID.
const local = "\xff"

func (a *item) less(b *item) bool {
	if a.order != b.order || a.peer != b.peer {
		return a.place().before(b.place())
	}
	return a.seq < b.seq
}

func (a *item) place() place { return place{a.order, a.peer} }

func (a *item) isMessage() bool { return a.kind <= itemTopic }

func (a *item) isLocal() bool { return a.peer == local }

func (a *item) size() int { return len(a.text) + 64 }

// place is where an event stands in a room's log.
type place struct {
	order uint64
	peer  string
}

// before is the order of the log: by clock, then by key. IDs are base32 (RFC 4648), which has the digits behind the
// letters.
func (a place) before(b place) bool {
	if a.order != b.order {
		return a.order < b.order
	}
	for i := range min(len(a.peer), len(b.peer)) {
		if x, y := letter(a.peer[i]), letter(b.peer[i]); x != y {
			return x < y
		}
	}
	return len(a.peer) < len(b.peer)
}

// letter is the rank of a letter of an ID, and of local, which is behind them all.
func letter(c byte) int {
	if '0' <= c && c <= '9' {
		return 'z' + 1 + int(c-'0')
	}
	return int(c)
}

// presence is a run of joins and leaves in one line. Somebody who joined and left again within it is left out.
type presence struct {
	order   []string // IDs, in order of appearance
	by      map[string]*coming
	renames []string
}

type coming struct {
	name          string
	joined, left  int
	here          bool // after the last of them
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
	c.name, c.here = name, joined
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
	var came, went, back, visited []string
	for _, id := range p.order {
		c := p.by[id]
		switch {
		case smart && !c.spokeRecently:
		case c.joined > c.left:
			came = append(came, c.name)
		case c.left > c.joined:
			went = append(went, c.name)
		case c.here:
			back = append(back, c.name)
		default:
			visited = append(visited, c.name)
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
	say(back, "left and came back")
	say(visited, "came and went")
	parts = append(parts, p.renames...)
	switch {
	case len(parts) == 0:
		return "", ""
	case len(came) == 0 && len(back) == 0 && len(went) > 0:
		sign = "<--"
	case len(came) == 0 && len(back) == 0 && len(visited) == 0:
		sign = "-!-"
	default:
		sign = "-->"
	}
	return sign, strings.Join(parts, " · ")
}
