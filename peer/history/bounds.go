package history

import (
	"cmp"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// waterLevel is the level to which rooms of these sizes have to be cut so that they hold no more than bound together:
// the biggest give, and who floods one room takes nothing from the quiet ones.
func waterLevel(sizes []int64, bound int64) int64 {
	sizes = slices.Clone(sizes)
	slices.Sort(sizes)
	for i, size := range sizes {
		if share := bound / int64(len(sizes)-i); size > share {
			return share
		}
		bound -= size
	}
	return unbounded
}

// aging finds what is too old in logs that it is shown in display order: of each log, the events before the first that
// is not.
type aging[Log comparable] struct {
	cutoff time.Time
	upTo   map[Log]uint64
	young  map[Log]bool
}

func newAging[Log comparable](cutoff time.Time) aging[Log] {
	return aging[Log]{cutoff, make(map[Log]uint64), make(map[Log]bool)}
}

func (a *aging[Log]) see(log Log, seq uint64, t time.Time) {
	switch {
	case !t.Before(a.cutoff):
		a.young[log] = true
	case !a.young[log]:
		a.upTo[log] = max(a.upTo[log], seq)
	}
}

// grow counts events that came into a room.
func (s *SQLite) grow(name wire.Room, r *sqliteRoom, events int, encoded int64) {
	s.bytes -= r.size()
	r.count += events
	r.encoded += encoded
	s.bytes += r.size()
	if events > 0 {
		s.grown[name] = true
		s.fresh += events
		s.freshBytes += encoded
	}
}

// keepBounds does what has to be done from time to time after events came in. They are stored, and that is what was
// asked for: what fails here is tried again the next time.
func (s *SQLite) keepBounds() {
	_ = s.guard(func() error {
		if err := s.bound(); err != nil || s.waiting <= maxWaiting || s.fresh < indexEvery && s.freshBytes < indexEveryBytes {
			return err
		}
		s.fresh, s.freshBytes = 0, 0
		_, err := s.index(indexBatch)
		return err
	})
}

// bound prunes what has become too big.
func (s *SQLite) bound() error {
	l := &s.cfg.Limits
	for name := range s.grown {
		r := s.rooms[name]
		if r.count > l.Events+slack(l.Events) || r.size() > l.Room {
			keep := l.Room
			if r.size() > l.Room {
				keep -= l.Room / 8
			}
			if err := s.settleAnd(func() error { return s.prune(name, r, l.Events, keep) }); err != nil {
				return err
			}
		}
		delete(s.grown, name)
	}
	if s.bytes <= l.File {
		return nil
	}
	var sizes []int64
	for _, r := range s.rooms {
		sizes = append(sizes, r.size())
	}
	level := waterLevel(sizes, l.File-l.File/8)
	for name, r := range s.rooms {
		if r.size() > level {
			if err := s.settleAnd(func() error { return s.prune(name, r, l.Events, level) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *SQLite) settleAnd(f func() error) error {
	if err := s.settle(); err != nil {
		return err
	}
	return f()
}

// prune removes a room's oldest events so that no more than these remain.
func (s *SQLite) prune(name wire.Room, r *sqliteRoom, events int, bytes int64) error {
	upTo := make(map[logKey]uint64)
	count, encoded := r.count, r.encoded
	err := s.query(sqlOldest, func(row []driver.Value) error {
		if count <= events && sizeOf(count, encoded) <= bytes {
			return errEnough
		}
		k, seq := keyOf(num(row[0]), uint64(num(row[1]))), uint64(num(row[1]))
		upTo[k] = max(upTo[k], seq)
		count--
		encoded -= num(row[2])
		return nil
	}, r.id)
	if err != nil {
		return err
	}
	return s.drop(name, r, upTo)
}

// logKey names a log of a room by the number of its author.
type logKey struct {
	author int64
	run    uint32
}

func keyOf(author int64, seq uint64) logKey {
	return logKey{author, wire.LogOf(wire.PeerID{}, seq).Run}
}

// drop removes the events of logs up to a number each.
func (s *SQLite) drop(name wire.Room, r *sqliteRoom, upTo map[logKey]uint64) error {
	if len(upTo) == 0 {
		return nil
	}
	count, encoded, waiting := 0, int64(0), int64(0)
	err := s.transact(func() error {
		for id, l := range r.logs {
			seq := int64(upTo[logKey{l.id, id.Run}])
			if seq == 0 {
				continue
			}
			start := int64(id.Start())
			if err := s.query(sqlHeld, func(row []driver.Value) error {
				count += int(num(row[0]))
				encoded += num(row[1])
				return nil
			}, r.id, l.id, start, seq); err != nil {
				return err
			}
			if err := s.exec(sqlUnindex, r.id, l.id, start, seq); err != nil {
				return inIndex(err)
			}
			for _, sql := range []string{sqlUnwait, sqlPrune} {
				if err := s.exec(sql, r.id, l.id, start, seq); err != nil {
					return err
				}
			}
			pruned := sqliteLog{id: l.id, base: max(uint64(seq), l.base), head: l.head}
			if err := errors.Join(s.saveLog(name, r.id, id, pruned), s.saveHoles(name, r.id, id, l.id, l.holes, l.holes.pruned(uint64(seq)))); err != nil {
				return err
			}
		}
		if err := s.exec(sqlLamport, int64(r.lamport), r.id); err != nil {
			return err
		}
		return s.query(sqlWaiting, first(&waiting))
	})
	if err != nil {
		return fmt.Errorf("prune room %s: %w", name, err)
	}
	for id, l := range r.logs {
		if seq := upTo[logKey{l.id, id.Run}]; seq > 0 {
			l.base, l.saved, l.holes = max(l.base, seq), l.head, l.holes.pruned(seq)
		}
	}
	s.grow(name, r, -count, -encoded)
	s.waiting = int(waiting)
	return nil
}

// Expire implements Store.
func (s *SQLite) Expire(now time.Time) error {
	if s.cfg.Limits.Age <= 0 {
		return nil
	}
	for name := range s.rooms {
		if err := s.look(name, "remove old events", func(r *sqliteRoom) error {
			a := newAging[logKey](now.Add(-s.cfg.Limits.Age))
			if err := s.query(sqlOldest, func(row []driver.Value) error {
				a.see(keyOf(num(row[0]), uint64(num(row[1]))), uint64(num(row[1])), time.UnixMilli(num(row[3])))
				return nil
			}, r.id); err != nil {
				return err
			}
			return s.drop(name, r, a.upTo)
		}); err != nil {
			return err
		}
	}
	return nil
}

// erase removes logs with all their events, those below a base that Rebase has raised included.
func (s *SQLite) erase(name wire.Room, r *sqliteRoom, logs []wire.LogID) error {
	count, encoded, waiting := 0, int64(0), int64(0)
	err := s.transact(func() error {
		for _, id := range logs {
			start, head := int64(id.Start()), int64(r.logs[id].head)
			author := r.logs[id].id
			if err := s.query(sqlHeld, func(row []driver.Value) error {
				count += int(num(row[0]))
				encoded += num(row[1])
				return nil
			}, r.id, author, start, head); err != nil {
				return err
			}
			if err := s.exec(sqlUnindex, r.id, author, start, head); err != nil {
				return inIndex(err)
			}
			for _, sql := range []string{sqlUnwait, sqlPrune} {
				if err := s.exec(sql, r.id, author, start, head); err != nil {
					return err
				}
			}
			if err := errors.Join(s.exec(sqlForget, r.id, author, int64(id.Run)), s.saveHoles(name, r.id, id, author, r.logs[id].holes, nil)); err != nil {
				return err
			}
		}
		// Who has no log in any room has no number any more.
		return errors.Join(s.exec(sqlOrphans), s.query(sqlWaiting, first(&waiting)))
	})
	if err != nil {
		return err
	}
	for _, id := range logs {
		delete(r.logs, id)
	}
	s.grow(name, r, -count, -encoded)
	s.waiting = int(waiting)
	clear(s.ids)
	for _, r := range s.rooms {
		for id, l := range r.logs {
			s.ids[id.Author] = l.id
		}
	}
	return nil
}

// Forget implements Store.
func (s *SQLite) Forget(room wire.Room, log wire.LogID) error {
	err := s.guard(func() error {
		r := s.rooms[room]
		if r == nil || r.logs[log] == nil {
			return nil
		}
		return s.settleAnd(func() error { return s.erase(room, r, []wire.LogID{log}) })
	})
	if err != nil {
		return fmt.Errorf("forget a log of %s: %w", room, explain(err))
	}
	return nil
}

// forget lets logs go that hold nothing, where a room has too many: anybody can make as many identities as he likes. It
// is for the start, when nobody has asked for heads yet. Long logs stay rather than short ones, because they are of
// people who were there for long.
func (s *SQLite) forget() error {
	if s.cfg.Self.IsZero() {
		return nil
	}
	for name, r := range s.rooms {
		surplus := len(r.logs) - s.cfg.Limits.Authors
		if surplus <= 0 {
			continue
		}
		var empty []wire.LogID
		for id, l := range r.logs {
			if id.Author != s.cfg.Self && l.base == l.head {
				empty = append(empty, id)
			}
		}
		slices.SortFunc(empty, func(a, b wire.LogID) int {
			return cmp.Or(cmp.Compare(r.logs[a].head-a.Start(), r.logs[b].head-b.Start()), a.Compare(b))
		})
		if err := s.erase(name, r, empty[:min(surplus, len(empty))]); err != nil {
			return fmt.Errorf("forget authors of %s: %w", name, err)
		}
	}
	return nil
}
