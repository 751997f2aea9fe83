package history

import (
	"context"
	"database/sql/driver"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// decode reads an event of room from its row: data, sum. Data that is not what was written would be refused by whoever it is sent on
// to, and the link closed, so it is damage.
func decode(room wire.Room, data []byte, sum int64) (e wire.Event, err error) {
	if int64(crc32.Checksum(data, castagnoli)) != sum {
		return e, &damageError{err: fmt.Errorf("an event of %s has a wrong checksum", room)}
	}
	e, err = wire.DecodeEvent(data)
	if err != nil || e.Room != room {
		return e, &damageError{err: fmt.Errorf("an event of %s is another: %v", room, err)}
	}
	return e, nil
}

// events runs a query for the rows (data, sum) of a room.
func (d *db) events(sql string, room wire.Room, args ...driver.Value) ([]wire.Event, error) {
	var events []wire.Event
	err := d.query(sql, func(row []driver.Value) error {
		e, err := decode(room, blob(row[0]), num(row[1])) // the driver made the bytes for us
		events = append(events, e)
		return err
	}, args...)
	return events, err
}

// page runs sqlBefore, sqlAfter or sqlFrom, and returns its events in display order.
func (d *db) page(sql string, room wire.Room, id int64, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error) {
	if limit < 1 {
		return nil, nil
	}
	events, err := d.events(sql, room, id, int64(min(lamport, math.MaxInt64)), author[:], int64(limit))
	if sql == sqlBefore {
		slices.Reverse(events)
	}
	return events, err
}

func (d *db) middle(room wire.Room, id int64, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error) {
	before, err := d.page(sqlBefore, room, id, lamport, author, limit)
	if err != nil || limit < 1 {
		return nil, err
	}
	from, err := d.page(sqlFrom, room, id, lamport, author, limit)
	if err != nil {
		return nil, err
	}
	return around(before, from, limit), nil
}

// ends are the times of the first and the last event of a room.
func (d *db) ends(room wire.Room, id int64) (oldest, newest time.Time, err error) {
	events, err := d.page(sqlFrom, room, id, 0, wire.PeerID{}, 1)
	if err != nil || len(events) == 0 {
		return oldest, newest, err
	}
	oldest = events[0].Time
	if events, err = d.page(sqlBefore, room, id, math.MaxInt64, wire.PeerID{}, 1); err != nil || len(events) == 0 {
		return oldest, newest, err
	}
	return oldest, events[0].Time, nil
}

// each calls f for all events of a room in display order.
func (d *db) each(ctx context.Context, room wire.Room, id int64, f func(*wire.Event) error) error {
	return d.queryContext(ctx, sqlFrom, func(row []driver.Value) error {
		e, err := decode(room, blob(row[0]), num(row[1]))
		if err != nil {
			return err
		}
		return f(&e)
	}, id, int64(0), []byte{}, int64(-1))
}
