package history

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// Reader is a View of a history that a store may have open, in this process or in another. It changes nothing, and each
// of its methods sees what was stored when it was called. It is owned by one goroutine. So a search, or an export to a
// slow writer, holds nobody up, but while a method runs, SQLite's journal cannot shrink.
type Reader struct {
	db
	path string
	file fs.FileInfo // what was opened
	now  func() time.Time
}

// OpenReader opens the history at path for reading. It does not make one: where there is none the error is
// fs.ErrNotExist.
func OpenReader(path string) (*Reader, error) {
	r := &Reader{path: path, now: time.Now}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

// ReadHistory opens the history at path, calls f, and closes it.
func ReadHistory(path string, f func(View) error) error {
	r, err := OpenReader(path)
	if err != nil {
		return err
	}
	return errors.Join(f(r), r.Close())
}

func (r *Reader) open() (err error) {
	if r.file, err = os.Stat(r.path); err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	if !r.file.Mode().IsRegular() {
		return fmt.Errorf("read history %s: it is no file (%v)", r.path, r.file.Mode().Type())
	}
	if r.db, err = connect(r.path, "mode=ro"); err == nil {
		for _, pragma := range []string{"busy_timeout = 2000", "query_only = ON", "temp_store = MEMORY", "cache_size = -4096"} {
			err = errors.Join(err, r.query("PRAGMA "+pragma, nil))
		}
	}
	var version int64
	if err == nil {
		err = r.query("PRAGMA user_version", first(&version))
	}
	if err != nil {
		_ = r.close()
		return r.told(err)
	}
	if version != int64(len(migrations)) {
		_ = r.close()
		what := "an older version of peerchat: join with this profile once, and it is brought up to date"
		if version > int64(len(migrations)) {
			what = "a newer version of peerchat: use that version"
		}
		return fmt.Errorf("read history %s: it was written by %s", r.path, what)
	}
	return nil
}

// told is the error that a caller gets.
func (r *Reader) told(err error) error {
	err = unread(r.path, err)
	if d := damageOf(err); d != nil {
		return &CorruptError{Path: r.path, Err: d}
	}
	return fmt.Errorf("read history %s: %w", r.path, explain(err))
}

// Close closes the file.
func (r *Reader) Close() error { return r.close() }

// snapshot is the file as it is at one moment, and the events of the journal that are not in it.
type snapshot struct {
	*Reader
	lines []wire.Event // in display order
}

// at runs f on a snapshot.
func (r *Reader) at(f func(*snapshot) error) error {
	if err := r.follow(); err != nil {
		return err
	}
	// The journal first: what is settled in between is in SQLite's snapshot then.
	lines, err := readJournal(r.path)
	if err != nil {
		return r.told(err)
	}
	sn := &snapshot{Reader: r}
	err = r.within(sqlLook, func() error {
		for i := range lines {
			next, err := r.head(lines[i].Room, logOf(&lines[i]))
			if err != nil {
				return err
			}
			for j := range sn.lines {
				if sn.lines[j].Room == lines[i].Room && logOf(&sn.lines[j]) == logOf(&lines[i]) {
					next = max(next, sn.lines[j].Seq)
				}
			}
			if lines[i].Seq == next+1 {
				sn.lines = append(sn.lines, lines[i])
			}
		}
		slices.SortFunc(sn.lines, func(a, b wire.Event) int { return order(&a, &b) })
		return f(sn)
	})
	if err != nil {
		return r.told(err)
	}
	return nil
}

// follow opens the file again if another is at its path by now, because that one was damaged.
func (r *Reader) follow() error {
	if r.conn == nil {
		return errClosed
	}
	if now, err := os.Stat(r.path); err != nil || os.SameFile(now, r.file) {
		return nil // or it is being replaced just now
	}
	_ = r.close()
	return r.open()
}

// head is how far a log goes in the file; a log that is not there is at the end of all numbers, because a store puts
// none of it into the journal.
func (r *Reader) head(room wire.Room, log wire.LogID) (uint64, error) {
	head := uint64(math.MaxUint64 - 1)
	err := r.query(`SELECT max(l.head, coalesce((SELECT max(seq) FROM events e
		WHERE e.room = l.room AND e.author = l.author AND e.seq > ? AND e.seq <= ?), 0))
		FROM logs l JOIN rooms r ON r.id = l.room JOIN authors a ON a.id = l.author WHERE r.name = ? AND a.peer = ? AND l.run = ?`,
		func(row []driver.Value) error {
			head = uint64(num(row[0]))
			return nil
		}, int64(log.Start()), int64(log.End()), string(room), log.Author[:], int64(log.Run))
	return head, err
}

// id is the number of a room, 0 if it has no log.
func (r *Reader) id(room wire.Room) (id int64, err error) {
	err = r.query("SELECT id FROM rooms WHERE name = ?", first(&id), string(room))
	return id, err
}

// of are the events of the journal in a room that pass.
func (sn *snapshot) of(room wire.Room, pass func(*wire.Event) bool) (events []wire.Event) {
	for i := range sn.lines {
		if e := &sn.lines[i]; e.Room == room && (pass == nil || pass(e)) {
			events = append(events, *e)
		}
	}
	return events
}

// page is a page of the file with the events of the journal, in display order.
func (sn *snapshot) page(sql string, room wire.Room, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error) {
	id, err := sn.id(room)
	if err != nil || id == 0 || limit < 1 {
		return nil, err
	}
	events, err := sn.db.page(sql, room, id, lamport, author, limit)
	if err != nil {
		return nil, err
	}
	lines := sn.of(room, func(e *wire.Event) bool { return passes(sql, e, lamport, author) })
	if len(lines) == 0 {
		return events, nil
	}
	events = append(events, lines...)
	slices.SortFunc(events, func(a, b wire.Event) int { return order(&a, &b) })
	if sql == sqlBefore {
		return events[max(0, len(events)-limit):], nil
	}
	return events[:min(len(events), limit)], nil
}

// passes is what sqlBefore, sqlAfter and sqlFrom say of an event.
func passes(sql string, e *wire.Event, lamport uint64, author wire.PeerID) bool {
	c := order(e, &wire.Event{Lamport: lamport, Author: author, Seq: e.Seq})
	switch sql {
	case sqlBefore:
		return c < 0
	case sqlAfter:
		return c > 0
	}
	return c >= 0
}

// Rooms implements View.
func (r *Reader) Rooms() (rooms []wire.Room, err error) {
	err = r.at(func(sn *snapshot) error {
		rooms, err = sn.rooms()
		return err
	})
	return rooms, err
}

func (sn *snapshot) rooms() (rooms []wire.Room, err error) {
	err = sn.query("SELECT name FROM rooms", func(row []driver.Value) error {
		room, err := wire.ParseRoom(str(row[0]))
		if err != nil {
			return &damageError{err: err}
		}
		rooms = append(rooms, room)
		return nil
	})
	slices.Sort(rooms)
	return rooms, err
}

// Recent implements View.
func (r *Reader) Recent(room wire.Room, limit int) ([]wire.Event, error) {
	return r.Before(room, math.MaxInt64, wire.PeerID{}, limit)
}

// Before implements View.
func (r *Reader) Before(room wire.Room, lamport uint64, author wire.PeerID, limit int) (events []wire.Event, err error) {
	err = r.at(func(sn *snapshot) error {
		events, err = sn.page(sqlBefore, room, lamport, author, limit)
		return err
	})
	return events, err
}

// After implements View.
func (r *Reader) After(room wire.Room, lamport uint64, author wire.PeerID, limit int) (events []wire.Event, err error) {
	err = r.at(func(sn *snapshot) error {
		events, err = sn.page(sqlAfter, room, lamport, author, limit)
		return err
	})
	return events, err
}

// Around implements View.
func (r *Reader) Around(room wire.Room, lamport uint64, author wire.PeerID, limit int) (events []wire.Event, err error) {
	err = r.at(func(sn *snapshot) error {
		before, err := sn.page(sqlBefore, room, lamport, author, limit)
		if err != nil || limit < 1 {
			return err
		}
		from, err := sn.page(sqlFrom, room, lamport, author, limit)
		events = around(before, from, limit)
		return err
	})
	return events, err
}

// Stats implements View.
func (r *Reader) Stats(room wire.Room) (st Stats, err error) {
	err = r.at(func(sn *snapshot) error {
		id, err := sn.id(room)
		if err != nil || id == 0 {
			return err
		}
		lines := sn.of(room, nil)
		st.Events = len(lines)
		encoded := int64(0)
		for i := range lines {
			encoded += int64(len(wire.AppendEvent(nil, &lines[i])))
		}
		var authors int64
		err = errors.Join(
			sn.query(sqlCount, func(row []driver.Value) error {
				st.Events += int(num(row[0]))
				encoded += num(row[1])
				return nil
			}, id),
			sn.query("SELECT count(DISTINCT author) FROM logs WHERE room = ?", first(&authors), id))
		if err != nil {
			return err
		}
		st.Bytes, st.Authors = sizeOf(st.Events, encoded), int(authors)
		oldest, err := sn.page(sqlFrom, room, 0, wire.PeerID{}, 1)
		if err != nil || len(oldest) == 0 {
			return err
		}
		newest, err := sn.page(sqlBefore, room, math.MaxInt64, wire.PeerID{}, 1)
		if err != nil || len(newest) == 0 {
			return err
		}
		st.Oldest, st.Newest = oldest[0].Time, newest[0].Time
		return nil
	})
	return st, err
}

// Search implements View.
func (r *Reader) Search(ctx context.Context, room wire.Room, query string, from Cursor, limit int) (res Results, err error) {
	err = r.at(func(sn *snapshot) error {
		f := newFinder(query, from, limit)
		if err := sn.query("SELECT id, name FROM rooms WHERE ?1 = '' OR name = ?1", func(row []driver.Value) error {
			f.rooms[num(row[0])] = wire.Room(str(row[1]))
			return nil
		}, string(room)); err != nil {
			return err
		}
		if err := sn.find(ctx, f, room != ""); err != nil {
			return err
		}
		var waiting []wire.Event
		for id, name := range f.rooms {
			lines := sn.of(name, nil)
			waiting = append(waiting, lines...)
			seconds, err := sn.seconds(id, lines, r.now())
			if err != nil {
				return err
			}
			for i := range lines {
				f.take(&lines[i], seconds[i])
			}
		}
		res = f.results()
		if slices.ContainsFunc(waiting, func(e wire.Event) bool { return f.left(&e, &res.Next) }) {
			res.Next.second = maxSecond // if its author's clock is ahead it counts as said when it comes into the file, which is later than now
		}
		return nil
	})
	return res, err
}

// Export implements View.
func (r *Reader) Export(ctx context.Context, w io.Writer, room wire.Room, format Format) error {
	return r.at(func(sn *snapshot) error {
		rooms := []wire.Room{room}
		if room == "" {
			var err error
			if rooms, err = sn.rooms(); err != nil {
				return err
			}
		}
		before := func(e *wire.Event) (uint64, error) {
			id, err := sn.id(e.Room)
			if err != nil {
				return 0, err
			}
			return sn.missing(id, e)
		}
		return export(w, rooms, format, before, func(room wire.Room, each func(*wire.Event) error) error {
			id, err := sn.id(room)
			if err != nil || id == 0 {
				return err
			}
			lines := sn.of(room, nil)
			if err := sn.each(ctx, room, id, func(e *wire.Event) error {
				for len(lines) > 0 && order(&lines[0], e) < 0 {
					if err := each(&lines[0]); err != nil {
						return err
					}
					lines = lines[1:]
				}
				return each(e)
			}); err != nil {
				return err
			}
			for i := range lines {
				if err := each(&lines[i]); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
