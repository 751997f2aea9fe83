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

// Append is gossip.Log's, as are the others.
func (l *log) Append(events []wire.Event) error {
	for i := range events {
		e := &events[i]
		c := l.chain(e.Author)
		if e.Seq != c.head()+1 {
			return fmt.Errorf("event %d of %s does not follow %d", e.Seq, e.Author.Tag(), c.head())
		}
		k := event{e.Author, e.Seq}
		if l.room.events[k] == nil {
			one := *e
			l.room.events[k] = &one
		}
		c.events = append(c.events, l.room.events[k])
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
	c.base, c.events = base, nil
	return nil
}
