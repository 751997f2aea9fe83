package overlay_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/sim"
	"peerchat/peer/sim/member"
	"peerchat/peer/wire"
)

// sybil is one of many names of one attacker: it pushes itself into the views of honest peers and tells of nobody but
// its own kind.
type sybil struct {
	honest []wire.PeerID
	others []wire.PeerID
	rand   *rand.Rand
	links  []wire.PeerID
	nonce  uint32
}

func (s *sybil) Step(now time.Time, in sim.Input, out *sim.Output) {
	say := func(to wire.PeerID, m overlay.Message) {
		out.Sends = append(out.Sends, sim.Send{To: to, Message: member.Message{Message: m}})
	}
	some := func() wire.PeerID { return s.others[s.rand.IntN(len(s.others))] }
	sample := func() (list []wire.PeerID) {
		for range 7 {
			list = append(list, some())
		}
		return list
	}
	switch in := in.(type) {
	case sim.LinkUp:
		s.links = append(s.links, in.Peer)
		s.nonce++
		say(in.Peer, overlay.Join{Nonce: s.nonce})
	case sim.LinkDown:
		s.links = slices.DeleteFunc(s.links, func(id wire.PeerID) bool { return id == in.Peer })
	case sim.Receive:
		switch m := in.Message.(member.Message).Message.(type) {
		case overlay.Join:
			say(in.From, overlay.NeighborAnswer{Nonce: m.Nonce, Accepted: true})
		case overlay.Neighbor:
			say(in.From, overlay.NeighborAnswer{Nonce: m.Nonce, Accepted: true})
		case overlay.Shuffle:
			say(in.From, overlay.ShuffleReply{ID: m.ID, Sample: sample()})
		case overlay.Disconnect:
			s.nonce++
			say(in.From, overlay.Neighbor{Nonce: s.nonce, High: true})
		}
	case sim.Start, sim.Tick:
		out.Connect = append(out.Connect, s.honest[s.rand.IntN(len(s.honest))])
		for _, to := range s.links {
			s.nonce++
			say(to, overlay.Neighbor{Nonce: s.nonce, High: true})
			say(to, overlay.ForwardJoin{Peer: some(), TTL: 6})
			say(to, overlay.Shuffle{ID: s.rand.Uint64() | 1, Origin: some(), TTL: 6, Sample: sample()})
		}
	}
	out.Wake = now.Add(time.Second)
}

// siege is a room of honest peers with an address each, who have had a minute, in which an attacker then has many names
// at one address or at a few.
type siege struct {
	*member.Room
	t            *testing.T
	honest, evil int
	since        map[int]time.Duration // when a peer was first seen apart from the others; who is not apart is missing
	longest      time.Duration         // that somebody was
}

// newSiege makes one, with one address; as many of the honest as are said join later.
func newSiege(t *testing.T, seed uint64, honest, evil, later int) *siege {
	return newSiegeOf(t, seed, honest, evil, later, 1)
}

// newSiegeOf makes one with so many addresses.
func newSiegeOf(t *testing.T, seed uint64, honest, evil, later, addresses int) *siege {
	s := &siege{t: t, honest: honest, evil: evil, since: map[int]time.Duration{}}
	cfg := member.RoomConfig{Contacts: 4, Sized: true}
	cfg.Sim.Seed, cfg.Sim.Network = seed, home()
	cfg.Origin = func(i int) string {
		if s.attacks(i) {
			return "203.0.113." + strconv.Itoa(i%addresses)
		}
		return "198.51.100." + strconv.Itoa(i)
	}
	s.Room = member.NewRoom(cfg)
	s.Build(honest, 100*time.Millisecond)
	s.Run(time.Minute)
	var good, bad []wire.PeerID
	for i := range honest + evil + later {
		if s.attacks(i) {
			bad = append(bad, sim.ID(i))
			s.Add(sim.ID(i))
		} else {
			good = append(good, sim.ID(i))
		}
	}
	for i := range evil {
		s.Start(honest+i, &sybil{honest: good, others: bad, rand: rand.New(sim.Source(s.Seed()))})
	}
	return s
}

func (s *siege) attacks(i int) bool { return i >= s.honest && i < s.honest+s.evil }

// apart are the honest whom the others cannot reach without the attacker.
func (s *siege) apart() (list []int) {
	g := s.Graph()
	for i := range g.Out {
		g.Out[i] = slices.DeleteFunc(g.Out[i], s.attacks)
		g.Node[i] = g.Node[i] && !s.attacks(i)
	}
	largest := g.Components()[0]
	for i, node := range g.Node {
		if node && !slices.Contains(largest, i) {
			list = append(list, i)
		}
	}
	return list
}

// watch lets time pass and notes who is apart for how long.
func (s *siege) watch(d time.Duration) {
	s.t.Helper()
	for end := s.Elapsed() + d; s.Elapsed() < end; {
		s.Run(time.Second)
		apart := s.apart()
		for i := range s.since {
			if !slices.Contains(apart, i) {
				delete(s.since, i)
			}
		}
		for _, i := range apart {
			if _, known := s.since[i]; !known {
				s.since[i] = s.Elapsed()
			}
			s.longest = max(s.longest, s.Elapsed()-s.since[i]+time.Second)
		}
		for i := range s.Len() {
			if m := s.Member(i); m != nil {
				if err := m.Overlay().Check(); err != nil {
					s.t.Fatal(err)
				}
			}
		}
	}
}

// taken is how many neighbours of the honest are the attacker's.
func (s *siege) taken() (n int) {
	for i := range s.Len() {
		if m := s.Member(i); m != nil {
			for _, id := range m.Overlay().Active() {
				if k, _ := s.Index(id); s.attacks(k) {
					n++
				}
			}
		}
	}
	return n
}

// rooms is how many rooms are tried.
func rooms(n uint64) uint64 {
	if usualSchedules < 100 { // the race detector is on
		n = 1
	}
	return n
}

// An attacker with 150 names at one address in a room of 60 gets its share of everybody's neighbours, and no more, and
// the honest reach each other without it: somebody who is surrounded is out of it within seconds.
func TestEclipse(t *testing.T) {
	for seed := range rooms(12) {
		s := newSiege(t, seed+4, 60, 150, 0)
		s.watch(100 * time.Second)
		if apart := s.apart(); len(apart) > 0 {
			t.Errorf("seed %d: without the attacker %v are apart from the others", seed+4, apart)
		}
		if s.longest > 10*time.Second {
			t.Errorf("seed %d: somebody was apart for %v", seed+4, s.longest)
		}
		t.Logf("seed %d: %.1f neighbours of each are the attacker's, somebody was apart for %v", seed+4, float64(s.taken())/60, s.longest)
		if active, _ := overlay.Sizes(60); s.taken() > 60*active/2 {
			t.Errorf("seed %d: %d of the places of 60 are the attacker's", seed+4, s.taken())
		}
	}
}

// An attacker with 150 names at each of two addresses, or of three, has some peers for itself, and then keeps them. It
// cannot take the room apart.
func TestEclipseFromSeveralAddresses(t *testing.T) {
	for addresses, most := range map[int]float64{2: 2, 3: 40} { // of the time of the honest, in per cent: with three that differs much from room to room
		apart := 0
		for seed := range rooms(2) {
			s := newSiegeOf(t, seed+100, 60, 150*addresses, 0, addresses)
			for range 100 {
				s.watch(time.Second)
				apart += len(s.since)
			}
		}
		part := float64(apart) / float64(60*rooms(2))
		t.Logf("%d addresses: the honest were apart %.1f %% of the time", addresses, part)
		if part > most {
			t.Errorf("%d addresses: the honest were apart %.1f %% of the time, want %v at most", addresses, part, most)
		}
	}
}

// The same as with one address while one in ten dies every 10 s, and comes back without knowing anybody.
func TestEclipseWhilePeersComeAndGo(t *testing.T) {
	for seed := range rooms(4) {
		s := newSiege(t, seed, 60, 150, 0)
		s.watch(20 * time.Second)
		for round := range 12 {
			for k := range 6 {
				s.Kill((6*round + k) % 60)
			}
			s.watch(5 * time.Second)
			for k := range 6 {
				s.Begin((6*round + k) % 60)
			}
			s.watch(5 * time.Second)
		}
		s.watch(time.Minute)
		if apart := s.apart(); len(apart) > 0 || s.longest > 30*time.Second {
			t.Errorf("seed %d: without the attacker %v are apart from the others, and somebody was for %v", seed, apart, s.longest)
		}
		t.Logf("seed %d: somebody was apart for %v", seed, s.longest)
	}
}

// Some are cut off from all but the attacker for two minutes. Then they have heard of nobody else for long, and are
// back nevertheless.
func TestCutOffWithAnAttacker(t *testing.T) {
	for seed := range rooms(6) {
		s := newSiege(t, seed, 60, 150, 0)
		s.watch(20 * time.Second)
		s.Partition(func(i int) int {
			if i < 6 || s.attacks(i) {
				return 1
			}
			return 0
		})
		s.watch(2 * time.Minute)
		s.Heal()
		s.since, s.longest = map[int]time.Duration{}, 0
		s.watch(2 * time.Minute)
		if apart := s.apart(); len(apart) > 0 || s.longest > 30*time.Second {
			t.Errorf("seed %d: without the attacker %v are apart from the others, and somebody was for %v", seed, apart, s.longest)
		}
		t.Logf("seed %d: somebody was apart for %v", seed, s.longest)
	}
}

// A newcomer is told of four random names, most of them the attacker's, and each time that it asks again of four
// others. It finds the honest in seconds.
func TestNewcomerAmongAttackers(t *testing.T) {
	for _, c := range []struct{ honest, evil int }{{60, 150}, {6, 25}} {
		var took []time.Duration
		for seed := range rooms(4) {
			const news = 8
			s := newSiege(t, seed, c.honest, c.evil, news)
			s.Run(30 * time.Second)
			for range news {
				i, began := s.Join(), s.Elapsed()
				for slices.Contains(s.apart(), i) && s.Elapsed()-began < time.Minute {
					s.Run(100 * time.Millisecond)
				}
				took = append(took, s.Elapsed()-began)
			}
		}
		slices.Sort(took)
		t.Logf("%d honest, %d names: half of the newcomers were in after %v, nine in ten after %v, all after %v", c.honest, c.evil,
			took[len(took)/2], took[len(took)*9/10], took[len(took)-1])
		if took[len(took)*9/10] > 10*time.Second || took[len(took)-1] >= time.Minute {
			t.Errorf("%d honest, %d names: newcomers were in after %v", c.honest, c.evil, took)
		}
	}
}

// Where many or all are at one address, as in one house, who looks for others finds none, or not enough for all. It
// comes to rest all the same.
func TestManyAtOneAddressComeToRest(t *testing.T) {
	for _, c := range []struct {
		all, house  int
		links, lost float64 // at most, of each peer, in the ten minutes after the first 9 s
	}{{16, 16, 2, 0.1}, {60, 60, 8, 0.2}, {60, 59, 10, 2}, {60, 50, 14, 2}, {60, 30, 6, 0.5}, {60, 10, 1, 0.2}} {
		var links, lost int
		for seed := range rooms(3) {
			cfg := member.RoomConfig{Contacts: 4, Sized: true}
			cfg.Overlay.Slack = 1
			cfg.Sim.Seed, cfg.Sim.Network = seed, home()
			cfg.Origin = func(i int) string {
				if i < c.house {
					return "203.0.113.1"
				}
				return "198.51.100." + strconv.Itoa(i)
			}
			late := false
			cfg.Tune = func(_ int, c *member.Config) {
				c.After = func(_ *member.Member, _ overlay.Input, out *overlay.Output) {
					for _, a := range out.Actions {
						switch a.(type) {
						case overlay.Connect:
							if late {
								links++
							}
						case overlay.NeighborDown:
							if late {
								lost++
							}
						}
					}
				}
			}
			r := member.NewRoom(cfg)
			r.Build(c.all, time.Second/time.Duration(c.all))
			r.Run(9 * time.Second)
			late = true
			r.Run(10 * time.Minute)
		}
		each := float64(c.all) * float64(rooms(3))
		t.Logf("%d at one address in a room of %d: each asked for %.2f links and lost %.2f neighbours from 9 s on", c.house, c.all,
			float64(links)/each, float64(lost)/each)
		if float64(links)/each > c.links || float64(lost)/each > c.lost {
			t.Errorf("%d at one address in a room of %d: each asked for %.2f links and lost %.2f neighbours, want %v and %v at most", c.house, c.all,
				float64(links)/each, float64(lost)/each, c.links, c.lost)
		}
	}
}
