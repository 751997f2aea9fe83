package history

import (
	"database/sql/driver"
	"math"
	"time"

	"peerchat/peer/wire"
)

// A room has an order of its own, by Lamport clocks, which say nothing about another room. So that the newest of all rooms can be found
// without looking at each, every event is given the second at which it counts as said: that of its author's clock, but not later than when it
// came here, and between those of the events that stand next to it in its room. So the seconds of a room ascend in display order whatever
// clocks say, and a wrong one moves its own event, and at most what is next to it. Those with one Lamport clock have one second.
//
// The index of words knows an event by its stamp: 31 bits of that second, and 32 of its doc, which is its number in the file. So descending
// stamps are the newest first, of all rooms and of each, but for the order within a second, which whoever reads them has to make.
const (
	docBits   = 32
	maxDoc    = 1<<docBits - 1
	epoch     = 1_577_836_800 // seconds are counted from 2020 on
	maxSecond = 1<<31 - 1     // 2088
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
func (g *gap) put(lamport uint64, said, now time.Time) int64 {
	second := max(0, min(said.Unix()-epoch, now.Unix()-epoch, maxSecond))
	g.below, g.from = lamport, max(g.from, min(second, g.to))
	return g.from
}

const (
	sqlUpTo  = `SELECT lamport, second FROM events WHERE room = ? AND lamport <= ? ORDER BY lamport DESC LIMIT 1`
	sqlAbove = `SELECT lamport, second FROM events WHERE room = ? AND lamport > ? ORDER BY lamport LIMIT 1`
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

// seconds are those that events which wait in the journal will have; they are of one room, in display order.
func (d *db) seconds(room int64, lines []wire.Event, now time.Time) (seconds []int64, err error) {
	last := int64(0)
	for i := range lines {
		g, err := d.gapAt(room, lines[i].Lamport)
		if err != nil {
			return nil, err
		}
		last = max(last, g.put(lines[i].Lamport, lines[i].Time, now))
		seconds = append(seconds, last)
	}
	return seconds, nil
}
