package gossip

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/history"
)

// lacksOfAll is how many lines of an author a node was never delivered that none of others holds, and how many somebody
// does.
func (w *world) lacksOfAll(n, author *node, others []*node) (gone, there uint64) {
	had := map[uint64]bool{}
	for _, x := range others {
		events, err := x.store.Recent(general, 1<<20)
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		for i := range events {
			if events[i].Author == author.id {
				had[events[i].Seq] = true
			}
		}
	}
	for seq := uint64(1); seq <= uint64(len(author.said)); seq++ {
		if _, was := slices.BinarySearch(n.delivered[author.id], seq); was {
			continue
		}
		if had[seq] {
			there++
		} else {
			gone++
		}
	}
	return gone, there
}

// Who was away for minutes, and comes back to one after the other, is not told that lines are lost that one of them
// has; nor is anybody else of what a neighbour has.
func TestWhatOthersHaveIsNotToldAsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { toldThoughHeld(t, false) })
}

func TestWhatOthersHaveIsNotToldAsLostThoughStoresFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { toldThoughHeld(t, true) })
}

func toldThoughHeld(t *rapid.T, failing bool) {
	w := drawWorld(t, 5)
	keeps := make(map[*node]int)
	for _, n := range w.nodes {
		keeps[n] = rapid.SampledFrom([]int{40, 150, 1000, 1000}).Draw(t, "keeps")
		n.store = history.NewMemoryWith(history.Limits{Events: keeps[n]})
		n.window = Window{Events: 30, Age: -1}
		w.start(n)
	}
	var back *node // who comes back to all just now
	w.lost = func(n *node, l Lost) {
		if slices.ContainsFunc(w.nodes, func(x *node) bool { return x.silent }) {
			return // what is there cannot be read
		}
		for _, o := range l.Logs {
			author := w.node(w.name(o.Author))
			var others []*node
			for _, x := range w.nodes {
				if x != n && !x.fitful && (n == back || n.links[x] != nil) { // what cannot be stored is offered to nobody
					others = append(others, x)
				}
			}
			st, err := n.store.Stats(general)
			gone, there := w.lacksOfAll(n, author, others)
			if err != nil || o.Unkept && st.Events < keeps[n] || !o.Unkept && o.Events > gone {
				w.t.Fatalf("%s, which holds %d of %d lines, is told at %v that it has lost %d of %s (perhaps: %v, unkept: %v), of which it never saw %d that no neighbour holds, and %d that one does",
					n.name, st.Events, keeps[n], w.now.Sub(epoch), o.Events, author.name, o.Perhaps, o.Unkept, gone, there)
			}
		}
	}
	w.mesh()
	w.run(time.Duration(rapid.SampledFrom([]int{1, 60}).Draw(t, "settled")) * time.Second)
	if rapid.Bool().Draw(t, "heard") {
		for _, n := range w.nodes {
			w.says(n, 1)
		}
		w.run(time.Second)
	}
	for range rapid.IntRange(1, 8).Draw(t, "acts") {
		a, b := w.pick(t, "a"), w.pick(t, "b")
		if failing {
			w.moods(t)
		}
		switch rapid.IntRange(0, 4).Draw(t, "act") {
		case 0, 1:
			w.says(a, rapid.SampledFrom([]int{1, 5, 60}).Draw(t, "lines"))
			w.run(time.Duration(rapid.SampledFrom([]int{5, 1000, 40_000}).Draw(t, "ms")) * time.Millisecond)
		case 2: // is away for a while, and comes back to one after the other
			for _, x := range w.nodes {
				w.unlink(a, x)
			}
			for range rapid.IntRange(1, 6).Draw(t, "talk") {
				w.says(w.pick(t, "who"), rapid.SampledFrom([]int{5, 30, 60}).Draw(t, "lines"))
				w.run(time.Duration(rapid.SampledFrom([]int{5, 1000, 100_000}).Draw(t, "ms")) * time.Millisecond)
			}
			back = a
			for _, i := range rapid.Permutation([]int{0, 1, 2, 3, 4}[:len(w.nodes)]).Draw(t, "back to") {
				if x := w.nodes[i]; x != a {
					w.link(a, x)
					w.run(time.Duration(rapid.SampledFrom([]int{0, 500, 4000, 9000}).Draw(t, "gap")) * time.Millisecond) // all are back within lostMost
				}
			}
			back = nil
		case 3:
			if rapid.Bool().Draw(t, "cut") {
				w.unlink(a, b)
			} else if a != b && a.links[b] == nil {
				w.link(a, b)
			}
		default:
			w.step(a, FetchOlder{general, rapid.IntRange(0, 60).Draw(t, "older")})
			w.run(time.Second)
		}
		w.bounded()
	}
	w.calm()
	w.mesh()
	w.run(2 * time.Minute)
	w.bounded()
}
