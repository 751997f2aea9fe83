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

// texts are what a node's store holds of an author, in the order of numbers.
func (w *world) texts(n, author *node) (texts []string) {
	w.t.Helper()
	for _, h := range w.headsOf(n) {
		if h.Author == author.id {
			events, err := n.store.Range(general, author.id, h.Base+1, h.Seq, 1<<20)
			if err != nil {
				w.t.Fatalf("%v", err)
			}
			for _, e := range events {
				texts = append(texts, string(e.Body))
			}
		}
	}
	return texts
}

// number is one of an author.
type number struct {
	author wire.PeerID
	seq    uint64
}

// speaks notes what a node says under which number.
func (w *world) speaks(n *node, e *wire.Event) {
	w.t.Helper()
	if was, twice := w.spoken[number{n.id, e.Seq}]; twice {
		w.t.Fatalf("%s says %q as its number %d, as which it said %q", n.name, e.Body, e.Seq, was)
	}
	w.spoken[number{n.id, e.Seq}] = string(e.Body)
}

// forgets takes from a node all that it holds, and starts it again. It knows that it has lost something.
func (w *world) forgets(n *node) {
	w.logf("— %s is killed, loses its log and starts again —", n.name)
	for _, x := range w.nodes {
		w.unlink(n, x)
	}
	n.store = history.NewMemory()
	n.run++
	clear(n.delivered)
	w.start(n)
}

// number is how a play tells the number of an event: within its run, where that is not the first.
func (w *world) number(author wire.PeerID, seq uint64) string {
	log := wire.LogOf(author, seq)
	if log.Run == 0 {
		return fmt.Sprintf("%s:%d", w.name(author), seq)
	}
	return fmt.Sprintf("%s/%d:%d", w.name(author), log.Run, seq-log.Start())
}

func TestWhoHasLostItsLogGetsItBackAndSoDoNewcomers(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	w.say(ann, "one", "two", "three")
	w.run(time.Second)
	w.forgets(ann)
	w.say(ann, "where was I?")
	w.link(ann, bob)
	w.run(100 * time.Millisecond)
	if got := w.texts(bob, ann); len(got) != 4 {
		t.Errorf("bob, who knows of no new line before it, has %q after 100 ms", got)
	}
	w.run(5 * time.Second)
	w.say(ann, "ah")
	w.run(time.Second)
	dan := w.add("dan", 9)
	w.link(dan, w.node("cyd"))
	w.run(5 * time.Second)
	want := []string{"one", "two", "three", "where was I?", "ah"}
	for range 2 {
		for _, n := range w.nodes {
			if got := w.texts(n, ann); !slices.Equal(got, want) {
				t.Errorf("%s holds %q of what ann said: want %q", n.name, got, want)
			}
			if missing := n.machine.Missing(general); missing != 0 || len(n.faults) > 0 {
				t.Errorf("%s misses %d and reports %v", n.name, missing, n.faults)
			}
		}
		w.restart(ann) // it goes on where it was
		w.mesh()
		w.say(ann, "still here")
		w.run(5 * time.Second)
		want = append(want, "still here")
	}
	w.forgets(ann) // and once more
	w.mesh()
	w.run(5 * time.Second)
	w.say(ann, "again")
	w.run(time.Second)
	want = append(want, "again")
	for _, n := range w.nodes {
		if got := w.texts(n, ann); !slices.Equal(got, want[:len(got)]) || len(got) < len(want)-1 {
			t.Errorf("%s holds %q after the second loss: want %q", n.name, got, want)
		}
	}
}

func TestALateLineOfAnOldRunIsHistory(t *testing.T) {
	w, ann, bob := linked(t)
	w.say(ann, "one")
	w.run(time.Second)
	second := wire.LogID{Author: ann.id, Run: 7}
	w.receive(bob, ann, live(w.forge(ann, second.Start()+1, "anew", nil)))
	older := bob.older
	w.receive(bob, ann, live(w.forge(ann, 2, "late", nil)))
	w.step(bob, Flush{})
	if bob.older != older+1 {
		t.Error("a line of a run that its author has ended came as if it was said now")
	}
	w.bounded()
}

// Whoever begins anew again and again has a few logs, the newest, and costs nobody else anything.
func TestAnAuthorHasAFewRuns(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	cyd := w.node("cyd")
	w.say(cyd, "I am still here")
	for i := range uint32(300) {
		log := wire.LogID{Author: ann.id, Run: i + 1}
		w.receive(bob, ann, live(w.forge(ann, log.Start()+1, fmt.Sprint(i), nil), w.forge(ann, log.Start()+2, "and more", nil),
			w.forge(ann, log.Start()+9, "behind a gap", nil)))
		w.bounded()
	}
	w.run(10 * time.Second)
	w.bounded()
	r := bob.machine.rooms[general]
	if runs := r.runs(ann.id); len(runs) != maxRuns || runs[0].id.Run != 300-maxRuns+1 {
		t.Errorf("bob keeps %d logs of ann, from run %d on: want the last %d", len(runs), runs[0].id.Run, maxRuns)
	}
	for _, n := range []*node{bob, cyd} {
		if got := w.texts(n, ann); len(got) != 2*maxRuns || got[0] != fmt.Sprint(300-maxRuns) {
			t.Errorf("%s holds %d lines of ann, the first is %q: want two of each of the last %d", n.name, len(got), got[:1], maxRuns)
		}
		if n.faults["runs"] > 300/maxRuns+1 || n == bob && n.faults["runs"] == 0 || n.faults["claims"] > 0 {
			t.Errorf("%s reports %v", n.name, n.faults)
		}
	}
	w.receive(bob, ann, live(w.forge(ann, 1, "the very first", nil)))
	w.say(cyd, "hear me")
	w.run(time.Second)
	if got := w.texts(bob, cyd); len(got) != 2 {
		t.Errorf("bob has %q of cyd", got)
	}
	if runs := r.runs(ann.id); runs[0].id.Run == 0 {
		t.Error("a run that was given up takes the place of a newer one")
	}
	w.restart(bob)
	if runs := bob.machine.rooms[general].runs(ann.id); len(runs) != maxRuns {
		t.Errorf("after a restart bob has %d logs of ann", len(runs))
	}
}

// A liar names runs of somebody else that do not exist. They take no place from those that do, and are forgotten.
func TestRunsThatNobodyBegan(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	cyd := w.node("cyd")
	w.say(cyd, "one")
	w.run(time.Second)
	w.drop = func(from, _ *node, f wire.Frame) bool { _, events := f.(wire.Events); return from == ann && events }
	var heads []wire.Head
	for i := range uint32(300) {
		start := wire.LogID{Author: cyd.id, Run: i + 1}.Start()
		heads = append(heads, wire.Head{Author: cyd.id, Base: start, Seq: start + 100})
	}
	w.receive(bob, ann, wire.Have{Room: general, Heads: heads})
	w.bounded()
	w.forgets(cyd)
	cyd.run = 5 // among those
	w.start(cyd)
	w.link(cyd, bob)
	w.say(cyd, "anew")
	w.run(time.Second)
	if got := w.texts(bob, cyd); !slices.Equal(got, []string{"one", "anew"}) {
		t.Errorf("bob holds %q of cyd", got)
	}
	w.run(40 * time.Second)
	if got := w.texts(cyd, cyd); !slices.Equal(got, []string{"one", "anew"}) {
		t.Errorf("cyd holds %q of its own", got)
	}
	if n := len(bob.machine.rooms[general].runs(cyd.id)); n != 2 {
		t.Errorf("bob keeps %d logs of cyd: want 2", n)
	}
	if n := bob.machine.Missing(general); n != 0 {
		t.Errorf("bob still counts %d as missing", n)
	}
}

// A run that is full goes on in the next.
func TestARunThatIsFull(t *testing.T) {
	w, ann, bob := linked(t)
	log := wire.LogID{Author: ann.id}
	for _, n := range []*node{ann, bob} {
		w.unlink(ann, bob)
		if err := n.store.Rebase(general, log, log.End()-3, 0); err != nil {
			t.Fatal(err)
		}
		w.start(n)
	}
	w.link(ann, bob)
	w.run(time.Second)
	for _, text := range []string{"a", "b"} {
		w.say(ann, text)
		w.run(time.Second)
	}
	w.say(ann, "c", "d") // there is place for one
	w.run(time.Second)
	w.restart(ann)
	w.link(ann, bob)
	w.say(ann, "e")
	w.run(time.Second)
	for _, n := range w.nodes {
		if got := w.texts(n, ann); !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
			t.Errorf("%s holds %q", n.name, got)
		}
	}
	if next := ann.machine.rooms[general].own.id; next.Run != 1 {
		t.Errorf("ann says what it says in run %d: want 1", next.Run)
	}
	w.bounded()
}

// TestWhoeverLosesItsLogGetsItBack runs random schedules in which peers talk, are cut off, lose all that they hold and
// speak before they have it back. In the end everybody holds the same of every run: all that anybody still held, as far
// as it reaches back without a gap. That no number is used twice, and nothing delivered twice, world.deliver checks.
func TestWhoeverLosesItsLogGetsItBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, 5)
		w.honest = true
		w.weather(t, []float64{0, 0.05, 0.3}, []float64{0, 0.5}, 100*time.Millisecond)
		for _, n := range w.nodes {
			n.window = Window{Events: 1 << 20, Age: -1}
			w.start(n)
		}
		w.mesh()
		for range rapid.IntRange(1, 30).Draw(t, "acts") {
			a, b := w.pick(t, "a"), w.pick(t, "b")
			switch rapid.IntRange(0, 9).Draw(t, "act") {
			case 0, 1, 2:
				w.says(a, rapid.SampledFrom([]int{1, 3, 60}).Draw(t, "lines"))
			case 3:
				w.unlink(a, b)
			case 4, 5:
				if a != b && a.links[b] == nil {
					w.link(a, b)
				}
			case 6, 7:
				w.forgets(a)
			case 8:
				w.recall(a)
				w.restart(a)
			default:
				w.run(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
			}
			w.bounded()
		}
		w.loss = 0
		all := w.known()
		w.mesh()
		w.run(3 * time.Minute)
		w.bounded()
		tops := make(map[wire.LogID]uint64)
		for author, seqs := range all {
			for seq := range seqs {
				log := wire.LogOf(author, seq)
				tops[log] = max(tops[log], seq)
			}
		}
		for log, top := range tops {
			base := top
			for all[log.Author][base] && base > log.Start() {
				base--
			}
			for _, n := range w.nodes { // what waited behind a gap, or was on its way, may have come back, too
				for _, h := range w.headsOf(n) {
					if h.Log() == log {
						top = max(top, h.Seq)
					}
				}
			}
			for _, n := range w.nodes {
				i := slices.IndexFunc(w.headsOf(n), func(h wire.Head) bool { return h.Log() == log })
				if i < 0 {
					t.Fatalf("%s holds nothing of run %d of %s", n.name, log.Run, w.name(log.Author))
				}
				h := w.headsOf(n)[i]
				if h.Base > base || h.Seq != top {
					t.Fatalf("%s holds %d to %d of run %d of %s: want %d to %d", n.name, h.Base+1, h.Seq, log.Run, w.name(log.Author), base+1, top)
				}
				events, err := n.store.Range(general, log.Author, h.Base+1, h.Seq, 1<<20)
				if err != nil || uint64(len(events)) != h.Seq-h.Base {
					t.Fatalf("%s holds %d events of %d, %v", n.name, len(events), h.Seq-h.Base, err)
				}
				for _, e := range events {
					if string(e.Body) != w.spoken[number{e.Author, e.Seq}] {
						t.Fatalf("%s holds %q as number %d of %s", n.name, e.Body, e.Seq, w.name(e.Author))
					}
					if _, delivered := slices.BinarySearch(n.delivered[e.Author], e.Seq); !delivered {
						t.Fatalf("%s holds number %d of %s, and was not delivered it", n.name, e.Seq, w.name(e.Author))
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
	})
}
