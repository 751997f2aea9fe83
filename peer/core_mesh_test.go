//go:build !race

package peer

import (
	"fmt"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// wantKnown checks that every living peer of a world knows all the others that live to be in a room, and nobody else.
func wantKnown(t *testing.T, w *world, room wire.Room, seed uint64, when string) {
	t.Helper()
	living := 0
	for _, p := range w.peers {
		if !p.dead {
			living++
		}
	}
	for _, p := range w.peers {
		if p.dead {
			continue
		}
		if n := len(p.core.roster.members(room)); n != living-1 {
			t.Errorf("seed %d: %s: %s knows of %d others in %s, want %d", seed, when, p.name, n, room, living-1)
		}
	}
}

// wantFewLinks checks that nobody has more links than so many.
func wantFewLinks(t *testing.T, w *world, most int, seed uint64, when string) {
	t.Helper()
	for _, p := range w.peers {
		if p.dead {
			continue
		}
		if n := p.core.net().Linked; n < 2 || n > most {
			t.Errorf("seed %d: %s: %s has %d links, want 2 to %d", seed, when, p.name, n, most)
		}
	}
}

// delivered is the last that p was told of who has its messages: of how many of them that all have them.
func (p *simPeer) delivered(of int) int {
	full := map[uint64]bool{}
	for _, e := range p.events {
		if d, ok := e.(Delivered); ok && d.Peers == of && d.Of == of {
			full[d.Seq] = true
		}
	}
	return len(full)
}

// In a room of twenty everybody has a handful of links, knows everybody, is heard by everybody, and is told that it is.
func TestARoomOfTwentyNeedsFewLinks(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(seed, 20, general)
		w.run(80 * time.Second)
		wantKnown(t, w, general, seed, "after 80 s")
		wantFewLinks(t, w, 7, seed, "after 80 s")
		for i := range 5 {
			for _, p := range w.peers {
				p.say(general, fmt.Sprintf("%s says %d", p.name, i))
			}
			w.run(100 * time.Millisecond)
		}
		w.run(5 * time.Second)
		wantSame(t, w, general, seed)
		for _, p := range w.peers {
			if n := p.delivered(19); n != 5 {
				t.Errorf("seed %d: %s was told of %d lines that all 19 others have them, want 5", seed, p.name, n)
			}
		}
	}
}

// Without any tracker a room of twenty loses four of its members, learns that, and goes on.
func TestALargeRoomMendsItselfWithoutATracker(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(seed, 20, general)
		w.run(80 * time.Second)
		w.setTracker(false)
		for i := range 4 { // fewer than anybody has neighbours
			w.peers[5*i].kill()
		}
		w.run(12 * time.Second)
		wantKnown(t, w, general, seed, "12 s after four died")
		w.run(30 * time.Second)
		wantFewLinks(t, w, 8, seed, "after four died")
		for _, p := range w.peers {
			if !p.dead {
				p.say(general, p.name+" lives")
			}
		}
		w.run(3 * time.Second)
		wantSame(t, w, general, seed)
	}
}

// A member that leaves is known to have left by all at once, though it had links with few.
func TestLeavingALargeRoomIsToldToAll(t *testing.T) {
	w := newWorld(1, 20, general)
	w.run(80 * time.Second)
	w.setTracker(false)
	w.run(20 * time.Second)
	w.peers[7].step(Shutdown{})
	w.peers[7].kill()
	w.run(2 * time.Second)
	wantKnown(t, w, general, 1, "2 s after one left")
}

// Those in voice have links with each other, whatever the overlay is like; when they leave it the links go again.
func TestVoiceInALargeRoomHasItsOwnLinks(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(seed, 20, general)
		w.run(80 * time.Second)
		for _, p := range w.peers[:8] {
			p.step(JoinVoice{Room: general})
		}
		w.run(10 * time.Second)
		for _, p := range w.peers[:8] {
			if n := len(p.hears(t)); n != 7 {
				t.Errorf("seed %d: %s exchanges sound with %d others, want 7", seed, p.name, n)
			}
		}
		for _, p := range w.peers {
			if n := p.core.inVoice(general); n != 8 {
				t.Errorf("seed %d: %s knows of %d people in voice, want 8", seed, p.name, n)
			}
		}
		for _, p := range w.peers[:8] {
			p.step(LeaveVoice{})
		}
		w.run(80 * time.Second)
		wantFewLinks(t, w, 8, seed, "after voice")
	}
}

// Two halves of a room that have never met, though one tracker knows them all, become one when packets get through.
func TestHalvesThatNeverMetBecomeOneRoom(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(seed, 16, general)
		apart := func(yes bool) {
			for i := range 8 {
				for j := 8; j < 16; j++ {
					w.cutLink(i, j, yes)
				}
			}
		}
		apart(true)
		w.run(2 * time.Minute)
		apart(false)
		w.run(time.Minute)
		for _, p := range w.peers {
			p.say(general, p.name+" is there")
		}
		w.run(3 * time.Second)
		wantSame(t, w, general, seed)
		wantKnown(t, w, general, seed, "a minute after the halves could meet")
	}
}

// A room that grows beyond six gives up links, one that shrinks to six makes them again.
func TestARoomGrowsAndShrinks(t *testing.T) {
	w := newWorld(3, 12, general)
	w.run(60 * time.Second)
	wantFewLinks(t, w, 7, 3, "with twelve")
	for _, p := range w.peers[6:] {
		p.step(LeaveRoom{Room: general})
	}
	w.run(2 * time.Minute)
	for _, p := range w.peers[:6] {
		if n := p.core.net().Linked; n != 5 {
			t.Errorf("%s has %d links in a room of six, want 5", p.name, n)
		}
	}
}
