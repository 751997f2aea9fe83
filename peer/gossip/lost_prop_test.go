package gossip

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/history"
)

// unseen is how many lines of an author, of those after from, a node was never delivered.
func (n *node) unseen(author *node, from int) uint64 {
	had := n.delivered[author.id]
	at, _ := slices.BinarySearch(had, uint64(from)+1)
	return uint64(len(author.said) - from - (len(had) - at))
}

// truth is what a node may be told of losses: since when it is here, as the number of lines that each author had said
// then.
type truth struct {
	w     *world
	since map[*node]map[*node]int
}

// comes notes that a node is here from now on.
func (t *truth) comes(n *node) {
	t.since[n] = make(map[*node]int)
	for _, author := range t.w.nodes {
		t.since[n][author] = len(author.said)
	}
}

// look fails if a node is told that more is lost than was said while it was here and has not come.
func (t *truth) look(n *node, l Lost) {
	for _, o := range l.Logs {
		author := t.w.node(t.w.name(o.Author))
		from := t.since[n][author]
		if o.Perhaps {
			from = 0
		}
		if most := n.unseen(author, from); o.Events > most {
			t.w.t.Fatalf("%s is told that it has lost %d lines of %s (perhaps: %v), and has not seen %d of those said while it was here", n.name, o.Events, author.name,
				o.Perhaps, most)
		}
	}
}

// Whatever happens in rooms that keep little, what is told as lost was said while its peer was here, and did not come.
// Those who were here for a while before it, had heard the others, and did not go, are told of all that they never see.
func TestWhateverIsToldAsLostIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { toldAsLost(t, false) })
}

// toldAsLost is one such schedule; with failing, in which stores fail, too.
func toldAsLost(t *rapid.T, failing bool) {
	w := drawWorld(t, 4)
	is := &truth{w: w, since: make(map[*node]map[*node]int)}
	w.lost = is.look
	right := true
	for _, n := range w.nodes {
		n.store = history.NewMemoryWith(history.Limits{Events: 40})
		n.window = Window{Events: 30, Age: -1}
		n.off = rapid.SampledFrom([]time.Duration{0, 0, 0, time.Hour, -time.Hour}).Draw(t, "clock")
		right = right && n.off == 0
		w.start(n)
	}
	for _, n := range w.nodes {
		is.comes(n)
	}
	w.mesh()
	if settled := rapid.Bool().Draw(t, "settled"); settled { // each has been here for a while, and has heard the others
		w.run(time.Minute)
		for _, n := range w.nodes {
			w.says(n, 1)
		}
		w.run(time.Second)
	} else {
		right = false
	}
	w.loss = rapid.SampledFrom([]float64{0, 0.05}).Draw(t, "loss")
	here := slices.Clone(w.nodes)
	for range rapid.IntRange(1, 30).Draw(t, "acts") {
		a, b := w.pick(t, "a"), w.pick(t, "b")
		if failing {
			w.moods(t)
		}
		switch rapid.IntRange(0, 7).Draw(t, "act") {
		case 0, 1, 2:
			w.says(a, rapid.SampledFrom([]int{1, 1, 5, 60}).Draw(t, "lines"))
		case 3:
			w.unlink(a, b)
		case 4:
			if a != b && a.links[b] == nil {
				w.link(a, b)
			}
		case 5:
			w.revive(a)
			is.comes(a)
			here = slices.DeleteFunc(here, func(n *node) bool { return n == a })
		case 6:
			w.misses(a)
		default:
			w.run(time.Duration(rapid.SampledFrom([]int{5, 100, 3000, 40_000}).Draw(t, "ms")) * time.Millisecond)
		}
		w.bounded()
	}
	w.loss = 0
	w.calm()
	w.mesh()
	for range 20 {
		w.run(5 * time.Second)
	}
	w.bounded()
	if !right {
		return
	}
	for _, n := range here {
		for _, author := range w.nodes {
			told, _ := n.lostOf(author)
			if lacks := n.unseen(author, 0); lacks > told {
				t.Fatalf("%s was here all the time, never saw %d lines of %s, and was told of %d: %v, it had %v", n.name, lacks, author.name, told, n.lost,
					n.delivered[author.id])
			}
		}
	}
}

// misses cuts a node off while others say more than is kept.
func (w *world) misses(a *node) {
	for _, x := range w.nodes {
		w.unlink(a, x)
	}
	for range 3 {
		for _, x := range w.nodes {
			if x != a {
				w.says(x, 20)
			}
		}
		w.run(20 * time.Millisecond)
	}
}
