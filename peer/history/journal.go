package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"time"

	"peerchat/peer/wire"
)

// A line that is said must be stored before it is sent, and a transaction of SQLite takes several times as long as all
// else that its author's machine does for it. So single events go into a journal first: one write to a file of their
// own, which outlives the process like SQLite's. Settle, called when the line is under way, brings them into SQLite.
// What a process left in the journal, the next one finds there and brings in.
//
// The journal is a sequence of records: length (4 bytes, big-endian), CRC-32C (4), the event as wire.AppendEvent writes
// it. After Settle it is written from its start again, over old records. Whoever reads it stops at the first record
// that is not whole; old ones behind it are in SQLite already, and are known by their numbers.
const (
	journalSuffix = "-lines"
	journalEvents = 64       // at most in the journal; beyond, Append settles first
	journalBytes  = 64 << 10 // likewise
	recordHead    = 8
	settleAgain   = time.Second // after it failed; Append and reading do not wait
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journal is what waits for Settle.
type journal struct {
	file    *os.File
	records []byte // as they are in the file
	lines   []journaled
	failed  bool      // the last time that it was to be brought into SQLite
	again   time.Time // when Settle tries it again after that
}

// journaled is what the row of an event needs; its encoding is records[from:to] of the journal, if it is there.
type journaled struct {
	room         *sqliteRoom
	author       int64
	seq, lamport uint64
	time         time.Time
	spoken       bool // it has words
	from, to     int
}

// openJournal opens the journal of the file, and brings in what it holds.
func (s *SQLite) openJournal() error {
	f, err := os.OpenFile(s.path+journalSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	s.journal.file = f
	events, err := readRecords(f)
	if err != nil {
		return err
	}
	for i := range events {
		e := &events[i]
		if !s.known(e) || e.Seq != s.rooms[e.Room].logs[logOf(e)].head+1 {
			continue // it is in SQLite, or of a log that was begun anew
		}
		if err := s.append(events[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// readJournal reads the journal of the file at path, which a store may be writing.
func readJournal(path string) ([]wire.Event, error) {
	f, err := os.Open(path + journalSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	events, err := readRecords(f)
	return events, errors.Join(err, f.Close())
}

// readRecords reads the records of a journal up to the first that is not whole.
func readRecords(f io.Reader) (events []wire.Event, err error) {
	data, err := io.ReadAll(io.LimitReader(f, 2*journalBytes))
	for err == nil {
		e, rest, ok := nextRecord(data)
		if !ok {
			break
		}
		events, data = append(events, e), rest
	}
	return events, err
}

// events are those of the journal that SQLite does not have.
func (j *journal) events() (events []wire.Event, err error) {
	for _, x := range j.lines {
		e, err := wire.DecodeEvent(j.records[x.from:x.to])
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// nextRecord reads the first record of data, if it is whole.
func nextRecord(data []byte) (e wire.Event, rest []byte, ok bool) {
	if len(data) < recordHead {
		return e, nil, false
	}
	n, sum := binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])
	if data = data[recordHead:]; uint64(n) > uint64(len(data)) || crc32.Checksum(data[:n], castagnoli) != sum {
		return e, nil, false
	}
	e, err := wire.DecodeEvent(data[:n])
	return e, data[n:], err == nil
}

// appendRecord appends the record of e to b.
func appendRecord(b []byte, e *wire.Event) []byte {
	start := len(b)
	b = wire.AppendEvent(append(b, make([]byte, recordHead)...), e)
	data := b[start+recordHead:]
	binary.BigEndian.PutUint32(b[start:], uint32(len(data)))
	binary.BigEndian.PutUint32(b[start+4:], crc32.Checksum(data, castagnoli))
	return b
}

// note writes an event, the next of a log that has its row, into the journal.
func (s *SQLite) note(e *wire.Event) error {
	j, r := &s.journal, s.rooms[e.Room]
	l := r.logs[logOf(e)]
	if e.Seq != l.head+1 {
		return gapError(e, l.head)
	}
	start := len(j.records)
	b := appendRecord(j.records, e)
	if _, err := j.file.WriteAt(b[start:], int64(start)); err != nil {
		return err // half a record is none, and the next one is written over it
	}
	j.records = b
	j.lines = append(j.lines, journaled{r, l.id, e.Seq, e.Lamport, e.Time, len(spoken(e)) > 0, start + recordHead, len(b)})
	l.head = e.Seq
	r.lamport = max(r.lamport, e.Lamport)
	s.grow(e.Room, r, 1, int64(len(b)-start-recordHead))
	return nil
}

// Settle brings what Append left in the journal into SQLite. Its caller has time now: what was stored is on its way.
// Reading and Append do it too where they must.
func (s *SQLite) Settle() error {
	if err := s.stay(); err != nil {
		return err
	}
	if j := &s.journal; len(j.lines) == 0 || j.failed && s.cfg.now().Before(j.again) {
		return nil
	}
	if err := s.guard(s.settle); err != nil {
		return fmt.Errorf("settle the history: %w", explain(err))
	}
	s.keepBounds()
	return nil
}

func (s *SQLite) settle() error {
	j := &s.journal
	if len(j.lines) == 0 {
		return nil
	}
	waiting := 0
	err := s.transact(func() error {
		for _, x := range j.lines {
			if err := s.insert(&x, j.records[x.from:x.to]); err != nil {
				return err
			}
			if x.spoken {
				waiting++
			}
		}
		return nil
	})
	if j.failed = err != nil; j.failed {
		j.again = s.cfg.now().Add(settleAgain)
		return err
	}
	s.untidy += len(j.lines)
	s.waiting += waiting
	clear(j.lines)
	j.lines, j.records = j.lines[:0], j.records[:0]
	return nil
}
