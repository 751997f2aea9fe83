package gossip

import (
	"testing"
	"time"
)

// An author whose clock is ahead seems to say all of its log after a newcomer has come. That is fetched no more than
// what others said: the window.
func TestAClockThatIsAheadFetchesNoWholeLog(t *testing.T) {
	for _, off := range []time.Duration{0, time.Minute, time.Hour, 30 * 24 * time.Hour} {
		w := newWorld(t, 1, "ann", "bob")
		ann, bob := w.nodes[0], w.nodes[1]
		ann.off = off
		w.back(ann, bob)
		for range 20 {
			w.says(ann, 50)
			w.run(time.Second)
		}
		for _, pause := range []time.Duration{0, 10 * time.Second, 10 * time.Minute} {
			w.run(pause)
			dan := w.newcomer(Window{Events: 100})
			w.run(10 * time.Second)
			if got := len(dan.delivered[ann.id]); got != 100 {
				t.Errorf("%v after ann, whose clock is %v ahead, has said her last line dan came and has %d lines, want 100", pause, off, got)
			}
			w.kill(dan)
		}
	}
}
