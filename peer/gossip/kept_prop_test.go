package gossip

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/history"
)

// Whatever happens in rooms that keep little, in the calm everybody can have all that anybody holds and it has room
// for, nothing counts as missing, and nobody was told of a loss that is none.
func TestWhatAnybodyKeepsEverybodyCanHave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { keptBySomebody(t, false) })
}

func TestWhatAnybodyKeepsEverybodyCanHaveThoughStoresFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { keptBySomebody(t, true) })
}

func keptBySomebody(t *rapid.T, failing bool) {
	w := drawWorld(t, 4)
	w.weather(t, []float64{0, 0.05}, []float64{0, 0.5}, 100*time.Millisecond)
	is := &truth{w: w, since: make(map[*node]map[*node]int)}
	w.lost = is.look
	keeps := make(map[*node]int)
	for _, n := range w.nodes {
		keeps[n] = rapid.SampledFrom([]int{40, 150, 1000}).Draw(t, "keeps")
		n.store = history.NewMemoryWith(history.Limits{Events: keeps[n]})
		n.window = Window{Events: rapid.SampledFrom([]int{10, 1000}).Draw(t, "window"), Age: -1}
		w.start(n)
	}
	for _, n := range w.nodes {
		is.comes(n)
	}
	w.mesh()
	for range rapid.IntRange(1, 25).Draw(t, "acts") {
		a, b := w.pick(t, "a"), w.pick(t, "b")
		if failing {
			w.moods(t)
		}
		switch rapid.IntRange(0, 8).Draw(t, "act") {
		case 0, 1, 2:
			w.says(a, rapid.SampledFrom([]int{1, 5, 30, 60}).Draw(t, "lines"))
		case 3:
			w.unlink(a, b)
		case 4:
			if a != b && a.links[b] == nil {
				w.link(a, b)
			}
		case 5:
			w.revive(a)
			is.comes(a)
		case 6:
			w.misses(a)
		case 7:
			w.step(a, FetchOlder{general, rapid.IntRange(0, 100).Draw(t, "older")})
		default:
			w.run(time.Duration(rapid.SampledFrom([]int{5, 100, 3000, 40_000}).Draw(t, "ms")) * time.Millisecond)
		}
		w.bounded()
	}
	w.loss = 0
	w.calm()
	w.mesh()
	w.run(2 * time.Minute)
	for range 3 { // what one has got the next can have of it
		for _, n := range w.nodes {
			w.scrollsWhile(n)
		}
		w.run(time.Minute)
	}
	w.bounded()
	for _, author := range w.nodes {
		held := map[uint64]*node{}
		for _, n := range w.nodes {
			for _, seq := range n.all(author) {
				held[seq] = n
			}
		}
		for _, n := range w.nodes {
			if st, err := n.store.Stats(general); err != nil || st.Events >= keeps[n] {
				continue // it has no room for more
			}
			has := n.all(author)
			for seq, by := range held {
				if _, ok := slices.BinarySearch(has, seq); !ok {
					t.Fatalf("%s holds %v of %s, and not %d, which %s holds", n.name, has, author.name, seq, by.name)
				}
			}
		}
	}
	for _, n := range w.nodes {
		if missing := n.machine.Missing(general); missing != 0 {
			t.Fatalf("%s says that %d are missing", n.name, missing)
		}
	}
}

func (w *world) scrollsWhile(n *node) {
	for range 50 {
		w.step(n, FetchOlder{general, 30})
		w.run(demandTime + time.Second)
		f := n.fetched[len(n.fetched)-1]
		if f.Events == 0 || f.Err != nil && strings.Contains(f.Err.Error(), "limits") {
			return
		}
	}
	w.t.Fatalf("%s gets older lines without end: %v", n.name, n.fetched[len(n.fetched)-5:])
}
