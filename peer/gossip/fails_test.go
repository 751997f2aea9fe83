package gossip

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/history"

	"peerchat/peer/wire"
)

// nodeLog is a node's store, which can be made to fail, and may become another.
type nodeLog struct{ *node }

// fails is what happens to what writes to the store now.
func (l nodeLog) fails() error {
	switch {
	case l.broken != nil:
		return l.broken
	case l.moody > 0 && l.chance.Float64() < l.moody:
		return errDisk
	}
	return nil
}

func (l nodeLog) Append(events []wire.Event) error {
	if err := l.fails(); err != nil {
		return err
	}
	return l.store.Append(events)
}

func (l nodeLog) Prepend(events []wire.Event) error {
	if err := l.fails(); err != nil {
		return err
	}
	return l.store.Prepend(events)
}

func (l nodeLog) Insert(events []wire.Event) error {
	if err := l.fails(); err != nil {
		return err
	}
	return l.store.Insert(events)
}

func (l nodeLog) Parts(room wire.Room, log wire.LogID) ([]wire.Head, error) {
	if l.unread {
		if err := l.fails(); err != nil {
			return nil, err
		}
	}
	return l.store.Parts(room, log)
}

func (l nodeLog) Rebase(room wire.Room, log wire.LogID, base, missing uint64) error {
	if err := l.fails(); err != nil {
		return err
	}
	return l.store.Rebase(room, log, base, missing)
}

func (l nodeLog) Forget(room wire.Room, log wire.LogID) error {
	if err := l.fails(); err != nil {
		return err
	}
	return l.store.Forget(room, log)
}

func (l nodeLog) Range(room wire.Room, author wire.PeerID, from, to uint64, limit int) ([]wire.Event, error) {
	if l.unread {
		if err := l.fails(); err != nil {
			return nil, err
		}
	}
	return l.store.Range(room, author, from, to, limit)
}

func (l nodeLog) Heads(room wire.Room) ([]wire.Head, uint64, error) { return l.store.Heads(room) }
func (l nodeLog) Base(room wire.Room, log wire.LogID) uint64        { return l.store.Base(room, log) }
func (l nodeLog) Hole(room wire.Room, log wire.LogID) uint64        { return l.store.Hole(room, log) }

// moods has some stores fail from now on, always or at times, and others work again.
func (w *world) moods(t *rapid.T) {
	for _, n := range w.nodes {
		if rapid.IntRange(0, 3).Draw(t, "mood changes") == 0 {
			n.moody = rapid.SampledFrom([]float64{0, 0, 0.1, 0.5, 1}).Draw(t, "mood")
			n.unread = rapid.Bool().Draw(t, "unread")
			n.fitful, n.silent = n.fitful || n.moody > 0, n.silent || n.moody > 0 && n.unread
		}
	}
}

// calm has all stores work again.
func (w *world) calm() {
	for _, n := range w.nodes {
		n.moody, n.unread, n.broken = 0, false, nil
	}
}

// Stores that fail for a while, always or at times, lose nothing that somebody has, and nobody is shown a line twice.
func TestWhateverHappensThoughStoresFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { whateverHappens(t, true) })
}

func TestWhateverIsToldAsLostIsLostThoughStoresFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { toldAsLost(t, true) })
}

func TestWhateverIsLostComesBackThoughStoresFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { comesBack(t, true) })
}

var errDisk = errors.New("the disk has an error")

// What bob was shown he could not store, and all others let go of it: it is stored when that works, and neither shown
// again nor told as lost.
func TestWhatWasShownIsNotLostThoughAllOthersLetGoOfIt(t *testing.T) {
	for _, rest := range []int{0, 20} { // lines of ann that others keep
		w := newWorld(t, 3, "ann", "bob", "cyd")
		ann, bob, cyd := w.nodes[0], w.nodes[1], w.nodes[2]
		for _, n := range w.nodes {
			n.store = history.NewMemoryWith(history.Limits{Events: 100})
			w.start(n)
		}
		w.mesh()
		w.run(time.Minute)
		w.says(ann, 1)
		w.run(time.Second)
		bob.broken = errDisk
		w.says(ann, 5)
		w.run(time.Second)
		if n := len(bob.delivered[ann.id]); n != 6 || bob.stored(ann) != 1 || bob.machine.Missing(general) != 5 {
			t.Fatalf("bob was shown %d lines, stores %d, and says that %d are missing: want 6, 1 and 5", n, bob.stored(ann), bob.machine.Missing(general))
		}
		w.flood(10, 30, cyd)
		w.says(ann, rest)
		w.run(lostMost)
		bob.broken = nil
		w.run(lostMost)
		if events, _ := bob.lostOf(ann); events != 0 || bob.stored(ann) != uint64(6+rest) || len(bob.delivered[ann.id]) != 6+rest {
			t.Errorf("bob is told that %d lines of ann are lost, has her log up to %d, and was shown %d: want all %d", events, bob.stored(ann),
				len(bob.delivered[ann.id]), 6+rest)
		}
		if events, _ := bob.lostOf(cyd); events != bob.unseen(cyd, 0) || bob.machine.Missing(general) != 0 {
			t.Errorf("bob is told that %d lines of cyd are lost, never saw %d, and says that %d are missing", events, bob.unseen(cyd, 0), bob.machine.Missing(general))
		}
		w.bounded()
	}
}

// A line whose proof did not fit was shown; its log went on without it. When it comes at last, with what is older, it
// is not shown again.
func TestWhatWasShownIsNotShownAgainWhenAHoleIsFilled(t *testing.T) {
	w, ann, bob, dan, _ := asking(t)
	w.drop = nil
	run, _ := ann.store.Range(general, ann.id, 175, 190, 16)
	a := dan.machine.rooms[general].logs[wire.LogID{Author: ann.id}]
	a.wasShown(&arrival{held: held{event: run[5], hash: run[5].Hash()}})
	a.wasShown(&arrival{held: held{event: run[6], hash: run[7].Hash()}}) // another event under that number
	before := len(dan.delivered[ann.id])
	w.receive(dan, bob, wire.Events{Events: run})
	got := dan.delivered[ann.id]
	if len(got) != before+15 || slices.Contains(got, 180) || !slices.Contains(got, 181) || len(a.shown) > 0 {
		t.Errorf("dan is shown %v: want 175 to 190 without 180", got)
	}
}

// Of some lines that were shown and could not be stored the first found no place in memory, and is had by nobody any
// more: the log goes on past all of them. They may come back later.
func TestWhatWasShownIsRememberedWhenItsLogGoesOnPastIt(t *testing.T) {
	w, ann, bob := linked(t)
	var events []wire.Event
	for seq := range uint64(6) {
		events = append(events, w.forge(ann, seq+1, "a line", nil))
	}
	w.receive(bob, ann, wire.Events{Events: events[:1]})
	m := bob.machine
	r, l := m.rooms[general], m.links[ann.id]
	a := r.logs[wire.LogID{Author: ann.id}]
	if a == nil || a.head != 1 {
		t.Fatal("bob has not got the first line of ann")
	}
	a.wasShown(&arrival{held: held{event: events[1], hash: events[1].Hash()}})
	a.pending = map[uint64]held{3: {event: events[2], hash: events[2].Hash(), shown: true}, 4: {event: events[3], hash: events[3].Hash()}}
	m.heldBytes += heldSize(&events[2]) + heldSize(&events[3])
	a.ask = &ask{to: l, from: 6, up: 6, adopt: true}
	l.asks++
	if !m.rebase(w.now, l, r, a, 5, events[5].Time, new(Output)) || m.heldBytes != 0 {
		t.Errorf("the log of ann does not go on after 5, or %d bytes are held for nothing", m.heldBytes)
	}
	for i, want := range []bool{false, true, true, false} {
		if a.isShown(&events[i]) != want {
			t.Errorf("that line %d was shown is remembered: want %v", i+1, want)
		}
	}
}

// What others give back of the own log, and cannot be stored, keeps its numbers.
func TestNothingIsSaidUnderANumberThatOthersGaveBack(t *testing.T) {
	w, ann, bob := linked(t)
	w.say(ann, "one", "two")
	w.run(time.Second)
	ann.store = history.NewMemory() // as if its machine had lost its last moments
	w.revive(ann)
	ann.broken = errDisk
	w.link(ann, bob)
	w.run(time.Second)
	w.say(ann, "three")
	ann.broken = nil
	w.say(ann, "four") // world.speaks would see a number that is used again
	w.run(10 * time.Second)
	texts := w.texts(bob, ann)
	if !slices.Equal(texts, []string{"one", "two", "four"}) || bob.faults["equivocation"] > 0 {
		t.Errorf("bob has %q of ann, and reports %v: want what she said and could store", texts, bob.faults)
	}
}

// Who meets a room while its own store fails blames nobody for it.
func TestWhoCannotBeginALogBlamesNobody(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob")
	ann, bob := w.nodes[0], w.nodes[1]
	w.mesh()
	for range 10 {
		w.says(ann, 40)
		w.run(time.Second)
	}
	dan := w.add("dan", 9)
	dan.window = Window{Events: 10}
	dan.broken = errDisk
	w.start(dan)
	w.honest = true
	w.link(bob, dan)
	w.run(time.Minute)
	if _, up, _ := dan.holds(ann); up != 0 || dan.faults["log"] == 0 || dan.faults["claims"] > 0 || dan.machine.Missing(general) == 0 {
		t.Errorf("dan has ann's log up to %d, reports %v and misses %d: want nothing, that it cannot be kept, and more than 0", up, dan.faults,
			dan.machine.Missing(general))
	}
	dan.broken = nil
	w.run(time.Minute)
	dan.wholeFrom(w, ann)
	if n := dan.machine.Missing(general); n != 0 {
		t.Errorf("with a store that works dan says that %d are missing", n)
	}
}
