package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// lose takes from a node's store what lies before a number of the test's choice in each log, and what a hole had parted
// from it.
func (w *world) lose(n *node, before func(h wire.Head) uint64) {
	w.t.Helper()
	heads, _, err := n.store.Heads(general)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	left := history.NewMemory()
	for _, h := range heads {
		events, err := n.store.Range(general, h.Author, h.Base+1, h.Seq, 1<<20)
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		base := max(h.Base, min(before(h), h.Seq))
		if base > 0 {
			if err := left.Rebase(general, h.Log(), base, 0); err != nil {
				w.t.Fatalf("%v", err)
			}
		}
		if err := left.Append(events[base-h.Base:]); err != nil {
			w.t.Fatalf("%v", err)
		}
	}
	n.store = left
}

// recall has a node that starts again count as delivered what is in its store.
func (w *world) recall(n *node) {
	clear(n.delivered)
	events, _ := n.store.Recent(general, 1<<20)
	for i := range events {
		author := events[i].Author
		at, _ := slices.BinarySearch(n.delivered[author], events[i].Seq)
		n.delivered[author] = slices.Insert(n.delivered[author], at, events[i].Seq)
	}
}

// revive starts a node again, which is linked with nobody then and knows what is in its store.
func (w *world) revive(n *node) {
	for _, x := range w.nodes {
		w.unlink(n, x)
	}
	w.recall(n)
	w.start(n)
}

// known is what somebody holds, of each author.
func (w *world) known() map[wire.PeerID]map[uint64]bool {
	all := make(map[wire.PeerID]map[uint64]bool)
	for _, n := range w.nodes {
		events, _ := n.store.Recent(general, 1<<20)
		for i := range events {
			e := &events[i]
			if all[e.Author] == nil {
				all[e.Author] = make(map[uint64]bool)
			}
			all[e.Author][e.Seq] = true
		}
	}
	return all
}

// TestWhateverIsLostComesBackFromWhoeverHasIt runs random schedules in which peers lose the beginnings of their logs,
// come new, and go on past what nobody has. What must hold of each delivery is checked in world.deliver. In the end
// everybody holds of each log what anybody held when the network had healed, as far as it reaches back from the end
// without a gap.
func TestWhateverIsLostComesBackFromWhoeverHasIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { comesBack(t, false) })
}

// comesBack is one such schedule; with failing, in which stores fail, too.
func comesBack(t *rapid.T, failing bool) {
	w := drawWorld(t, 4)
	w.honest = true
	w.weather(t, []float64{0, 0.05, 0.3}, []float64{0, 0.5}, 100*time.Millisecond)
	window := rapid.SampledFrom([]Window{{Events: 1 << 20, Age: -1}, {Events: 40}, {Events: 100, Age: 20 * time.Second}}).Draw(t, "window")
	for _, n := range w.nodes {
		n.window = window
		w.start(n)
	}
	w.mesh()
	for range rapid.IntRange(1, 30).Draw(t, "acts") {
		a, b := w.pick(t, "a"), w.pick(t, "b")
		if failing {
			w.moods(t)
		}
		switch rapid.IntRange(0, 10).Draw(t, "act") {
		case 0, 1, 2:
			w.says(a, rapid.SampledFrom([]int{1, 3, 60}).Draw(t, "lines"))
		case 3:
			w.unlink(a, b)
		case 4:
			if a != b && a.links[b] == nil {
				w.link(a, b)
			}
		case 5:
			w.revive(a)
		case 6, 7: // the oldest are gone, or all are
			part := rapid.SampledFrom([]uint64{1, 2, 4}).Draw(t, "part")
			w.lose(a, func(h wire.Head) uint64 { return h.Base + (h.Seq-h.Base)/part })
			if rapid.Bool().Draw(t, "restart") {
				w.revive(a)
			}
		case 8:
			if len(w.nodes) < 6 {
				n := w.add(fmt.Sprint("new", len(w.nodes)), byte(10+len(w.nodes)))
				n.window = window
				w.start(n)
				w.link(a, n)
			}
		case 9:
			w.step(a, FetchOlder{general, rapid.IntRange(0, 100).Draw(t, "older")})
		default:
			w.run(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
		}
		w.bounded()
	}
	w.loss = 0
	w.calm()
	all := w.known()
	w.mesh()
	w.run(3 * time.Minute)
	w.bounded()
	for _, author := range w.nodes {
		head := uint64(len(author.said))
		start := head // down to where somebody holds all
		for all[author.id][start] {
			start--
		}
		if start == head { // nobody has its last line any more
			continue
		}
		for _, n := range w.nodes {
			base, got := n.store.Base(general, wire.LogID{Author: author.id}), n.delivered[author.id]
			if head > 0 && !slices.Contains(w.headsOf(n), wire.Head{Author: author.id, Base: base, Seq: head}) {
				t.Fatalf("%s does not hold the end of the log of %s, who said %d lines", n.name, author.name, head)
			}
			if window.Age < 0 && base > start {
				t.Fatalf("%s holds the lines of %s from %d on, though all from %d on are there", n.name, author.name, base+1, start+1)
			}
			events, err := n.store.Range(general, author.id, base+1, head, 1<<20)
			if err != nil || uint64(len(events)) != head-base {
				t.Fatalf("%s holds %d lines of %s: want %d to %d, %v", n.name, len(events), author.name, base+1, head, err)
			}
			for i, e := range events {
				if e.Seq != base+uint64(i)+1 || string(e.Body) != author.said[e.Seq-1] {
					t.Fatalf("%s holds %q as line %d of %s", n.name, e.Body, e.Seq, author.name)
				}
				if _, delivered := slices.BinarySearch(got, e.Seq); !delivered && len(n.fetched) == 0 {
					t.Fatalf("%s holds line %d of %s, and was not delivered it", n.name, e.Seq, author.name)
				}
			}
		}
	}
	for _, n := range w.nodes {
		if missing := n.machine.Missing(general); missing != 0 {
			t.Fatalf("%s still counts %d events as missing", n.name, missing)
		}
	}
	w.noFaults()
}

// headsOf are those of a node's store.
func (w *world) headsOf(n *node) []wire.Head {
	heads, _, _ := n.store.Heads(general)
	return heads
}
