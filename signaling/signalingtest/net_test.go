package signalingtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// ear is what a NetClient has heard.
type ear struct {
	*NetClient
	mu  sync.Mutex
	all []signaling.ClientEvent
}

// take waits until all is quiet, and returns what was heard since the last time.
func (e *ear) take() []signaling.ClientEvent {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.all
	e.all = nil
	return all
}

// last is the last event of its type among those, and whether there is one.
func last[T signaling.ClientEvent](all []signaling.ClientEvent) (m T, ok bool) {
	for _, e := range slices.Backward(all) {
		if m, ok = e.(T); ok {
			return m, true
		}
	}
	return m, false
}

func newEars(t *testing.T, n *Net, count int, named ...string) []*ear {
	var ears []*ear
	for i := range count {
		e := new(ear)
		name := fmt.Sprintf("p%d", i)
		e.NetClient = n.NewClient(NetPeer{ID: wire.PeerID{byte(i + 1)}, Name: name, Host: name, Named: named},
			func(ev signaling.ClientEvent) {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.all = append(e.all, ev)
			})
		e.Join("x")
		ears = append(ears, e)
		t.Cleanup(func() {
			if err := e.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return ears
}

// TestNetLivesThroughATakeOver kills the tracker, has a peer take over, hangs and cuts off others, and goes home again.
func TestNetLivesThroughATakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		defer n.Close()
		p := newEars(t, n, 3, "home")
		p[0].Start()
		time.Sleep(50 * time.Millisecond)
		if _, ok := last[signaling.NoneFound](p[0].take()); !ok {
			t.Error("where there is no tracker, none is found")
		}
		n.Start("home")
		for _, e := range p[1:] {
			e.Start()
		}
		time.Sleep(time.Second)
		for _, e := range p {
			all := e.take()
			if s, _ := last[signaling.StateChanged](all); s.State != signaling.Connected || s.URL != TrackerURL("home") || !s.Named {
				t.Errorf("%s is at home, got %+v", e.host, s)
			}
			if o, _ := last[signaling.Offered](all); !o.Candidate || !o.Dialable {
				t.Errorf("%s can host, got %+v", e.host, o)
			}
		}
		n.Kill("home")
		for _, e := range p {
			if s, _ := last[signaling.StateChanged](e.take()); s.State != signaling.Lost || !s.Closed {
				t.Errorf("%s sees the connection close, got %+v", e.host, s)
			}
		}
		// p0 takes over, and the others follow.
		a := signaling.Target{Leader: p[0].id, Term: 1, URLs: []string{TrackerURL("p0")}}
		p[0].Lead(signaling.Lead{Term: 1, Leader: p[0].id, Proof: []byte("1"), Members: []signaling.Restored{{Peer: p[1].id, Name: "p1", Rooms: []wire.Room{"x"}}}})
		p[1].Follow(a)
		p[2].Follow(a)
		time.Sleep(10 * time.Millisecond)
		for i, e := range p {
			all := e.take()
			if s, _ := last[signaling.StateChanged](all); s.State != signaling.Connected || s.Leader != p[0].id || s.Term != 1 ||
				string(s.Proof) != "1" || s.Hosting != (i == 0) {
				t.Errorf("%s is at p0's tracker, got %+v", e.host, s)
			}
			if j, _ := last[signaling.Joined](all); j.Room != "x" {
				t.Errorf("%s is in its room again, got %+v", e.host, j)
			}
		}
		// It hangs: that takes a while to be seen. When it goes on, they come back.
		n.Hang("p0", true)
		time.Sleep(netSilence + time.Millisecond)
		if s, _ := last[signaling.StateChanged](p[1].take()); s.State != signaling.Lost || s.Closed {
			t.Errorf("a tracker that is silent is lost, got %+v", s)
		}
		n.Hang("p0", false)
		time.Sleep(10 * time.Second)
		if s, _ := last[signaling.StateChanged](p[1].take()); s.State != signaling.Connected {
			t.Errorf("p1 comes back, got %+v", s)
		}
		// A cut is silence, too, on both sides.
		n.Cut("p2")
		time.Sleep(netSilence + time.Millisecond)
		if s, _ := last[signaling.StateChanged](p[2].take()); s.State != signaling.Lost || s.Closed {
			t.Errorf("who is cut off loses the tracker, got %+v", s)
		}
		time.Sleep(4 * time.Second) // it might have come back
		if m, ok := last[signaling.MemberLeft](p[1].take()); !ok || m.Peer != p[2].id {
			t.Errorf("p2 has left the others, got %+v", m)
		}
		p[2].Lead(signaling.Lead{Term: 2, Leader: p[2].id, Proof: []byte("2")})
		p[2].Scout([]string{TrackerURL("p0")})
		time.Sleep(time.Second)
		if got := n.Serving(); !slices.Equal(got, []string{"p0", "p2"}) {
			t.Errorf("both sides have a tracker, got %q", got)
		}
		n.Heal()
		time.Sleep(time.Second)
		if m, ok := last[signaling.Met](p[2].take()); !ok || m.Leader != p[0].id || string(m.Proof) != "1" {
			t.Errorf("p2 meets p0, got %+v", m)
		}
		if m, ok := last[signaling.Met](p[0].take()); !ok || string(m.Proof) != "2" {
			t.Errorf("p0 hears of p2, got %+v", m)
		}
		b := signaling.Target{Leader: p[2].id, Term: 2, URLs: []string{TrackerURL("p2")}}
		p[0].StepDown(b)
		time.Sleep(10 * time.Millisecond)
		for _, e := range p {
			s, ok := last[signaling.StateChanged](e.take())
			if e != p[2] && (!ok || s.State != signaling.Connected || s.Leader != p[2].id) {
				t.Errorf("%s was sent to p2, got %+v", e.host, s)
			}
		}
		// Home is back, and is told the term.
		n.Start("home")
		time.Sleep(time.Second)
		if m, ok := last[signaling.Met](p[2].take()); !ok || !m.Leader.IsZero() || m.Term != 2 {
			t.Errorf("home is seen, at the term of who saw it, got %+v", m)
		}
		n.Kill("home")
		time.Sleep(time.Second)
		if _, ok := last[signaling.HomeGone](p[2].take()); !ok {
			t.Error("home is gone again")
		}
		n.Kill("p2")
		if s, _ := last[signaling.StateChanged](p[0].take()); s.State != signaling.Lost || !s.Closed {
			t.Errorf("p0 sees p2 die, got %+v", s)
		}
		if all := p[2].take(); len(all) > 0 {
			t.Errorf("the dead say nothing, got %v", all)
		}
	})
}
