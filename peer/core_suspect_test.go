//go:build !race

package peer

import (
	"slices"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// shows counts the living who are shown a line of p.
func (w *world) shows(p *simPeer, room wire.Room, line string) (n int) {
	for _, o := range w.peers {
		if !o.dead && slices.Contains(o.messages(room)[p.id], line) {
			n++
		}
	}
	return n
}

// What is said in the moment in which four of five die reaches nearly all who are left before a single link is seen to
// end, and all soon after that.
func TestALineOvertakesTheTimeOutsOfTheDead(t *testing.T) {
	const line = "is anybody left?"
	early := 0
	for seed := range uint64(3) {
		w := newWorld(seed, 40, general)
		w.run(80 * time.Second)
		for _, p := range w.peers[:32] {
			p.kill()
		}
		author := w.peers[32+seed]
		author.say(general, line)
		w.run(4500 * time.Millisecond)
		n := w.shows(author, general, line)
		early += n
		w.run(40 * time.Second)
		t.Logf("seed %d: %d of 8 after 4.5 s, %d after 44.5 s", seed, n, w.shows(author, general, line))
		if n := w.shows(author, general, line); n != 8 {
			t.Errorf("seed %d: the line is shown to %d of the 8 who are left after 44.5 s, want all", seed, n)
		}
	}
	if early < 22 {
		t.Errorf("after 4.5 s the lines are shown to %d of 3 times 8 who are left, want at least 22", early)
	}
}
