//go:build !race

package peer

import (
	"testing"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/wire"
)

// ends counts the ends of links that came up and went down in this life of p; with only, those that lead to one of
// them.
func (p *simPeer) ends(only ...*simPeer) (ups, downs int) {
	wanted := map[wire.PeerID]bool{}
	for _, o := range only {
		wanted[o.id] = true
	}
	for _, e := range p.events {
		if l, ok := e.(LinkChanged); ok && (len(only) == 0 || wanted[l.Person.Peer]) {
			if l.Up {
				ups++
			} else {
				downs++
			}
		}
	}
	return ups, downs
}

func (w *world) ends() (ups, downs int) {
	for _, p := range w.peers {
		u, d := p.ends()
		ups, downs = ups+u, downs+d
	}
	return ups, downs
}

// When many come at once, few links are made in vain; once they are there, no link is made or given up any more.
func TestARoomThatStandsStillChangesNoLinks(t *testing.T) {
	for i, n := range []int{7, 9, 12, 24} {
		seed := uint64(i)
		w := newWorld(seed, n, general)
		w.run(20 * time.Second)
		ups, downs := w.ends()
		if kept := ups - downs; ups > 2*kept {
			t.Errorf("seed %d: %d who joined at once made %d ends of links and kept %d, want at most twice as many", seed, n, ups, kept)
		}
		w.run(time.Minute)
		if u, d := w.ends(); u != ups || d != downs {
			t.Errorf("seed %d: while %d stood still, %d ends of links were made and %d given up", seed, n, u-ups, d-downs)
		}
		wantKnown(t, w, general, seed, "at the end")
		if n > looseRoom {
			wantFewLinks(t, w, 7, seed, "at the end")
		}
	}
}

// Around the size at which a room needs no link between every two, coming and going costs those who stay nothing.
func TestComingAndGoingAroundSixCostsOthersNoLinks(t *testing.T) {
	for _, guests := range []int{1, 2} {
		w := newWorld(5, 6+guests)
		w.run(time.Second)
		stay := w.peers[:6]
		for _, p := range stay {
			p.step(JoinRoom{Room: general})
		}
		w.run(20 * time.Second)
		for range 4 {
			for _, p := range w.peers[6:] {
				p.step(JoinRoom{Room: general})
			}
			w.run(30 * time.Second)
			for _, p := range w.peers[6:] {
				p.step(LeaveRoom{Room: general})
			}
			w.run(30 * time.Second)
		}
		for _, p := range stay {
			if ups, downs := p.ends(stay...); ups != 5 || downs != 0 {
				t.Errorf("with %d coming and going %s made %d links to those who stay and lost %d, want 5 and none", guests, p.name, ups, downs)
			}
		}
	}
}

// A link that was of no use for a while, and that the overlay asks for again before it is closed, stays.
func TestALinkThatIsNeededAgainStays(t *testing.T) {
	w := newWorld(6, 20, general)
	for range 100 {
		w.run(100 * time.Millisecond)
		for _, p := range w.peers {
			for _, l := range p.core.links {
				if !l.up || l.idleUntil.IsZero() {
					continue
				}
				var out CoreOutput
				p.core.grant(w.now, wish{p.core.rooms[general], overlay.Connect{Peer: l.peer}}, &out)
				p.core.tick(w.now.Add(spareGrace), &out)
				if !l.up || !l.idleUntil.IsZero() {
					t.Errorf("the link of %s with %s is closed though the overlay wants it", p.name, w.peer(l.peer).name)
				}
				return
			}
		}
	}
	t.Fatal("of twenty who came at once nobody had a link too many")
}

func TestOriginOf(t *testing.T) {
	for _, c := range []struct{ local, remote, want string }{
		{"192.168.1.2:1", "192.168.1.9:7", "192.168.1.9"},
		{"192.168.1.2:1", "203.0.113.9:7", "203.0.113.9"},
		{"[2001:db8:1:2::1]:1", "[2001:db8:9:9::5]:7", "2001:db8:9:9::/64"},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2::5]:7", "2001:db8:1:2::5"},
		{"", "[2001:db8:9:9::5]:7", "2001:db8:9:9::/64"},
		{"[fe80::1%eth0]:1", "[fe80::2%eth0]:7", "fe80::2"},
		{"192.168.1.2:1", "[::ffff:203.0.113.9]:7", "203.0.113.9"},
		{"127.0.0.1:1", "127.0.0.1:7", ""},
		{"[::1]:1", "[::1]:7", ""},
		{"192.168.1.2:1", "192.168.1.2:7", ""},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2::1]:7", ""},
		{"192.168.1.2:1", "[2001:db8:1:2::5]:7", "2001:db8:1:2::/64"},
		{"", "nowhere", ""},
	} {
		if got := originOf(Path{Kind: "host", Local: c.local, Remote: c.remote}); got != c.want {
			t.Errorf("the origin of a link from %q to %q is %q, want %q", c.local, c.remote, got, c.want)
		}
	}
	// Behind one NAT, or on one relay, others have the same address, though they are not on this machine.
	for _, kind := range []string{"srflx", "prflx", "relay"} {
		const both = "203.0.113.9"
		if got := originOf(Path{Kind: kind, Local: both + ":1", Remote: both + ":7"}); got != both {
			t.Errorf("the origin of a link between two ports of one address, of which the own one is %s, is %q, want %q", kind, got, both)
		}
	}
}
