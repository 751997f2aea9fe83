package history

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"peerchat/peer/wire"
)

// lostFile is what is known of a damaged file in whose place there is none yet.
type lostFile struct {
	cause error
	whole bool   // it is not damaged, as far as is known, but could not be opened yet
	aside string // where it is now; empty if it could not be moved yet
	run   uint32
	lines []wire.Event // that waited in the journal
}

// guard runs op, and where it finds damage, mends that and runs it again.
func (s *SQLite) guard(op func() error) error {
	if s.conn == nil {
		if s.lost == nil {
			return errClosed
		}
		if err := s.beginAnew(); err != nil {
			return err
		}
	}
	err := op()
	for tries := 0; tries < 2 && codeOf(err) == codeCorrupt; tries++ {
		if err = unread(s.path, err); codeOf(err) != codeCorrupt {
			return err
		}
		err = op()
	}
	if d := damageOf(err); d != nil && d.index {
		if s.reindex() == nil {
			err = op()
		}
	}
	if d := damageOf(err); d != nil {
		if err := s.replace(d); err != nil {
			return err
		}
		err = op()
	}
	s.hurry(err)
	return err
}

// unread is why the file at path or SQLite's journal cannot be read from the disk, if that is behind err: SQLite takes
// it for damage. Else it is err.
func unread(path string, err error) error {
	if codeOf(err) != codeCorrupt {
		return err
	}
	for _, suffix := range []string{"", walSuffix} {
		f, failed := os.Open(path + suffix)
		if errors.Is(failed, fs.ErrNotExist) {
			continue
		}
		if failed == nil {
			_, failed = io.Copy(io.Discard, f)
			failed = errors.Join(failed, f.Close())
		}
		if failed != nil {
			return failed
		}
	}
	return err
}

// replace begins a new file in place of a damaged one. Its logs go on where they were, because their heads are known:
// no number is used twice. The events are gone from here, but for those that wait in the journal.
func (s *SQLite) replace(cause error) error {
	s.cfg.NewIdentity = false // if this process ends before restore is done, nobody knows the numbers that were used
	lines, err := s.journal.events()
	if err != nil {
		cause = fmt.Errorf("%w, and its journal: %v", cause, err)
	}
	s.lost = &lostFile{cause: cause, run: s.run, lines: lines}
	_ = s.release() // of a file that is damaged
	return s.beginAnew()
}

// beginAnew does the rest of replace. Where it fails there is no file, which the next call tries to change.
func (s *SQLite) beginAnew() error {
	l, rooms, ids := s.lost, s.rooms, s.ids
	if l.whole {
		err := s.open()
		if err == nil && s.goesOn(rooms) {
			s.lost = nil
			return nil
		}
		if err == nil {
			_ = s.release() // of another file, or an empty one
			err = &damageError{err: errors.New("it was taken away before it could be opened again")}
		}
		if s.rooms, s.ids, s.run = rooms, ids, l.run; damageOf(err) == nil {
			return err
		}
		l.whole, l.cause = false, err
	}
	err := s.setLostAside()
	if err == nil {
		err = s.open()
	}
	if err == nil {
		err = s.transact(func() error { return s.restore(rooms, l.run) })
	}
	for i := len(l.lines) - 1; i >= 0 && err == nil; i-- { // Prepend takes each log from its end
		err = s.prepend(l.lines[i : i+1])
	}
	if err != nil {
		_ = s.release()
		s.rooms, s.ids, s.run = rooms, ids, l.run // how far the logs go is known, and nothing else
		return fmt.Errorf("the history is damaged (%v), and no new one can be begun: %w", l.cause, explain(err))
	}
	s.lost = nil
	if s.cfg.OnDamage != nil {
		s.cfg.OnDamage(&CorruptError{Path: s.path, Aside: l.aside, Err: l.cause})
	}
	return nil
}

// goesOn tells whether the logs go as far as they did: else numbers would be used again.
func (s *SQLite) goesOn(rooms map[wire.Room]*sqliteRoom) bool {
	for name, was := range rooms {
		r := s.rooms[name]
		for id, l := range was.logs {
			if r == nil || r.logs[id] == nil || r.logs[id].head < l.head {
				return false
			}
		}
	}
	return true
}

// setLostAside moves the damaged file away, or what was begun in its place in vain.
func (s *SQLite) setLostAside() (err error) {
	if s.lost.aside == "" {
		s.lost.aside, err = setAside(s.path)
		return err
	}
	for _, suffix := range []string{"", walSuffix, shmSuffix, journalSuffix} {
		if e := os.Remove(s.path + suffix); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// lookEvery is how often it is looked whether the file is still there.
const lookEvery = time.Second

// stay writes the file again if it was deleted or moved while it was open: what it holds can still be read, but nobody
// would find it later.
func (s *SQLite) stay() error {
	now := s.cfg.now()
	if s.conn == nil || now.Sub(s.looked) < lookEvery {
		return nil
	}
	s.looked = now
	lock, err := s.lock.Stat()
	if err == nil && gone(s.path+lockSuffix, lock) {
		err = s.relock()
	}
	if err == nil && (gone(s.path, s.file) || slices.ContainsFunc(s.beside, func(suffix string) bool { return gone(s.path+suffix, nil) })) {
		err = s.guard(s.rewrite)
	}
	if err != nil {
		return fmt.Errorf("the history %s was deleted, moved or replaced while it was open, and cannot be written again: %w", s.path, explain(err))
	}
	return nil
}

// gone tells whether what was at path is there no more; was may be nil.
func gone(path string, was os.FileInfo) bool {
	info, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && was != nil && !os.SameFile(info, was)
}

// relock locks the file again, whose lock is gone.
func (s *SQLite) relock() error {
	lock := flock.New(s.path+lockSuffix, flock.SetPermissions(0o600))
	switch locked, err := lock.TryLock(); {
	case err != nil:
		return err
	case !locked:
		return &InUseError{Path: s.path}
	}
	_ = s.lock.Unlock() // of what nobody can find
	s.lock = lock
	return nil
}

// rewrite copies what is open to where the file was, and goes on with that. What is there now is set aside.
func (s *SQLite) rewrite() error {
	if err := s.settle(); err != nil {
		return err
	}
	copied := s.path + ".new"
	if err := os.Remove(copied); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(copied, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // or it would be for all to read
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = s.script("VACUUM INTO " + quoted(copied))
	}
	if err == nil {
		_, err = setAside(s.path)
	}
	if err == nil {
		err = os.Rename(copied, s.path)
	}
	if err != nil {
		_ = os.Remove(copied)
		return err
	}
	s.lost = &lostFile{cause: errors.New("it was written again"), run: s.run, whole: true}
	_ = s.release() // of a file that nobody can find
	return s.beginAnew()
}

// How long a call waits for another program that has locked the file. After it did so in vain nothing waits, until
// something could be written: else every call would hold its peer up for as long.
const (
	patient = "busy_timeout = 2000" // ms
	hurried = "busy_timeout = 0"
)

// hurry is told how a call ended.
func (s *SQLite) hurry(err error) {
	if codeOf(err) == codeBusy && !s.hurried {
		s.hurried = s.script("PRAGMA "+hurried) == nil
	}
}
