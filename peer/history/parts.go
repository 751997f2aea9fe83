package history

import (
	"database/sql/driver"
	"errors"
	"slices"

	"peerchat/peer/wire"
)

// What a log holds before its base, behind holes, is in parts: those that it had before it went on past what nobody
// had, and those that somebody else had who had gone on so. Holes tell where they end, and only the first of a log may
// have been pruned, as they go from their beginning on.

// Parts implements Store.
func (s *SQLite) Parts(room wire.Room, log wire.LogID) (parts []wire.Head, err error) {
	if r := s.rooms[room]; r == nil || r.logs[log] == nil || len(r.logs[log].holes) == 0 {
		return nil, nil // as nearly always
	}
	err = s.look(room, "read a log", func(r *sqliteRoom) error {
		if r.logs[log] == nil {
			return nil
		}
		parts, err = s.parts(r, log.Author, r.logs[log])
		return err
	})
	return parts, err
}

func (s *SQLite) parts(r *sqliteRoom, author wire.PeerID, l *sqliteLog) (parts []wire.Head, err error) {
	for i, x := range slices.Backward(l.holes) {
		least := wire.LogOf(author, x.upTo).Start()
		if i > 0 {
			least = l.holes[i-1].upTo
		}
		from, err := s.nextHeld(r, l, least, x.after)
		if err != nil {
			return nil, err
		}
		if from > 0 {
			parts = append(parts, wire.Head{Author: author, Base: from - 1, Seq: x.after})
		}
	}
	return parts, nil
}

// nextHeld is the first event of a log after one number, up to another, that is held; 0 if there is none.
func (s *SQLite) nextHeld(r *sqliteRoom, l *sqliteLog, after, upTo uint64) (seq uint64, err error) {
	err = s.raise(&seq, sqlNextHeld, r.id, l.id, int64(after), int64(upTo))
	return seq, err
}

// Range implements Store.
func (s *SQLite) Range(room wire.Room, author wire.PeerID, from, to uint64, limit int) (events []wire.Event, err error) {
	err = s.look(room, "read a log", func(r *sqliteRoom) error {
		events = nil
		l := r.logs[wire.LogOf(author, from)]
		if l == nil {
			return nil
		}
		if to <= l.base {
			parts, err := s.parts(r, author, l)
			if err != nil {
				return err
			}
			part, ok := partWith(parts, from)
			if !ok || limit < 1 {
				return nil
			}
			events, err = s.log(room, r.id, author, l.id, from, min(to, part.Seq), limit)
			return err
		}
		from, to := max(from, l.base+1), min(to, l.head)
		if from > to || limit < 1 {
			return nil
		}
		events, err = s.log(room, r.id, author, l.id, from, to, limit)
		return err
	})
	return events, err
}

// Insert implements Store.
func (s *SQLite) Insert(events []wire.Event) error { return s.before(events, s.insertPart) }

func (s *SQLite) insertPart(events []wire.Event) error {
	first, last := &events[0], &events[len(events)-1]
	id, base := logOf(last), uint64(0)
	if s.known(last) {
		base = s.rooms[last.Room].logs[id].base
	}
	if err := checkInsert(events, base); err != nil {
		return err
	}
	r := s.rooms[last.Room]
	c := &change{room: r, name: last.Room, id: id, log: *r.logs[id]}
	err := s.transact(func() error {
		held := make(map[uint64]bool)
		if err := s.query(sqlBelow, func(row []driver.Value) error {
			held[uint64(num(row[0]))] = true
			return nil
		}, r.id, c.log.id, int64(first.Seq-1), int64(last.Seq)); err != nil {
			return err
		}
		next, err := s.nextHeld(r, &c.log, last.Seq, base)
		if err != nil {
			return err
		}
		if next == 0 {
			next = base + 1
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
		c.log.saved = c.log.head
		was := c.log.holes
		c.log.holes = was.inserted(first.Seq, last.Seq, next)
		return errors.Join(s.saveLog(c.name, r.id, id, c.log), s.saveHoles(c.name, r.id, id, c.log.id, was, c.log.holes))
	})
	if err != nil {
		return err
	}
	s.untidy += len(events)
	s.apply(c)
	return nil
}
