package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"peerchat/peer/wire"
)

func TestWhatIsLostWithoutANoticeIsRepairedByDigests(t *testing.T) {
	w, ann, bob := linked(t)
	w.say(ann, "you do not hear this")
	for range 30 { // whatever is sent in the next 300 ms vanishes
		w.run(10 * time.Millisecond)
		w.queue = nil
	}
	w.run(10 * time.Second)
	if len(bob.delivered[ann.id]) != 1 {
		t.Error("an event whose frames all vanished did not arrive within 10 s")
	}
}

func TestAReplyIsShownAfterWhatItAnswers(t *testing.T) {
	w, ann, bob := linked(t)
	for range 5 {
		w.say(ann, "question")
	}
	w.run(time.Second)
	w.say(bob, "answer")
	got, err := bob.store.Recent(general, 10)
	if err != nil || len(got) != 6 || string(got[5].Body) != "answer" {
		t.Errorf("the answer does not come last: %v", err)
	}
	if e := got[5]; e.Name != "bob" || e.ID == got[4].ID || e.Time.Nanosecond()%1e6 != 0 {
		t.Errorf("the answer is %+v: want bob's name, an ID of its own, and whole milliseconds", e)
	}
}

func TestAnotherIsAskedWhenTheOneAskedGoes(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob", "cyd", "dan")
	ann, bob, cyd, dan := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	w.link(ann, bob)
	w.link(ann, cyd)
	w.say(ann, "hello")
	w.run(time.Second)
	w.unlink(ann, bob)
	w.unlink(ann, cyd)
	w.delay = func() time.Duration { return 50 * time.Millisecond }
	w.link(bob, dan)
	w.link(cyd, dan)
	w.run(60 * time.Millisecond) // the question is on its way
	asked := dan.machine.rooms[general].logs[wire.LogID{Author: ann.id}].ask
	if asked == nil {
		t.Fatal("dan does not ask for what bob and cyd say they have")
	}
	for _, n := range []*node{bob, cyd} {
		if asked.to.peer == n.id {
			w.unlink(n, dan)
		}
	}
	w.run(150 * time.Millisecond)
	if len(dan.delivered[ann.id]) != 1 {
		t.Error("dan does not have the event 150 ms after the neighbour that was asked has gone, though another has it")
	}
}

func TestASilentNeighbourIsNotWaitedForForEver(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	cyd := w.node("cyd")
	w.unlink(ann, bob)
	w.unlink(ann, cyd)
	w.say(ann, "hello")
	w.link(ann, cyd)
	w.run(10 * time.Second)
	w.restart(bob)
	w.link(bob, ann)
	w.queue = nil
	w.link(bob, cyd)
	w.queue = nil
	for _, n := range []*node{ann, cyd} { // both claim the event, but ann does not answer
		w.receive(bob, n, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Seq: 1}}})
	}
	for range 10 {
		w.queue = nil
		w.run(10 * time.Millisecond)
	}
	for range 60 {
		for i := 0; i < len(w.queue); {
			if w.queue[i].to == ann || w.queue[i].from == ann {
				w.queue = append(w.queue[:i], w.queue[i+1:]...)
			} else {
				i++
			}
		}
		w.run(100 * time.Millisecond)
	}
	if len(bob.delivered[ann.id]) == 0 {
		t.Error("bob waits for ann, who is silent, though cyd has the event")
	}
}

func TestALogGoesOnWhereNobodyHasMore(t *testing.T) {
	w, ann, bob := linked(t)
	w.say(ann, "one")
	w.run(time.Second)
	w.unlink(ann, bob)
	if err := ann.store.Rebase(general, wire.LogID{Author: ann.id}, 500, 0); err != nil { // as if 2 to 500 had been pruned
		t.Fatal(err)
	}
	w.restart(ann)
	ann.delivered[ann.id], bob.delivered[ann.id] = nil, nil // numbers jump here, as they must
	w.say(ann, "five hundred and one")
	w.link(ann, bob)
	w.run(strandedDelay / 2)
	if len(bob.delivered[ann.id]) != 0 {
		t.Error("bob gives up 2 to 500 before there was time for others to offer them")
	}
	w.run(2 * strandedDelay)
	if got := bob.delivered[ann.id]; len(got) != 1 || got[0] != 501 {
		t.Errorf("bob is delivered %v: want 501, as nobody has what comes before", got)
	}
}

func TestALogThatIsPrunedToItsHeadIsNotAskedFor(t *testing.T) {
	w, ann, bob := linked(t)
	cyd := wire.PeerID{9}
	w.receive(bob, ann, wire.Digest{Room: general, Heads: []wire.Head{{Author: cyd, Base: 7, Seq: 7}}})
	w.run(20 * time.Second) // world.send fails on a question that cannot be encoded
	if bob.machine.rooms[general].logs[wire.LogID{Author: cyd}] != nil {
		t.Error("a log of which nobody has an event is kept")
	}
}

func TestUnsubscribeAndSubscribeAgain(t *testing.T) {
	w, ann, bob := linked(t)
	w.say(ann, "one")
	w.run(time.Second)
	w.step(bob, Unsubscribe{general})
	w.step(bob, Unsubscribe{general})
	w.say(ann, "two")
	w.run(time.Second)
	if len(bob.delivered[ann.id]) != 1 {
		t.Error("an event of a room that was left is delivered")
	}
	w.step(bob, Publish{Room: general, Drafts: []Draft{{Kind: wire.KindText, Ref: "x"}}})
	if len(bob.said) != 0 {
		t.Error("something was said in a room that was left")
	}
	w.step(bob, Subscribe{general})
	w.step(bob, Subscribe{general})
	w.run(10 * time.Second)
	w.say(ann, "three")
	w.run(10 * time.Second)
	if got := bob.delivered[ann.id]; len(got) != 3 {
		t.Errorf("after coming back bob has %v of ann: want 1, 2, 3", got)
	}
	w.bounded()
}

func TestDraftsThatCannotBeSaidAreRefusedAlone(t *testing.T) {
	w, ann, bob := linked(t)
	var out Output
	err := ann.machine.Step(w.now, Publish{Room: general, Name: "ann", Drafts: []Draft{
		{Kind: wire.KindText, Body: []byte("good"), Ref: 1},
		{Kind: wire.KindText, Body: make([]byte, wire.MaxText+1), Ref: 2},
		{Kind: wire.KindText, Body: []byte{0xff}, Ref: 3},
		{Kind: wire.KindAction, Body: []byte("also good"), Ref: 4},
	}}, &out)
	if err != nil || len(out.Delivers) != 2 || out.Delivers[0].Ref != 1 || out.Delivers[1].Ref != 4 {
		t.Errorf("delivered %v, %v: want drafts 1 and 4", out.Delivers, err)
	}
	if len(out.Refused) != 2 || out.Refused[0].Ref != 2 || out.Refused[1].Ref != 3 {
		t.Errorf("refused %v: want drafts 2 and 3", out.Refused)
	}
	_ = bob
}

func TestBigTextsAreSplitOverFrames(t *testing.T) {
	w, ann, bob := linked(t)
	big := make([]string, 5)
	for i := range big {
		big[i] = string(make([]byte, wire.MaxText-i))
	}
	w.say(ann, big...) // world.send fails on a frame above MaxFrame
	w.run(time.Second)
	if len(bob.delivered[ann.id]) != 5 {
		t.Errorf("of 5 texts of 64 KiB %d arrived", len(bob.delivered[ann.id]))
	}
	w.restart(bob)
	cyd := w.add("cyd", 9)
	w.link(bob, cyd)
	w.run(10 * time.Second)
	if len(cyd.delivered[ann.id]) != 5 {
		t.Errorf("of 5 texts of 64 KiB a newcomer got %d", len(cyd.delivered[ann.id]))
	}
}

func TestAnUnknownInputIsAnError(t *testing.T) {
	w, ann, _ := linked(t)
	if err := ann.machine.Step(w.now, nil, &Output{}); err == nil {
		t.Error("a nil input was taken")
	}
}

func TestRTTFollowsASlowPath(t *testing.T) {
	w, ann, bob := linked(t)
	w.delay = func() time.Duration { return 100 * time.Millisecond }
	for i := range 60 {
		w.say(ann, fmt.Sprint(i))
		w.run(time.Second)
	}
	before := w.payloads[bob.id]
	was := 0
	for _, n := range before {
		was += n
	}
	for i := range 20 {
		w.say(ann, fmt.Sprint(i))
		w.run(time.Second)
	}
	now := 0
	for _, n := range w.payloads[bob.id] {
		now += n
	}
	if copies := float64(now-was) / 20; copies > 1.01 {
		t.Errorf("on a slow path without loss each event is sent %.2f times: the round trip was not learned", copies)
	}
}

// TestChatIsQuickUnderLoss is why own events are sent again on the fast channel: here, as in SCTP, a loss costs the
// reliable channel a second, and everything behind it waits too.
func TestChatIsQuickUnderLoss(t *testing.T) {
	for _, c := range []struct {
		loss float64
		p99  time.Duration
	}{{0.05, 100 * time.Millisecond}, {0.2, 250 * time.Millisecond}} {
		w, ann, bob := linked(t)
		w.delay = func() time.Duration { return 500 * time.Microsecond }
		w.loss = c.loss
		var times []time.Duration
		for i := range 1000 {
			start := w.now
			w.say(ann, fmt.Sprint(i))
			for len(bob.delivered[ann.id]) == i {
				w.run(time.Millisecond)
				if w.now.Sub(start) > time.Minute {
					t.Fatalf("at %.0f %% loss line %d does not arrive within a minute", 100*c.loss, i)
				}
			}
			times = append(times, w.now.Sub(start))
			w.run(200 * time.Millisecond)
		}
		slices.Sort(times)
		if p99 := times[990]; p99 > c.p99 {
			t.Errorf("at %.0f %% loss the slowest 1 %% of lines take %v and more: want at most %v", 100*c.loss, p99, c.p99)
		}
		t.Logf("at %.0f %% loss: median %v, p99 %v, worst %v; %.2f copies", 100*c.loss, times[500], times[990], times[999], w.copies())
	}
}

// copies is the mean number of times that a payload reached a peer other than its author.
func (w *world) copies() float64 {
	total, events := 0, 0
	for _, n := range w.nodes {
		for _, c := range w.payloads[n.id] {
			total += c
		}
		for author, seqs := range n.delivered {
			if author != n.id {
				events += len(seqs)
			}
		}
	}
	return float64(total) / float64(events)
}
