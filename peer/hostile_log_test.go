//go:build !race

package peer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// Every attack below has a room of twelve honest peers talk while it goes on.
const crowd = 12

// siege is how long most attacks last.
const siege = time.Minute

// soon is how long a line may take while somebody attacks: two questions that liars do not answer, and one to somebody
// else.
const soon = 5 * time.Second

// attacked is a room of twelve with a villain in it.
func attacked(t *testing.T, seed uint64, meddle func(opSend) bool) (w *world, v *simPeer) {
	t.Helper()
	w = honestRoom(seed, crowd)
	v = w.villain("mallory", meddle)
	w.run(20 * time.Second)
	if len(v.core.links) == 0 {
		t.Fatal("the villain has no links, so this tests nothing")
	}
	w.forgetLate()
	return w, v
}

func wantTalk(t *testing.T, w *world, most time.Duration) {
	t.Helper()
	wantSame(t, w, general, w.seed)
	w.wantSoon(t, most)
	w.wantNoBlame(t)
	w.wantBounded(t)
	t.Logf("told: %v", w.troubles())
}

func TestHostileForgedAuthor(t *testing.T) {
	t.Parallel()
	w, v := attacked(t, 1, nil)
	seq := uint64(1000)
	w.every(200*time.Millisecond, siege, func() {
		seq++
		lie := v.signed(seq, 1, nil)
		lie[0].Author, lie[0].Name = w.peers[3].id, w.peers[3].name
		v.injectAll(liveFrame(lie...))
	})
	w.chat(100*time.Millisecond, siege, 5*time.Second)
	wantTalk(t, w, soon)
	w.wantTold(t, "forged", v, 10)
}

func TestHostileReplay(t *testing.T) {
	t.Parallel()
	w, v := attacked(t, 2, nil)
	w.chat(100*time.Millisecond, 20*time.Second, time.Second)
	var old []wire.Event
	for _, p := range w.honest() {
		events, err := v.store.Range(general, p.id, 1, 100, 100)
		if err != nil {
			t.Fatal(err)
		}
		old = append(old, events...)
	}
	w.every(50*time.Millisecond, siege, func() { v.injectAll(liveFrame(old[:min(len(old), 200)]...)) })
	w.chat(100*time.Millisecond, siege, 5*time.Second)
	wantTalk(t, w, soon)
	w.wantTold(t, "flood", v, 10)
}

func TestHostileOneNumberTwice(t *testing.T) {
	t.Parallel()
	w, v := attacked(t, 3, nil)
	i := 0
	for id, l := range v.core.links {
		if l.up {
			i++
			v.inject(w.peer(id), liveFrame(v.signed(1, 3, func(e *wire.Event) { e.Body = fmt.Appendf(nil, "version %d", i) })...))
		}
	}
	w.chat(time.Second, 15*time.Minute, 5*time.Second)
	wantTalk(t, w, soon)
	w.wantTold(t, "equivocation", v, 2)
}

func TestHostileFarAhead(t *testing.T) {
	w, v := attacked(t, 4, nil)
	v.say(general, "hello")
	w.run(time.Second)
	seq := uint64(1<<20 + 2)
	w.every(100*time.Millisecond, 20*time.Second, func() {
		seq += 5000
		v.injectAll(liveFrame(v.signed(seq, 1, nil)...))
	})
	w.chat(100*time.Millisecond, 20*time.Second, 5*time.Second)
	wantTalk(t, w, soon)
	w.wantTold(t, "sequence", v, 2)
}

// The villain begins anew with every line, as if it had lost its history each time.
func TestHostileBeginsAnewAllTheTime(t *testing.T) {
	w, v := attacked(t, 4, nil)
	v.say(general, "hello")
	w.run(time.Second)
	log := wire.LogID{Author: v.id}
	w.every(100*time.Millisecond, 20*time.Second, func() {
		log.Run += 1000
		v.injectAll(liveFrame(v.signed(log.Start()+1, 1, nil)...))
	})
	w.chat(100*time.Millisecond, 20*time.Second, 5*time.Second)
	wantTalk(t, w, soon)
	w.wantTold(t, "runs", v, 2)
}

func TestHostileTimeFarOff(t *testing.T) {
	withClock(t, 5, func(e *wire.Event) { e.Time = e.Time.Add(24 * 365 * time.Hour) })
}

func TestHostileClockBeyondBelief(t *testing.T) {
	withClock(t, 6, func(e *wire.Event) { e.Lamport = wire.MaxCounter })
}

// withClock has the villain speak by a clock that cannot be right.
func withClock(t *testing.T, seed uint64, wrong func(*wire.Event)) {
	t.Helper()
	w, v := attacked(t, seed, nil)
	seq := uint64(0)
	w.every(time.Second, 20*time.Second, func() {
		seq++
		v.injectAll(liveFrame(v.signed(seq, 1, wrong)...))
	})
	w.chat(100*time.Millisecond, 20*time.Second, 5*time.Second)
	wantTalk(t, w, soon)
	w.wantTold(t, "clock", v, 2)
}

func TestHostileFloodOfFrames(t *testing.T) {
	t.Parallel()
	w, v := attacked(t, 7, nil)
	w.every(100*time.Millisecond, siege, func() {
		for range 1000 {
			v.injectAll(wire.Have{Room: general, Heads: []wire.Head{{Author: w.peers[0].id, Seq: 1}}})
		}
	})
	w.chat(100*time.Millisecond, siege, 5*time.Second)
	wantTalk(t, w, soon)
	w.wantTold(t, "flood", v, 10)
}

func TestHostileOffersOfWhatDoesNotExist(t *testing.T) {
	w, v := attacked(t, 8, nil)
	n := 0
	before := heapInUse()
	w.every(200*time.Millisecond, siege, func() {
		f := wire.Have{Room: general}
		for range 100 {
			n++
			f.Heads = append(f.Heads, wire.Head{Author: wire.PeerID{byte(n >> 16), byte(n >> 8), byte(n), 1}, Seq: 7})
			f.Ways = append(f.Ways, wire.Way{})
		}
		v.injectAll(f)
	})
	w.chat(100*time.Millisecond, siege, 5*time.Second)
	t.Logf("heap grew by %d KiB", (heapInUse()-before)>>10)
	wantTalk(t, w, soon)
	w.wantTold(t, "claims", v, 2)
}

func TestHostileDigestsThatLie(t *testing.T) {
	w, v := attacked(t, 9, nil)
	w.every(100*time.Millisecond, siege, func() {
		f := wire.Have{Room: general}
		for _, p := range w.honest() {
			f.Heads = append(f.Heads, wire.Head{Author: p.id, Seq: 1 << 40})
			f.Ways = append(f.Ways, wire.Way{})
		}
		slices.SortFunc(f.Heads, func(a, b wire.Head) int { return comparePeers(a.Author, b.Author) })
		v.injectAll(f)
	})
	w.chat(100*time.Millisecond, siege, 5*time.Second)
	wantTalk(t, w, soon)
	w.wantTold(t, "claims", v, 2)
}

// Somebody says 2,000 lines a second. It is allowed to, and all of it is passed on; what the others say is there as
// soon as ever, and they are told who it is.
func TestHostileTalker(t *testing.T) {
	t.Parallel()
	w, v := attacked(t, 15, nil)
	w.chat(100*time.Millisecond, 2*time.Second, 5*time.Second) // the room is one in which something was said
	w.every(50*time.Millisecond, 1500*time.Millisecond, func() {
		for range 100 {
			v.say(general, "and another thing")
		}
	})
	w.chat(100*time.Millisecond, 5*time.Second, 5*time.Second)
	wantTalk(t, w, soon)
	w.wantTold(t, "talk", v, 1)
	for _, p := range w.honest() {
		if got := len(p.trouble("talk")); got != 1 {
			t.Errorf("%s was told %d times of somebody who says 3,000 lines in a second and a half", p.name, got)
		}
	}
}
