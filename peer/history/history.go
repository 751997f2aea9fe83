// Package history keeps the logs of rooms on disk: one SQLite file per profile with a journal of single lines beside it
// (journal.go), and a memory store of the same behaviour for tests and simulations.
//
// A Store is owned by one goroutine, that of its peer. A Reader (reader.go) reads the same file beside it, in another
// goroutine or another process. text.go says what is found by a search, index.go keeps SQLite's index of it, bounds.go
// what is kept at all, damage.go what is known of a file that is damaged, and recover.go what is done about it, and
// about one that was taken away. docs/history.md is all that on two pages. The package imports peer/wire and nothing
// else of ours.
package history

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// Store keeps the logs of rooms: of each the events base+1 to head without gaps, of whatever kind. An author that has
// lost what it had said has several in a room (wire.LogID). It is a gossip.Log. Once Append has returned, the events
// survive the death of the process (of the machine: all but perhaps the last ones).
//
// How much is kept, Limits say. What goes are the oldest events in display order, always whole prefixes of their
// authors' logs, which raises bases and never moves heads.
type Store interface {
	View
	// Append adds events, each the next of its log: all, or none and an error.
	Append(events []wire.Event) error
	// Prepend adds events of one log that end at its base, in order, and lowers the base to before them, and further
	// where older events are held already: all, or none and an error. Where a room is full it keeps none of them,
	// because they are the oldest.
	Prepend(events []wire.Event) error
	// Insert adds events of one log, in order, that end before its base and do not join it: a View finds them, Parts
	// and Range tell of them, and what is between them and the next that is held is a hole. Those that are held already
	// stay. All, or none and an error; where a room is full it keeps none of them.
	Insert(events []wire.Event) error
	// Parts returns what is held of a log before its base, which Rebase parted from it or Insert put there: runs
	// without gaps, the last first.
	Parts(room wire.Room, log wire.LogID) ([]wire.Head, error)
	// Range returns up to limit events of author in room with from <= Seq <= to, in order, of the log that from belongs
	// to; where to is not above its base, of the one of its Parts that has from.
	Range(room wire.Room, author wire.PeerID, from, to uint64, limit int) ([]wire.Event, error)
	// Heads returns the logs of room in ascending order, and the highest Lamport clock ever appended.
	Heads(room wire.Room) (heads []wire.Head, lamport uint64, err error)
	// Base returns after which event a log of room begins.
	Base(room wire.Room, log wire.LogID) uint64
	// Rebase says that a log goes on after base, which is above its head. Events below stay where a View finds them,
	// until they are pruned; Range returns them no more. Where the log held some, all between is a hole from now on,
	// else as many events just before base as are said to be missing.
	Rebase(room wire.Room, log wire.LogID, base, missing uint64) error
	// Hole returns how many events are missing just before the base of a log: of what Rebase made a hole, what Prepend
	// has not filled since. It is known for as long as what comes behind it is held.
	Hole(room wire.Room, log wire.LogID) uint64
	// Forget removes a log with all its events, also for a View.
	Forget(room wire.Room, log wire.LogID) error
	// Expire removes what is older at the time now than Limits.Age.
	Expire(now time.Time) error
	Close() error
}

// View is what can be asked of a history. Display order is (Lamport, Author, Seq) ascending.
type View interface {
	// Rooms returns the rooms that have a log, in ascending order.
	Rooms() ([]wire.Room, error)
	// Recent returns the newest events of room, at most limit, in display order.
	Recent(room wire.Room, limit int) ([]wire.Event, error)
	// Before returns the newest events of room that come before (lamport, author), at most limit, in display order. The
	// first event of what is shown, given here, pages back.
	Before(room wire.Room, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error)
	// After returns the oldest events of room that come after (lamport, author), at most limit, in display order. The
	// last event of what is shown, given here, pages on.
	After(room wire.Room, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error)
	// Around returns up to limit events of room in display order with (lamport, author) in their middle, or nearer to
	// an end where there are fewer on one side. It is what is shown of a Hit.
	Around(room wire.Room, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error)
	// Search finds what people said; see Cursor for the order. Every query is one: words, all of which have to be
	// there; "words in quotes", which have to follow each other; wor* for words that begin so. An empty room means all.
	// limit is at most MaxHits.
	Search(ctx context.Context, room wire.Room, query string, from Cursor, limit int) (Results, error)
	// Stats tells what is held of room.
	Stats(room wire.Room) (Stats, error)
	// Export writes a room, or all where room is empty, to w, as it is at one moment, in display order.
	Export(ctx context.Context, w io.Writer, room wire.Room, format Format) error
}

// Stats is what a history holds of a room.
type Stats struct {
	Events         int
	Bytes          int64     // what they take, index included, as Limits count it
	Authors        int       // who have a log
	Oldest, Newest time.Time // their authors' time of the first and the last in display order; zero where there is none
}

// Limits bound a history. In each field 0 means the default, and a negative number that there is no bound.
//
// Bytes are those that events take in the file with their index, estimated as twice their encoding and 128 for each.
// The file stays below that; beside it are a journal of up to 32 MiB, more only while a Reader exports, and what was
// set aside.
type Limits struct {
	Events int           // the newest events of a room that are kept, and up to an eighth more; default DefaultKeep
	Room   int64         // bytes of a room; default 64 MiB; when it has more, an eighth goes
	File   int64         // bytes of all rooms; default 1 GiB; when there are more, the biggest rooms shrink until an eighth is free
	Age    time.Duration // since the time that an event's author gave it; default: no bound
	// Authors are how many logs of a room, mostly one of each author, are kept when a file is opened: beyond, those
	// that hold no event any more are forgotten, the shortest first. Twice as many can be there until then, and no
	// others are begun. Default 65,536.
	Authors int
}

// DefaultKeep is how many events of a room are kept.
const DefaultKeep = 10_000

const (
	defaultRoom    = 64 << 20
	defaultFile    = 1 << 30
	defaultAuthors = 1 << 16
	unbounded      = 1 << 50
)

func (l Limits) filled() Limits {
	bound := func(n *int64, def int64) {
		if *n == 0 {
			*n = def
		} else if *n < 0 {
			*n = unbounded
		}
	}
	events, authors := int64(l.Events), int64(l.Authors)
	bound(&events, DefaultKeep)
	bound(&authors, defaultAuthors)
	bound(&l.Room, defaultRoom)
	bound(&l.File, defaultFile)
	l.Events, l.Authors = int(events), int(authors)
	return l
}

// slack is how many more events than keep there may be before pruning: it makes pruning rare.
func slack(keep int) int { return keep/8 + 1 }

// sizeOf is what events take that are encoded in so many bytes.
func sizeOf(events int, encoded int64) int64 { return 2*encoded + 128*int64(events) }

// ErrTooManyAuthors is what Append and Rebase say to a log more than twice Limits.Authors in a room. The error is a
// gossip.Refusal.
var ErrTooManyAuthors = errors.New("there are too many authors in the room")

var errClosed = errors.New("the history is closed")

// order compares events as they are displayed.
func order(a, b *wire.Event) int {
	return cmp.Or(cmp.Compare(a.Lamport, b.Lamport), bytes.Compare(a.Author[:], b.Author[:]), cmp.Compare(a.Seq, b.Seq))
}

// gapError says that an event is not the next of its log.
func gapError(e *wire.Event, head uint64) error {
	return fmt.Errorf("append event %d of %s to %s: the log stands at %d, so %d must come next", e.Seq, e.Author.Tag(), e.Room,
		head, head+1)
}

func rebaseError(room wire.Room, log wire.LogID, base, head uint64) error {
	return fmt.Errorf("let the log of %s in %s go on at %d: it stands at %d already", log.Author.Tag(), room, base, head)
}

// checkRebase reports whether a log can begin after base at all.
func checkRebase(room wire.Room, log wire.LogID, base uint64) error {
	if wire.LogOf(log.Author, base) != log {
		return fmt.Errorf("let the log of %s in %s go on at %d: that is a number of another log", log.Author.Tag(), room, base)
	}
	return nil
}

// crowdError is ErrTooManyAuthors of a log.
type crowdError struct {
	room   wire.Room
	author wire.PeerID
}

func (e *crowdError) Error() string {
	return fmt.Sprintf("begin a log of %s in %s: %v", e.author.Tag(), e.room, ErrTooManyAuthors)
}

func (e *crowdError) Unwrap() error { return ErrTooManyAuthors }

// Refused tells whose log is not begun, and where.
func (e *crowdError) Refused() (wire.Room, wire.PeerID) { return e.room, e.author }

// logOf names the log that an event is of.
func logOf(e *wire.Event) wire.LogID { return wire.LogOf(e.Author, e.Seq) }

// checkRun reports what is wrong with events that are to follow each other in one room.
func checkRun(events []wire.Event) error {
	last := &events[len(events)-1]
	for i := range events {
		e := &events[i]
		if e.Room != last.Room || e.Author != last.Author {
			return fmt.Errorf("put events before the log of %s in %s: there is one of %s in %s", last.Author.Tag(), last.Room, e.Author.Tag(), e.Room)
		}
		if i > 0 && e.Seq != events[i-1].Seq+1 {
			return fmt.Errorf("put events before the log of %s in %s: after %d comes %d", e.Author.Tag(), e.Room, events[i-1].Seq, e.Seq)
		}
	}
	return nil
}

// checkPrepend reports what is wrong with events to be put before a log that begins after base.
func checkPrepend(events []wire.Event, base uint64) error {
	if err := checkRun(events); err != nil {
		return err
	}
	last := &events[len(events)-1]
	if base == 0 || last.Seq != base || events[0].Seq <= logOf(last).Start() {
		return fmt.Errorf("put events %d to %d before the log of %s in %s: it holds what comes after %d", events[0].Seq, last.Seq,
			last.Author.Tag(), last.Room, base)
	}
	return nil
}

// checkInsert reports what is wrong with events to be put before a log that begins after base, and does not join them.
func checkInsert(events []wire.Event, base uint64) error {
	if err := checkRun(events); err != nil {
		return err
	}
	first, last := &events[0], &events[len(events)-1]
	if last.Seq >= base || logOf(first) != logOf(last) {
		return fmt.Errorf("put events %d to %d of %s in %s far before a log that holds what comes after %d", first.Seq, last.Seq, last.Author.Tag(),
			last.Room, base)
	}
	return nil
}

// partWith is the one of some parts that has an event.
func partWith(parts []wire.Head, seq uint64) (part wire.Head, ok bool) {
	i := slices.IndexFunc(parts, func(p wire.Head) bool { return p.Base < seq && seq <= p.Seq })
	if i < 0 {
		return part, false
	}
	return parts[i], true
}

// around takes limit events around a place from those before it and those from it on, in display order.
func around(before, from []wire.Event, limit int) []wire.Event {
	b := min(len(before), (limit-1)/2)
	f := min(len(from), limit-b)
	b = min(len(before), limit-f)
	return append(before[len(before)-b:], from[:f]...)
}
