package history

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"slices"
	"time"

	"modernc.org/sqlite"

	"peerchat/peer/wire"
)

// migrations bring a file from one schema version to the next; user_version counts those that were applied.
var migrations = [...]string{
	// Rooms and authors get small numbers. data is the event as wire.AppendEvent writes it.
	`CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, lamport INTEGER NOT NULL);
	CREATE TABLE authors (id INTEGER PRIMARY KEY, peer BLOB NOT NULL UNIQUE);
	CREATE TABLE logs (room INTEGER NOT NULL, author INTEGER NOT NULL, base INTEGER NOT NULL, head INTEGER NOT NULL,
		PRIMARY KEY (room, author)) WITHOUT ROWID;
	CREATE TABLE events (room INTEGER NOT NULL, author INTEGER NOT NULL, seq INTEGER NOT NULL, lamport INTEGER NOT NULL,
		data BLOB NOT NULL, PRIMARY KEY (room, author, seq)) WITHOUT ROWID;
	CREATE INDEX events_by_lamport ON events (room, lamport, author);`,
}

const (
	sqlBegin    = `BEGIN IMMEDIATE`
	sqlCommit   = `COMMIT`
	sqlRollback = `ROLLBACK`
	sqlRoom     = `INSERT INTO rooms (name, lamport) VALUES (?, 0) RETURNING id`
	sqlAuthor   = `INSERT INTO authors (peer) VALUES (?) ON CONFLICT (peer) DO UPDATE SET peer = peer RETURNING id`
	sqlLamport  = `UPDATE rooms SET lamport = ? WHERE id = ?`
	sqlLog      = `INSERT INTO logs (room, author, base, head) VALUES (?, ?, ?, ?)
		ON CONFLICT (room, author) DO UPDATE SET base = excluded.base, head = excluded.head`
	sqlEvent = `INSERT INTO events (room, author, seq, lamport, data) VALUES (?, ?, ?, ?, ?)`
	sqlRange = `SELECT data FROM events WHERE room = ? AND author = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?`
	// In the reverse of the display order, so that the limit cuts off the oldest.
	sqlBefore = `SELECT e.data FROM events e JOIN authors a ON a.id = e.author
		WHERE e.room = ?1 AND e.lamport <= ?2 AND (e.lamport < ?2 OR a.peer < ?3)
		ORDER BY e.lamport DESC, a.peer DESC, e.seq DESC LIMIT ?4`
	sqlOldest = `SELECT e.author, e.seq FROM events e JOIN authors a ON a.id = e.author
		WHERE e.room = ? ORDER BY e.lamport, a.peer, e.seq LIMIT ?`
	sqlPrune = `DELETE FROM events WHERE room = ? AND author = ? AND seq <= ?`
	sqlCount = `SELECT count(*) FROM events WHERE room = ?`
	sqlHead  = `SELECT max(seq) FROM events WHERE room = ? AND author = ?`
	sqlClock = `SELECT max(lamport) FROM events WHERE room = ?`
	sqlTidy  = `PRAGMA wal_checkpoint(PASSIVE)`
)

// SQLite is a Store in a file. It speaks to the driver's connection itself, because database/sql would add a lock, a
// pool and a context to every statement, for a store that has one owner and one connection.
type SQLite struct {
	conn  driver.Conn
	keep  int
	stmts map[string]driver.Stmt
	rooms map[wire.Room]*sqliteRoom
	ids   map[wire.PeerID]int64 // of authors
	buf   []byte
	args  [5]driver.NamedValue

	journal journal
	untidy  int // events brought into the file since the last Tidy
}

// sqliteRoom mirrors what the tables rooms and logs say, so that an append reads nothing.
type sqliteRoom struct {
	id      int64
	lamport uint64
	logs    map[wire.PeerID]*sqliteLog // each has its row in the table logs
	count   int
}

type sqliteLog struct {
	id         int64 // of the author
	base, head uint64
}

// CorruptError says that a history file could not be read as what it should be, and was moved out of the way together with
// its journal. Opening the same path again makes a new file; what it held can be fetched again from other peers.
type CorruptError struct {
	Path  string // where the file was
	Aside string // where it is now
	Err   error  // what is wrong with it
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("open history %s: the file is damaged (%v); it was moved to %s", e.Path, e.Err, e.Aside)
}

// Unwrap returns Err.
func (e *CorruptError) Unwrap() error { return e.Err }

// Open opens the history at path with DefaultKeep. A damaged file gives a *CorruptError; open again for a new one.
func Open(path string) (Store, error) {
	s, err := OpenSQLite(path, DefaultKeep)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// OpenSQLite opens or makes the file at path, readable by its owner only. No two may have it open. keep is how many
// events of a room are kept. A damaged file gives a *CorruptError.
func OpenSQLite(path string, keep int) (*SQLite, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	// The journals get the mode of the file.
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return nil, fmt.Errorf("open history %s: %w", path, err)
	}
	s, err := open(path, keep)
	var damage *damageError
	if !errors.As(err, &damage) {
		if err != nil {
			err = fmt.Errorf("open history %s: %w", path, err)
		}
		return s, err
	}
	aside := path + ".corrupt-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(path, aside); err != nil {
		return nil, fmt.Errorf("open history %s: the file is damaged (%v) and cannot be moved away: %w", path, damage.err, err)
	}
	for _, suffix := range []string{"-wal", "-shm", journalSuffix} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("open history %s: its journal cannot be moved away: %w", path, err)
		}
	}
	return nil, &CorruptError{Path: path, Aside: aside, Err: damage.err}
}

// damageError marks what can only be mended by a new file.
type damageError struct{ err error }

func (e *damageError) Error() string { return e.err.Error() }

// SQLite's result codes for a file that is damaged, and for one that is none of its own (sqlite.org/rescode.html).
const (
	codeCorrupt = 11
	codeNotADB  = 26
)

// damaged marks err if it is about the content of the file.
func damaged(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) && (e.Code()&0xff == codeCorrupt || e.Code()&0xff == codeNotADB) {
		return &damageError{err}
	}
	return err
}

func open(path string, keep int) (_ *SQLite, err error) {
	uri := url.URL{Scheme: "file", OmitHost: true, Path: path}
	conn, err := (&sqlite.Driver{}).Open(uri.String())
	if err != nil {
		return nil, damaged(err)
	}
	s := &SQLite{conn: conn, keep: max(1, keep), stmts: make(map[string]driver.Stmt),
		rooms: make(map[wire.Room]*sqliteRoom), ids: make(map[wire.PeerID]int64)}
	defer func() {
		if err != nil {
			err = damaged(err)
			_ = s.Close() // the first error is the one that says what is wrong
		}
	}()
	// NORMAL does not wait for the disk: the death of the process loses nothing, that of the machine the last moments.
	for _, pragma := range []string{"locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL",
		"foreign_keys = OFF", "temp_store = MEMORY", "cache_size = -4096", "journal_size_limit = 4194304",
		"wal_autocheckpoint = 8192"} { // pages; writing the journal into the file takes 10 ms and more: see Tidy
		if err := s.query("PRAGMA "+pragma, nil, nil); err != nil {
			return nil, err
		}
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := s.migrate(); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, s.openJournal(path)
}

// check looks through the whole file for damage. It takes about 10 ms for each 10,000 events.
func (s *SQLite) check() error {
	return s.query("PRAGMA quick_check(1)", func(row []driver.Value) error {
		if row[0] != "ok" {
			return &damageError{fmt.Errorf("quick_check says: %v", row[0])}
		}
		return nil
	})
}

func (s *SQLite) migrate() error {
	var version int64
	if err := s.query("PRAGMA user_version", func(row []driver.Value) error {
		version, _ = row[0].(int64)
		return nil
	}); err != nil {
		return err
	}
	if version > int64(len(migrations)) {
		return fmt.Errorf("it was written by a newer version of peerchat (schema %d, this one knows %d): use that version",
			version, len(migrations))
	}
	for ; version < int64(len(migrations)); version++ {
		err := s.transact(func() error {
			if err := s.script(migrations[version]); err != nil {
				return err
			}
			return s.script(fmt.Sprintf("PRAGMA user_version = %d", version+1))
		})
		if err != nil {
			return fmt.Errorf("bring it to schema %d: %w", version+1, err)
		}
	}
	return nil
}

// load reads the tables that are mirrored.
func (s *SQLite) load() error {
	rooms := make(map[int64]*sqliteRoom)
	err := s.query("SELECT id, name, lamport FROM rooms", func(row []driver.Value) error {
		name, err := wire.ParseRoom(str(row[1]))
		if err != nil {
			return &damageError{err}
		}
		r := &sqliteRoom{id: row[0].(int64), lamport: uint64(row[2].(int64)), logs: make(map[wire.PeerID]*sqliteLog)}
		s.rooms[name], rooms[r.id] = r, r
		return nil
	})
	if err != nil {
		return err
	}
	err = s.query("SELECT l.room, l.author, l.base, l.head, a.peer FROM logs l JOIN authors a ON a.id = l.author",
		func(row []driver.Value) error {
			r, peer := rooms[row[0].(int64)], blob(row[4])
			if r == nil || len(peer) != len(wire.PeerID{}) {
				return &damageError{errors.New("a log has no room or no author")}
			}
			l := &sqliteLog{id: row[1].(int64), base: uint64(row[2].(int64)), head: uint64(row[3].(int64))}
			r.logs[wire.PeerID(peer)] = l
			s.ids[wire.PeerID(peer)] = l.id
			return nil
		})
	if err != nil {
		return err
	}
	for _, r := range s.rooms {
		if err := s.query(sqlCount, func(row []driver.Value) error {
			r.count = int(row[0].(int64))
			return nil
		}, r.id); err != nil {
			return err
		}
		if err := s.raise(&r.lamport, sqlClock, r.id); err != nil {
			return err
		}
		for _, l := range r.logs {
			if err := s.raise(&l.head, sqlHead, r.id, l.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// raise sets n to the number that a query gives, if there is one and it is higher.
func (s *SQLite) raise(n *uint64, sql string, args ...driver.Value) error {
	return s.query(sql, func(row []driver.Value) error {
		if v, ok := row[0].(int64); ok {
			*n = max(*n, uint64(v))
		}
		return nil
	}, args...)
}

// tidyAfter is how many events a journal has to hold for Tidy to be worth its while.
const tidyAfter = 500

// Tidy is for a moment in which nothing else is to be done: it writes the journal into the file, which waits for the
// disk, so that no Append has to. Without it an Append does so whenever the journal has grown to 32 MiB.
func (s *SQLite) Tidy() error {
	if s.conn == nil {
		return nil
	}
	if err := s.Settle(); err != nil || s.untidy < tidyAfter {
		return err
	}
	s.untidy = 0
	if err := s.query(sqlTidy, nil); err != nil {
		return fmt.Errorf("write the journal into the history: %w", err)
	}
	return nil
}

func blob(v driver.Value) []byte { b, _ := v.([]byte); return b }

func str(v driver.Value) string { t, _ := v.(string); return t }

// script runs statements without arguments that are run once.
func (s *SQLite) script(sql string) error {
	st, err := s.conn.Prepare(sql)
	if err != nil {
		return err
	}
	_, err = st.(driver.StmtExecContext).ExecContext(context.Background(), nil)
	return errors.Join(err, st.Close())
}

// stmt is a prepared statement, kept for the life of the store.
func (s *SQLite) stmt(sql string) (driver.Stmt, error) {
	if st, ok := s.stmts[sql]; ok {
		return st, nil
	}
	st, err := s.conn.Prepare(sql)
	if err == nil {
		s.stmts[sql] = st
	}
	return st, err
}

func (s *SQLite) bind(args []driver.Value) []driver.NamedValue {
	for i, v := range args {
		s.args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return s.args[:len(args)]
}

func (s *SQLite) exec(sql string, args ...driver.Value) error {
	st, err := s.stmt(sql)
	if err != nil {
		return err
	}
	_, err = st.(driver.StmtExecContext).ExecContext(context.Background(), s.bind(args))
	return err
}

// query calls row for each row of the result. What row is given is valid until it returns.
func (s *SQLite) query(sql string, row func([]driver.Value) error, args ...driver.Value) error {
	st, err := s.stmt(sql)
	if err != nil {
		return err
	}
	rows, err := st.(driver.StmtQueryContext).QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // resets the statement; errors came with Next
	values := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(values); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if row == nil {
			continue
		}
		if err := row(values); err != nil {
			return err
		}
	}
}

// transact runs f in a transaction.
func (s *SQLite) transact(f func() error) error {
	if err := s.exec(sqlBegin); err != nil {
		return err
	}
	err := f()
	if err == nil {
		err = s.exec(sqlCommit)
	}
	if err != nil {
		if back := s.exec(sqlRollback); back != nil {
			err = fmt.Errorf("%w (and it could not be rolled back: %v)", err, back)
		}
	}
	return err
}

// Rooms implements Store.
func (s *SQLite) Rooms() ([]wire.Room, error) {
	rooms := make([]wire.Room, 0, len(s.rooms))
	for name := range s.rooms {
		rooms = append(rooms, name)
	}
	slices.Sort(rooms)
	return rooms, nil
}

// Range implements Store.
func (s *SQLite) Range(room wire.Room, author wire.PeerID, from, to uint64, limit int) ([]wire.Event, error) {
	r := s.rooms[room]
	if r == nil || r.logs[author] == nil {
		return nil, nil
	}
	l := r.logs[author]
	from, to = max(from, l.base+1), min(to, l.head)
	if from > to || limit < 1 {
		return nil, nil
	}
	events, err := s.events(sqlRange, r.id, l.id, int64(from), int64(to), int64(limit))
	if err != nil {
		return nil, fmt.Errorf("read events %d to %d of %s in %s: %w", from, to, author.Tag(), room, err)
	}
	return events, nil
}

// Recent implements Store.
func (s *SQLite) Recent(room wire.Room, limit int) ([]wire.Event, error) {
	return s.Before(room, math.MaxInt64, wire.PeerID{}, limit)
}

// Before implements Store.
func (s *SQLite) Before(room wire.Room, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error) {
	r := s.rooms[room]
	if r == nil || limit < 1 {
		return nil, nil
	}
	events, err := s.events(sqlBefore, r.id, int64(min(lamport, math.MaxInt64)), author[:], int64(limit))
	if err != nil {
		return nil, fmt.Errorf("read %d events of %s: %w", limit, room, err)
	}
	slices.Reverse(events)
	return events, nil
}

func (s *SQLite) events(sql string, args ...driver.Value) ([]wire.Event, error) {
	if err := s.Settle(); err != nil {
		return nil, err
	}
	var events []wire.Event
	err := s.query(sql, func(row []driver.Value) error {
		e, err := wire.DecodeEvent(blob(row[0])) // the driver made the bytes for us
		events = append(events, e)
		return err
	}, args...)
	return events, err
}

// Heads implements Store.
func (s *SQLite) Heads(room wire.Room) (heads []wire.Head, lamport uint64, err error) {
	r := s.rooms[room]
	if r == nil {
		return nil, 0, nil
	}
	for author, l := range r.logs {
		heads = append(heads, wire.Head{Author: author, Base: l.base, Seq: l.head})
	}
	slices.SortFunc(heads, func(a, b wire.Head) int { return slices.Compare(a.Author[:], b.Author[:]) })
	return heads, r.lamport, nil
}

// Close writes the journal into the file and closes it.
func (s *SQLite) Close() error {
	if s.conn == nil {
		return nil
	}
	errs := []error{s.closeJournal()}
	for _, st := range s.stmts {
		errs = append(errs, st.Close())
	}
	errs = append(errs, s.conn.Close())
	s.conn, s.stmts = nil, nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}
