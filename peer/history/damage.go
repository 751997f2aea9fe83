package history

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"modernc.org/sqlite"

	"peerchat/peer/wire"
)

// What is kept beside the file.
const (
	walSuffix   = "-wal"  // SQLite's journal
	shmSuffix   = "-shm"  // and its index, in shared memory
	lockSuffix  = "-lock" // locked while a store has the file
	asideSuffix = ".corrupt-"
)

// keptAside is how many damaged files are kept.
const keptAside = 3

// SQLite's result codes (sqlite.org/rescode.html).
const (
	codeError      = 1
	codeBusy       = 5
	codeReadOnly   = 8
	codeIO         = 10
	codeCorrupt    = 11 // the file is damaged
	codeFull       = 13
	codeCantOpen   = 14
	codeConstraint = 19
	codeNotADB     = 26 // the file is none of SQLite's
)

// codeOf is the primary result code of an error of SQLite, else 0.
func codeOf(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// CorruptError says that a history file could not be read as what it should be. It was moved out of the way together
// with its journals, and what it held can be fetched again from other peers. Where OpenSQLite returns it, opening the
// same path again makes a new file; Config.OnDamage is told when there is a new one already. A Reader moves nothing.
type CorruptError struct {
	Path  string // where the file was
	Aside string // where it is now; empty if it was not moved
	Err   error  // what is wrong with it
}

func (e *CorruptError) Error() string {
	if e.Aside == "" {
		return fmt.Sprintf("read history %s: the file is damaged (%v); the next peerchat that joins with this profile moves it away", e.Path, e.Err)
	}
	return fmt.Sprintf("open history %s: the file is damaged (%v); it was moved to %s", e.Path, e.Err, e.Aside)
}

// Unwrap returns Err.
func (e *CorruptError) Unwrap() error { return e.Err }

// damageError marks what can only be mended by a new file, or a new index.
type damageError struct {
	err   error
	index bool // nothing but the index of words is damaged, as far as is known
}

func (e *damageError) Error() string { return e.err.Error() }

func (e *damageError) Unwrap() error { return e.err }

// damageOf is what err says about the content of the file, nil if nothing.
func damageOf(err error) *damageError {
	var d *damageError
	if errors.As(err, &d) {
		return d
	}
	if code := codeOf(err); code == codeCorrupt || code == codeNotADB {
		return &damageError{err: err}
	}
	return nil
}

// inIndex marks an error that came of using the index of words.
func inIndex(err error) error {
	if codeOf(err) == codeCorrupt {
		return &damageError{err: err, index: true}
	}
	return err
}

// explain says what to do about an error where it is known.
func explain(err error) error {
	switch {
	case codeOf(err) == codeFull, errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: free some space on the disk", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: make the file and its directory yours", err)
	case codeOf(err) == codeReadOnly, errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: make the file, its directory and its file system writable", err)
	case codeOf(err) == codeBusy:
		return fmt.Errorf("%w: end the program that has the file open beside peerchat", err)
	case codeOf(err) == codeIO, errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w: check the disk and its cable, or the network if the file is on another machine", err)
	}
	return err
}

// check looks through the tables for damage, one by one: all at once, SQLite would read the whole index of words as
// well, whose damage is mended otherwise, and told here by index.
func (s *SQLite) check() (index bool, err error) {
	var tables []string
	err = s.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0", func(row []driver.Value) error {
		tables = append(tables, str(row[0]))
		return nil
	})
	for _, table := range tables {
		if err != nil {
			break
		}
		verdict := "nothing"
		sql := fmt.Sprintf("SELECT * FROM pragma_quick_check(%s)", quoted(table))
		err = s.query(sql, func(row []driver.Value) error {
			verdict = str(row[0])
			return errEnough
		})
		if err == nil && verdict != "ok" {
			err = &damageError{err: fmt.Errorf("quick_check of %s says: %s", table, verdict)}
		}
		if strings.HasPrefix(table, "words_") && damageOf(err) != nil {
			index, err = true, nil
		}
	}
	return index, err
}

// quoted is s as a string of SQL.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// restore writes logs without events into a new file and its mirror.
func (s *SQLite) restore(rooms map[wire.Room]*sqliteRoom, run uint32) error {
	for name, old := range rooms {
		r := &sqliteRoom{lamport: old.lamport, logs: make(map[wire.LogID]*sqliteLog)}
		if err := errors.Join(s.query(sqlRoom, first(&r.id), string(name)), s.exec(sqlLamport, int64(r.lamport), r.id)); err != nil {
			return err
		}
		for id, was := range old.logs {
			l := &sqliteLog{base: was.head, head: was.head, saved: was.head, holes: was.holes}
			if err := s.query(sqlAuthor, first(&l.id), id.Author[:]); err != nil {
				return err
			}
			if err := errors.Join(s.saveLog(name, r.id, id, *l), s.saveHoles(name, r.id, id, l.id, nil, l.holes)); err != nil {
				return err
			}
			r.logs[id], s.ids[id.Author] = l, l.id
		}
		s.rooms[name] = r
	}
	s.run = run
	return s.exec(sqlMeta, metaRun, int64(run))
}

// setAside moves the file at path and its journals out of the way, and removes the oldest of those that were moved
// before. The file goes first: without its journal it would be an older one that seems whole.
func setAside(path string) (aside string, err error) {
	aside = path + asideSuffix + time.Now().UTC().Format("20060102T150405.000000000Z")
	for _, suffix := range []string{"", walSuffix, shmSuffix, journalSuffix} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("it cannot be moved away: %w", err)
		}
	}
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return aside, nil // what is too much stays
	}
	var old []string // in ascending order, as their names have the time
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), base+asideSuffix)
		if ok && strings.HasSuffix(stamp, "Z") {
			old = append(old, e.Name())
		}
	}
	slices.Sort(old)
	for _, name := range old[:max(0, len(old)-keptAside)] {
		for _, suffix := range []string{"", walSuffix, shmSuffix, journalSuffix} {
			_ = os.Remove(filepath.Join(dir, name+suffix)) // or it stays
		}
	}
	return aside, nil
}
