package history

import (
	"cmp"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"time"

	"peerchat/peer/wire"
)

// A migration brings a file from one schema version to the next; user_version counts those that were applied. testdata
// has a file of each older version.
type migration struct {
	sql  string
	then func(*SQLite) error // nil if sql is all, and there is no table meta yet
}

var migrations = [...]migration{
	// Rooms and authors get small numbers. data is the event as wire.AppendEvent writes it.
	{sql: `CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, lamport INTEGER NOT NULL);
	CREATE TABLE authors (id INTEGER PRIMARY KEY, peer BLOB NOT NULL UNIQUE);
	CREATE TABLE logs (room INTEGER NOT NULL, author INTEGER NOT NULL, base INTEGER NOT NULL, head INTEGER NOT NULL,
		PRIMARY KEY (room, author)) WITHOUT ROWID;
	CREATE TABLE events (room INTEGER NOT NULL, author INTEGER NOT NULL, seq INTEGER NOT NULL, lamport INTEGER NOT NULL,
		data BLOB NOT NULL, PRIMARY KEY (room, author, seq)) WITHOUT ROWID;
	CREATE INDEX events_by_lamport ON events (room, lamport, author);`},

	// An event gets a number, doc. time is the author's, in milliseconds; sum is the CRC-32C of data. waiting are
	// events whose words are not in the index yet. sum of a log is that of its row, see sumOf. events and bytes of a
	// room hold if meta says that the file was closed.
	{sql: `ALTER TABLE events RENAME TO events_1;
	DROP INDEX events_by_lamport;
	CREATE TABLE events (doc INTEGER PRIMARY KEY, room INTEGER NOT NULL, author INTEGER NOT NULL, seq INTEGER NOT NULL,
		lamport INTEGER NOT NULL, time INTEGER NOT NULL, sum INTEGER NOT NULL, data BLOB NOT NULL);
	CREATE UNIQUE INDEX events_by_author ON events (room, author, seq);
	CREATE INDEX events_by_lamport ON events (room, lamport, author);
	CREATE TABLE waiting (doc INTEGER PRIMARY KEY);
	CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
	ALTER TABLE logs ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE rooms ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
	ALTER TABLE rooms ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;` + sqlWords, then: (*SQLite).fromSchema1},

	// An author may have a log for each run of its numbers, see wire.LogID. Events need no column for that, because
	// their numbers tell it.
	{sql: `ALTER TABLE logs RENAME TO logs_2;
	CREATE TABLE logs (room INTEGER NOT NULL, author INTEGER NOT NULL, run INTEGER NOT NULL, base INTEGER NOT NULL, head INTEGER NOT NULL,
		sum INTEGER NOT NULL, PRIMARY KEY (room, author, run)) WITHOUT ROWID;`, then: (*SQLite).fromSchema2},

	// doc tells no more than in which order events came. second is when an event counts as said; with doc it makes the
	// number by which the index of words knows it, see stampOf. The index is begun anew. What waits for it has its
	// room, which is a word there.
	{sql: `ALTER TABLE events RENAME TO events_3;
	DROP INDEX events_by_author;
	DROP INDEX events_by_lamport;
	CREATE TABLE events (doc INTEGER PRIMARY KEY, room INTEGER NOT NULL, author INTEGER NOT NULL, seq INTEGER NOT NULL, lamport INTEGER NOT NULL,
		time INTEGER NOT NULL, second INTEGER NOT NULL, sum INTEGER NOT NULL, data BLOB NOT NULL);
	CREATE UNIQUE INDEX events_by_author ON events (room, author, seq);
	CREATE INDEX events_by_lamport ON events (room, lamport, author);
	DROP TABLE waiting;
	CREATE TABLE waiting (doc INTEGER PRIMARY KEY, room INTEGER NOT NULL, second INTEGER NOT NULL);
	DROP TABLE words;` + sqlWords, then: (*SQLite).fromSchema3},

	// holes are what logs have gone on past, the events after one number up to another: what is held does not show that
	// when all that came before is pruned, or when nothing ever came. sum is that of the row, see sumOfHole.
	{sql: `CREATE TABLE holes (room INTEGER NOT NULL, author INTEGER NOT NULL, upto INTEGER NOT NULL, after INTEGER NOT NULL, sum INTEGER NOT NULL,
		PRIMARY KEY (room, author, upto)) WITHOUT ROWID;`, then: (*SQLite).fromSchema4},
}

// sqlWords makes the index of words. It holds no text, only where words are. They come folded (text.go), separated by
// spaces, after a word for the room (roomWord); the tokenizer ascii leaves them as they are.
const sqlWords = `CREATE VIRTUAL TABLE words USING fts5 (text, content = '', contentless_delete = 1, tokenize = 'ascii');`

const (
	sqlBegin    = `BEGIN IMMEDIATE`
	sqlLook     = `BEGIN`
	sqlCommit   = `COMMIT`
	sqlRollback = `ROLLBACK`
	sqlRoom     = `INSERT INTO rooms (name, lamport) VALUES (?, 0) RETURNING id`
	sqlAuthor   = `INSERT INTO authors (peer) VALUES (?) ON CONFLICT (peer) DO UPDATE SET peer = peer RETURNING id`
	sqlLamport  = `UPDATE rooms SET lamport = ? WHERE id = ?`
	sqlTotals   = `UPDATE rooms SET events = ?, bytes = ? WHERE id = ?`
	sqlLog      = `INSERT INTO logs (room, author, run, base, head, sum) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (room, author, run) DO UPDATE SET base = excluded.base, head = excluded.head, sum = excluded.sum`
	sqlMeta    = `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`
	sqlGetMeta = `SELECT value FROM meta WHERE key = ?`

	sqlEvent = `INSERT INTO events (doc, room, author, seq, lamport, time, second, sum, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlLast  = `SELECT max(doc) FROM events`
	sqlWait  = `INSERT INTO waiting (doc, room, second) VALUES (?, ?, ?)`
	sqlRange = `SELECT data, sum FROM events WHERE room = ? AND author = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?`
	// The order of joins is given because the planner knows nothing of how many authors there are.
	sqlBefore = `SELECT e.data, e.sum FROM events e CROSS JOIN authors a ON a.id = e.author
		WHERE e.room = ?1 AND e.lamport <= ?2 AND (e.lamport < ?2 OR a.peer < ?3)
		ORDER BY e.lamport DESC, a.peer DESC, e.seq DESC LIMIT ?4` // so that the limit cuts off the oldest
	sqlAfter = `SELECT e.data, e.sum FROM events e CROSS JOIN authors a ON a.id = e.author
		WHERE e.room = ?1 AND e.lamport >= ?2 AND (e.lamport > ?2 OR a.peer > ?3)
		ORDER BY e.lamport, a.peer, e.seq LIMIT ?4`
	sqlFrom = `SELECT e.data, e.sum FROM events e CROSS JOIN authors a ON a.id = e.author
		WHERE e.room = ?1 AND e.lamport >= ?2 AND (e.lamport > ?2 OR a.peer >= ?3)
		ORDER BY e.lamport, a.peer, e.seq LIMIT ?4`
	sqlOldest = `SELECT e.author, e.seq, length(e.data), e.time FROM events e CROSS JOIN authors a ON a.id = e.author
		WHERE e.room = ? ORDER BY e.lamport, a.peer, e.seq`
	sqlNextHeld = `SELECT min(seq) FROM events WHERE room = ? AND author = ? AND seq > ? AND seq <= ?`
	sqlBelow    = `SELECT seq FROM events WHERE room = ? AND author = ? AND seq > ? AND seq <= ? ORDER BY seq DESC`

	sqlHeld    = `SELECT count(*), coalesce(sum(length(data)), 0) FROM events WHERE room = ? AND author = ? AND seq > ? AND seq <= ?`
	sqlUnwait  = `DELETE FROM waiting WHERE doc IN (SELECT doc FROM events WHERE room = ? AND author = ? AND seq > ? AND seq <= ?)`
	sqlUnindex = `DELETE FROM words WHERE rowid IN (SELECT second << 32 | doc FROM events WHERE room = ? AND author = ? AND seq > ? AND seq <= ?)`
	sqlPrune   = `DELETE FROM events WHERE room = ? AND author = ? AND seq > ? AND seq <= ?`
	sqlForget  = `DELETE FROM logs WHERE room = ? AND author = ? AND run = ?`
	sqlHole    = `INSERT INTO holes (room, author, upto, after, sum) VALUES (?, ?, ?, ?, ?)`
	sqlFill    = `DELETE FROM holes WHERE room = ? AND author = ? AND upto = ?`
	sqlGap     = `SELECT h.after, h.sum FROM authors a CROSS JOIN holes h ON h.author = a.id WHERE h.room = ?1 AND a.peer = ?2 AND h.upto = ?3`
	sqlOrphans = `DELETE FROM authors WHERE id NOT IN (SELECT author FROM logs)`

	sqlCount   = `SELECT count(*), coalesce(sum(length(data)), 0) FROM events WHERE room = ?`
	sqlHead    = `SELECT max(seq) FROM events WHERE room = ? AND author = ? AND seq > ? AND seq <= ?`
	sqlClock   = `SELECT max(lamport) FROM events WHERE room = ?`
	sqlWaiting = `SELECT count(*) FROM waiting`
	sqlTidy    = `PRAGMA wal_checkpoint(PASSIVE)`
	sqlShrink  = `PRAGMA incremental_vacuum(256)`
)

// sumOf is the checksum of a log's row: of a head that is too low, numbers would be used again.
func sumOf(room wire.Room, author wire.PeerID, base, head uint64) int64 {
	return int64(crc32.Checksum(fmt.Appendf(nil, "%s %s %d %d", room, author, base, head), castagnoli))
}

// The keys of meta.
const (
	metaRun    = "run"    // see SQLite.Run
	metaClosed = "closed" // it was closed, and nothing was written since
	metaSchema = "schema" // schemaSum when the tables were made
)

// minFile is the least that a file of SQLite has, in bytes; what is shorter it takes for an empty one.
const minFile = 512

// schemaSum is a checksum of how tables and indexes are defined.
func (s *SQLite) schemaSum() (int64, error) {
	h := crc32.New(castagnoli)
	err := s.query("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name", func(row []driver.Value) error {
		_, err := fmt.Fprintf(h, "%s %s %s %s\n", str(row[0]), str(row[1]), str(row[2]), str(row[3]))
		return err
	})
	return int64(h.Sum32()), err
}

// migrate brings the file to the newest schema.
func (s *SQLite) migrate() error {
	var version, tables int64
	if err := errors.Join(s.query("PRAGMA user_version", first(&version)),
		s.query("SELECT count(*) FROM sqlite_schema", first(&tables))); err != nil {
		return err
	}
	switch {
	case version < 0 || version == 0 && tables > 0:
		return &damageError{err: errors.New("it is a database of another program")}
	case version > int64(len(migrations)):
		return fmt.Errorf("it was written by a newer version of peerchat (schema %d, this one knows %d): use that version",
			version, len(migrations))
	}
	for ; version < int64(len(migrations)); version++ {
		m := &migrations[version]
		err := s.transact(func() error {
			if err := s.script(m.sql); err != nil {
				return err
			}
			if m.then != nil {
				if err := m.then(s); err != nil {
					return err
				}
				sum, err := s.schemaSum()
				if err := errors.Join(err, s.exec(sqlMeta, metaSchema, sum)); err != nil {
					return err
				}
			}
			return s.script(fmt.Sprintf("PRAGMA user_version = %d", version+1))
		})
		if err != nil {
			return fmt.Errorf("bring it to schema %d: %w", version+1, err)
		}
	}
	return nil
}

// fromSchema1 copies the events. A file without a log may be one that was begun after another was lost.
func (s *SQLite) fromSchema1() error {
	err := s.query("SELECT room, author, data FROM events_1 ORDER BY lamport", func(row []driver.Value) error {
		data := blob(row[2])
		e, err := wire.DecodeEvent(data)
		if err != nil {
			return &damageError{err: err}
		}
		return s.exec("INSERT INTO events (room, author, seq, lamport, time, sum, data) VALUES (?, ?, ?, ?, ?, ?, ?)", row[0], row[1], int64(e.Seq),
			int64(e.Lamport), e.Time.UnixMilli(), int64(crc32.Checksum(data, castagnoli)), data)
	})
	if err != nil {
		return err
	}
	type log struct {
		room, author, base, head int64
		name                     string
		peer                     []byte
	}
	var logs []log
	if err := s.query(`SELECT l.room, l.author, l.base, l.head, r.name, a.peer FROM logs l JOIN rooms r ON r.id = l.room
		JOIN authors a ON a.id = l.author`, func(row []driver.Value) error {
		logs = append(logs, log{num(row[0]), num(row[1]), num(row[2]), num(row[3]), str(row[4]), blob(row[5])})
		return nil
	}); err != nil {
		return err
	}
	for _, l := range logs {
		if len(l.peer) != len(wire.PeerID{}) {
			return &damageError{err: errors.New("a log has no author")}
		}
		sum := sumOf(wire.Room(l.name), wire.PeerID(l.peer), uint64(l.base), uint64(l.head))
		if err := s.exec("UPDATE logs SET sum = ? WHERE room = ? AND author = ?", sum, l.room, l.author); err != nil {
			return err
		}
	}
	if len(logs) == 0 && !s.cfg.NewIdentity {
		if err := s.exec(sqlMeta, fresh2, int64(1)); err != nil {
			return err
		}
	}
	return s.script("DROP TABLE events_1")
}

// fresh2 was the key of meta, in schema 2, that said that a file was begun in place of one that was lost.
const fresh2 = "fresh"

// fromSchema2 parts the logs into runs. An author that had lost its log went on far beyond in the same one, and what
// came before was given up; where that is still here, it is a log again.
func (s *SQLite) fromSchema2() error {
	type log struct {
		room, author int64
		base, head   uint64
		name         wire.Room
		peer         wire.PeerID
	}
	var logs []log
	if err := s.query(`SELECT l.room, l.author, l.base, l.head, l.sum, r.name, a.peer FROM logs_2 l JOIN rooms r ON r.id = l.room
		JOIN authors a ON a.id = l.author`, func(row []driver.Value) error {
		peer := blob(row[6])
		if len(peer) != len(wire.PeerID{}) {
			return &damageError{err: errors.New("a log has no author")}
		}
		l := log{num(row[0]), num(row[1]), uint64(num(row[2])), uint64(num(row[3])), wire.Room(str(row[5])), wire.PeerID(peer)}
		if sumOf(l.name, l.peer, l.base, l.head) != num(row[4]) || l.base > l.head || l.head > wire.MaxCounter {
			return &damageError{err: fmt.Errorf("the log of %s in %s has a wrong checksum", l.peer.Tag(), l.name)}
		}
		logs = append(logs, l)
		return nil
	}); err != nil {
		return err
	}
	for _, l := range logs {
		// The row may be late, see Append.
		if err := s.raise(&l.head, sqlHead, l.room, l.author, int64(0), int64(wire.MaxCounter)); err != nil {
			return err
		}
		runs := map[uint32]bool{wire.LogOf(l.peer, l.head).Run: true}
		if err := s.query("SELECT DISTINCT (seq - 1) >> ? FROM events WHERE room = ? AND author = ?", func(row []driver.Value) error {
			runs[uint32(num(row[0]))] = true
			return nil
		}, int64(wire.RunBits), l.room, l.author); err != nil {
			return err
		}
		for run := range runs {
			id := wire.LogID{Author: l.peer, Run: run}
			base, head := max(l.base, id.Start()), min(l.head, id.End())
			if base > head {
				var err error
				if base, head, err = s.last(l.room, l.author, id); err != nil {
					return err
				}
			}
			if err := s.saveLog(l.name, l.room, id, sqliteLog{id: l.author, base: base, head: head}); err != nil {
				return err
			}
		}
	}
	var fresh int64
	if err := s.query(sqlGetMeta, first(&fresh), fresh2); err != nil {
		return err
	}
	if fresh != 0 {
		if err := errors.Join(s.exec(sqlMeta, metaRun, int64(newRun(time.Now()))), s.exec("DELETE FROM meta WHERE key = ?", fresh2)); err != nil {
			return err
		}
	}
	return s.script("DROP TABLE logs_2")
}

// fromSchema3 copies the events. They come by doc, which is room by room, and in each by Lamport clock.
func (s *SQLite) fromSchema3() error {
	s.lastDoc = 0
	rooms := make(map[int64]*sqliteRoom)
	err := s.query("SELECT room, author, seq, lamport, time, sum, data FROM events_3 ORDER BY doc", func(row []driver.Value) error {
		r, data := rooms[num(row[0])], blob(row[6])
		if r == nil {
			r = &sqliteRoom{id: num(row[0])}
			rooms[r.id] = r
		}
		if int64(crc32.Checksum(data, castagnoli)) != num(row[5]) {
			return &damageError{err: fmt.Errorf("event %d of author %d has a wrong checksum", num(row[2]), num(row[1]))}
		}
		e, err := wire.DecodeEvent(data)
		return s.insert(&journaled{room: r, author: num(row[1]), seq: uint64(num(row[2])), lamport: uint64(num(row[3])),
			time: time.UnixMilli(num(row[4])), spoken: err == nil && len(spoken(&e)) > 0}, data)
	})
	if err != nil {
		return err
	}
	return s.script("DROP TABLE events_3")
}

// last finds the last events of a log that follow each other.
func (s *SQLite) last(room, author int64, id wire.LogID) (base, head uint64, err error) {
	err = s.query(sqlBelow, func(row []driver.Value) error {
		switch seq := uint64(num(row[0])); {
		case head == 0:
			base, head = seq-1, seq
		case seq == base:
			base--
		default:
			return errEnough
		}
		return nil
	}, room, author, int64(id.Start()), int64(id.End()))
	return base, head, err
}

// newRun is a run that was never used. A clock that was never set knows none, so one of those is taken by chance that
// would have been the present one before this program was there.
func newRun(now time.Time) uint32 {
	const long = 1 << 26 // 194 days
	return cmp.Or(wire.RunAt(now), 1+rand.Uint32N(long))
}
