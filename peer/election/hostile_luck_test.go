package election

import (
	"testing"
	"time"
)

// This file is bad luck: slow networks, machines that sleep, disks that forget.

// One peer's connection breaks, on a network as slow as the Internet may be. The others vouch for the tracker, and
// nobody takes the lead from it, though every answer takes a fifth of a second.
func TestOneBrokenConnectionOnASlowNetwork(t *testing.T) {
	for seed := range uint64(20) {
		for _, home := range []bool{true, false} {
			for who := range 4 {
				w := newWorld(t, seed)
				w.delay = time.Duration(5+5*seed) * time.Millisecond // one way, or up to twice that
				p := people(w, "ann bob cyd dan eve")
				if home {
					atHome(w)
				} else {
					hosted(w, p[0])
				}
				w.run(10 * time.Second)
				term := p[1].m.term
				victim := p[1+who]
				delete(w.trackerOf(victim.target).clients, victim.i)
				victim.joined = false
				victim.step(Suspect{Closed: true})
				w.run(3 * time.Second)
				if p[1].m.term != term {
					t.Errorf("home %v, seed %d, %v: because the connection of %s broke, the term went from %d to %d", home, seed, w.delay, victim.name, term, p[1].m.term)
				}
			}
		}
	}
}

// The machine of the leader, or of another, sleeps for an hour. When it wakes it deposes nobody who has led meanwhile.
func TestAMachineSleeps(t *testing.T) {
	for _, who := range []int{0, 1, 2} {
		w := newWorld(t, 9)
		p := people(w, "ann bob cyd dan")
		hosted(w, p[0])
		w.note("%s sleeps", p[who].name)
		sleeper := p[who]
		w.split(sleeper)
		sleeper.alive = false // nothing happens there
		w.run(time.Hour)
		sleeper.alive = true
		var led *node
		for _, n := range p {
			if n != sleeper && n.m.leading {
				led = n
			}
		}
		if led == nil {
			t.Fatal("nobody leads meanwhile")
		}
		term := led.m.term
		sleeper.step(Tick{}) // its clock jumps by an hour
		sleeper.step(Suspect{})
		w.run(5 * time.Second) // it sees that its links are dead
		w.heal([][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}})
		w.run(10 * time.Second)
		if led.m.term > term+1 { // ann may get the lead back, because she is better
			t.Errorf("after %s woke, the term went from %d to %d", sleeper.name, term, led.m.term)
		}
		w.run(2 * time.Minute)
		if why := w.agreed(); why != "" {
			t.Errorf("two minutes after %s woke, %s", sleeper.name, why)
		}
	}
}

// wantBack starts n again, links it with all others, and checks that all agree after a while.
func wantBack(t *testing.T, w *world, n *node) {
	t.Helper()
	w.restart(n)
	for _, o := range w.nodes {
		if o != n {
			w.link(n, o)
		}
	}
	w.run(10 * time.Second)
	if why := w.agreed(); why != "" {
		t.Errorf("ten seconds after the restart of %s, %s", n.name, why)
	}
}

// A peer that crashed before it could say what it had written down is not believed less for it, nor more.
func TestACrashBetweenWritingAndSaying(t *testing.T) {
	w := newWorld(t, 10)
	p := people(w, "ann bob cyd")
	hosted(w, p[0])
	w.kill(p[1])
	p[1].term = p[0].m.term + 7 // written, and told nobody
	wantBack(t, w, p[1])
}

// Nobody may host, and the home tracker is gone for a while: they wait for it, and ask each other more and more seldom.
func TestNobodyMayHost(t *testing.T) {
	w := newWorld(t, 11)
	p := people(w, "(ann) (bob) (cyd) (dan)")
	atHome(w)
	w.killHome()
	w.run(10 * time.Second)
	clear(w.sent)
	w.run(time.Minute)
	if n := w.sent["summary"]; n > 60*len(p) {
		t.Errorf("four peers without a tracker send %d summaries a minute", n)
	}
	w.startHome()
	w.run(10 * time.Second)
	for _, n := range p {
		if n.m.suspect || !n.joined {
			t.Errorf("%s does not find back to the home tracker: %+v", n.name, n.m.State())
		}
	}
}

// Waiting by rank keeps an election cheap on a slow network, too: the best one is heard before the next one speaks.
func TestASlowNetworkCostsNoMoreMessages(t *testing.T) {
	worst := 0
	for seed := range uint64(5) {
		w := crowd(t, seed, 100, 6, 20, false)
		w.delay = 50 * time.Millisecond
		w.run(75 * time.Second) // until it has been measured
		messages, last := w.fall(false)
		if last == 0 {
			t.Errorf("seed %d: not everybody knew the new leader after 3 s", seed)
		}
		worst = max(worst, messages)
	}
	if worst > 300 {
		t.Errorf("an election of 100 peers on a slow network took %d messages, more than 3 × 100", worst)
	}
}

// A term that was written down when the clock was ahead of its time, or by somebody else, does not part a peer from the
// others.
func TestATermThatNobodyBelievesIsForgotten(t *testing.T) {
	w := newWorld(t, 12)
	p := people(w, "ann bob cyd")
	hosted(w, p[0])
	w.kill(p[1])
	p[1].term = 1 << 50
	w.fail = func(string, ...any) {} // of course it falls
	wantBack(t, w, p[1])
}
