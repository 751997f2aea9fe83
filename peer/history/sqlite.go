package history

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"peerchat/peer/wire"
)

// Config is what a SQLite needs to know for its life. The zero value will do for a test.
type Config struct {
	Limits Limits
	// Self is the author whose log is never forgotten; if it is zero none is.
	Self wire.PeerID
	// NewIdentity says that Self has never said anything: a file that is begun now is not in place of a lost one. See
	// Run.
	NewIdentity bool
	// OnDamage is called by the goroutine that uses the store when its file turned out to be damaged and was replaced.
	OnDamage func(*CorruptError)

	now func() time.Time // time.Now, but in tests
}

// SQLite is a Store in a file.
type SQLite struct {
	db
	path    string
	cfg     Config // Limits are filled
	lock    *flock.Flock
	file    os.FileInfo // of what is open
	beside  []string    // the suffixes of what is there beside it
	looked  time.Time   // when it was looked whether they are still there
	lost    *lostFile   // there is no file now, though the store was not closed
	hurried bool        // nothing waits for others who have the file
	rooms   map[wire.Room]*sqliteRoom
	ids     map[wire.PeerID]int64 // of authors
	bytes   int64                 // of all rooms, as Limits count them
	grown   map[wire.Room]bool    // rooms whose bounds were not looked at since
	run     uint32
	lastDoc int64 // the highest doc that was given
	buf     []byte

	journal    journal
	waiting    int       // events whose words are not in the index yet
	fresh      int       // events that came in since keepBounds put some into the index,
	freshBytes int64     // and their bytes
	untidy     int       // events brought into the file since the last checkpoint
	expired    time.Time // when Tidy last looked for what is too old
	tidyAgain  time.Time // before that it does nothing, as it failed
}

// sqliteRoom mirrors what the tables rooms and logs say, so that an append reads nothing.
type sqliteRoom struct {
	id      int64
	lamport uint64
	logs    map[wire.LogID]*sqliteLog // each has its row in the table logs
	count   int
	encoded int64          // bytes of the events
	gap     gap            // where the last event was put
	moved   map[int64]bool // docs, see moveBack
}

func (r *sqliteRoom) size() int64 { return sizeOf(r.count, r.encoded) }

type sqliteLog struct {
	id         int64 // of the author
	base, head uint64
	saved      uint64 // the head that the row has
	holes      holes
}

// InUseError says that another process, or another store of this one, has the file open.
type InUseError struct{ Path string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("open history %s: it is in use by another process: end that one, or choose another profile", e.Path)
}

// Open opens the history at path with the default Config. A damaged file gives a *CorruptError; open again for a new
// one.
func Open(path string) (Store, error) {
	s, err := OpenSQLite(path, Config{})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// OpenSQLite opens or makes the file at path, readable by its owner only. A damaged file has been moved out of the way
// when it returns a *CorruptError: open again for a new one. One that another has open gives an *InUseError.
func OpenSQLite(path string, cfg Config) (_ *SQLite, err error) {
	cfg.Limits = cfg.Limits.filled()
	if cfg.now == nil {
		cfg.now = time.Now
	}
	s := &SQLite{path: path, cfg: cfg, lock: flock.New(path+lockSuffix, flock.SetPermissions(0o600))}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open history %s: it is no file (%v): move it away", path, info.Mode().Type())
	}
	locked, err := s.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if !locked {
		return nil, &InUseError{Path: path}
	}
	defer func() {
		if err != nil {
			_ = s.lock.Unlock() // the first error is the one that says what is wrong
		}
	}()
	err = unread(path, s.open())
	if damage := damageOf(err); damage != nil {
		aside, err := setAside(path)
		if err != nil {
			return nil, fmt.Errorf("open history %s: the file is damaged (%v), and %w", path, damage, err)
		}
		return nil, &CorruptError{Path: path, Aside: aside, Err: damage}
	}
	if err != nil {
		return nil, fmt.Errorf("open history %s: %w", path, explain(err))
	}
	return s, nil
}

// open opens the file of a store that has none open.
func (s *SQLite) open() (err error) {
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	// The journals get the mode of the file.
	if err := errors.Join(err, f.Chmod(0o600), f.Close()); err != nil {
		return err
	}
	if size := info.Size(); size > 0 && size < minFile {
		return &damageError{err: fmt.Errorf("its size is %d B only", size)}
	} else if size == 0 {
		for _, suffix := range []string{walSuffix, journalSuffix} {
			if info, err := os.Stat(s.path + suffix); err == nil && info.Size() > 0 {
				return &damageError{err: errors.New("it is empty, and its journal is not")}
			}
		}
	}
	s.file = info
	s.rooms, s.ids, s.grown = make(map[wire.Room]*sqliteRoom), make(map[wire.PeerID]int64), make(map[wire.Room]bool)
	s.journal, s.bytes = journal{}, 0
	defer func() {
		if err != nil {
			_ = s.release()
		}
	}()
	// Shared memory lets a Reader in. Some file systems have none; there the file is ours alone.
	if err = s.connect("NORMAL"); slices.Contains([]int{codeCantOpen, codeIO, codeReadOnly}, codeOf(err)) {
		_ = s.close()
		err = s.connect("EXCLUSIVE")
	}
	if err != nil {
		return err
	}
	indexDamaged, err := s.check()
	if err != nil {
		return err
	}
	if err := s.migrate(); err != nil {
		return err
	}
	var vacuum int64
	if err := s.query("PRAGMA auto_vacuum", first(&vacuum)); err != nil {
		return err
	}
	if vacuum == 0 {
		_ = s.script("VACUUM") // a file of schema 1 gives pages back after that; if there is no room for it now, it is done another time
	}
	if err := s.load(); err != nil {
		if codeOf(err) == codeError {
			err = &damageError{err: err} // a statement that does not fit the tables
		}
		return err
	}
	if indexDamaged {
		if err := s.reindex(); err != nil {
			return err
		}
	}
	if err := s.openJournal(); err != nil {
		return err
	}
	s.beside = s.beside[:0]
	for _, suffix := range []string{walSuffix, shmSuffix, journalSuffix} {
		if _, err := os.Stat(s.path + suffix); err == nil {
			s.beside = append(s.beside, suffix)
		}
	}
	return nil
}

func (s *SQLite) connect(locking string) error {
	var err error
	if s.db, err = connect(s.path, ""); err != nil {
		return err
	}
	// synchronous = NORMAL does not wait for the disk: the death of the process loses nothing, that of the machine the
	// last moments.
	s.hurried = false
	for _, pragma := range []string{patient, "locking_mode = " + locking, "auto_vacuum = INCREMENTAL", "journal_mode = WAL",
		"synchronous = NORMAL", "foreign_keys = OFF", "temp_store = MEMORY", "cache_size = -4096", "journal_size_limit = 4194304",
		"wal_autocheckpoint = 8192"} { // pages; writing the journal into the file takes 10 ms and more: see Tidy
		if err := s.query("PRAGMA "+pragma, nil); err != nil {
			return err
		}
	}
	return s.within(sqlBegin, func() error { return nil }) // whether it can be written
}

// load reads the tables that are mirrored.
func (s *SQLite) load() error {
	var run, closed, schema int64
	if err := errors.Join(s.query(sqlGetMeta, first(&run), metaRun), s.query(sqlGetMeta, first(&closed), metaClosed),
		s.query(sqlGetMeta, first(&schema), metaSchema)); err != nil {
		return err
	}
	if sum, err := s.schemaSum(); err != nil || sum != schema {
		return &damageError{err: fmt.Errorf("its schema has a wrong checksum (%v)", err)}
	}
	s.run = uint32(run)
	names := make(map[int64]wire.Room)
	err := s.query("SELECT id, name, lamport, events, bytes FROM rooms", func(row []driver.Value) error {
		name, err := wire.ParseRoom(str(row[1]))
		if err != nil {
			return &damageError{err: err}
		}
		names[num(row[0])] = name
		s.rooms[name] = &sqliteRoom{id: num(row[0]), lamport: uint64(num(row[2])), logs: make(map[wire.LogID]*sqliteLog),
			count: int(num(row[3])), encoded: num(row[4])}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.loadLogs(names); err != nil {
		return err
	}
	if err := s.loadHoles(names); err != nil {
		return err
	}
	for _, r := range s.rooms {
		if closed == 0 || r.count < 0 || r.encoded < 0 {
			if err := s.query(sqlCount, func(row []driver.Value) error {
				r.count, r.encoded = int(num(row[0])), num(row[1])
				return nil
			}, r.id); err != nil {
				return err
			}
		}
		s.bytes += r.size()
		if err := s.raise(&r.lamport, sqlClock, r.id); err != nil {
			return err
		}
		for id, l := range r.logs {
			if err := s.raise(&l.head, sqlHead, r.id, l.id, int64(id.Start()), int64(id.End())); err != nil {
				return err
			}
		}
	}
	var waiting int64
	if err := errors.Join(s.query(sqlWaiting, first(&waiting)), s.query(sqlLast, first(&s.lastDoc))); err != nil {
		return err
	}
	s.waiting = int(waiting)
	if closed != 0 {
		if err := s.exec(sqlMeta, metaClosed, int64(0)); err != nil {
			return err
		}
	}
	return s.forget()
}

func (s *SQLite) loadLogs(rooms map[int64]wire.Room) error {
	return s.query("SELECT l.room, l.author, l.base, l.head, l.sum, a.peer, l.run FROM logs l LEFT JOIN authors a ON a.id = l.author",
		func(row []driver.Value) error {
			room, peer := rooms[num(row[0])], blob(row[5])
			if room == "" || len(peer) != len(wire.PeerID{}) {
				return &damageError{err: errors.New("a log has no room or no author")}
			}
			id := wire.LogOf(wire.PeerID(peer), uint64(num(row[3])))
			l := &sqliteLog{id: num(row[1]), base: uint64(num(row[2])), head: uint64(num(row[3])), saved: uint64(num(row[3]))}
			if sumOf(room, id.Author, l.base, l.head) != num(row[4]) || l.base > l.head || int64(id.Run) != num(row[6]) {
				return &damageError{err: fmt.Errorf("the log of %s in %s has a wrong checksum", id.Author.Tag(), room)}
			}
			s.rooms[room].logs[id] = l
			s.ids[id.Author] = l.id
			return nil
		})
}

// raise sets n to the number that a query gives, if there is one and it is higher.
func (s *SQLite) raise(n *uint64, sql string, args ...driver.Value) error {
	return s.query(sql, func(row []driver.Value) error {
		if v := num(row[0]); v > 0 {
			*n = max(*n, uint64(v))
		}
		return nil
	}, args...)
}

// Run is the run of own events: 0, or if the file was begun anew though its author may have said something before, one
// that was not used yet. It stays the same as long as the file does, because a process may end before it has said
// anything.
func (s *SQLite) Run() uint32 { return s.run }

// Limits are what the store was opened with, defaults filled in.
func (s *SQLite) Limits() Limits { return s.cfg.Limits }

const (
	tidyAfter   = 500 // events that SQLite's journal has to hold for a checkpoint to be worth its while
	expireEvery = time.Hour
	tidyPause   = 10 * time.Second // after it failed
)

// Tidy is for a moment in which nothing else is to be done. It does, a little each time, what no Append should have to:
// it puts words into the index, writes SQLite's journal into the file, which waits for the disk, gives free pages back,
// and removes what is too old.
func (s *SQLite) Tidy() error {
	if s.conn == nil {
		return nil
	}
	if err := s.tidy(s.cfg.now()); err != nil {
		return fmt.Errorf("tidy the history: %w", explain(err))
	}
	return nil
}

func (s *SQLite) tidy(now time.Time) error {
	err := s.stay()
	if err != nil {
		return err
	}
	if now.Before(s.tidyAgain) {
		return nil
	}
	err = s.guard(func() error {
		if err := s.settle(); err != nil {
			return err
		}
		if _, err := s.index(indexBatch); err != nil {
			return err
		}
		if s.untidy >= tidyAfter {
			s.untidy = 0
			if err := s.query(sqlTidy, nil); err != nil {
				return err
			}
		}
		if err := s.query(sqlShrink, nil); err != nil { // one page a row
			return err
		}
		return nil
	})
	if err == nil && now.Sub(s.expired) >= expireEvery {
		s.expired = now
		err = s.Expire(now)
	}
	if err != nil {
		s.tidyAgain = now.Add(tidyPause)
	}
	return err
}

// transact runs f in a transaction that writes. Of one that failed nothing is true, and so of where its events were
// put.
func (s *SQLite) transact(f func() error) error {
	err := s.db.transact(f)
	if err != nil {
		for _, r := range s.rooms {
			r.gap = gap{}
		}
	} else if s.hurried {
		s.hurried = s.script("PRAGMA "+patient) != nil
	}
	return err
}

// look settles and runs a reading f on the room, if it is there. What is in the journal is not read while it cannot be
// settled.
func (s *SQLite) look(room wire.Room, what string, f func(r *sqliteRoom) error) error {
	err := s.guard(func() error {
		if s.rooms[room] == nil {
			return nil
		}
		if err := s.settle(); damageOf(err) != nil {
			return err
		}
		return f(s.rooms[room])
	})
	if err != nil {
		return fmt.Errorf("%s of %s: %w", what, room, explain(err))
	}
	return nil
}

// Rooms implements View.
func (s *SQLite) Rooms() ([]wire.Room, error) {
	rooms := make([]wire.Room, 0, len(s.rooms))
	for name := range s.rooms {
		rooms = append(rooms, name)
	}
	slices.Sort(rooms)
	return rooms, nil
}

// Recent implements View.
func (s *SQLite) Recent(room wire.Room, limit int) ([]wire.Event, error) {
	return s.Before(room, math.MaxInt64, wire.PeerID{}, limit)
}

// Before implements View.
func (s *SQLite) Before(room wire.Room, lamport uint64, author wire.PeerID, limit int) (events []wire.Event, err error) {
	err = s.look(room, "read events", func(r *sqliteRoom) error {
		events, err = s.page(sqlBefore, room, r.id, lamport, author, limit)
		return err
	})
	return events, err
}

// After implements View.
func (s *SQLite) After(room wire.Room, lamport uint64, author wire.PeerID, limit int) (events []wire.Event, err error) {
	err = s.look(room, "read events", func(r *sqliteRoom) error {
		events, err = s.page(sqlAfter, room, r.id, lamport, author, limit)
		return err
	})
	return events, err
}

// Around implements View.
func (s *SQLite) Around(room wire.Room, lamport uint64, author wire.PeerID, limit int) (events []wire.Event, err error) {
	err = s.look(room, "read events", func(r *sqliteRoom) error {
		events, err = s.middle(room, r.id, lamport, author, limit)
		return err
	})
	return events, err
}

// Stats implements View.
func (s *SQLite) Stats(room wire.Room) (st Stats, err error) {
	err = s.look(room, "count what is held", func(r *sqliteRoom) error {
		st = Stats{Events: r.count, Bytes: r.size(), Authors: authorsOf(r.logs)}
		st.Oldest, st.Newest, err = s.ends(room, r.id)
		return err
	})
	return st, err
}

// Search implements View.
func (s *SQLite) Search(ctx context.Context, room wire.Room, query string, from Cursor, limit int) (res Results, err error) {
	err = s.guard(func() error {
		if err := s.settle(); err != nil {
			return err
		}
		f := newFinder(query, from, limit)
		for name, r := range s.rooms {
			if room == "" || room == name {
				f.rooms[r.id] = name
			}
		}
		err := s.find(ctx, f, room != "")
		res = f.results()
		return err
	})
	if err != nil {
		return Results{}, fmt.Errorf("search in the history: %w", explain(err))
	}
	return res, nil
}

// Export implements View.
func (s *SQLite) Export(ctx context.Context, w io.Writer, room wire.Room, format Format) error {
	if s.conn == nil {
		return errClosed
	}
	if err := s.Settle(); err != nil {
		return err
	}
	rooms := []wire.Room{room}
	if room == "" {
		rooms, _ = s.Rooms()
	}
	err := s.within(sqlLook, func() error {
		before := func(e *wire.Event) (uint64, error) { return s.rooms[e.Room].logs[logOf(e)].holes.before(e.Seq), nil }
		return export(w, rooms, format, before, func(name wire.Room, each func(*wire.Event) error) error {
			if r := s.rooms[name]; r != nil {
				return s.each(ctx, name, r.id, each)
			}
			return nil
		})
	})
	if d := damageOf(err); d != nil { // it cannot be run again, some of it was written
		return &CorruptError{Path: s.path, Err: d}
	}
	return err
}

// Heads implements Store.
func (s *SQLite) Heads(room wire.Room) (heads []wire.Head, lamport uint64, err error) {
	r := s.rooms[room]
	if r == nil {
		return nil, 0, nil
	}
	for id, l := range r.logs {
		heads = append(heads, wire.Head{Author: id.Author, Base: l.base, Seq: l.head})
	}
	slices.SortFunc(heads, func(a, b wire.Head) int { return a.Log().Compare(b.Log()) })
	return heads, r.lamport, nil
}

// Base implements Store.
func (s *SQLite) Base(room wire.Room, log wire.LogID) uint64 {
	if r := s.rooms[room]; r != nil && r.logs[log] != nil {
		return r.logs[log].base
	}
	return log.Start()
}

// Close writes the journals into the file and closes it.
func (s *SQLite) Close() error {
	if s.conn == nil {
		return s.lock.Unlock()
	}
	err := s.Settle()
	if err == nil && s.conn != nil {
		err = s.guard(s.save)
	}
	if err := errors.Join(err, s.release(), s.lock.Unlock()); err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}

// save writes what the mirror knows better than the tables.
func (s *SQLite) save() error {
	return s.transact(func() error {
		for name, r := range s.rooms {
			if err := errors.Join(s.exec(sqlTotals, int64(r.count), r.encoded, r.id), s.exec(sqlLamport, int64(r.lamport), r.id)); err != nil {
				return err
			}
			for id, l := range r.logs {
				if l.head != l.saved {
					if err := s.saveLog(name, r.id, id, *l); err != nil {
						return err
					}
				}
			}
		}
		return s.exec(sqlMeta, metaClosed, int64(1))
	})
}

// saveLog writes the row of a log.
func (s *SQLite) saveLog(name wire.Room, room int64, id wire.LogID, l sqliteLog) error {
	return s.exec(sqlLog, room, l.id, int64(id.Run), int64(l.base), int64(l.head), sumOf(name, id.Author, l.base, l.head))
}

// release closes the file and its journal as they are.
func (s *SQLite) release() error {
	err := s.close()
	if f := s.journal.file; f != nil {
		s.journal.file = nil
		err = errors.Join(err, f.Close())
	}
	return err
}
