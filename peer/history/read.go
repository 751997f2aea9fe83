package history

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// errUnreadable says that an event is as it was written, and that this version does not know how to read it.
var errUnreadable = errors.New("an event is of a form that this version does not know")

// decode reads an event of room from its row: data, sum. Data that is not what was written would be refused by whoever
// it is sent on to, and the link closed, so it is damage.
func decode(room wire.Room, data []byte, sum int64) (e wire.Event, err error) {
	if int64(crc32.Checksum(data, castagnoli)) != sum {
		return e, &damageError{err: fmt.Errorf("an event of %s has a wrong checksum", room)}
	}
	if e, err = wire.DecodeEvent(data); err != nil {
		return e, errUnreadable
	}
	if e.Room != room {
		return e, &damageError{err: fmt.Errorf("an event of %s is one of %s", room, e.Room)}
	}
	return e, nil
}

// events runs a query for the rows (data, sum) of a room. It leaves out what is unreadable.
func (d *db) events(sql string, room wire.Room, args ...driver.Value) (events []wire.Event, err error) {
	err = d.query(sql, func(row []driver.Value) error {
		e, err := decode(room, blob(row[0]), num(row[1])) // the driver made the bytes for us
		if err == nil {
			events = append(events, e)
		} else if err == errUnreadable {
			err = nil
		}
		return err
	}, args...)
	return events, err
}

// log reads events of one log from a number on. It ends where it is unreadable.
func (d *db) log(room wire.Room, id int64, author wire.PeerID, authorID int64, from, to uint64, limit int) (events []wire.Event, err error) {
	err = d.query(sqlRange, func(row []driver.Value) error {
		e, err := decode(room, blob(row[0]), num(row[1]))
		if err == errUnreadable {
			return errEnough
		}
		if next := from + uint64(len(events)); err == nil && (e.Author != author || e.Seq != next) {
			err = &damageError{err: fmt.Errorf("event %d of the log of %s in %s is another", next, author.Tag(), room)}
		}
		events = append(events, e)
		return err
	}, id, authorID, int64(from), int64(to), int64(limit))
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
		if err == errUnreadable {
			return nil
		}
		if err != nil {
			return err
		}
		return f(&e)
	}, id, int64(0), []byte{}, int64(-1))
}
