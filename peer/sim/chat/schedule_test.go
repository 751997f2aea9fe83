package chat

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"peerchat/peer/machinetest"
	"peerchat/peer/sim"
)

// failed is where the seeds are kept whose schedules found something once.
const failed = "testdata/seeds.txt"

// home is the network in the calm: 5 to 50 ms from one peer to another.
func home() sim.Network {
	return sim.Network{Delay: 5 * time.Millisecond, Spread: 40 * time.Millisecond, Jitter: 5 * time.Millisecond, RoundTrips: 2, Detect: time.Second,
		Retransmit: 200 * time.Millisecond}
}

const trip = 50 * time.Millisecond

// schedule is what happens to a room, as it follows from a seed.
type schedule struct {
	seed  uint64
	rand  *rand.Rand
	room  *Room
	net   sim.Network
	spoil *spoil
	told  func(format string, args ...any)
}

// TestSchedules lets whatever can happen happen to rooms, and holds them to all the invariants: some at every moment,
// the others when it is calm again. Schedules that failed once come first. The seeds are always the same, so that the
// test fails only for who broke something; -schedules tries others, and keeps those that fail.
func TestSchedules(t *testing.T) {
	usual := uint64(60)
	if testing.Short() || raceEnabled {
		usual = 20
	}
	seeds, told := machinetest.Plans(usual, kept(t), func(seed uint64) uint64 { return seed })
	for _, seed := range seeds {
		tell := func(string, ...any) {}
		if told {
			tell = t.Logf
		}
		r := play(seed, nil, tell)
		for _, b := range r.Breaches() {
			t.Errorf("seed %d: %v", seed, b)
		}
		if len(r.Breaches()) > 0 && machinetest.Searching() {
			keep(t, seed)
		}
	}
}

// kept are the seeds that failed once.
func kept(t *testing.T) (seeds []uint64) {
	t.Helper()
	f, err := os.Open(failed)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		word, _, _ := strings.Cut(s.Text(), " ")
		if word == "" || word == "#" {
			continue
		}
		seed, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", failed, err)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}

// keep adds a seed to them.
func keep(t *testing.T, seed uint64) {
	t.Helper()
	f, err := os.OpenFile(failed, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, seed); err != nil {
		t.Fatal(err)
	}
}

// play lets the schedule of a seed happen.
func play(seed uint64, spoil *spoil, told func(string, ...any)) *Room {
	s := &schedule{seed: seed, rand: rand.New(rand.NewPCG(seed, 7)), net: home(), spoil: spoil, told: told}
	s.room = New(Config{Seed: seed, Network: s.net, Contacts: 1 + s.rand.IntN(4), spoil: spoil})
	r := s.room
	size := 2 + s.rand.IntN(9)
	if s.rand.IntN(3) == 0 {
		size = 8 + s.rand.IntN(40)
	}
	gap := time.Duration(s.rand.IntN(1000)) * time.Millisecond
	s.tell("%d peers come, one each %v", size, gap)
	r.Fill(size, gap)
	for range 3 + s.rand.IntN(12) {
		s.act()
		r.CheckBounds()
		s.wait()
		r.CheckBounds()
		if len(r.Breaches()) > 0 {
			return r
		}
	}
	s.calm()
	return r
}

func (s *schedule) tell(format string, args ...any) {
	s.told("%8v %s", s.room.Elapsed().Round(time.Millisecond), fmt.Sprintf(format, args...))
}

func (s *schedule) wait() {
	d := []time.Duration{0, time.Millisecond, 30 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 10 * time.Second}[s.rand.IntN(6)]
	s.room.Run(time.Duration(s.rand.Int64N(int64(d) + 1)))
}

// calm heals everything, and looks at what is left.
func (s *schedule) calm() {
	r := s.room
	s.tell("all is well from now on")
	r.Heal()
	r.SetNetwork(home())
	for i := range r.Len() {
		r.Slow(i, 0)
	}
	r.Run(5 * time.Second)
	r.calm = true
	took, err := r.Settle(8 * time.Minute)
	s.tell("settled after %v: %v", took, err)
	if err != nil {
		return
	}
	i := s.alive()
	r.Probe(i, trip)
	_, err = r.Settle(time.Minute) // which it still is, but for a neighbour that somebody is just making
	s.tell("settled still: %v", err)
	r.CheckBounds()
}

// alive is a random peer that is.
func (s *schedule) alive() int { return s.room.Random(1)[0] }

// dead is a random one that is not; -1 if there is none.
func (s *schedule) dead() int {
	r := s.room
	var list []int
	for i := range r.Len() {
		if !r.Alive(i) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return -1
	}
	return list[s.rand.IntN(len(list))]
}

// act lets one thing happen.
func (s *schedule) act() {
	r := s.room
	i := s.alive()
	spare := r.Living() > 1 // a room without anybody is none
	switch s.rand.IntN(20) {
	case 0, 1, 2, 3:
		s.tell("peer %d says a line", i)
		r.Say(i)
	case 4:
		n := 2 + s.rand.IntN(60)
		s.tell("peer %d says %d lines at once", i, n)
		r.Talk(i, n)
	case 5:
		n := 1 + s.rand.IntN(5)
		s.tell("%d more come", n)
		r.Fill(n, time.Duration(s.rand.IntN(500))*time.Millisecond)
	case 6:
		if spare {
			s.tell("peer %d leaves", i)
			r.Leave(i)
		}
	case 7:
		if spare {
			s.tell("peer %d dies", i)
			r.Kill(i)
		}
	case 8:
		if spare {
			s.tell("peer %d dies when it has stored a line", i)
			r.CrashSaying(i)
		}
	case 9:
		if spare {
			s.tell("peer %d says a line and dies", i)
			r.Say(i)
			r.Run(time.Duration(s.rand.IntN(60)) * time.Millisecond)
			r.Kill(i)
		}
	case 10, 11:
		if k := s.dead(); k >= 0 {
			s.tell("peer %d comes back", k)
			r.Begin(k)
		}
	case 12:
		k := s.dead()
		if k < 0 {
			k = i
			r.Kill(k)
		}
		s.tell("peer %d comes back, and has lost its log", k)
		r.Forget(k)
		r.Begin(k)
	case 13:
		s.tell("peer %d dies and is back at once", i)
		r.Kill(i)
		r.Begin(i)
	case 14:
		parts := 2 + s.rand.IntN(2)
		s.tell("the network is in %d parts", parts)
		r.Partition(func(i int) int { return int(uint64(i)*0x9e3779b97f4a7c15>>40) % parts })
	case 15:
		s.tell("peer %d is cut off, and says a line", i)
		r.Partition(func(k int) int {
			if k == i {
				return 1
			}
			return 0
		})
		r.Run(time.Duration(s.rand.IntN(8)) * time.Second)
		r.Say(i)
	case 16:
		s.tell("the network is whole")
		r.Heal()
	case 17:
		s.net.Loss = []float64{0, 0.05, 0.2}[s.rand.IntN(3)]
		s.net.Duplicate = []float64{0, 0.1}[s.rand.IntN(2)]
		s.net.Reorder = []time.Duration{0, 100 * time.Millisecond}[s.rand.IntN(2)]
		s.net.Detect = []time.Duration{0, time.Second, 5 * time.Second}[s.rand.IntN(3)]
		s.net.Rate, s.net.Buffer = 1e6, 64<<10
		s.tell("of packets %g are lost, %g come twice, up to %v late; deaths show after %v", s.net.Loss, s.net.Duplicate, s.net.Reorder, s.net.Detect)
		r.SetNetwork(s.net)
	case 18:
		rate := []float64{0, 2_000, 20_000}[s.rand.IntN(3)]
		s.tell("peer %d gets %g bytes a second from each neighbour", i, rate)
		r.Slow(i, rate)
	case 19:
		part := 0.2 + 0.7*s.rand.Float64()
		s.tell("%.0f %% die at once", 100*part)
		r.Fail(part)
	}
}
