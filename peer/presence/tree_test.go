package presence

import (
	"slices"
	"testing"
	"time"
)

// grown is a room with five links each that has been in peace for long enough to have a tree.
func grown(t *testing.T, seed uint64, n int) *world {
	w := newWorld(t, seed)
	crowdOf(w, n)
	w.mesh(5, nil)
	w.advance(70 * time.Second)
	return w
}

// ends counts the ends of links on which news goes, and those there are.
func (w *world) ends() (tree, all int) {
	for _, n := range w.nodes {
		for _, o := range n.m.neighbours {
			if all++; o.onTree() {
				tree++
			}
		}
	}
	return tree, all
}

// first is whom a message is about first.
func first(r *records) uint64 {
	if len(r.records) > 0 {
		return keyOf(r.records[0].peer)
	}
	return r.beats[0].key
}

// In the calm news goes along a tree: so many links that all are connected by them, and no more.
func TestATreeSpansTheRoom(t *testing.T) {
	for seed := range uint64(3) {
		w := grown(t, seed, 60)
		if tree, all := w.ends(); tree != 2*59 || all < 4*60 {
			t.Errorf("seed %d: news goes on %d ends of links of %d, want %d", seed, tree, all, 2*59)
		}
		up := func(n *node) *node {
			if n.m.parent == nil {
				return nil
			}
			return w.byID[n.m.parent.id]
		}
		for _, n := range w.nodes {
			steps, o := 0, n
			for ; up(o) != nil && steps < 60; o = up(o) {
				steps++
			}
			if first := w.nodes[0].m.table.first(); o.id != first {
				t.Errorf("seed %d: the way up from %s ends after %d steps with %s, want the root %s", seed, n.name, steps, o.name, w.who(first))
			}
		}
	}
}

// What the root says goes to everybody along the tree, and by each other link once, some time later: not by all links
// at once, and not from both ends.
func TestTheWordOfTheRootSparesLinks(t *testing.T) {
	for seed := range uint64(3) {
		w := grown(t, seed, 60)
		root := keyOf(w.nodes[0].m.root)
		type way struct{ from, to string }
		told, off := map[way]int{}, 0
		late := map[int64]int{} // off the tree, by tenths of a second
		w.drop = func(from, to *node, data []byte) bool {
			m, err := decodeMessage(data, nil)
			r, ok := m.(*records)
			if err != nil || !ok || !slices.ContainsFunc(r.beats, func(b beat) bool { return b.key == root }) {
				return false
			}
			told[way{from.name, to.name}]++
			if n := from.m.neighbour(to.id); !n.onTree() && keyOf(from.id) != root {
				off++
				late[w.now.UnixMilli()/100]++
			}
			return false
		}
		w.advance(30 * time.Second)
		both, most := 0, 0
		for l := range told {
			if l.from < l.to && told[way{l.to, l.from}] > 0 {
				both++
			}
		}
		for _, n := range late {
			most = max(most, n)
		}
		_, all := w.ends()
		links := all/2 - 59 // that are not on the tree
		if off < links || off > links*5/4 || both > links/8 || most > links/2 {
			t.Errorf("seed %d: on %d links that are not on the tree the word of the root went %d times in its period, from both ends on %d, and %d times in a tenth of a second; want once each, and half of them at once at most",
				seed, links, off, both, most)
		}
	}
}

// Whoever sits on the tree, the root, or half of all its inner places, and passes nothing on but what the root says:
// the others learn all the same what happens, and soon, if they have a neighbour that is none of them.
func TestTheTreeIsFullOfLiars(t *testing.T) {
	for seed := range uint64(3) {
		w := grown(t, seed, 60)
		liars := map[*node]bool{w.byID[w.nodes[0].m.root]: true}
		for i := 0; len(liars) < 12; i++ {
			n, children := w.nodes[i], 0
			for _, o := range n.m.neighbours {
				if o.pushes == parent {
					children++
				}
			}
			if children > 0 {
				liars[n] = true
			}
		}
		w.drop = func(from, to *node, data []byte) bool {
			m, err := decodeMessage(data, nil)
			r, ok := m.(*records)
			return err == nil && liars[from] && (!ok || r.answer || len(r.downs) > 0 || first(r) != keyOf(from.id) && first(r) != keyOf(from.m.root))
		}
		var honest []*node
		for _, n := range w.nodes {
			if !liars[n] && slices.ContainsFunc(n.m.neighbours, func(o *neighbour) bool { return !liars[w.byID[o.id]] }) {
				honest = append(honest, n)
			}
		}
		if len(honest) < 45 {
			t.Fatalf("seed %d: %d of 60 are honest and have an honest neighbour, want three quarters", seed, len(honest))
		}
		known := func(gone *node, within time.Duration, what string) {
			w.advance(within)
			for _, n := range honest {
				if _, there := n.m.Lookup(gone.id); there && n.alive {
					t.Errorf("seed %d: %v after %s %s, %s does not know", seed, within, gone.name, what, n.name)
				}
			}
		}
		w.quit(honest[3])
		known(honest[3], 3*time.Second, "left")
		w.kill(honest[9])
		known(honest[9], 9*time.Second, "died")
	}
}

// When the root dies another takes its place, and the tree is whole again soon after that.
func TestTheRootDies(t *testing.T) {
	w := grown(t, 1, 40)
	w.kill(w.byID[w.nodes[0].m.root])
	w.advance(20 * time.Second)
	for _, n := range w.nodes {
		if n.alive && n.m.parent == nil && n.m.root != n.id {
			t.Errorf("%s has no place on the tree", n.name)
		}
	}
	if tree, all := w.ends(); tree > 3*40 || all < 3*40 {
		t.Errorf("news goes on %d ends of links of %d, of which %d would do", tree, all, 2*38)
	}
}

// A neighbour that comes and goes on the tree all the time loses its link; what it offers and does not have is asked
// for once.
func TestTreeLimits(t *testing.T) {
	l := alone(t, 2, 3)
	for i := range 100 {
		l.hear(2, &branch{share(i % 3)})
	}
	l.wantFault(Flood, true, "a hundred changes of the tree at once")
	l.reset()
	h := &have{}
	for i := range uint64(maxWants) {
		h.items = append(h.items, offered{i, 1})
	}
	for range 2 * listedTaken.burst / maxWants {
		l.hear(3, h)
	}
	asked := 0
	for _, s := range l.sends {
		if m, err := decodeMessage(s.Data, nil); err == nil {
			if w, ok := m.(*want); ok {
				asked += len(w.items)
			}
		}
	}
	if asked == 0 || asked > listedTaken.burst {
		t.Errorf("%d made up offers were asked for, want some and at most %v", asked, listedTaken.burst)
	}
}
