//go:build !race

package peer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/wire"
)

// wantSame checks that every living honest peer was shown all that honest ones ever said in room: each line once, each
// author's in order.
func wantSame(t interface {
	Helper()
	Errorf(string, ...any)
}, w *world, room wire.Room, seed uint64) {
	t.Helper()
	for _, p := range w.peers {
		if p.dead || p.evil || !p.core.joined(room) {
			continue
		}
		shown := p.messages(room)
		for _, author := range w.peers {
			if author.evil {
				continue
			}
			if got, want := shown[author.id], author.said[room]; !slices.Equal(got, want) {
				i := 0
				for i < min(len(got), len(want)) && got[i] == want[i] {
					i++
				}
				t.Errorf("seed %d: %s was shown %d lines of %s in %s, want the %d that were said; they differ from number %d on:\n got %q\nwant %q",
					seed, p.name, len(got), author.name, room, len(want), i, got[i:min(i+5, len(got))], want[i:min(i+5, len(want))])
				return
			}
		}
	}
}

func TestEightPeersMeetAndTalk(t *testing.T) {
	w := newWorld(1, 8, general)
	w.run(5 * time.Second)
	for _, p := range w.peers {
		if n := p.core.net().Linked; n < 2 {
			t.Errorf("%s is linked with %d peers, want some", p.name, n)
		}
		if n := len(p.core.roster.members(general)); n != 7 {
			t.Errorf("%s sees %d others in #general, want 7", p.name, n)
		}
		if !slices.ContainsFunc(p.events, func(e Event) bool { _, ok := e.(Ready); return ok }) {
			t.Errorf("%s never told that it is ready", p.name)
		}
	}
	for i := range 20 {
		for _, p := range w.peers {
			p.say(general, fmt.Sprintf("%s says %d", p.name, i))
		}
		w.run(30 * time.Millisecond)
	}
	w.run(2 * time.Second)
	wantSame(t, w, general, 1)
	delivered := 0
	for _, e := range w.peers[0].events {
		if d, ok := e.(Delivered); ok && d.Peers == 7 && d.Of == 7 {
			delivered++
		}
	}
	if delivered != 20 {
		t.Errorf("p0 was told of %d lines that all 7 others hold them, want 20", delivered)
	}
}

func TestALinkThatServesNoRoomIsClosedAfterAWhile(t *testing.T) {
	w := newWorld(2, 3, general)
	w.run(5 * time.Second)
	w.peers[0].step(JoinRoom{Room: "other"})
	w.run(time.Second)
	w.peers[0].step(LeaveRoom{Room: general})
	w.run(2 * strangerGrace)
	if n := w.peers[0].core.net().Linked; n != 0 {
		t.Errorf("p0, alone in its room, still has %d links", n)
	}
	if n := w.peers[1].core.net().Linked; n != 1 {
		t.Errorf("p1 has %d links, want the one to p2", n)
	}
	w.peers[0].step(JoinRoom{Room: general})
	w.run(5 * time.Second)
	if n := w.peers[0].core.net().Linked; n != 2 {
		t.Errorf("p0 came back to #general and has %d links, want 2", n)
	}
}

func TestChatGoesOnWithoutATracker(t *testing.T) {
	w := newWorld(3, 5, general)
	w.run(5 * time.Second)
	for _, p := range w.peers {
		p.events = nil // of the beginning, when the world's tracker may mix up the order of its words
	}
	w.setTracker(false)
	for i := range 10 {
		w.peers[i%5].say(general, fmt.Sprint("without a tracker ", i))
		w.run(500 * time.Millisecond)
	}
	w.run(20 * time.Second)
	wantSame(t, w, general, 3)
	for _, p := range w.peers {
		if n := len(p.core.roster.members(general)); n != 4 {
			t.Errorf("%s sees %d others while the tracker is away, want 4", p.name, n)
		}
	}
	w.setTracker(true)
	w.run(2 * time.Second)
	for _, p := range w.peers {
		left := 0
		for _, e := range p.events {
			if _, ok := e.(MemberLeft); ok {
				left++
			}
		}
		if left > 0 {
			t.Errorf("%s was told of %d leaves, though nobody left", p.name, left)
		}
	}
}

// TestNothingIsLostWhateverHappens lets peers talk, die, return, lose links and the tracker at random. When all is
// quiet again every living peer must have been shown everything, once and in order, and be linked with everybody.
func TestNothingIsLostWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		n := rapid.IntRange(2, 6).Draw(t, "peers")
		w := newWorld(seed, n, general)
		w.hosts = rapid.Bool().Draw(t, "hosts")
		w.fastLoss = 0.3
		w.run(3 * time.Second)
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			a := w.rand.IntN(n)
			b := (a + 1 + w.rand.IntN(n-1)) % n
			switch what := rapid.SampledFrom([]string{"say", "say", "say", "burst", "kill", "return", "cut", "heal", "tracker"}).Draw(t, "what"); what {
			case "burst":
				for range 30 { // all of a run stays within what is shown when a peer returns
					w.happens("say", a, b)
				}
			default:
				w.happens(what, a, b)
			}
			w.run(w.delay(3000))
		}
		w.revive()
		clear(w.cut)
		if !w.home.up {
			w.setTracker(true)
		}
		w.run(90 * time.Second)
		wantSame(t, w, general, seed)
		for _, p := range w.peers {
			if got := p.core.net().Linked; got != n-1 {
				t.Errorf("seed %d: at the end %s is linked with %d of %d others", seed, p.name, got, n-1)
			}
		}
		if n := w.queue.Len(); n > 5000 {
			t.Errorf("seed %d: %d things are still under way when all is quiet", seed, n)
		}
	})
}
