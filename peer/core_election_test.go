//go:build !race

package peer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/election"
	"peerchat/signaling"
)

// newElectorate is a world of peers that may be trackers, after they have met.
func newElectorate(seed uint64, peers int, home bool) *world {
	w := newWorld(seed, peers, general)
	w.hosts, w.home.up = true, home
	w.run(8 * time.Second)
	return w
}

// oneTracker says what is not as it should be: every living peer is connected to one and the same tracker.
func (w *world) oneTracker() string {
	var hosts []string
	for _, t := range w.trackers() {
		if t.up && (t.leader == nil || !t.leader.dead) {
			hosts = append(hosts, t.url)
		}
	}
	if len(hosts) != 1 {
		return fmt.Sprintf("%d trackers serve: %v", len(hosts), hosts)
	}
	for _, p := range w.peers {
		if p.dead {
			continue
		}
		if p.client.at == nil || p.client.at.url != hosts[0] {
			return fmt.Sprintf("%s is not connected to %s", p.name, hosts[0])
		}
		state := p.core.tracker
		want := TrackerConnected
		if p.client.at.leader == p {
			want = TrackerHosting
		}
		if state.State != want || state.Term != p.client.at.term {
			return fmt.Sprintf("%s is told %q, term %d, of its tracker: want %q, term %d", p.name, state.State, state.Term, want, p.client.at.term)
		}
	}
	return ""
}

func wantOneTracker(t interface {
	Helper()
	Errorf(string, ...any)
}, w *world, seed uint64, when string) {
	t.Helper()
	if why := w.oneTracker(); why != "" {
		t.Errorf("seed %d: %s: %s", seed, when, why)
	}
}

func (w *world) leading() *simPeer {
	i := slices.IndexFunc(w.peers, func(p *simPeer) bool { return !p.dead && p.own.up })
	if i < 0 {
		return nil
	}
	return w.peers[i]
}

// took lets time pass until there is one tracker, and tells how long that was.
func (w *world) took(most time.Duration) time.Duration {
	from := w.now
	for w.oneTracker() != "" && w.now.Sub(from) < most {
		w.run(5 * time.Millisecond)
	}
	return w.now.Sub(from)
}

func TestKillsOfTheTrackerInARow(t *testing.T) {
	for seed := range uint64(5) {
		w := newElectorate(seed, 6, true)
		wantOneTracker(t, w, seed, "at first")
		w.setTracker(false)
		talk := func() {
			for _, p := range w.peers {
				if !p.dead {
					p.sayNext()
				}
			}
		}
		for kill := range 10 {
			talk()
			w.run(time.Millisecond)
			if took := w.took(2 * time.Second); took > 400*time.Millisecond {
				t.Errorf("seed %d: after kill %d there was one tracker for all after %v: want it well below a second", seed, kill, took)
			}
			wantOneTracker(t, w, seed, fmt.Sprint("after kill ", kill))
			talk()
			w.run(3 * time.Second)
			// Who was killed before comes as a newcomer, and is admitted by the new tracker.
			w.revive()
			w.run(8 * time.Second)
			wantOneTracker(t, w, seed, fmt.Sprint("with the newcomer after kill ", kill))
			wantSame(t, w, general, seed)
			for _, p := range w.peers {
				if n := p.core.net().Linked; n != len(w.peers)-1 {
					t.Errorf("seed %d: after kill %d %s is linked with %d others: want %d", seed, kill, p.name, n, len(w.peers)-1)
				}
			}
			if l := w.leading(); l != nil {
				l.kill()
			}
			if t.Failed() {
				return
			}
		}
	}
}

func TestHalvesElectAndMerge(t *testing.T) {
	for seed := range uint64(5) {
		w := newElectorate(seed, 6, false)
		wantOneTracker(t, w, seed, "at first")
		half := func(p *simPeer) bool { return p.n%2 == 0 }
		for _, a := range w.peers {
			for _, b := range w.peers {
				if half(a) != half(b) {
					w.cutLink(a.n, b.n, true)
				}
			}
		}
		w.run(20 * time.Second)
		serving := 0
		for _, tr := range w.trackers() {
			if tr.up {
				serving++
			}
		}
		if serving != 2 {
			t.Errorf("seed %d: %d trackers serve while the network is in halves: want one in each", seed, serving)
		}
		for _, p := range w.peers {
			p.say(general, p.name+" in its half")
		}
		w.run(time.Second)
		clear(w.cut)
		if took := w.took(10 * time.Second); took > 2*time.Second {
			t.Errorf("seed %d: after the heal there was one tracker after %v: want it within 2 s", seed, took)
		}
		w.run(30 * time.Second)
		wantOneTracker(t, w, seed, "after the heal")
		wantSame(t, w, general, seed)
	}
}

func TestTheHomeTrackerReturns(t *testing.T) {
	for seed := range uint64(5) {
		w := newElectorate(seed, 5, true)
		w.setTracker(false)
		w.run(5 * time.Second)
		wantOneTracker(t, w, seed, "without the home tracker")
		elected := w.leading()
		if elected == nil {
			t.Fatalf("seed %d: nobody leads", seed)
		}
		w.home.term = 0
		w.setTracker(true)
		w.run(10 * time.Second)
		wantOneTracker(t, w, seed, "with the home tracker back")
		if w.leading() != nil || w.home.term < 2 {
			t.Errorf("seed %d: the home tracker is back, but has term %d, and %v leads", seed, w.home.term, w.leading())
		}
		if n := len(w.home.members[general]); n != 5 {
			t.Errorf("seed %d: the home tracker, which came back empty, has %d members: want all 5", seed, n)
		}
		for _, p := range w.peers {
			for _, e := range p.events {
				if l, ok := e.(LinkChanged); ok && !l.Up {
					t.Errorf("seed %d: %s lost the link with %s: %s", seed, p.name, l.Person.Name, l.Reason)
				}
			}
		}
	}
}

// Who leads is known before its name is: whoever comes in is told that when it comes.
func TestTheNameOfTheTrackerIsTold(t *testing.T) {
	for _, how := range []string{"with the members of a room", "as one that joins"} {
		w := newWorld(3, 0)
		p, l := w.addPeer(), w.addPeer()
		p.start(general)
		p.step(signaling.StateChanged{State: signaling.Connected, URL: "ws://p1/ws", Leader: l.id, Term: 3})
		m := signaling.Member{Peer: l.id, Name: l.name}
		if how == "as one that joins" {
			p.step(signaling.Joined{Room: general, Count: 1})
			p.step(signaling.MemberJoined{Room: general, Member: m, Count: 2})
		} else {
			p.step(signaling.Joined{Room: general, Members: []signaling.Member{m}, Count: 2})
		}
		told := ""
		for _, e := range p.events {
			if c, ok := e.(TrackerChanged); ok {
				told = c.Name
			}
		}
		if told != l.name {
			t.Errorf("%s: it is told that the tracker is called %q, want %q", how, told, l.name)
		}
	}
}

func TestWhoLeavesLosesNoTracker(t *testing.T) {
	w := newElectorate(3, 1, false)
	l := w.leading()
	l.events = nil
	l.step(Resign{})
	w.run(time.Second)
	if l.core.Resigning() || l.own.up {
		t.Errorf("%s still leads a second after it resigned, and nobody else is there", l.name)
	}
	l.step(Shutdown{})
	for _, e := range l.events {
		if c, ok := e.(TrackerChanged); ok {
			t.Errorf("who leaves, and is the tracker, is told %+v", c)
		}
	}
}

func TestALeaderThatLeavesHandsOver(t *testing.T) {
	w := newElectorate(3, 5, false)
	l := w.leading()
	term := l.own.term
	for _, p := range w.peers {
		p.events = nil
	}
	l.step(Resign{})
	for range 400 {
		if !l.core.Resigning() {
			break
		}
		w.run(5 * time.Millisecond)
	}
	if l.core.Resigning() || l.own.up {
		t.Fatalf("%s still leads 2 s after it resigned", l.name)
	}
	l.step(Shutdown{})
	l.kill()
	w.run(time.Second)
	wantOneTracker(t, w, 3, "after the leader left")
	if n := w.leading(); n == nil || n.own.term <= term {
		t.Errorf("the successor's term is not above %d", term)
	}
	for _, p := range w.peers {
		for _, e := range p.events {
			if c, ok := e.(TrackerChanged); ok && (c.State == TrackerElecting || c.State == TrackerLost) {
				t.Errorf("%s is told %+v, though the leader handed over and nothing was lost", p.name, c)
			}
		}
	}
}

func TestOnlyOnePeerLosesTheTracker(t *testing.T) {
	w := newElectorate(4, 5, true)
	w.cutLink(2, homeNumber, true)
	w.run(20 * time.Second)
	for _, p := range w.peers {
		if p.own.up {
			t.Errorf("%s became the tracker, though only p2 cannot reach the home tracker", p.name)
		}
	}
	w.cutLink(2, homeNumber, false)
	w.run(10 * time.Second)
	wantOneTracker(t, w, 4, "when p2 reaches it again")
}

func TestAHungTrackerIsReplaced(t *testing.T) {
	w := newElectorate(5, 5, true)
	w.home.hung = true
	w.run(6 * time.Second)
	w.home.up = false // only so that the check counts what works
	wantOneTracker(t, w, 5, "after the tracker hung")
}

func TestTwoHostsMerge(t *testing.T) {
	for seed := range uint64(5) {
		w := newWorld(seed, 2, general)
		w.hosts, w.home.up = true, false
		w.cutLink(0, 1, true)
		w.run(5 * time.Second)
		for _, p := range w.peers {
			if !p.own.up {
				t.Errorf("seed %d: %s, alone, does not host", seed, p.name)
			}
		}
		clear(w.cut)
		w.run(10 * time.Second)
		wantOneTracker(t, w, seed, "when the two see each other")
		if n := w.peers[0].core.net().Linked; n != 1 {
			t.Errorf("seed %d: the two are not linked", seed)
		}
	}
}

// TestThereIsOneTrackerWhateverHappens kills, freezes, cuts, heals and restarts at random. When all is quiet there must
// be one tracker that everybody is connected to, and nothing said is missing.
func TestThereIsOneTrackerWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		n := rapid.IntRange(2, 6).Draw(t, "peers")
		w := newElectorate(seed, n, rapid.Bool().Draw(t, "home"))
		for range rapid.IntRange(3, 20).Draw(t, "steps") {
			a := w.rand.IntN(n)
			b := (a + 1 + w.rand.IntN(n)) % (n + 1)
			if b == n {
				b = homeNumber
			}
			switch what := rapid.SampledFrom([]string{"say", "kill", "leader", "return", "cut", "heal", "tracker", "hang"}).Draw(t, "what"); what {
			case "leader":
				if l := w.leading(); l != nil {
					l.kill()
				}
			case "hang":
				w.home.hung = !w.home.hung
			default:
				w.happens(what, a, b)
			}
			w.run(w.delay(3000))
		}
		w.revive()
		clear(w.cut)
		w.home.hung = false
		w.run(90 * time.Second)
		wantOneTracker(t, w, seed, "at the end")
		wantSame(t, w, general, seed)
	})
}

func TestInviteNamesTheTrackerAndThoseWhoCouldReplaceIt(t *testing.T) {
	w := newElectorate(6, 3, true)
	p := w.peers[0]
	p.events = nil
	p.step(Invite{Ref: 1, Room: general})
	a, ok := p.events[0].(Answer).Value.(InviteAnswer)
	if !ok || len(a.Addresses) != 4 || a.Addresses[0] != w.home.url {
		t.Errorf("the invitation is %+v: want the home tracker first, then three candidates", a)
	}
	net := p.core.net()
	if len(net.Candidates) != 3 || net.Candidates[0].Place != 1 || !net.Candidates[0].Dialable {
		t.Errorf("/net lists %+v: want three dialable candidates", net.Candidates)
	}
}

// Nothing that a tracker says of its leader is believed without a signature, and nothing of it stops the Core.
func TestATrackersWordIsChecked(t *testing.T) {
	w := newElectorate(7, 3, true)
	p := w.peers[0]
	for _, proof := range [][]byte{{}, {1}, make([]byte, 5000), []byte("not an announcement")} {
		p.step(signaling.Met{URLs: []string{"ws://x/ws"}, Term: 1 << 40, Leader: w.peers[1].id, Proof: proof})
	}
	w.run(time.Second)
	wantOneTracker(t, w, 7, "after lies of a tracker")
}

// Somebody alone meets a tracker that its leader has left before this one gets there. Nobody is linked who could lead
// instead, or tell who does, and the one that was met said of itself that it cannot be dialled: it is not waited for,
// but hosted for again.
func TestALeaderThatIsNotThereIsNotWaitedFor(t *testing.T) {
	w := newWorld(3, 1, general)
	w.hosts, w.home.up = true, false
	w.run(10 * time.Second)
	p := w.peers[0]
	if !p.own.up {
		t.Fatal("somebody alone does not host, so this tests nothing")
	}
	p.step(signaling.Offered{Candidate: true, Port: 5000, Addresses: []string{p.own.url}}) // as long as nobody has dialled it back
	p.step(signaling.Met{Proof: newStranger(9).leads(p.core.elections.state.Term+1, election.Rank{}, "ws://10.0.0.9:5000/ws")})
	if p.own.up {
		t.Fatal("it does not step down for the one that it met, so this tests nothing")
	}
	w.run(time.Minute)
	if !p.own.up {
		t.Errorf("it waits for one that is not there: %+v", p.core.elections.state)
	}
}
