package gossip

import (
	"fmt"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// left is a network in which dan, who has three lines of ann, hears from bob that there are more, and loses the link to
// bob before they come.
func left(t *testing.T, seed uint64, more int, names ...string) (w *world, ann, bob, dan *node) {
	w = newWorld(t, seed, append([]string{"ann", "bob", "dan"}, names...)...)
	ann, bob, dan = w.nodes[0], w.nodes[1], w.nodes[2]
	w.link(ann, bob)
	w.link(bob, dan)
	w.says(ann, 3)
	w.run(time.Second)
	w.unlink(bob, dan)
	w.says(ann, more)
	w.run(time.Second)
	w.drop = func(_, to *node, f wire.Frame) bool {
		_, is := f.(wire.Events)
		return is && to == dan
	}
	w.link(bob, dan)
	w.run(time.Second)
	w.wantMissing(dan, more, "when he has heard of them")
	w.unlink(bob, dan)
	w.drop = nil
	w.run(time.Second)
	return w, ann, bob, dan
}

func (w *world) wantMissing(n *node, want int, when string) {
	w.t.Helper()
	if got := n.machine.Missing(general); got != want {
		w.t.Fatalf("%s, %s says that %d are missing, want %d", when, n.name, got, want)
	}
	w.bounded()
}

// What is known to be missing stays missing when who has it goes, however long that takes.
func TestWhatIsMissingStaysMissingWithoutLinks(t *testing.T) {
	w, ann, bob, dan := left(t, 1, 12)
	w.wantMissing(dan, 12, "when bob has gone")
	w.run(24 * time.Hour)
	w.wantMissing(dan, 12, "a day later")
	w.link(bob, dan)
	w.run(time.Second)
	w.wantMissing(dan, 0, "when bob is back")
	if got := len(dan.delivered[ann.id]); got != 15 {
		t.Errorf("dan has %d of 15 lines", got)
	}
}

// Who dies while it is asked is no liar, though it leaves questions unanswered until its link ends. Who says other
// things meanwhile is.
func TestWhatTheDeadHeldStaysMissing(t *testing.T) {
	for lives, want := range map[bool]int{false: 12, true: 0} {
		w, _, bob, dan := left(t, 1, 12)
		w.drop = func(_, to *node, f wire.Frame) bool {
			_, is := f.(wire.Events)
			return is && to == dan
		}
		w.link(bob, dan)
		w.run(time.Second)
		if !lives {
			w.drop = func(from, to *node, f wire.Frame) bool { return from == bob || to == bob }
		}
		for range 4 {
			if w.run(time.Second); lives {
				w.receive(dan, bob, wire.Have{Room: general})
			}
		}
		l := dan.machine.links[bob.id]
		l.unkept, l.unkeptAt = maxStrikes, w.now // as by many questions
		w.unlink(bob, dan)
		w.run(time.Second)
		w.wantMissing(dan, want, fmt.Sprintf("when the link to bob has ended, who left questions unanswered, and said other things after them: %v", lives))
	}
}

// So does what a newcomer has not got of its window, also where it has heard of nothing but heads.
func TestWhatANewcomerHasNotGotStaysMissing(t *testing.T) {
	w := newWorld(t, 2, "ann", "bob", "cyd")
	w.mesh()
	for range 4 {
		for _, n := range w.nodes {
			w.says(n, 300)
		}
		w.run(time.Second)
	}
	for _, pause := range []time.Duration{12 * time.Millisecond, 40 * time.Millisecond, 70 * time.Millisecond, 120 * time.Millisecond} {
		dan := w.add("dan", 9)
		bob := w.nodes[1]
		w.link(bob, dan)
		w.run(pause)
		w.unlink(bob, dan)
		w.run(time.Minute)
		has := 0
		for _, n := range w.nodes {
			has += len(dan.delivered[n.id])
		}
		w.wantMissing(dan, defaultWindow-has, fmt.Sprintf("when bob has gone after %v, and %d lines are here", pause, has))
		w.link(bob, dan)
		w.run(time.Minute)
		w.wantMissing(dan, 0, "when bob is back")
		w.kill(dan)
	}
}

// Another who has it takes the place of who is absent. Who has nothing of it does not, for a while.
func TestWhatIsMissingIsForgottenWhenNobodyHasIt(t *testing.T) {
	w, _, bob, dan := left(t, 3, 12, "eve", "fay")
	w.link(dan, w.node("eve"))
	w.run(absentLife - 10*time.Second)
	w.wantMissing(dan, 12, "while eve does not have them")
	w.unlink(dan, w.node("eve"))
	w.run(absentLife)
	w.link(dan, w.node("eve"))
	w.run(absentLife - 10*time.Second)
	w.wantMissing(dan, 12, "when he was alone for long")
	w.run(20 * time.Second)
	w.wantMissing(dan, 0, "when eve has not had them for minutes")
	w.link(dan, bob)
	w.run(time.Second)
	w.wantMissing(dan, 0, "when bob is back")
	if got := len(dan.delivered[w.node("ann").id]); got != 15 {
		t.Errorf("dan has %d of 15 lines", got)
	}

	w, _, bob, dan = left(t, 3, 12, "eve", "fay")
	w.link(w.node("fay"), bob)
	w.run(time.Second)
	w.link(dan, w.node("fay"))
	w.run(time.Second)
	w.wantMissing(dan, 0, "when fay has them")
	if got := len(dan.delivered[w.node("ann").id]); got != 15 {
		t.Errorf("dan has %d of 15 lines", got)
	}
}

// The author knows how long the log is; and who lies about others does it once.
func TestAFalseClaimDoesNotStand(t *testing.T) {
	claims := func(seed uint64, id wire.PeerID, seq uint64) (w *world, ann, dan, mal *node) {
		w = newWorld(t, seed, "ann", "bob", "dan", "mal")
		ann, dan, mal = w.nodes[0], w.nodes[2], w.nodes[3]
		w.says(ann, 3)
		w.link(ann, dan)
		w.link(dan, mal)
		w.run(time.Second)
		w.drop = func(from, _ *node, _ wire.Frame) bool { return from == mal }
		w.step(dan, Receive{mal.id, wire.Digest{Room: general, Heads: []wire.Head{{Author: id, Seq: seq}}}})
		return w, ann, dan, mal
	}
	_, id := newWorld(t, 0).identity(7)
	for _, c := range []struct {
		name string
		of   wire.PeerID
		seq  uint64
		soon int // what is missing 10 s after mal has gone
	}{
		{"of an author who is linked", newWorld(t, 0, "ann").nodes[0].id, 1000, 0},
		{"of somebody nobody knows", id, 1 << 40, 0},
		{"of somebody nobody knows, in a likely way", id, 500, 500},
	} {
		w, _, dan, mal := claims(4, c.of, c.seq)
		w.run(100 * time.Millisecond)
		w.unlink(dan, mal)
		w.run(10 * time.Second)
		w.wantMissing(dan, c.soon, "10 s after a claim "+c.name)
		w.run(absentLife)
		w.wantMissing(dan, 0, "minutes after a claim "+c.name)
	}
	w, _, dan, mal := claims(5, id, 500) // it was asked in vain
	w.run(time.Minute)
	w.unlink(dan, mal)
	w.run(10 * time.Second)
	w.wantMissing(dan, 0, "when mal has lied, and gone")
}

// Many who claim much and go take little.
func TestManyWhoGoAreFewThatAreRemembered(t *testing.T) {
	w := newWorld(t, 6, "ann", "dan")
	dan := w.nodes[1]
	for i := range 3 * maxAbsent {
		x := w.add(fmt.Sprint("mal", i), byte(20+i))
		w.link(dan, x)
		heads := make([]wire.Head, 0, wire.MaxHeads)
		for k := range wire.MaxHeads - 1 {
			_, id := w.identity(10_000*i + k)
			heads = append(heads, wire.Head{Author: id, Seq: 100})
		}
		w.step(dan, Receive{x.id, wire.Digest{Room: general, Heads: heads}})
		w.unlink(dan, x)
		w.bounded()
	}
	if got := dan.machine.Missing(general); got != defaultWindow {
		t.Errorf("dan says that %d are missing, want no more than the window", got)
	}
	w.link(w.nodes[0], dan)
	w.run(absentLife + 20*time.Second)
	w.wantMissing(dan, 0, "minutes later")
}

// An author that has lost its log and goes on in another does not know how long the old one was.
func TestAnAuthorThatHasLostItsLogRefutesNothing(t *testing.T) {
	w, ann, bob, dan := left(t, 7, 12)
	w.forgets(ann)
	w.says(ann, 1)
	w.link(ann, dan)
	w.run(20 * time.Second)
	w.wantMissing(dan, 12, "when ann has lost her lines, too")
	w.link(bob, dan)
	w.run(time.Second)
	w.wantMissing(dan, 0, "when bob is back")
}
