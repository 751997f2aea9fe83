//go:build !race

package peer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// until lets time pass until done, for at most d, and reports how long it took.
func (w *world) until(d time.Duration, done func() bool) (time.Duration, bool) {
	start := w.now
	for !done() {
		if w.now.Sub(start) >= d {
			return d, false
		}
		w.run(5 * time.Millisecond)
	}
	return w.now.Sub(start), true
}

func (p *simPeer) linked(o *simPeer) bool {
	if p.core == nil {
		return false // not started yet
	}
	l := p.core.links[o.id]
	return l != nil && l.up
}

// A peer that is killed and started again comes back while the others still believe in the old link, however young that
// is. The old one is of no use to the new process, so everybody has to be over on the new one when it comes up: what is
// said then is not said into the void.
func TestWhoIsKilledAndStartedAgainIsHeardAtOnce(t *testing.T) {
	for seed := range uint64(20) {
		for who := range 2 {
			for _, age := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, 2500 * time.Millisecond, 8 * time.Second} {
				comeBackAtOnce(t, seed, who, age)
			}
		}
	}
}

func comeBackAtOnce(t *testing.T, seed uint64, who int, age time.Duration) {
	t.Helper()
	w := newWorld(seed, 3, general)
	p, others := w.peers[who], slices.Delete(slices.Clone(w.peers), who, who+1)
	linked := func() bool {
		for _, a := range w.peers {
			for _, b := range w.peers {
				if a != b && !a.linked(b) {
					return false
				}
			}
		}
		return true
	}
	if _, ok := w.until(10*time.Second, linked); !ok {
		t.Fatalf("seed %d: the peers are not linked after 10 s", seed)
	}
	w.run(age)
	others[0].say(general, "before it")
	p.say(general, "the last of the old one")
	w.run(100 * time.Millisecond)
	p.kill()
	others[0].say(general, "missed")
	w.run(200 * time.Millisecond)
	marks := map[*simPeer]int{}
	for _, o := range others {
		marks[o] = len(o.events)
	}
	p.start(general)
	if d, ok := w.until(3*time.Second, func() bool {
		return !slices.ContainsFunc(others, func(o *simPeer) bool { return !p.linked(o) })
	}); !ok {
		t.Fatalf("seed %d: p%d came back after a link of %v, and has no link to all the others after %v", seed, who, age, d)
	}
	// It is up for the one that came back. The others may have to hear its Hello still.
	w.run(20 * time.Millisecond)
	p.say(general, "I am back")
	for i, o := range others {
		o.say(general, fmt.Sprint("welcome from the other number ", i))
	}
	w.run(150 * time.Millisecond)
	wantSame(t, w, general, seed)
	if t.Failed() {
		t.Fatalf("seed %d: that was 150 ms after p%d, which had been linked for %v when it was killed, came back", seed, who, age)
	}
	for _, o := range others {
		came := o.told(marks[o], func(e Event) bool { j, ok := e.(MemberJoined); return ok && j.Person.Peer == p.id })
		left := o.told(marks[o], func(e Event) bool { l, ok := e.(MemberLeft); return ok && l.Person.Peer == p.id })
		if came > 1 || left > 1 || came != left {
			t.Errorf("seed %d: %s was told that p%d joined %d times and left %d times: want once each at most", seed, o.name, who, came, left)
		}
		if n := len(o.core.roster.members(general)); n != 2 {
			t.Errorf("seed %d: %s sees %d others, want 2", seed, o.name, n)
		}
	}
	w.run(3 * time.Second)
	for _, o := range others {
		var last *Delivered
		for _, e := range o.events {
			if d, ok := e.(Delivered); ok {
				last = &d
			}
		}
		if last == nil || last.Peers != 2 || last.Of != 2 {
			t.Errorf("seed %d: %s was told last that its line has arrived as %+v, want at 2 of 2", seed, o.name, last)
		}
		if n := o.told(marks[o], func(e Event) bool { c, ok := e.(LinkChanged); return ok && !c.Up }); n > 0 {
			t.Errorf("seed %d: %s was told %d times that a link broke, after the new one was up", seed, o.name, n)
		}
	}
}

// A Presence that was under way on the old session of a link, or was held back because there were too many, must not
// overwrite a newer one.
func TestAnOldPresenceDoesNotOverwriteANewerOne(t *testing.T) {
	w := newWorld(1, 1, general)
	w.run(time.Second)
	p, s := w.peers[0], newStranger(1)
	old, young := uuid.UUID{2}, uuid.UUID{1}
	said := func(seq uint64, rooms ...wire.Room) wire.Presence {
		return wire.Presence{Seq: seq, Name: "stranger", Rooms: rooms}
	}
	s.connect(p, old, general)
	s.connect(p, young, general) // the link is this one now
	members := func() int { return len(p.core.roster.members(general)) }
	if members() != 1 {
		t.Fatalf("%d others are in the room, want the stranger", members())
	}
	p.step(encoded(young, said(3)))
	p.step(encoded(old, said(2, general)))
	if n := members(); n != 0 {
		t.Errorf("the stranger left the room, and is back by a Presence from before that")
	}
	for seq := range uint64(40) { // more than are taken at once
		p.step(encoded(young, said(4+seq, []wire.Room{general}[:1-seq%2]...)))
	}
	p.step(encoded(old, said(42, general)))
	w.run(10 * time.Second)
	if n := members(); n != 0 {
		t.Errorf("the stranger left the room, and is back by a Presence that had waited")
	}
	// Another process of the same peer counts anew.
	s.instance = uuid.UUID{7}
	s.connect(p, uuid.UUID{9}, general)
	if n := members(); n != 1 {
		t.Errorf("%d others are in the room: want the stranger, whose new process counts from 1", n)
	}
}

// What a peer says of itself is said again now and then, and a change gets through though the link moves or comes up
// just then.
func TestPresenceIsSaidAgain(t *testing.T) {
	w := newWorld(4, 2, general)
	w.run(5 * time.Second)
	a, b := w.peers[0], w.peers[1]
	// Some word of the tracker has come late: a is not in "other".
	b.step(JoinRoom{Room: "other"})
	w.run(time.Second)
	b.core.roster.people[a.id].tracker["other"] = true
	w.run(presenceEvery + presenceEvery/4 + time.Second)
	if n := len(b.core.roster.members("other")); n != 0 {
		t.Errorf("%d others are in #other for b: want nobody, for a says itself where it is every %v", n, presenceEvery)
	}
	sent := func() uint64 { return a.core.counters["frames.sent"] - a.core.counters["election.sent"] }
	before := sent()
	w.run(10 * time.Minute)
	if n := sent() - before; n > 200 {
		t.Errorf("a sent %d frames in 10 quiet minutes: want 200 at most", n)
	}
}

func TestAChangeWhileTheLinkComesUpIsTold(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(seed, 2, general)
		a, b := w.peers[0], w.peers[1]
		w.until(10*time.Second, func() bool { // an Opened has come, but not yet the other's Hello
			if a.core == nil {
				return false
			}
			for _, s := range a.core.sessions {
				if s.open {
					return true
				}
			}
			return false
		})
		a.step(Rename{Name: "renamed"})
		w.run(2 * time.Second)
		if got := b.core.roster.name(a.id); got != "renamed" {
			t.Fatalf("seed %d: a changed its name while the link came up, and is still %q for b", seed, got)
		}
	}
}
