package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// text is a message of 10 bytes.
type text string

func (text) Size() int { return 10 }

// scribe writes down what happens to it.
type scribe struct {
	w   *World
	log []string
	on  func(now time.Time, in Input, out *Output)
}

func (s *scribe) Step(now time.Time, in Input, out *Output) {
	at := now.Sub(s.w.start).Milliseconds()
	who := func(id wire.PeerID) int { i, _ := s.w.Index(id); return i }
	switch in := in.(type) {
	case LinkUp:
		s.log = append(s.log, fmt.Sprintf("%d up %d", at, who(in.Peer)))
	case LinkDown:
		how := "down"
		if in.Closed {
			how = "closed"
		}
		s.log = append(s.log, fmt.Sprintf("%d %s %d", at, how, who(in.Peer)))
	case LinkFailed:
		s.log = append(s.log, fmt.Sprintf("%d failed %d", at, who(in.Peer)))
	case LinkBusy:
		s.log = append(s.log, fmt.Sprintf("%d busy %d %v", at, who(in.Peer), in.Busy))
	case Receive:
		s.log = append(s.log, fmt.Sprintf("%d from %d: %s", at, who(in.From), in.Message))
	case Tick:
		s.log = append(s.log, fmt.Sprintf("%d tick", at))
	}
	if s.on != nil {
		s.on(now, in, out)
	}
}

func scribes(cfg Config, n int) (*World, []*scribe) {
	w := New(cfg)
	var list []*scribe
	for i := range n {
		w.Add(ID(i))
		s := &scribe{w: w}
		list = append(list, s)
		w.Start(i, s)
	}
	return w, list
}

func (w *World) say(from, to int, lines ...text) {
	w.Do(from, func(_ Participant, _ time.Time, out *Output) {
		for _, l := range lines {
			out.Sends = append(out.Sends, Send{To: w.ID(to), Message: l})
		}
	})
}

func (w *World) ask(from, to int) {
	w.Do(from, func(_ Participant, _ time.Time, out *Output) { out.Connect = append(out.Connect, ID(to)) })
}

func (s *scribe) want(t *testing.T, what string, lines ...string) {
	t.Helper()
	if !slices.Equal(s.log, lines) {
		t.Errorf("%s: got %q, want %q", what, s.log, lines)
	}
	s.log = nil
}

var ten = Config{Seed: 1, Network: Network{Delay: 10 * time.Millisecond, Detect: time.Second}}

func TestLinks(t *testing.T) {
	w, p := scribes(ten, 3)
	w.ask(0, 1)
	w.Run(100 * time.Millisecond)
	p[0].want(t, "the asker has a link after one round trip", "20 up 1")
	p[1].want(t, "the other after one and a half", "30 up 0")

	w.say(0, 1, "one", "two")
	w.Do(0, func(_ Participant, _ time.Time, out *Output) {
		out.Sends = append(out.Sends, Send{To: ID(1), Message: text("last")}, Send{To: ID(2), Message: text("lost")})
		out.Close = append(out.Close, ID(1))
	})
	w.Run(100 * time.Millisecond)
	p[0].want(t, "who closes a link loses it at once", "100 closed 1")
	p[1].want(t, "the other gets everything first", "110 from 0: one", "110 from 0: two", "110 from 0: last", "110 closed 0")
	p[2].want(t, "without a link nothing comes")

	w.ask(0, 1)
	w.ask(1, 0)
	w.Run(100 * time.Millisecond)
	p[0].want(t, "who asks each other gets one link", "220 up 1")
	p[1].want(t, "who asks each other gets one link", "230 up 0")
	if len(w.Links(0)) != 1 || !w.Linked(0, 1) || !w.Linked(1, 0) || w.Linked(0, 2) {
		t.Error("Links or Linked is wrong")
	}
}

func TestDeath(t *testing.T) {
	w, p := scribes(ten, 3)
	w.ask(0, 1)
	w.Run(100 * time.Millisecond)
	p[0].log = nil
	w.say(1, 0, "farewell")
	w.Kill(1)
	w.say(0, 1, "into the void")
	w.ask(0, 2)
	w.Run(2 * time.Second)
	p[0].want(t, "a death is seen after Detect, what was said before arrives", "110 from 1: farewell", "120 up 2", "1100 down 1")
	w.ask(0, 1)
	w.ask(0, 17)
	w.Run(time.Second)
	p[0].want(t, "the dead and the unknown cannot be linked", "2120 failed -1", "2120 failed 1")

	w.Start(1, p[1])
	w.ask(0, 1)
	w.Run(time.Second)
	w.Kill(1)
	w.Start(1, &scribe{w: w})
	p[0].log = nil
	w.ask(1, 0)
	w.Run(time.Second)
	p[0].want(t, "a new life's link takes the place of the old one", "4110 closed 1", "4130 up 1")
	if got := w.Links(0); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("peer 0 is linked with %v", got)
	}
}

func TestPartition(t *testing.T) {
	w, p := scribes(ten, 2)
	w.ask(0, 1)
	w.Run(100 * time.Millisecond)
	p[0].log, p[1].log = nil, nil
	w.say(0, 1, "cut off")
	w.Partition(func(i int) int { return i })
	w.Run(1500 * time.Millisecond)
	w.ask(0, 1)
	w.Run(100 * time.Millisecond)
	p[0].want(t, "a partition shows after Detect", "1100 down 1", "1620 failed 1")
	p[1].want(t, "what was under way is lost", "1100 down 0")
	w.Heal()
	w.ask(0, 1)
	w.Run(100 * time.Millisecond)
	p[0].want(t, "after it they find each other again", "1720 up 1")
}

func TestTimers(t *testing.T) {
	w, p := scribes(Config{}, 1)
	next := []time.Duration{50, 20, 0}
	p[0].on = func(now time.Time, in Input, out *Output) {
		if _, ok := in.(Tick); ok && len(next) > 0 {
			if next[0] > 0 {
				out.Wake = now.Add(next[0] * time.Millisecond)
			}
			next = next[1:]
		}
	}
	wake := func(at time.Duration) {
		w.Do(0, func(_ Participant, now time.Time, out *Output) { out.Wake = now.Add(at * time.Millisecond) })
	}
	wake(100)
	wake(200) // later: the first is void
	w.Run(time.Second)
	p[0].want(t, "the last word on when to wake counts", "200 tick", "250 tick", "270 tick")
}

func TestSlowLink(t *testing.T) {
	w, p := scribes(Config{Network: Network{Rate: 100, Buffer: 40}}, 2)
	w.ask(0, 1)
	w.Run(time.Millisecond)
	w.say(0, 1, "a", "b", "c", "d", "e", "f")
	w.Run(time.Second)
	p[0].want(t, "the queue fills, and is told to be short again at half of its bound", "0 up 1", "1 busy 1 true", "401 busy 1 false")
	p[1].want(t, "10 bytes take a tenth of a second", "0 up 0", "101 from 0: a", "201 from 0: b", "301 from 0: c", "401 from 0: d",
		"501 from 0: e", "601 from 0: f")
}

// gossiper links itself with random others and floods what it gets.
type gossiper struct {
	w     *World
	self  int
	rand  *rand.Rand
	links []wire.PeerID
	seen  map[text]int
}

func (g *gossiper) Step(now time.Time, in Input, out *Output) {
	switch in := in.(type) {
	case Start, Tick:
		out.Connect = append(out.Connect, ID(g.rand.IntN(g.w.Len())))
		out.Wake = now.Add(time.Second)
		g.tell(text(fmt.Sprint(g.self, now.UnixMilli()/10000)), out)
		return
	case LinkUp:
		g.links = append(g.links, in.Peer)
	case LinkDown:
		if i := slices.Index(g.links, in.Peer); i >= 0 {
			g.links = slices.Delete(g.links, i, i+1)
		}
	case Receive:
		g.tell(in.Message.(text), out)
	}
	out.Wake = now.Add(time.Second)
}

func (g *gossiper) tell(t text, out *Output) {
	if g.seen[t]++; g.seen[t] > 1 {
		return
	}
	for i, l := range g.links {
		out.Sends = append(out.Sends, Send{To: l, Message: t, Fast: i%2 == 0})
	}
}

func soak(seed uint64) *World {
	w := New(Config{Seed: seed, Network: Network{Delay: time.Millisecond, Spread: 20 * time.Millisecond, Jitter: 5 * time.Millisecond,
		Loss: 0.05, Retransmit: time.Second, Duplicate: 0.02, Reorder: 10 * time.Millisecond, Rate: 1e5, Buffer: 100}})
	born := func(i int) Participant {
		return &gossiper{w: w, self: i, rand: rand.New(Source(w.Seed())), seen: map[text]int{}}
	}
	for i := range 50 {
		w.Add(ID(i))
		w.Start(i, born(i))
	}
	w.Churn(0.05, 20*time.Second, born)
	w.Run(5 * time.Second)
	w.Partition(func(i int) int { return i % 3 })
	w.Run(5 * time.Second)
	w.Heal()
	w.Run(20 * time.Second)
	return w
}

// The same seed gives the same world, to the bit. This hash changes only when the simulator does.
func TestHash(t *testing.T) {
	a, b, c := soak(1), soak(1), soak(2)
	if a.Hash() != b.Hash() || a.Steps() != b.Steps() {
		t.Errorf("the same seed gave the hashes %x and %x", a.Hash(), b.Hash())
	}
	if a.Hash() == c.Hash() {
		t.Error("another seed gave the same hash")
	}
	const want = 0x77ad43b28ff43c99
	if a.Hash() != want {
		t.Errorf("after %d steps the hash is %#x, want %#x", a.Steps(), a.Hash(), uint64(want))
	}
	if a.Living() < 45 || a.Steps() < 10000 {
		t.Errorf("little happened: %d are alive after %d steps", a.Living(), a.Steps())
	}
}

func TestHeap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var h heap
	var last event
	for i := range 5000 {
		h.push(event{at: r.Int64N(100), seq: uint64(i)})
		if i%3 == 0 {
			h.pop()
		}
	}
	for len(h) > 0 {
		e := h.pop()
		if e.before(&last) {
			t.Fatalf("%v came after %v", e, last)
		}
		last = e
	}
}

func TestLoss(t *testing.T) {
	n := Network{Delay: 10 * time.Millisecond, Loss: 0.2, Retransmit: time.Second, Duplicate: 0.1, Reorder: 50 * time.Millisecond}
	w, p := scribes(Config{Seed: 3, Network: n}, 2)
	w.ask(0, 1)
	w.Run(time.Second)
	p[1].log = nil
	w.Do(0, func(_ Participant, _ time.Time, out *Output) {
		for i := range 1000 {
			out.Sends = append(out.Sends, Send{To: ID(1), Message: text(fmt.Sprintf("%04d", i))})
			out.Sends = append(out.Sends, Send{To: ID(1), Message: text(fmt.Sprintf("f%04d", i)), Fast: true})
		}
	})
	w.Run(time.Minute)
	var reliable, fast []string
	for _, line := range p[1].log {
		if said := line[len(line)-5:]; said[0] == 'f' {
			fast = append(fast, said)
		} else {
			reliable = append(reliable, said)
		}
	}
	if len(reliable) != 1000 || !slices.IsSorted(reliable) {
		t.Errorf("of 1000 messages on the reliable channel %d came, in order: %v", len(reliable), slices.IsSorted(reliable))
	}
	if len(fast) < 820 || len(fast) > 940 || slices.IsSorted(fast) {
		t.Errorf("of 1000 messages on the fast channel, of which 20 %% are lost and 10 %% come twice, %d came, in order: %v", len(fast), slices.IsSorted(fast))
	}
}

// Who closes a link that is not there yet does not get it.
func TestChangeOfMind(t *testing.T) {
	w, p := scribes(ten, 2)
	w.ask(0, 1)
	w.Run(5 * time.Millisecond)
	w.Do(0, func(_ Participant, _ time.Time, out *Output) { out.Close = append(out.Close, ID(1)) })
	w.Run(time.Second)
	p[0].want(t, "who closes before the offer arrives")
	p[1].want(t, "whom the offer did not reach")
	w.ask(0, 1)
	w.Run(22 * time.Millisecond)
	w.Do(0, func(_ Participant, _ time.Time, out *Output) { out.Close = append(out.Close, ID(1)) })
	w.Run(time.Second)
	p[0].want(t, "who closes when the link is there, and not yet at the other end", "1025 up 1", "1027 closed 1")
	p[1].want(t, "the other end", "1035 up 0", "1037 closed 0")
	w.ask(0, 1)
	w.Run(time.Second)
	p[0].log, p[1].log = nil, nil
	w.Cut(0, 1)
	w.Run(2 * time.Second)
	p[0].want(t, "a cut is seen after Detect", "4027 down 1")
	p[1].want(t, "a cut is seen after Detect", "4027 down 0")
	if w.Linked(0, 1) || w.Living() != 2 {
		t.Error("the two are linked, or dead")
	}
}

func TestEndlessTalk(t *testing.T) {
	w, p := scribes(Config{}, 2)
	for i, s := range p {
		s.on = func(_ time.Time, in Input, out *Output) {
			if _, ok := in.(Receive); ok {
				out.Sends = append(out.Sends, Send{To: ID(1 - i), Message: text("again")})
			}
		}
	}
	w.ask(0, 1)
	w.Run(time.Second)
	defer func() {
		if recover() == nil {
			t.Error("two that answer each other at once, for ever, hang the world")
		}
	}()
	w.say(0, 1, "hello")
	w.Run(time.Second)
}
