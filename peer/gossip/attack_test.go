package gossip

import (
	"fmt"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// receive gives n a frame of from without the network between.
func (w *world) receive(n, from *node, f wire.Frame) { w.step(n, Receive{from.id, f}) }

func live(events ...wire.Event) wire.Events { return wire.Events{Live: true, Events: events} }

// cut tells whether n asked for the end of its link to peer.
func (n *node) cut(peer *node) bool {
	l := n.machine.links[peer.id]
	return l != nil && l.cut
}

// linked is a world of ann and bob with a link and a second in which nothing happens.
func linked(t *testing.T, names ...string) (w *world, ann, bob *node) {
	w = newWorld(t, 11, append([]string{"ann", "bob"}, names...)...)
	w.mesh()
	w.run(time.Second)
	return w, w.nodes[0], w.nodes[1]
}

func TestAForgeryEndsTheLinkAndDeliversNothing(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	good := w.forge(ann, 1, "good", nil)
	bad := w.forge(w.node("cyd"), 1, "bad", func(e *wire.Event) { e.Proof.Sig[3]++ })
	w.receive(bob, ann, live(good, bad, w.forge(ann, 2, "late", nil)))
	if !bob.cut(ann) || bob.faults["forged"] != 1 {
		t.Errorf("a forged event was not held against its sender: faults %v", bob.faults)
	}
	if got := len(bob.texts); got != 1 {
		t.Errorf("of a frame with a forged second event %d events were delivered: want the first only", got)
	}
	w.receive(bob, ann, live(w.forge(ann, 2, "later", nil)))
	if len(bob.texts) != 1 {
		t.Error("a neighbour that was to be cut off still counts")
	}
}

func TestAForgeryOverAKnownEventIsNoEquivocation(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	w.say(ann, "mine")
	w.run(time.Second)
	fake := w.forge(ann, 1, "not mine", func(e *wire.Event) { e.Proof.Sig[0]++ })
	w.receive(bob, w.node("cyd"), live(fake))
	if bob.faults["equivocation"] != 0 || !bob.cut(w.node("cyd")) || bob.cut(ann) {
		t.Errorf("an unsigned double was taken for its author's: faults %v", bob.faults)
	}
}

func TestAnOldEquivocationIsFoundInTheLog(t *testing.T) {
	w, ann, bob := linked(t)
	for i := range 40 {
		w.say(ann, fmt.Sprint(i))
	}
	w.run(time.Second)
	w.receive(bob, ann, live(w.forge(ann, 2, "what I never said", nil)))
	if bob.faults["equivocation"] != 1 || bob.cut(ann) {
		t.Errorf("a second event 2, after 40 events, gave faults %v: want an equivocation, and the link kept", bob.faults)
	}
	if got, _ := bob.store.Range(general, ann.id, 2, 2, 1); string(got[0].Body) != "1" {
		t.Errorf("the second event took the place of the first: %q", got[0].Body)
	}
}

func TestEquivocationBehindAGapIsFound(t *testing.T) {
	w, ann, bob := linked(t)
	w.receive(bob, ann, live(w.forge(ann, 1, "one", nil)))
	w.receive(bob, ann, live(w.forge(ann, 3, "three", nil)))
	w.receive(bob, ann, live(w.forge(ann, 3, "THREE", nil)))
	if bob.faults["equivocation"] != 1 {
		t.Errorf("two different events 3 behind a gap gave faults %v", bob.faults)
	}
}

func TestUselessFramesCostTheLinkAtLast(t *testing.T) {
	w, ann, bob := linked(t)
	w.say(ann, "once")
	w.run(time.Second)
	again := make([]wire.Event, 500)
	first, _ := ann.store.Range(general, ann.id, 1, 1, 1)
	for i := range again {
		again[i] = first[0]
	}
	frames := 0
	for ; frames < 1000 && !bob.cut(ann); frames++ {
		w.receive(bob, ann, live(again...))
	}
	if bob.faults["flood"] != 1 || frames < wasteBurst/500 || frames > 2*wasteBurst/500 {
		t.Errorf("%d duplicates were let pass, faults %v: want %d to %d and then one flood", frames*500, bob.faults, wasteBurst,
			2*wasteBurst)
	}
}

func TestAWrongClockIsRemarkedOnOnce(t *testing.T) {
	w, ann, bob := linked(t)
	for seq := range uint64(3) {
		e := []wire.Event{{Room: general, Author: ann.id, Seq: seq + 1, Lamport: seq + 1, Kind: wire.KindText,
			Time: w.now.Add(time.Hour)}}
		if err := wire.SignBatch(ann.key, e); err != nil {
			t.Fatal(err)
		}
		w.receive(bob, ann, live(e...))
	}
	if bob.faults["clock"] != 1 || len(bob.texts) == 0 || bob.cut(ann) {
		t.Errorf("three events from the future gave faults %v and %d deliveries", bob.faults, len(bob.delivered[ann.id]))
	}
}

func TestSequenceFarAheadIsBoundedAndForgotten(t *testing.T) {
	w, ann, bob := linked(t)
	w.say(ann, "one")
	w.run(time.Second)
	for i := range uint64(1000) {
		w.receive(bob, ann, live(w.forge(ann, 1<<20+10+i*1000, "far", nil)))
	}
	w.bounded()
	if bob.faults["sequence"] != 1 || bob.machine.heldBytes != 0 {
		t.Errorf("events far ahead gave faults %v and %d bytes held back", bob.faults, bob.machine.heldBytes)
	}
	for i := range uint64(1000) {
		w.receive(bob, ann, live(w.forge(ann, 3+i, "near", nil)))
	}
	w.bounded()
	if n := len(bob.machine.rooms[general].logs[wire.LogID{Author: ann.id}].pending); n != maxPending {
		t.Errorf("%d events are held back behind a gap: want %d", n, maxPending)
	}
	w.run(30 * time.Second)
	w.say(ann, "two")
	w.run(30 * time.Second)
	if got := bob.delivered[ann.id]; len(got) < 2 {
		t.Errorf("after all that the honest second event is not delivered: %v", got)
	}
}

func TestADigestThatLiesCostsLittle(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	for i := range 100 {
		var heads []wire.Head
		for j := range wire.MaxHeads {
			heads = append(heads, wire.Head{Author: wire.PeerID{byte(i), byte(j >> 8), byte(j)}, Seq: 1 << 50})
		}
		heads = append(heads[:len(heads)-1], wire.Head{Author: wire.PeerID{0xff}, Seq: 1})
		w.receive(bob, ann, wire.Have{Room: general, Heads: heads})
		w.bounded()
	}
	if n := len(bob.machine.rooms[general].logs); n > maxAuthors {
		t.Errorf("claims alone made %d logs", n)
	}
	// A head claimed far beyond the real one does not keep the real events out.
	w.receive(bob, ann, wire.Have{Room: general, Heads: []wire.Head{{Author: w.node("cyd").id, Base: 1 << 49, Seq: 1 << 50}}})
	w.say(w.node("cyd"), "I am real")
	w.run(time.Second)
	if len(bob.delivered[w.node("cyd").id]) != 1 {
		t.Error("a lie about cyd's log kept cyd's words out")
	}
	w.unlink(ann, bob)
	if n := len(bob.machine.rooms[general].logs); n > 3 {
		t.Errorf("%d logs are kept after the liar has gone: want those that hold something", n)
	}
}

func TestQuestionsAreAnsweredWithinBounds(t *testing.T) {
	w, ann, bob := linked(t)
	lines := make([]string, 2000)
	w.say(ann, lines...)
	w.run(time.Second)
	before := w.sent
	for range 100 {
		var ranges []wire.Range
		for i := range uint64(wire.MaxRanges) {
			ranges = append(ranges, wire.Range{Author: ann.id, From: 1 + i*15, To: 15 + i*15})
		}
		w.receive(ann, bob, wire.Want{Room: general, Ranges: ranges})
	}
	w.bounded()
	if sent := w.sent - before; sent > 100*wire.MaxRanges/4 {
		t.Errorf("12,800 questions within no time were answered with %d frames at once", sent)
	}
	w.receive(ann, bob, wire.Want{Room: general, Ranges: []wire.Range{{Author: bob.id, From: 1, To: 9}, {Author: wire.PeerID{}, From: 1, To: 1}}})
}

func TestARoomThatIsNotSharedIsNotTalkedAbout(t *testing.T) {
	w, ann, bob := linked(t)
	e := w.forge(ann, 1, "psst", func(e *wire.Event) { e.Room = "secret" })
	w.receive(bob, ann, live(e))
	before := w.sent
	w.receive(bob, ann, wire.Digest{Room: "secret", Heads: []wire.Head{{Author: ann.id, Seq: 1}}})
	w.receive(bob, ann, wire.Want{Room: "secret", Ranges: []wire.Range{{Author: ann.id, From: 1, To: 1}}})
	w.receive(bob, ann, wire.Have{Room: "secret", Heads: []wire.Head{{Author: ann.id, Seq: 1}}})
	w.receive(bob, ann, wire.Bye{})
	if w.sent != before || len(bob.texts) != 0 || len(bob.faults) != 0 {
		t.Errorf("frames of a room that is not shared had an effect: %d frames, %v", w.sent-before, bob.faults)
	}
}
