package history

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"peerchat/peer/wire"
)

var errClosed = errors.New("the history is closed")

// change is what an Append does to the mirror, once it is committed.
type change struct {
	room    *sqliteRoom
	name    wire.Room
	author  wire.PeerID
	log     sqliteLog
	lamport uint64
	count   int
	begun   bool // the log has no row yet
}

// Append implements Store. A single event goes into the journal, several are one transaction. The rows of rooms and
// logs are not kept up to date with each event, because that would be half of the work: load finds heads and clocks by
// the events.
func (s *SQLite) Append(events []wire.Event) error {
	if len(events) == 0 {
		return nil
	}
	if s.conn == nil {
		return errClosed
	}
	j, single := &s.journal, len(events) == 1 && s.known(&events[0])
	if !single || j.failed || len(j.lines) >= journalEvents || len(j.records)+events[0].EncodedSize() > journalBytes {
		if err := s.Settle(); err != nil {
			return err
		}
	}
	if single && events[0].EncodedSize() < journalBytes-recordHead {
		if err := s.note(&events[0]); err != nil {
			return fmt.Errorf("store an event: %w", err)
		}
		return nil
	}
	return s.append(events)
}

// append stores events in SQLite, as one transaction. The journal must be settled.
func (s *SQLite) append(events []wire.Event) error {
	var changes []*change // one per log; seldom more than one
	err := s.transact(func() error {
		var c *change
		for i := range events {
			e := &events[i]
			if c == nil || c.author != e.Author || c.name != e.Room {
				var err error
				if c, err = s.open(&changes, e); err != nil {
					return err
				}
			}
			if e.Seq != c.log.head+1 {
				return gapError(e, c.log.head)
			}
			s.buf = wire.AppendEvent(s.buf[:0], e)
			if err := s.exec(sqlEvent, c.room.id, c.log.id, int64(e.Seq), int64(e.Lamport), s.buf); err != nil {
				return err
			}
			c.log.head = e.Seq
			c.lamport = max(c.lamport, e.Lamport)
			c.count++
		}
		for _, c := range changes {
			if c.begun {
				if err := s.exec(sqlLog, c.room.id, c.log.id, int64(c.log.base), int64(c.log.head)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store %d events: %w", len(events), err)
	}
	s.untidy += len(events)
	for _, c := range changes {
		s.apply(c)
	}
	for _, c := range changes {
		s.bound(c.name, c.room)
	}
	return nil
}

// bound prunes a room that has become too big.
func (s *SQLite) bound(name wire.Room, r *sqliteRoom) {
	if r.count > s.keep+slack(s.keep) {
		// The events are stored, and that is what was asked for; if pruning fails, the next Append tries again.
		_ = s.prune(name, r)
	}
}

// known reports whether the log of e has its row.
func (s *SQLite) known(e *wire.Event) bool {
	r := s.rooms[e.Room]
	return r != nil && r.logs[e.Author] != nil
}

// apply brings the mirror up to date with a committed change.
func (s *SQLite) apply(c *change) {
	s.rooms[c.name] = c.room
	s.ids[c.author] = c.log.id
	if l := c.room.logs[c.author]; l != nil {
		*l = c.log
	} else {
		l := c.log
		c.room.logs[c.author] = &l
	}
	c.room.lamport = max(c.room.lamport, c.lamport)
	c.room.count += c.count
}

// open finds the change for the log of e, made with its room and author if they are new.
func (s *SQLite) open(changes *[]*change, e *wire.Event) (*change, error) {
	c := &change{name: e.Room, author: e.Author, room: s.rooms[e.Room]}
	for _, x := range *changes {
		if x.name == e.Room {
			if x.author == e.Author {
				return x, nil
			}
			c.room = x.room
		}
		if x.author == e.Author {
			c.log.id = x.log.id
		}
	}
	if c.room == nil {
		c.room = &sqliteRoom{logs: make(map[wire.PeerID]*sqliteLog)}
		if err := s.query(sqlRoom, first(&c.room.id), string(e.Room)); err != nil {
			return nil, err
		}
	}
	c.lamport = c.room.lamport
	c.begun = !s.known(e)
	if l := c.room.logs[e.Author]; l != nil {
		c.log = *l
	} else if id, ok := s.ids[e.Author]; ok {
		c.log.id = id
	} else if c.log.id == 0 {
		if err := s.query(sqlAuthor, first(&c.log.id), e.Author[:]); err != nil {
			return nil, err
		}
	}
	*changes = append(*changes, c)
	return c, nil
}

// first reads the number that a row begins with.
func first(n *int64) func([]driver.Value) error {
	return func(row []driver.Value) error {
		*n, _ = row[0].(int64)
		return nil
	}
}

// Rebase implements Store.
func (s *SQLite) Rebase(room wire.Room, author wire.PeerID, base uint64) error {
	if s.conn == nil {
		return errClosed
	}
	if err := s.Settle(); err != nil {
		return err
	}
	var changes []*change
	err := s.transact(func() error {
		c, err := s.open(&changes, &wire.Event{Room: room, Author: author})
		if err != nil {
			return err
		}
		if base <= c.log.head {
			return rebaseError(room, author, base, c.log.head)
		}
		c.log.base, c.log.head = base, base
		return s.exec(sqlLog, c.room.id, c.log.id, int64(base), int64(base))
	})
	if err != nil {
		return err
	}
	s.apply(changes[0])
	return nil
}

// prune removes a room's oldest events so that keep remain, or a few less.
func (s *SQLite) prune(name wire.Room, r *sqliteRoom) error {
	upTo := make(map[int64]uint64) // by author
	err := s.query(sqlOldest, func(row []driver.Value) error {
		author, seq := row[0].(int64), uint64(row[1].(int64))
		upTo[author] = max(upTo[author], seq)
		return nil
	}, r.id, int64(r.count-s.keep))
	if err != nil {
		return err
	}
	count := r.count
	err = s.transact(func() error {
		for _, l := range r.logs {
			seq := upTo[l.id]
			if seq == 0 {
				continue
			}
			if err := s.exec(sqlPrune, r.id, l.id, int64(seq)); err != nil {
				return err
			}
			if err := s.exec(sqlLog, r.id, l.id, int64(max(seq, l.base)), int64(l.head)); err != nil {
				return err
			}
		}
		if err := s.exec(sqlLamport, int64(r.lamport), r.id); err != nil {
			return err
		}
		return s.query(sqlCount, func(row []driver.Value) error {
			count = int(row[0].(int64))
			return nil
		}, r.id)
	})
	if err != nil {
		return fmt.Errorf("prune room %s: %w", name, err)
	}
	for _, l := range r.logs {
		l.base = max(l.base, upTo[l.id])
	}
	r.count = count
	return nil
}
