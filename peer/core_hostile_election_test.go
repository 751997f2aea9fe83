//go:build !race

package peer

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/election"
	"peerchat/peer/wire"
	"peerchat/signaling"
)

// leads is s's announcement that it leads a term, or that the home tracker does, at these addresses; signed.
func (s stranger) leads(term uint64, rank election.Rank, addresses ...string) []byte {
	rank.Firm, rank.ID = true, s.id
	return s.signed(&election.Coordinator{Reign: election.Reign{Term: term, Seq: 1, Rank: rank}, Addresses: addresses})
}

// stands is s's announcement that it is a candidate.
func (s stranger) stands(rank election.Rank, addresses ...string) []byte {
	rank.ID = s.id
	return s.signed(&election.Candidate{Peer: s.id, Seq: 1, Rank: rank, Addresses: addresses})
}

// signed encodes an election message with an empty route, and signs it as the comment of election.Message says.
func (s stranger) signed(m election.Message) []byte {
	b, err := election.AppendMessage(nil, m)
	if err != nil {
		panic(err)
	}
	body := 3 // after the type and the route
	if _, ok := m.(*election.Candidate); ok {
		body += 2 // and the age
	}
	text := append([]byte("peerchat election v1\x00"), b[0])
	text = append(text, b[body:len(b)-ed25519.SignatureSize]...)
	copy(b[len(b)-ed25519.SignatureSize:], ed25519.Sign(s.key, text))
	return b
}

// follows reports whether p believes that s is the tracker.
func (p *simPeer) follows(s stranger) bool { return p.core.elections.state.Leader == s.id }

// ops is what p's core wants done when this happens. Nobody does it.
func (p *simPeer) ops(in Input) []Op {
	var out CoreOutput
	p.core.Step(p.w.now, in, &out)
	return out.Ops
}

func opsOf[T Op](ops []Op) (list []T) {
	for _, op := range ops {
		if o, ok := op.(T); ok {
			list = append(list, o)
		}
	}
	return list
}

// A leader that says of itself that nobody can dial it, and that indeed nobody reaches, is replaced where there is a
// candidate that can be dialled.
func TestALeaderInTheMeshThatNobodyReaches(t *testing.T) {
	w := newElectorate(11, 4, false)
	s := newStranger(1)
	w.peers[1].step(signaling.Met{Proof: s.leads(w.leading().own.term+1, election.Rank{}, "ws://nowhere/ws")})
	w.run(100 * time.Millisecond)
	if !w.peers[1].follows(s) || !w.peers[2].follows(s) {
		t.Fatal("nobody follows the stranger, so this tests nothing")
	}
	w.run(20 * time.Second)
	wantOneTracker(t, w, 11, "20 s after a leader was announced that nobody reaches")
}

// Two processes with one identity throw each other out of the tracker. The one that was thrown out stays away, and the
// election does not send it back.
func TestWhoWasReplacedDoubtsNoTracker(t *testing.T) {
	w := newElectorate(12, 3, true)
	p := w.peers[0]
	ops := p.ops(signaling.StateChanged{State: signaling.Lost, Closed: true, Replaced: true})
	for range 200 {
		w.now = w.now.Add(50 * time.Millisecond)
		ops = append(ops, p.ops(Tick{})...)
		for _, other := range w.peers[1:] {
			if l := p.core.links[other.id]; l != nil && l.up {
				ops = append(ops, p.ops(encoded(l.session, wire.Election{Data: []byte{7, 0, 0, 0, 0, 0, 0, 0, 0, byte(election.Alive)}}))...)
			}
		}
	}
	if n := len(opsOf[opRedial](ops)); n > 0 {
		t.Errorf("it came back %d times, and replaced its twin each time", n)
	}
	if p.core.elections.state.Phase == election.PhaseElecting {
		t.Error("it holds an election, because it was replaced")
	}
}

// Whoever leads says where, and everybody dials that: it must be an address of a tracker, as peers have them.
func TestALeadersAddressesAreLookedAt(t *testing.T) {
	w := newElectorate(13, 3, false)
	s := newStranger(2)
	p := w.peers[1]
	bad := []string{"http://10.0.0.1/", "ws://10.0.0.1:631/admin/restart", "wss://10.0.0.1/ws/../x", "nonsense:0", "10.0.0.1:22/x"}
	ops := p.ops(signaling.Met{Proof: s.leads(w.leading().own.term+1, election.Rank{Dialable: true}, append(bad, "ws://10.0.0.2:5000/ws")...)})
	follows := opsOf[opFollow](ops)
	if len(follows) != 1 || !slices.Equal(follows[0].target.URLs, []string{"ws://10.0.0.2:5000/ws"}) {
		t.Errorf("it goes to %+v, want the only address that is one", follows)
	}
	for _, l := range p.core.linkIDs() {
		if l := p.core.links[l]; l.up {
			p.ops(encoded(l.session, wire.Election{Data: s.stands(election.Rank{Dialable: true, Priority: 100}, bad...)}))
		}
	}
	var out CoreOutput
	p.core.Step(w.now, Invite{Ref: 1, Room: general}, &out)
	for _, a := range out.Events[0].(Answer).Value.(InviteAnswer).Addresses {
		if slices.Contains(bad, a) {
			t.Errorf("the invitation names %q, which is no tracker's address", a)
		}
	}
}

// A home tracker is looked for by those whom it has answered: else one announcement would have all peers knock at
// somebody's door for ever.
func TestNobodyKnocksAtAHomeThatNeverAnswered(t *testing.T) {
	w := newElectorate(14, 4, false)
	s := newStranger(3)
	const victim = "ws://10.9.9.9:80/ws"
	w.peers[1].step(signaling.Met{Proof: s.leads(w.leading().own.term+1, election.Rank{Home: true, Dialable: true}, victim)})
	w.run(100 * time.Millisecond)
	if !w.peers[2].core.elections.state.Home {
		t.Fatal("nobody believes that there is a home tracker, so this tests nothing")
	}
	w.run(30 * time.Second)
	wantOneTracker(t, w, 14, "30 s after somebody spoke for a home tracker that is none")
	for _, p := range w.peers {
		if slices.Contains(p.client.scout, victim) {
			t.Errorf("%s looks for a tracker at %s, which never was one", p.name, victim)
		}
	}
}

// A sign of life of the tracker that a peer is still connected to says nothing of the one that it follows by now.
func TestASignOfLifeIsOfTheTrackerItCameFrom(t *testing.T) {
	w := newElectorate(15, 3, false)
	s := newStranger(4)
	l := w.leading()
	p := w.peers[slices.IndexFunc(w.peers, func(p *simPeer) bool { return p != l })]
	term := l.own.term + 1
	p.ops(signaling.Met{Proof: s.leads(term, election.Rank{Dialable: true}, "ws://nowhere/ws")})
	p.ops(signaling.Pong{})
	if !p.follows(s) {
		t.Fatal("it does not follow the stranger, so this tests nothing")
	}
	ask := []byte{6, 0, 0, 0, 0, 0, 0, 0, byte(term)}
	ops := p.ops(encoded(p.core.links[l.id].session, wire.Election{Data: append(ask, s.id[:]...)}))
	if len(opsOf[opPing](ops)) > 0 {
		t.Error("asked whether it hears the stranger's tracker, it asks the one that it is connected to")
	}
}

// What liars say reaches the screen now and then, and without anything that a terminal would obey.
func TestLiesReachTheScreenNowAndThen(t *testing.T) {
	w := newElectorate(16, 3, true)
	p := w.peers[0]
	since := len(p.events)
	for i := range 500 {
		s := newStranger(100 + i)
		p.step(signaling.Met{Proof: s.leads(1<<52, election.Rank{Dialable: true}, "ws://x/ws")})
		p.step(signaling.Met{Proof: append(s.leads(5, election.Rank{}), 0)})
		bad := s.leads(5, election.Rank{Dialable: true}, "ws://x/ws")
		bad[len(bad)-1] ^= 1
		p.step(signaling.Met{Proof: bad})
	}
	n := p.told(since, func(ev Event) bool { _, tracker := ev.(TrackerChanged); return isFailure(ev) || tracker })
	if n > 40 {
		t.Errorf("1,500 lies are told %d times, want a few", n)
	}
	for _, ev := range p.events[since:] {
		if f, ok := ev.(Failure); ok && strings.ContainsFunc(f.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("a control character reaches the screen: %q", f.Text)
		}
	}
	w.run(time.Second)
	wantOneTracker(t, w, 16, "after the lies")
}

// Ever new identities each take the lead once. The peers move about, but not more often than the election lets them,
// and when it is over they have one tracker.
func TestAMobThatTakesTheLeadAllTheTime(t *testing.T) {
	w := newElectorate(17, 4, false)
	since := make([]int, len(w.peers))
	for i, p := range w.peers {
		since[i] = len(p.events)
	}
	for i := range 300 {
		s := newStranger(1000 + i)
		p := w.peers[i%len(w.peers)]
		p.step(signaling.Met{Proof: s.leads(p.core.elections.state.Term+1, election.Rank{Dialable: true, Priority: 1000}, "ws://nowhere/ws")})
		w.run(100 * time.Millisecond)
	}
	for i, p := range w.peers {
		if n := p.told(since[i], func(ev Event) bool { _, ok := ev.(TrackerChanged); return ok }); n > 300 {
			t.Errorf("%s was told %d times in 30 s how it stands with the tracker", p.name, n)
		}
	}
	w.run(40 * time.Second)
	wantOneTracker(t, w, 17, "when it is over")
	wantSame(t, w, general, 17)
}
