// Package history keeps the logs of rooms on disk: one SQLite file per profile with a journal of single lines beside it
// (journal.go), and a memory store of the same behaviour for tests and simulations.
//
// A Store is owned by one goroutine, that of its peer. The package imports peer/wire and nothing else of ours.
package history

import (
	"bytes"
	"cmp"
	"fmt"

	"peerchat/peer/wire"
)

// Store keeps the logs of rooms: per room and author the events base+1 to head without gaps, of whatever kind. It is a
// gossip.Log. Once Append has returned, the events survive the death of the process (of the machine: all but perhaps the
// last ones).
//
// A room keeps its newest events, DefaultKeep unless another bound was given to the constructor, and up to an eighth more;
// the oldest in display order go first, whole prefixes of their authors' logs, which raises bases and never moves heads.
type Store interface {
	// Append adds events, each the next of its author in its room: all, or none and an error.
	Append(events []wire.Event) error
	// Range returns up to limit events of author in room with from <= Seq <= to, in order.
	Range(room wire.Room, author wire.PeerID, from, to uint64, limit int) ([]wire.Event, error)
	// Heads returns the logs of room in ascending order of author, and the highest Lamport clock ever appended.
	Heads(room wire.Room) (heads []wire.Head, lamport uint64, err error)
	// Rebase says that author's log goes on after base, which is above its head. Events below stay where Recent and
	// Before find them, until they are pruned; Range returns them no more.
	Rebase(room wire.Room, author wire.PeerID, base uint64) error
	// Recent returns the newest events of room, at most limit, in display order: (Lamport, Author, Seq) ascending.
	Recent(room wire.Room, limit int) ([]wire.Event, error)
	// Before returns the newest events of room that come before (lamport, author), at most limit, in display order. The
	// first event of what is shown, given here, pages back.
	Before(room wire.Room, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error)
	// Rooms returns the rooms that have a log, in ascending order.
	Rooms() ([]wire.Room, error)
	Close() error
}

// DefaultKeep is how many events of a room are kept.
const DefaultKeep = 10_000

// slack is how many more than keep there may be before pruning: it makes pruning rare.
func slack(keep int) int { return keep/8 + 1 }

// order compares events as they are displayed.
func order(a, b *wire.Event) int {
	return cmp.Or(cmp.Compare(a.Lamport, b.Lamport), bytes.Compare(a.Author[:], b.Author[:]), cmp.Compare(a.Seq, b.Seq))
}

// gapError says that an event is not the next of its log.
func gapError(e *wire.Event, head uint64) error {
	return fmt.Errorf("append event %d of %s to %s: the log stands at %d, so %d must come next", e.Seq, e.Author.Tag(), e.Room,
		head, head+1)
}

func rebaseError(room wire.Room, author wire.PeerID, base, head uint64) error {
	return fmt.Errorf("let the log of %s in %s go on at %d: it stands at %d already", author.Tag(), room, base, head)
}
