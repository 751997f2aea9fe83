package history

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"

	"peerchat/peer/wire"
)

// change is what an Append does to the mirror, once it is committed.
type change struct {
	room    *sqliteRoom
	name    wire.Room
	id      wire.LogID
	log     sqliteLog
	lamport uint64
	count   int
	encoded int64
	waiting int
	begun   bool // the log has no row yet
}

// add counts an event that was inserted.
func (c *change) add(e *wire.Event, encoded int) {
	c.lamport = max(c.lamport, e.Lamport)
	c.count++
	c.encoded += int64(encoded)
	if len(spoken(e)) > 0 {
		c.waiting++
	}
}

// Append implements Store. A single event goes into the journal, several are one transaction. The rows of rooms and
// logs are not kept up to date with each event, because that would be half of the work: load finds heads and clocks by
// the events.
func (s *SQLite) Append(events []wire.Event) error {
	if len(events) == 0 {
		return nil
	}
	err := s.guard(func() error {
		j, single := &s.journal, len(events) == 1 && s.known(&events[0])
		if !single || j.failed || len(j.lines) >= journalEvents || len(j.records)+events[0].EncodedSize() > journalBytes {
			if err := s.settle(); err != nil {
				return err
			}
		}
		if single && events[0].EncodedSize() < journalBytes-recordHead {
			return s.note(&events[0])
		}
		return s.append(events)
	})
	if err != nil {
		return fmt.Errorf("store events (%d): %w", len(events), explain(err))
	}
	s.keepBounds()
	return nil
}

// append stores events in SQLite, as one transaction. The journal must be settled.
func (s *SQLite) append(events []wire.Event) error {
	var changes []*change // one per log; seldom more than one
	err := s.transact(func() error {
		var c *change
		for i := range events {
			e := &events[i]
			if c == nil || c.id != logOf(e) || c.name != e.Room {
				var err error
				if c, err = s.change(&changes, e.Room, logOf(e)); err != nil {
					return err
				}
			}
			if e.Seq != c.log.head+1 {
				return gapError(e, c.log.head)
			}
			s.buf = wire.AppendEvent(s.buf[:0], e)
			if err := s.insert(rowOf(c.room, c.log.id, e), s.buf); err != nil {
				return err
			}
			c.log.head = e.Seq
			c.add(e, len(s.buf))
		}
		for _, c := range changes {
			if c.begun {
				if err := s.saveLog(c.name, c.room.id, c.id, c.log); err != nil {
					return err
				}
				c.log.saved = c.log.head
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.untidy += len(events)
	for _, c := range changes {
		s.apply(c)
	}
	return nil
}

// rowOf is what the row of e needs.
func rowOf(room *sqliteRoom, author int64, e *wire.Event) *journaled {
	return &journaled{room: room, author: author, seq: e.Seq, lamport: e.Lamport, time: e.Time, spoken: len(spoken(e)) > 0}
}

// insert writes the row of an event, and lets it wait for the index. data is its encoding.
func (s *SQLite) insert(x *journaled, data []byte) error {
	second, err := s.second(x)
	if err != nil {
		return err
	}
	for tries := 0; tries == 0 || codeOf(err) == codeConstraint && s.lastDoc == maxDoc && tries < 100; tries++ {
		doc := s.lastDoc + 1
		if s.lastDoc == maxDoc { // after years of floods: one of those that were pruned
			doc = 1 + rand.Int64N(maxDoc)
		}
		if err = s.exec(sqlEvent, doc, x.room.id, x.author, int64(x.seq), int64(x.lamport), x.time.UnixMilli(), second,
			int64(crc32.Checksum(data, castagnoli)), data); err != nil {
			continue
		}
		s.lastDoc = max(s.lastDoc, doc)
		if x.spoken {
			err = s.exec(sqlWait, doc, x.room.id, second)
		}
	}
	return err
}

// known reports whether the log of e has its row.
func (s *SQLite) known(e *wire.Event) bool {
	r := s.rooms[e.Room]
	return r != nil && r.logs[logOf(e)] != nil
}

// apply brings the mirror up to date with a committed change.
func (s *SQLite) apply(c *change) {
	s.rooms[c.name] = c.room
	s.ids[c.id.Author] = c.log.id
	if l := c.room.logs[c.id]; l != nil {
		*l = c.log
	} else {
		l := c.log
		c.room.logs[c.id] = &l
	}
	c.room.lamport = max(c.room.lamport, c.lamport)
	s.grow(c.name, c.room, c.count, c.encoded)
	s.waiting += c.waiting
}

// change finds the change for a log, made with its room and author if they are new.
func (s *SQLite) change(changes *[]*change, room wire.Room, id wire.LogID) (*change, error) {
	c := &change{name: room, id: id, room: s.rooms[room], log: sqliteLog{base: id.Start(), head: id.Start()}}
	for _, x := range *changes {
		if x.name == room {
			if x.id == id {
				return x, nil
			}
			c.room = x.room
		}
		if x.id.Author == id.Author {
			c.log.id = x.log.id
		}
	}
	if c.room == nil {
		c.room = &sqliteRoom{logs: make(map[wire.LogID]*sqliteLog)}
		if err := s.query(sqlRoom, first(&c.room.id), string(room)); err != nil {
			return nil, err
		}
	}
	c.lamport = c.room.lamport
	c.begun = c.room.logs[id] == nil
	if l := c.room.logs[id]; l != nil {
		c.log = *l
	} else if author, ok := s.ids[id.Author]; ok {
		c.log.id = author
	} else if c.log.id == 0 {
		if err := s.query(sqlAuthor, first(&c.log.id), id.Author[:]); err != nil {
			return nil, err
		}
	}
	if c.begun {
		logs := len(c.room.logs)
		for _, x := range *changes {
			if x.begun && x.name == c.name {
				logs++
			}
		}
		if logs >= 2*s.cfg.Limits.Authors {
			return nil, &crowdError{room, id.Author}
		}
	}
	*changes = append(*changes, c)
	return c, nil
}

// Rebase implements Store.
func (s *SQLite) Rebase(room wire.Room, log wire.LogID, base, missing uint64) error {
	if err := checkRebase(room, log, base); err != nil {
		return err
	}
	return s.guard(func() error {
		if err := s.settle(); err != nil {
			return err
		}
		var changes []*change
		err := s.transact(func() error {
			c, err := s.change(&changes, room, log)
			if err != nil {
				return err
			}
			if base <= c.log.head {
				return rebaseError(room, log, base, c.log.head)
			}
			was := c.log.holes
			c.log.holes = was.rebased(c.log.base, c.log.head, base, missing)
			c.log.base, c.log.head, c.log.saved = base, base, base
			return errors.Join(s.saveLog(room, c.room.id, log, c.log), s.saveHoles(room, c.room.id, log, c.log.id, was, c.log.holes))
		})
		if err != nil {
			return err
		}
		s.apply(changes[0])
		return nil
	})
}

// Prepend implements Store.
func (s *SQLite) Prepend(events []wire.Event) error { return s.before(events, s.prepend) }

// before stores events that come before a log.
func (s *SQLite) before(events []wire.Event, put func([]wire.Event) error) error {
	if len(events) == 0 {
		return nil
	}
	if err := s.guard(func() error {
		if err := s.settle(); err != nil {
			return err
		}
		return put(events)
	}); err != nil {
		return fmt.Errorf("store events (%d): %w", len(events), explain(err))
	}
	s.keepBounds()
	return nil
}

func (s *SQLite) prepend(events []wire.Event) error {
	e := &events[len(events)-1]
	id, base := logOf(e), uint64(0)
	if s.known(e) {
		base = s.rooms[e.Room].logs[id].base
	}
	if err := checkPrepend(events, base); err != nil {
		return err
	}
	r := s.rooms[e.Room]
	c := &change{room: r, name: e.Room, id: id, log: *r.logs[id]}
	err := s.transact(func() error {
		held := make(map[uint64]bool) // from before a base that Rebase has raised
		if err := s.query(sqlBelow, func(row []driver.Value) error {
			held[uint64(num(row[0]))] = true
			return nil
		}, r.id, c.log.id, int64(id.Start()), int64(base)); err != nil {
			return err
		}
		for i := range events {
			if e := &events[i]; !held[e.Seq] {
				s.buf = wire.AppendEvent(s.buf[:0], e)
				if err := s.insert(rowOf(r, c.log.id, e), s.buf); err != nil {
					return err
				}
				c.add(e, len(s.buf))
			}
		}
		for c.log.base = events[0].Seq - 1; held[c.log.base]; c.log.base-- {
		}
		c.log.saved = c.log.head
		was := c.log.holes
		c.log.holes = was.filled(c.log.base)
		return errors.Join(s.saveLog(c.name, r.id, id, c.log), s.saveHoles(c.name, r.id, id, c.log.id, was, c.log.holes))
	})
	if err != nil {
		return err
	}
	s.untidy += len(events)
	s.apply(c)
	return nil
}
