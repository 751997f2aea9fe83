package negotiate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"peerchat/peer/machinetest"
)

// Whatever is lost, late or doubled, whatever fails, and whoever restarts: when things are calm again, there is one
// link, both ends name the same session, and nothing else is left.
func TestOneLinkInTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		seed := rapid.Uint64().Draw(t, "seed")
		w := newTestWorld(seed)
		var lines []string
		w.log = func(s string) { lines = append(lines, fmt.Sprintf("%8v %s", w.now.Sub(time.Unix(1e9, 0)), s)) }
		for i := range w.end {
			w.step(i, Want{Eager: pick(2) == 0})
			w.run(w.some(3 * time.Second))
		}
		for range pick(6) {
			w.run(w.some(6 * time.Second))
			i := pick(2)
			switch pick(5) {
			case 0:
				w.restart(i, Config{Self: names[i], Remote: names[1-i]})
				w.step(i, Want{Eager: pick(2) == 0})
			case 1:
				w.step(i, Unwant{})
				w.run(w.some(2 * time.Second))
				w.step(i, Want{Eager: pick(2) == 0})
			case 2:
				w.step(i, Want{Eager: true})
			case 3: // everything between them breaks
				for _, e := range w.end {
					for id, h := range e.sessions {
						w.after(w.some(time.Second), func() { w.fail(e, id, h) })
					}
				}
			case 4: // an evil tracker says something again
				if n := len(w.said[i]); n > 0 {
					w.step(1-i, Remote{Message: w.said[i][pick(n)]})
				}
			}
		}
		w.run(w.some(10 * time.Second))
		w.calm = true
		w.run(90 * time.Second)
		if len(w.faults) == 0 {
			a, b := w.end[0], w.end[1]
			if a.up != b.up || a.up == uuid.Nil {
				w.fault("one end uses %v, the other %v", a.up, b.up)
			}
			for _, e := range w.end {
				if e.m.Sessions() != 1 || len(e.sessions) != 1 {
					w.fault("%s: %d sessions are left, %d in the transport", name(e.i), e.m.Sessions(), len(e.sessions))
				}
				if w.now.Sub(e.changed) < 30*time.Second {
					w.fault("%s: the link changed %v before the end", name(e.i), w.now.Sub(e.changed))
				}
				if e.peak > 12 {
					w.fault("%s: %d sessions at once", name(e.i), e.peak)
				}
			}
		}
		if len(w.faults) > 0 {
			if len(lines) > 150 {
				lines = lines[len(lines)-150:]
			}
			t.Fatalf("seed %d: %s\n%s", seed, strings.Join(w.faults, "\n"), strings.Join(lines, "\n"))
		}
	})
}

func newTestWorld(seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 0))
	return newWorld(func(n int) int { return int(r.Uint64() % uint64(n)) },
		Config{Self: names[0], Remote: names[1]}, Config{Self: names[1], Remote: names[0]})
}

// A peer that can only offer offers, whoever else wants to.
func TestOnlyTheOneThatMustOffers(t *testing.T) {
	for must := range 2 {
		for seed := range uint64(50) {
			r := rand.New(rand.NewPCG(seed, 0))
			w := newWorld(func(n int) int { return int(r.Uint64() % uint64(n)) },
				Config{Self: names[0], Remote: names[1], MustOffer: must == 0, RemoteMustOffer: must == 1},
				Config{Self: names[1], Remote: names[0], MustOffer: must == 1, RemoteMustOffer: must == 0})
			for i := range w.end {
				w.restart(i, w.end[i].m.cfg)
				w.step(i, Want{Eager: true})
			}
			w.run(20 * time.Second)
			w.calm = true
			w.run(60 * time.Second)
			if n := w.end[1-must].offers; n > 0 {
				t.Fatalf("seed %d: the side that must not offer did so %d times", seed, n)
			}
			if w.end[0].up != w.end[1].up || w.end[0].up == uuid.Nil || len(w.faults) > 0 {
				t.Fatalf("seed %d: no link though one side can only offer: %v", seed, w.faults)
			}
		}
	}
}

// Without faults one offer makes a link, and it stays.
func TestCalmPairNeedsOneOffer(t *testing.T) {
	for seed := range uint64(100) {
		w := newTestWorld(seed)
		w.calm = true
		w.step(0, Want{})
		w.step(1, Want{Eager: true})
		w.run(time.Minute)
		if n := w.end[0].offers + w.end[1].offers; n > 2 {
			t.Errorf("seed %d: %d offers for one link", seed, n)
		}
		if w.end[0].up == uuid.Nil || w.end[0].up != w.end[1].up {
			t.Errorf("seed %d: one end uses %v, the other %v", seed, w.end[0].up, w.end[1].up)
		}
	}
}

// Who is killed and started again finds the link that it had gone, however young it is: when its new one is up, the
// other end is on it as soon as it has opened there, and never leaves it again.
func TestTheLinkWithAKilledProcessIsNotKept(t *testing.T) {
	for seed := range uint64(200) {
		for who := range 2 {
			w := newTestWorld(seed)
			w.calm = true
			w.step(0, Want{})
			w.step(1, Want{Eager: true})
			w.run(time.Second + w.some(4*time.Second))
			old := w.end[1-who].up
			w.restart(who, Config{Self: names[who], Remote: names[1-who]})
			w.step(who, Want{Eager: true})
			for n := 0; w.end[who].up == uuid.Nil && n < 5000; n++ {
				w.run(time.Millisecond)
			}
			if w.end[who].up == uuid.Nil {
				t.Fatalf("seed %d: no link 5 s after %s was started again", seed, name(who))
			}
			w.run(400 * time.Millisecond) // until it has opened at the other end
			if up := w.end[1-who].up; up == old || up != w.end[who].up {
				t.Fatalf("seed %d: %s was started again and uses %v, the other %v, and %v before",
					seed, name(who), w.end[who].up, up, old)
			}
			moved := w.now
			w.run(20 * time.Second)
			for _, e := range w.end {
				if e.changed.After(moved) || e.up == uuid.Nil || len(w.faults) > 0 {
					t.Fatalf("seed %d: %s has not kept its link: %v", seed, name(e.i), w.faults)
				}
			}
		}
	}
}

// An offer of an earlier instance that was held back, or is said again, closes nothing.
func TestAnOldOfferClosesNothing(t *testing.T) {
	for _, age := range []time.Duration{time.Second, time.Minute} {
		w := newTestWorld(1)
		w.calm = true
		old := Message{Kind: KindOffer, Session: uuid.UUID{15: 9}, Instance: uuid.UUID{9}, SDP: "sdp", Fingerprint: "fingerprint"}
		w.step(0, Want{})
		w.step(1, Want{Eager: true})
		w.run(age)
		for i, e := range w.end {
			up, changed := e.up, e.changed
			w.step(i, Remote{Message: old})
			w.run(2 * AttemptLife)
			if e.up != up || e.changed != changed || e.m.Sessions() != 1 {
				t.Errorf("%s moved from %v to %v for an old offer, and has %d sessions", name(i), up, e.up, e.m.Sessions())
			}
			w.step(i, Remote{Message: Message{Kind: KindReject, Session: up}})
			if e.up != up {
				t.Errorf("%s gave its link up for a reject", name(i))
			}
		}
	}
}

// A session with a process that is gone opens late: it does not take the place of the one with the new process.
func TestALateSessionOfAnEarlierInstanceIsClosed(t *testing.T) {
	m := New(Config{Self: names[0], Remote: names[1], Instance: uuid.UUID{1}, NewID: uuid.New})
	now := time.Unix(1e9, 0)
	step := func(in Input) (out Output) {
		m.Step(now, in, &out)
		return out
	}
	earlier, later := uuid.UUID{1}, uuid.UUID{2} // by its ID the earlier one would be the link
	step(Want{})
	for i, id := range []uuid.UUID{earlier, later} {
		step(Remote{Message: Message{Kind: KindOffer, Session: id, Instance: uuid.UUID{byte(8 - i)}, SDP: "sdp"}})
		step(Described{Session: id, Description: Description{SDP: "sdp"}})
	}
	step(Opened{Session: later})
	step(Opened{Session: earlier})
	if link, ok := m.Link(); !ok || link != later || m.Sessions() != 1 {
		t.Errorf("the link is %v (%v), with %d sessions: want that of the later instance alone", link, ok, m.Sessions())
	}
}

// A remote peer that offers without end does not make us hold or do much.
func TestFloodOfOffersIsBounded(t *testing.T) {
	w := newTestWorld(1)
	w.calm = true
	w.step(0, Want{})
	var out Output
	accepted := 0
	for i := range 1000 {
		var id uuid.UUID
		id[0], id[1], id[2] = 9, byte(i>>8), byte(i)
		out = Output{}
		w.end[0].m.Step(w.now.Add(time.Duration(i)*time.Millisecond), Remote{Message: Message{Kind: KindOffer, Session: id}}, &out)
		for _, a := range out.Actions {
			if _, ok := a.(Accept); ok {
				accepted++
			}
		}
		if n := w.end[0].m.Sessions(); n > 2*MaxAttempts {
			t.Fatalf("%d sessions after %d offers", n, i)
		}
		if n := len(w.end[0].m.ended); n > maxEnded {
			t.Fatalf("%d ended sessions are remembered", n)
		}
	}
	if accepted > offerBurst+3 {
		t.Errorf("%d of 1000 offers within a second were taken", accepted)
	}
}

// Transcripts tell the main stories. Run with -update to rewrite them, and read the difference.
func TestTranscripts(t *testing.T) {
	stories := []struct {
		file, about string
		play        func(w *world)
	}{
		{"joining", "The impolite side joins and offers; the polite one waits for it.", func(w *world) {
			w.step(0, Want{})
			w.step(1, Want{Eager: true})
			w.run(3 * time.Second)
		}},
		{"glare", "Both offer at once: the polite side gives its own up.", func(w *world) {
			w.step(0, Want{Eager: true})
			w.step(1, Want{Eager: true})
			w.run(3 * time.Second)
		}},
		{"restart", "The polite side restarts and offers while the other believes the old link is up: it moves over.", func(w *world) {
			w.step(0, Want{})
			w.step(1, Want{Eager: true})
			w.run(5 * time.Second)
			w.restart(0, Config{Self: names[0], Remote: names[1]})
			w.step(0, Want{Eager: true})
			w.run(6 * time.Second)
		}},
		{"again", "The polite side is killed and started again at once: the other's young link is dead, and is not kept.", func(w *world) {
			w.step(0, Want{})
			w.step(1, Want{Eager: true})
			w.run(time.Second)
			w.restart(0, Config{Self: names[0], Remote: names[1]})
			w.step(0, Want{Eager: true})
			w.run(6 * time.Second)
		}},
		{"loss", "The link breaks after it was well: the impolite side offers at once.", func(w *world) {
			w.step(0, Want{Eager: true})
			w.step(1, Want{})
			w.run(15 * time.Second)
			for _, e := range w.end {
				for id, h := range e.sessions {
					w.fail(e, id, h)
				}
			}
			w.run(3 * time.Second)
		}},
		{"deaf", "The other side never answers: attempts in parallel, at most three, ever more rarely.", func(w *world) {
			w.step(1, Want{Eager: true})
			w.end[0].m.canOffer = false
			w.step(0, Unwant{})
			w.run(time.Minute)
		}},
	}
	for _, s := range stories {
		t.Run(s.file, func(t *testing.T) {
			w := newTestWorld(1)
			w.calm = true
			var b strings.Builder
			fmt.Fprintf(&b, "# %s\n", s.about)
			w.log = func(line string) {
				fmt.Fprintf(&b, "%7.3f %s\n", w.now.Sub(time.Unix(1e9, 0)).Seconds(), line)
			}
			s.play(w)
			machinetest.Transcript(t, s.file, b.String())
			for _, f := range w.faults {
				t.Error(f)
			}
		})
	}
}
