package history

import (
	"cmp"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"peerchat/peer/wire"
)

// hole is what a log has gone on past: its events after one number, up to another. They are known to be missing, though
// what was before them may have been pruned since. The event behind a hole is held, or is the next of the log.
type hole struct{ after, upTo uint64 }

// holes are those of a log, in ascending order, all of them at or below its base. They are never changed in place.
type holes []hole

// rebased is what they are when a log that held what comes after base, up to head, goes on after to: what it held ends
// with a hole, else so many events before to.
func (h holes) rebased(base, head, to, missing uint64) holes {
	after := max(head, to-min(to, missing))
	if head > base {
		after = head
	} else if n := len(h); n > 0 && h[n-1].upTo == head { // nothing came behind the last one
		after, h = h[n-1].after, h[:n-1]
	}
	if after == to {
		return h
	}
	return append(slices.Clip(h), hole{after, to})
}

// filled is what they are when the log begins after a base that is lower than before.
func (h holes) filled(base uint64) holes {
	i := slices.IndexFunc(h, func(x hole) bool { return x.upTo > base })
	switch {
	case i < 0:
		return h
	case h[i].after < base:
		return append(slices.Clip(h[:i]), hole{h[i].after, base})
	}
	return h[:i]
}

// inserted is what they are when the events from one to another have come, and what is between these and next, which is
// the next that is held, or comes after the base, is missing.
func (h holes) inserted(first, last, next uint64) (now holes) {
	for _, x := range h {
		for _, left := range []hole{{x.after, min(x.upTo, first-1)}, {max(x.after, next-1), x.upTo}} {
			if left.after < left.upTo {
				now = append(now, left)
			}
		}
	}
	if last < next-1 {
		now = append(now, hole{last, next - 1})
	}
	slices.SortFunc(now, func(a, b hole) int { return cmp.Compare(a.upTo, b.upTo) })
	return now
}

// pruned is what they are when all events up to one are gone, and with them the lines before which a screen would tell
// of a hole.
func (h holes) pruned(upTo uint64) holes {
	i := slices.IndexFunc(h, func(x hole) bool { return x.upTo >= upTo })
	if i < 0 {
		return nil
	}
	return h[i:]
}

// before is how many events are missing just before one.
func (h holes) before(seq uint64) uint64 {
	i, found := slices.BinarySearchFunc(h, seq-1, func(x hole, upTo uint64) int { return cmp.Compare(x.upTo, upTo) })
	if !found {
		return 0
	}
	return h[i].upTo - h[i].after
}

// sumOfHole is the checksum of a hole's row.
func sumOfHole(room wire.Room, author wire.PeerID, h hole) int64 {
	return int64(crc32.Checksum(fmt.Appendf(nil, "%s %s hole %d %d", room, author, h.after, h.upTo), castagnoli))
}

// checkHole reports what is wrong with a hole that was read.
func checkHole(room wire.Room, author wire.PeerID, h hole, sum int64) error {
	if sumOfHole(room, author, h) != sum || h.after >= h.upTo {
		return &damageError{err: fmt.Errorf("a hole in the log of %s in %s has a wrong checksum", author.Tag(), room)}
	}
	return nil
}

// saveHoles brings the rows of a log up to date.
func (s *SQLite) saveHoles(name wire.Room, room int64, id wire.LogID, author int64, was, now holes) error {
	for _, x := range was {
		if !slices.Contains(now, x) {
			if err := s.exec(sqlFill, room, author, int64(x.upTo)); err != nil {
				return err
			}
		}
	}
	for _, x := range now {
		if !slices.Contains(was, x) {
			if err := s.exec(sqlHole, room, author, int64(x.upTo), int64(x.after), sumOfHole(name, id.Author, x)); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadHoles reads the holes of logs that have been read.
func (s *SQLite) loadHoles(rooms map[int64]wire.Room) error {
	authors := make(map[int64]wire.PeerID, len(s.ids))
	for author, id := range s.ids {
		authors[id] = author
	}
	return s.query("SELECT room, author, upto, after, sum FROM holes ORDER BY room, author, upto", func(row []driver.Value) error {
		room, author := rooms[num(row[0])], authors[num(row[1])]
		x := hole{after: uint64(num(row[3])), upTo: uint64(num(row[2]))}
		if room == "" || author.IsZero() {
			return &damageError{err: errors.New("a hole has no log")}
		}
		if err := checkHole(room, author, x, num(row[4])); err != nil {
			return err
		}
		l := s.rooms[room].logs[wire.LogOf(author, x.upTo)]
		if l == nil || x.upTo > l.base {
			return &damageError{err: fmt.Errorf("a hole in the log of %s in %s is not in it", author.Tag(), room)}
		}
		l.holes = append(l.holes, x)
		return nil
	})
}

// Hole implements Store.
func (s *SQLite) Hole(room wire.Room, log wire.LogID) uint64 {
	if r := s.rooms[room]; r != nil && r.logs[log] != nil {
		return r.logs[log].holes.before(r.logs[log].base + 1)
	}
	return 0
}

// Hole implements Store.
func (m *Memory) Hole(room wire.Room, log wire.LogID) uint64 {
	if r := m.rooms[room]; r != nil && r.logs[log] != nil {
		return r.logs[log].holes.before(r.logs[log].base + 1)
	}
	return 0
}

// Gaps tells of each of some events of a room, in display order, how many events of its log are known to be missing
// just before it: 0 is none, or that what is before it is not known.
func (r *Reader) Gaps(room wire.Room, events []wire.Event) (gaps []uint64, err error) {
	err = r.at(func(sn *snapshot) error {
		id, err := sn.id(room)
		if err != nil {
			return err
		}
		gaps = make([]uint64, len(events))
		last := map[wire.LogID]uint64{}
		for i := range events {
			e := &events[i]
			before := last[logOf(e)]
			if last[logOf(e)] = e.Seq; before == e.Seq-1 {
				continue
			}
			if gaps[i], err = sn.missing(id, e); err != nil {
				return err
			}
		}
		return nil
	})
	return gaps, err
}

// missing is how many events are known to be missing just before one in its log.
func (sn *snapshot) missing(room int64, e *wire.Event) (gap uint64, err error) {
	err = sn.query(sqlGap, func(row []driver.Value) error {
		x := hole{after: uint64(num(row[0])), upTo: e.Seq - 1}
		gap = x.upTo - x.after
		return checkHole(e.Room, e.Author, x, num(row[1]))
	}, room, e.Author[:], int64(e.Seq-1))
	return gap, err
}

// fromSchema4 notes the holes that show: between the parts of a log that are held.
func (s *SQLite) fromSchema4() error {
	type found struct {
		room, author int64
		name         wire.Room
		peer         wire.PeerID
		hole
	}
	var all []found
	err := s.query(`SELECT e.room, e.author, e.seq, e.before, r.name, a.peer FROM (SELECT room, author, seq, lag(seq) OVER
		(PARTITION BY room, author, (seq - 1) >> ? ORDER BY seq) AS before FROM events) e JOIN rooms r ON r.id = e.room JOIN authors a ON a.id = e.author
		WHERE e.before < e.seq - 1`, func(row []driver.Value) error {
		peer := blob(row[5])
		if len(peer) != len(wire.PeerID{}) {
			return &damageError{err: errors.New("a log has no author")}
		}
		all = append(all, found{num(row[0]), num(row[1]), wire.Room(str(row[4])), wire.PeerID(peer),
			hole{after: uint64(num(row[3])), upTo: uint64(num(row[2])) - 1}})
		return nil
	}, int64(wire.RunBits))
	for _, x := range all {
		if err != nil {
			break
		}
		err = s.exec(sqlHole, x.room, x.author, int64(x.upTo), int64(x.after), sumOfHole(x.name, x.peer, x.hole))
	}
	return err
}
