package broadcast

import (
	"bytes"
	"fmt"
	"slices"

	"peerchat/peer/wire"
)

// log is a gossip.Log in memory. All logs of a room share one copy of each event, so that those of 10,000 peers fit into it.
type log struct {
	room    *Room
	lamport uint64
	authors map[wire.PeerID]*chain
}

type chain struct {
	base   uint64
	events []*wire.Event
	before *chain // what Rebase has parted from it
}

func (c *chain) head() uint64 { return c.base + uint64(len(c.events)) }

func (l *log) chain(author wire.PeerID) *chain {
	c := l.authors[author]
	if c == nil {
		c = &chain{}
		l.authors[author] = c
	}
	return c
}

// shared is the one copy of e.
func (l *log) shared(e *wire.Event) *wire.Event {
	k := event{e.Author, e.Seq}
	if l.room.events[k] == nil {
		one := *e
		l.room.events[k] = &one
	}
	return l.room.events[k]
}

// Append is gossip.Log's, as are the others.
func (l *log) Append(events []wire.Event) error {
	for i := range events {
		e := &events[i]
		c := l.chain(e.Author)
		if e.Seq != c.head()+1 {
			return fmt.Errorf("event %d of %s does not follow %d", e.Seq, e.Author.Tag(), c.head())
		}
		c.events = append(c.events, l.shared(e))
		l.lamport = max(l.lamport, e.Lamport)
	}
	return nil
}

// Range returns events of one author.
func (l *log) Range(_ wire.Room, author wire.PeerID, from, to uint64, limit int) ([]wire.Event, error) {
	c := l.authors[author]
	if c == nil {
		return nil, nil
	}
	var list []wire.Event
	for seq := max(from, c.base+1); seq <= min(to, c.head()) && len(list) < limit; seq++ {
		list = append(list, *c.events[seq-c.base-1])
	}
	return list, nil
}

// Heads returns how far each log goes.
func (l *log) Heads(wire.Room) (heads []wire.Head, lamport uint64, err error) {
	for author, c := range l.authors {
		if c.head() > 0 {
			heads = append(heads, wire.Head{Author: author, Base: c.base, Seq: c.head()})
		}
	}
	slices.SortFunc(heads, func(a, b wire.Head) int { return bytes.Compare(a.Author[:], b.Author[:]) })
	return heads, l.lamport, nil
}

// Rebase goes on after base.
func (l *log) Rebase(_ wire.Room, author wire.PeerID, base uint64) error {
	c := l.chain(author)
	before := *c
	*c = chain{base: base, before: &before}
	return nil
}

// Prepend puts events before a log, and joins it to what a Rebase has parted from it.
func (l *log) Prepend(events []wire.Event) error {
	c := l.chain(events[0].Author)
	if last := events[len(events)-1].Seq; last != c.base {
		return fmt.Errorf("event %d of %s does not come before %d", last, events[0].Author.Tag(), c.base+1)
	}
	var all []*wire.Event
	for i := range events {
		all = append(all, l.shared(&events[i]))
	}
	c.base, c.events = events[0].Seq-1, append(all, c.events...)
	if b := c.before; b != nil && b.head() >= c.base {
		c.events = append(slices.Clone(b.events), c.events[b.head()-c.base:]...)
		c.base, c.before = b.base, b.before
	}
	return nil
}

// Parted is where the part of a log ends that Rebase has parted from it.
func (l *log) Parted(_ wire.Room, author wire.PeerID) (uint64, error) {
	if c := l.authors[author]; c != nil && c.before != nil {
		return c.before.head(), nil
	}
	return 0, nil
}

// Base is after which event a log begins.
func (l *log) Base(_ wire.Room, author wire.PeerID) uint64 {
	if c := l.authors[author]; c != nil {
		return c.base
	}
	return 0
}
