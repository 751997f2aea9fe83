package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"peerchat/peer/wire"
)

// A line that is said must be stored before it is sent, and a transaction of SQLite takes several times as long as all else that
// its author's machine does for it. So single events go into a journal first: one write to a file of their own, which
// outlives the process like SQLite's. Settle, called when the line is under way, brings them into SQLite. What a process left in
// the journal, the next one finds there and brings in.
//
// The journal is a sequence of records: length (4 bytes, big-endian), CRC-32C (4), the event as wire.AppendEvent writes it. After
// Settle it is written from its start again, over old records. Whoever reads it stops at the first record that is not
// whole; old ones behind it are in SQLite already, and are known by their numbers.
const (
	journalSuffix = "-lines"
	journalEvents = 64       // at most in the journal; beyond, Append settles first
	journalBytes  = 64 << 10 // likewise
	recordHead    = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journal is what waits for Settle.
type journal struct {
	file    *os.File
	records []byte // as they are in the file
	lines   []journaled
	failed  bool // the last Settle
}

// journaled is an event in the journal; its encoding is records[from:to].
type journaled struct {
	room         *sqliteRoom
	name         wire.Room
	author       int64
	seq, lamport uint64
	from, to     int
}

// openJournal opens the journal of the file at path, and brings in what it holds.
func (s *SQLite) openJournal(path string) error {
	f, err := os.OpenFile(path+journalSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	s.journal.file = f
	data, err := io.ReadAll(io.LimitReader(f, 2*journalBytes))
	if err != nil {
		return err
	}
	for {
		e, rest, ok := nextRecord(data)
		if !ok {
			return nil
		}
		data = rest
		if r := s.rooms[e.Room]; r == nil || r.logs[e.Author] == nil || e.Seq != r.logs[e.Author].head+1 {
			continue // it is in SQLite, or of a log that was begun anew
		}
		if err := s.append([]wire.Event{e}); err != nil {
			return err
		}
	}
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
	l := r.logs[e.Author]
	if e.Seq != l.head+1 {
		return gapError(e, l.head)
	}
	start := len(j.records)
	b := appendRecord(j.records, e)
	if _, err := j.file.WriteAt(b[start:], int64(start)); err != nil {
		return err // half a record is none, and the next one is written over it
	}
	j.records = b
	j.lines = append(j.lines, journaled{r, e.Room, l.id, e.Seq, e.Lamport, start + recordHead, len(b)})
	l.head = e.Seq
	r.lamport = max(r.lamport, e.Lamport)
	r.count++
	return nil
}

// Settle brings what Append left in the journal into SQLite. Its caller has time now: what was stored is on its way. Reading and
// Append do it too where they must.
func (s *SQLite) Settle() error {
	j := &s.journal
	if len(j.lines) == 0 {
		return nil
	}
	insert := func() error {
		for _, x := range j.lines {
			if err := s.exec(sqlEvent, x.room.id, x.author, int64(x.seq), int64(x.lamport), j.records[x.from:x.to]); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if len(j.lines) == 1 {
		err = insert() // one statement is a transaction by itself
	} else {
		err = s.transact(insert)
	}
	if j.failed = err != nil; j.failed {
		return fmt.Errorf("store %d events: %w", len(j.lines), err)
	}
	s.untidy += len(j.lines)
	for _, x := range j.lines {
		s.bound(x.name, x.room)
	}
	clear(j.lines)
	j.lines, j.records = j.lines[:0], j.records[:0]
	return nil
}

// closeJournal settles and closes the journal.
func (s *SQLite) closeJournal() error {
	if s.journal.file == nil {
		return nil
	}
	err := s.Settle()
	err = errors.Join(err, s.journal.file.Close())
	s.journal.file = nil
	return err
}
