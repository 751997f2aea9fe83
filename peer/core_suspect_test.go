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

// What is said in the moment in which four of five die is there before a single link is seen to end.
func TestALineOvertakesTheTimeOutsOfTheDead(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(seed, 40, general)
		w.run(80 * time.Second)
		for _, p := range w.peers[:32] {
			p.kill()
		}
		author := w.peers[32+seed]
		author.say(general, "is anybody left?")
		w.run(4500 * time.Millisecond)
		if n := w.shows(author, general, "is anybody left?"); n != 8 {
			t.Errorf("seed %d: the line is shown to %d of the 8 who are left after 4.5 s, want all", seed, n)
		}
		w.run(40 * time.Second)
		wantFewLinks(t, w, 7, seed, "40 s after")
	}
}
