package history

import (
	"database/sql/driver"
	"errors"
	"math"
	"time"

	"peerchat/peer/wire"
)

// A room has an order of its own, by Lamport clocks, which say nothing about another room. So that the newest of all
// rooms can be found without looking at each, every event is given the second at which it counts as said: that of its
// author's clock, but not later than when it came here, and between those of the events that stand next to it in its
// room. So the seconds of a room ascend in display order whatever clocks say, and a wrong one moves its own event, and
// at most what is next to it. Those with one Lamport clock have one second.
//
// The index of words knows an event by its stamp: 31 bits of that second, and 32 of its doc, which is its number in the
// file. So descending stamps are the newest first, of all rooms and of each, but for the order within a second, which
// whoever reads them has to make.
const (
	docBits   = 32
	maxDoc    = 1<<docBits - 1
	epoch     = 1_577_836_800 // seconds are counted from 2020 on
	maxSecond = 1<<31 - 1     // 2088

	drift    = 60 // seconds by which clocks may differ without being wrong
	mostMove = 8  // events of a room that are moved, while a file is open
)

// stampOf is the first stamp of a second.
func stampOf(second int64) int64 { return second << docBits }

// gap is a part of a room without an event: none has a clock between these two.
type gap struct {
	below, above uint64
	from, to     int64 // the seconds of those that have them
}

func (g *gap) holds(lamport uint64) bool { return g.below < lamport && lamport < g.above }

// put is the second of an event in the gap, which is then what is above it.
func (g *gap) put(lamport uint64, second int64) int64 {
	g.below, g.from = lamport, max(g.from, min(second, g.to))
	return g.from
}

// counted is the second of what was said at a time and came at another.
func counted(said, came time.Time) int64 {
	return max(0, min(said.Unix()-epoch, came.Unix()-epoch, maxSecond))
}

const (
	sqlUpTo  = `SELECT lamport, second FROM events WHERE room = ? AND lamport <= ? ORDER BY lamport DESC LIMIT 1`
	sqlAbove = `SELECT lamport, second FROM events WHERE room = ? AND lamport > ? ORDER BY lamport LIMIT 1`
	sqlBack  = `SELECT doc, second FROM events WHERE room = ? AND lamport <= ? ORDER BY lamport DESC LIMIT ?`
	sqlMove  = `UPDATE events SET second = ? WHERE doc = ?`
	sqlAway  = `DELETE FROM words WHERE rowid = ?`
	sqlNext  = `INSERT INTO waiting (doc, room, second) VALUES (?, ?, ?) ON CONFLICT (doc) DO UPDATE SET second = excluded.second`
)

// gapAt is where an event of a room with a clock belongs.
func (d *db) gapAt(room int64, lamport uint64) (gap, error) {
	g := gap{above: math.MaxUint64, to: maxSecond}
	err := d.query(sqlUpTo, func(row []driver.Value) error {
		g.below, g.from = uint64(num(row[0])), num(row[1])
		return nil
	}, room, int64(lamport))
	if err == nil && g.below == lamport && lamport > 0 { // what has the same clock has the same second
		return gap{below: lamport - 1, above: lamport + 1, from: g.from, to: g.from}, nil
	}
	if err == nil {
		err = d.query(sqlAbove, func(row []driver.Value) error {
			g.above, g.to = uint64(num(row[0])), num(row[1])
			return nil
		}, room, int64(lamport))
	}
	return g, err
}

// seconds are those that events which wait in the journal would have, or a later one, if they came into the file now;
// they are of one room, in display order.
func (d *db) seconds(room int64, lines []wire.Event, now time.Time) (seconds []int64, err error) {
	last := int64(0)
	for i := range lines {
		g, err := d.gapAt(room, lines[i].Lamport)
		if err != nil {
			return nil, err
		}
		last = max(last, g.put(lines[i].Lamport, counted(lines[i].Time, now)))
		seconds = append(seconds, last)
	}
	return seconds, nil
}

// second is when an event counts as said.
func (s *SQLite) second(x *journaled) (int64, error) {
	g, second := &x.room.gap, counted(x.time, s.cfg.now())
	if !g.holds(x.lamport) {
		var err error
		if *g, err = s.gapAt(x.room.id, x.lamport); err != nil {
			return 0, err
		}
	}
	if second+drift < g.from {
		moved, err := s.moveBack(x.room, x.lamport, second)
		if err != nil {
			return 0, err
		}
		if moved {
			g.from = second
		}
	}
	return g.put(x.lamport, second), nil
}

// moveBack lets the events of a room up to a Lamport clock count as said at a second, at the latest, if few would have
// to move. They are put into the index anew. An author whose clock is always behind would move all that others say, so
// those that may be moved are few in all.
func (s *SQLite) moveBack(r *sqliteRoom, lamport uint64, second int64) (bool, error) {
	late, most := make(map[int64]int64), mostMove-len(r.moved) // docs and seconds
	err := s.query(sqlBack, func(row []driver.Value) error {
		doc, now := num(row[0]), num(row[1])
		if now <= second {
			return errEnough
		}
		if late[doc] = now; !r.moved[doc] {
			most--
		}
		return nil
	}, r.id, int64(lamport), int64(mostMove+1))
	if err != nil || most < 0 || len(late) > mostMove {
		return false, err
	}
	for doc, was := range late {
		if err := s.exec(sqlAway, stampOf(was)|doc); err != nil {
			return false, inIndex(err)
		}
		if err := errors.Join(s.exec(sqlMove, second, doc), s.exec(sqlNext, doc, r.id, second)); err != nil {
			return false, err
		}
		if r.moved == nil {
			r.moved = make(map[int64]bool)
		}
		r.moved[doc] = true
		s.waiting++ // or it waited already, or this is taken back; index finds out
	}
	return true, nil
}
