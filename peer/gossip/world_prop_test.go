package gossip

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// bounded fails if a machine keeps more than it may, or something of neighbours that are gone.
func (w *world) bounded() {
	w.t.Helper()
	for _, n := range w.nodes {
		if n.machine.Links() != len(n.links) {
			w.t.Fatalf("%s keeps %d links: it has %d", n.name, n.machine.Links(), len(n.links))
		}
		if err := n.machine.Check(); err != nil {
			w.t.Fatalf("%s: %v", n.name, err)
		}
	}
}

// complete fails if somebody says that something is missing when everybody has everything.
func (w *world) complete() {
	w.t.Helper()
	w.bounded()
	for _, n := range w.nodes {
		if missing := n.machine.Missing(general); missing != 0 {
			w.t.Fatalf("%s says that %d are missing, and has everything", n.name, missing)
		}
	}
}

// drawWorld is a world of 2 to most peers, at most five.
func drawWorld(t *rapid.T, most int) *world {
	names := []string{"ann", "bob", "cyd", "dan", "eve"}[:rapid.IntRange(2, most).Draw(t, "peers")]
	return newWorld(t, rapid.Uint64().Draw(t, "seed"), names...)
}

// weather draws how many frames are lost and how often links are busy, of these, and how long frames take, which is at
// most slow.
func (w *world) weather(t *rapid.T, loss, busy []float64, slow time.Duration) {
	w.loss = rapid.SampledFrom(loss).Draw(t, "loss")
	w.busy = rapid.SampledFrom(busy).Draw(t, "busy")
	most := time.Duration(rapid.IntRange(1, int(slow.Milliseconds())).Draw(t, "delay ms")) * time.Millisecond
	w.delay = func() time.Duration { return time.Duration(w.rand.Int64N(int64(most))) }
}

// pick draws a node, for what it is to do.
func (w *world) pick(t *rapid.T, what string) *node {
	return w.nodes[rapid.IntRange(0, len(w.nodes)-1).Draw(t, what)]
}

// TestWhateverHappensEverybodyGetsEverything runs random schedules of talk, loss, delay, reordering, duplication, cuts,
// heals, full queues and restarts. What must hold of each delivery is checked in world.deliver.
func TestWhateverHappensEverybodyGetsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { whateverHappens(t, false) })
}

// whateverHappens is one such schedule; with failing, in which stores fail, too.
func whateverHappens(t *rapid.T, failing bool) {
	w := drawWorld(t, 5)
	w.honest = true
	w.repeat = rapid.SampledFrom([]float64{0, 0.1}).Draw(t, "repeat")
	w.weather(t, []float64{0, 0.05, 0.2, 0.5}, []float64{0, 0.5, 0.9}, 200*time.Millisecond)
	w.mesh()
	for range rapid.IntRange(1, 40).Draw(t, "acts") {
		a, b := w.pick(t, "a"), w.pick(t, "b")
		if failing {
			w.moods(t)
		}
		switch rapid.IntRange(0, 9).Draw(t, "act") {
		case 0, 1, 2, 3:
			w.says(a, rapid.SampledFrom([]int{1, 1, 2, 40}).Draw(t, "lines"))
		case 4:
			w.unlink(a, b)
		case 5:
			if a != b && a.links[b] == nil {
				w.link(a, b)
			}
		case 6:
			w.revive(a)
		case 7:
			if a.links[b] != nil {
				a.links[b].troubled(w.now.Add(24 * time.Hour)) // that it is heard again is not looked at
				w.step(a, LinkBusy{b.id, rapid.Bool().Draw(t, "busy")})
			}
		case 8: // what waits in a receiver's mailbox is dropped
			if len(w.queue) > 0 {
				keep := rapid.IntRange(0, len(w.queue)-1).Draw(t, "keep")
				for _, p := range w.queue[keep:] {
					if l := p.from.links[p.to]; l != nil {
						l.troubled(w.now)
					}
				}
				w.queue = w.queue[:keep]
			}
		default:
			w.run(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
		}
		w.bounded()
	}
	w.loss = 0
	w.calm()
	for i, a := range w.nodes {
		for _, b := range w.nodes[:i] {
			if a.links[b] != nil {
				w.step(a, LinkBusy{b.id, false})
				w.step(b, LinkBusy{a.id, false})
			}
		}
	}
	if !rapid.Bool().Draw(t, "heal to a chain") {
		w.mesh()
	} else {
		for i, a := range w.nodes[1:] {
			if a.links[w.nodes[i]] == nil {
				w.link(a, w.nodes[i])
			}
		}
	}
	w.run(5 * time.Minute)
	w.converged()
	w.complete()
	w.noFaults()
}

// TestWhateverHappensInALargeRoom is the same for rooms in which each has few links.
func TestWhateverHappensInALargeRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if testing.Short() && rapid.IntRange(0, 3).Draw(t, "short") > 0 {
			return
		}
		w := newWorld(t, rapid.Uint64().Draw(t, "seed"))
		w.sparse(rapid.SampledFrom([]int{12, 50, 50, 100, 200}).Draw(t, "peers"), 5)
		w.honest = true
		w.weather(t, []float64{0, 0, 0.05, 0.2}, []float64{0, 0.5}, 100*time.Millisecond)
		talkers := []*node{w.pick(t, "talker"), w.pick(t, "talker"), w.pick(t, "talker")}
		for i := range rapid.IntRange(1, 12).Draw(t, "acts") {
			a := w.pick(t, "a")
			switch rapid.IntRange(0, 7).Draw(t, "act") {
			case 0, 1, 2:
				a = talkers[rapid.IntRange(0, 2).Draw(t, "who")]
				w.say(a, fmt.Sprintf("%s %d", a.name, i))
			case 3:
				w.say(a, fmt.Sprintf("%s %d", a.name, i), "and more")
			case 4: // a part of all links fails
				share := rapid.SampledFrom([]float64{0.05, 0.3, 0.8}).Draw(t, "share")
				for i, x := range w.nodes {
					for _, y := range w.nodes[:i] {
						if x.links[y] != nil && w.rand.Float64() < share {
							w.unlink(x, y)
						}
					}
				}
			case 5: // those who have few find others
				for _, x := range w.nodes {
					if y := w.nodes[w.rand.IntN(len(w.nodes))]; x != y && len(x.links) < 3 && x.links[y] == nil {
						w.link(x, y)
					}
				}
			case 6:
				w.restart(a)
			default:
				for _, x := range w.nodes {
					if a.links[x] != nil {
						w.step(a, LinkBusy{x.id, true})
						w.run(50 * time.Millisecond)
						w.step(a, LinkBusy{x.id, false})
						break
					}
				}
			}
			w.run(time.Duration(rapid.SampledFrom([]int{0, 1, 20, 200, 1000}).Draw(t, "ms")) * time.Millisecond)
		}
		w.bounded()
		w.loss = 0
		for i, x := range w.nodes { // heal, to a ring at least
			if y := w.nodes[(i+1)%len(w.nodes)]; x.links[y] == nil {
				w.link(x, y)
			}
		}
		w.run(time.Minute)
		w.converged()
		w.complete()
		w.noFaults()
	})
}

func TestAMeshCostsOneCopyPerPeer(t *testing.T) {
	w := newWorld(t, 3, "ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal", "ivy", "joe")
	w.delay = func() time.Duration {
		return time.Millisecond + time.Duration(w.rand.Int64N(int64(4*time.Millisecond)))
	}
	w.mesh()
	w.run(time.Second)
	for i := range 100 {
		for _, n := range w.nodes {
			w.say(n, fmt.Sprintf("%s %d", n.name, i))
		}
		w.run(20 * time.Millisecond)
	}
	w.run(10 * time.Second)
	w.converged()
	if c := w.copies(); c > 1.001 {
		t.Errorf("a message reached each of 10 linked peers %.3f times: want once", c)
	}
	for _, n := range w.nodes {
		for _, o := range w.nodes {
			if n != o && n.held[o.id] != 100 {
				t.Errorf("%s knows that %s holds %d of its 100 lines", n.name, o.name, n.held[o.id])
			}
		}
	}
}

func TestAFloodIsNoMisbehaviour(t *testing.T) {
	w := newWorld(t, 4, "ann", "bob", "cyd")
	w.delay = func() time.Duration { return 200 * time.Microsecond }
	w.mesh()
	w.run(time.Second)
	before := w.sent
	lines := make([]string, 20)
	for i := range 500 { // 20,000 a second
		for j := range lines {
			lines[j] = fmt.Sprint(i, j)
		}
		w.say(w.node("ann"), lines...)
		w.run(time.Millisecond)
	}
	sent := w.sent - before
	w.run(10 * time.Second)
	w.converged()
	if most := 2*500 + 2*500/5 + 500; sent > most {
		t.Errorf("10,000 events to two peers in 1,000 frames caused %d frames altogether: want at most %d", sent, most)
	}
	for _, n := range w.nodes {
		if len(n.faults) > 0 {
			t.Errorf("%s complains: %v", n.name, n.faults)
		}
	}
}

func TestALateJoinerStartsWithTheWindow(t *testing.T) {
	for _, authors := range []int{1, 3} {
		w := newWorld(t, 5, "ann", "bob", "cyd")
		w.mesh()
		lines := make([]string, 400)
		for i := range 5 {
			for j := range lines {
				lines[j] = fmt.Sprint(i, j)
			}
			for _, n := range w.nodes[:authors] {
				w.say(n, lines...)
			}
			w.run(time.Second)
		}
		w.say(w.node("cyd"), "short")
		w.run(time.Second)
		dan := w.add("dan", 9)
		w.mesh()
		w.run(20 * time.Second)
		total := 0
		for _, n := range w.nodes[:3] {
			got := dan.delivered[n.id]
			total += len(got)
			if len(got) == 0 || got[len(got)-1] != uint64(len(n.said)) && len(n.said) > 0 {
				if len(n.said) > 0 {
					t.Errorf("%d authors: of the %d lines of %s the newcomer has %d", authors, len(n.said), n.name, len(got))
				}
			}
		}
		if total < defaultWindow*9/10 || total > defaultWindow {
			t.Errorf("%d authors: the newcomer fetched %d events: want about, and at most, %d", authors, total, defaultWindow)
		}
		w.say(w.node("ann"), "hello dan")
		w.say(dan, "hello")
		w.run(time.Second)
		if got := dan.delivered[w.node("ann").id]; got[len(got)-1] != uint64(len(w.node("ann").said)) {
			t.Errorf("%d authors: the newcomer does not get what is said next", authors)
		}
	}
}
