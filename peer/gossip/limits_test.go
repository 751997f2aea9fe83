package gossip

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// forgeAt is n's first event, with a Lamport clock of the test's choice.
func (w *world) forgeAt(n *node, text string, lamport uint64) wire.Event {
	events := []wire.Event{w.forge(n, 1, text, nil)}
	events[0].Lamport = lamport
	if err := wire.SignBatch(n.key, events); err != nil {
		w.t.Fatalf("sign: %v", err)
	}
	return events[0]
}

func TestAClockThatRunsAwayTakesNobodyWithIt(t *testing.T) {
	w, ann, bob := linked(t)
	w.receive(bob, ann, live(w.forgeAt(ann, "the end of time", wire.MaxCounter)))
	if r := bob.machine.rooms[general]; r.lamport > 1<<50 {
		t.Errorf("one event took bob's clock to %d: nothing that is said after it can be put in order", r.lamport)
	}
	w.say(bob, "still in order")
	if events, _ := bob.store.Recent(general, 10); len(events) != 1 || string(events[0].Body) != "still in order" {
		t.Errorf("an event with a clock that nobody can have is kept: %d events are stored", len(events))
	}
	w.restart(bob)
	if r := bob.machine.rooms[general]; r.lamport > 1<<50 {
		t.Error("after a restart the clock is that of the runaway")
	}
	// As far as a clock is believed, all follow it and go on from there.
	edge := believed(w.now) - 1
	cyd := w.add("cyd", 9)
	w.link(cyd, bob)
	w.run(time.Second)
	w.receive(bob, cyd, live(w.forgeAt(cyd, "as far as it goes", edge)))
	w.say(bob, "and after it")
	w.run(10 * time.Second)
	if n := len(cyd.delivered[bob.id]); n != 2 {
		t.Errorf("cyd was given %d of bob's 2 events after a clock went as far as it may", n)
	}
}

func TestAnEmptyDigestIsNoLever(t *testing.T) {
	w, ann, bob := linked(t)
	r := bob.machine.rooms[general]
	for i := range 4000 {
		a := r.add(wire.LogID{Author: wire.PeerID{byte(i), byte(i >> 8), 1}})
		a.head = 1
	}
	frames := 0
	for range 10_000 {
		var out Output
		if err := bob.machine.Step(w.now, Receive{ann.id, wire.Digest{Room: general}}, &out); err != nil {
			t.Fatal(err)
		}
		frames += len(out.Sends)
	}
	if frames > 2000 {
		t.Errorf("10,000 empty digests of a moment were answered with %d frames of 20 KB", frames)
	}
	if !bob.cut(ann) {
		t.Error("who asks for all heads 10,000 times keeps its link")
	}
}

func TestEventsTooFarAheadAreNotVerifiedOneByOne(t *testing.T) {
	w, ann, bob := linked(t)
	w.say(ann, "one")
	w.run(time.Second)
	far := w.forge(ann, 100_000, "far ahead", nil)
	w.receive(bob, ann, live(far))
	far.Proof.Sig[0]++ // whether it is verified shows by whether that is noticed
	for range 100 {
		w.receive(bob, ann, live(far))
	}
	if bob.faults["forged"] != 0 {
		t.Error("an event that is too far ahead to be kept was verified, though that is of no use")
	}
	w.say(ann, "two")
	w.run(30 * time.Second)
	if got := len(bob.delivered[ann.id]); got != 2 {
		t.Errorf("%d of ann's 2 events are there", got)
	}
}

func TestAKnownEquivocatorCostsNothingMore(t *testing.T) {
	w, ann, bob := linked(t)
	w.receive(bob, ann, live(w.forge(ann, 1, "one", nil)))
	second := w.forge(ann, 1, "ONE", nil)
	w.receive(bob, ann, live(second))
	second.Proof.Sig[0]++
	w.receive(bob, ann, live(second))
	if bob.faults["equivocation"] != 1 || bob.faults["forged"] != 0 {
		t.Errorf("faults %v: want one equivocation, and no further look at such events", bob.faults)
	}
}

func TestARoomFullOfAuthorsStillTakesItsNeighbours(t *testing.T) {
	w, ann, bob := linked(t)
	r := bob.machine.rooms[general]
	for i := range maxAuthors {
		a := r.add(wire.LogID{Author: wire.PeerID{byte(i), byte(i >> 8), 1}})
		a.head, a.recentFrom = 1, 1
	}
	w.receive(bob, ann, live(w.forge(w.add("cyd", 9), 1, "one more of ann's friends", nil)))
	if len(bob.texts) != 0 || bob.faults["flood"] != 1 {
		t.Errorf("a stranger's event was let into a full room: faults %v", bob.faults)
	}
	w.receive(bob, ann, live(w.forge(ann, 1, "it is me", nil)))
	if len(bob.delivered[ann.id]) != 1 {
		t.Error("a room that somebody filled with authors keeps out the neighbours' own words")
	}
}

// TestARoomWaitsForNoOther has two rooms with more logs behind than may be asked for at a time.
func TestARoomWaitsForNoOther(t *testing.T) {
	w, ann, bob := linked(t)
	other := wire.Room("other")
	w.unlink(ann, bob)
	w.step(ann, Subscribe{other})
	w.step(bob, Subscribe{other})
	const authors = maxAsks + 16
	for k, room := range []wire.Room{general, other} {
		for i := range byte(authors) {
			author := &node{key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{10 + i + authors*byte(k)}, ed25519.SeedSize))}
			author.id = wire.IDOf(author.key)
			e := w.forge(author, 1, fmt.Sprint(room, i), nil)
			events := []wire.Event{e}
			events[0].Room = room
			if err := wire.SignBatch(author.key, events); err != nil {
				t.Fatal(err)
			}
			if err := ann.store.Append(events); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.restart(ann)
	w.step(ann, Subscribe{other})
	w.mesh()
	w.step(ann, LinkUp{Peer: bob.id, Rooms: []wire.Room{general, other}})
	w.step(bob, LinkUp{Peer: ann.id, Rooms: []wire.Room{general, other}})
	w.run(1500 * time.Millisecond)
	for _, room := range []wire.Room{general, other} {
		heads, _, _ := bob.store.Heads(room)
		n := 0
		for _, h := range heads {
			if h.Seq > 0 {
				n++
			}
		}
		if n != authors {
			t.Errorf("after 1.5 s %d of %d logs of %s are here", n, authors, room)
		}
	}
}

func TestAReaderOfOldEventsLeavesTimeForOthers(t *testing.T) {
	w, ann, bob := linked(t)
	for range 60 {
		w.say(ann, strings.Repeat("x", wire.MaxText))
	}
	w.run(5 * time.Second)
	bytes, end := 0, w.now.Add(20*time.Second)
	for w.now.Before(end) {
		var out Output
		in := Input(Tick{})
		if l := ann.machine.links[bob.id]; len(l.serves) == 0 {
			in = Receive{bob.id, wire.Want{Room: general, Ranges: []wire.Range{{Author: ann.id, From: 1, To: 60}}}}
		}
		if err := ann.machine.Step(w.now, in, &out); err != nil {
			t.Fatal(err)
		}
		for _, s := range out.Sends {
			if f, ok := s.Frame.(wire.Events); ok {
				for i := range f.Events {
					bytes += f.Events[i].EncodedSize()
				}
			}
		}
		w.now = w.now.Add(time.Millisecond)
	}
	if most := serveBurst + 21*serveRate; bytes > most || bytes < serveBurst {
		t.Errorf("a neighbour that asks for the same old events over and over was sent %d MB in 20 s: want at most %d", bytes>>20, most>>20)
	}
}
