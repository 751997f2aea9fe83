package peer_test

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/peertest"
	"peerchat/peer/wire"
)

// storm is an electorate that goes through much: its network breaks into parts and heals, its peers are killed and come
// back, with the history that they had or without any. A seed decides on all.
type storm struct {
	*electorate
	rand  *rand.Rand
	dying sync.WaitGroup // Nodes of killed peers
	lives map[*voter][][]peer.Event
	lines int
	said  map[string]bool
	calm  bool
}

// openStore is a store that a test looks into while a Node has it.
type openStore struct {
	*history.Memory
	mu sync.Mutex // held by who writes, and by the test while it reads
}

func (o *openStore) Append(events []wire.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Memory.Append(events)
}

func (o *openStore) Prepend(events []wire.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Memory.Prepend(events)
}

func (o *openStore) Rebase(room wire.Room, log wire.LogID, base, missing uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Memory.Rebase(room, log, base, missing)
}

// all is what it holds of a room, and how far each log goes.
func (o *openStore) all(room wire.Room) ([]wire.Event, []wire.Head, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	events, err := o.Recent(room, 100_000)
	if err != nil {
		return nil, nil, err
	}
	heads, _, err := o.Heads(room)
	return events, heads, err
}

// newStorm starts so many peers at a home tracker. Packets take 5 to 100 ms from one to another.
func newStorm(t *testing.T, seed uint64, peers int) *storm {
	s := &storm{electorate: newElectorate(t, seed, peers, "home"), rand: rand.New(rand.NewPCG(seed, 7)),
		lives: map[*voter][][]peer.Event{}, said: map[string]bool{}}
	s.farther = func(from, to string) time.Duration {
		h := fnv.New64a()
		_, _ = fmt.Fprint(h, seed, min(from, to), max(from, to))
		return time.Duration(h.Sum64()%95_000) * time.Microsecond // no two alike: see crowd.stop
	}
	s.trackers.Start("home")
	s.start(peers)
	return s
}

// listeners are how many say nothing in a storm. Only they lose their histories: what somebody said before it lost its
// history is not given back to it, and so their logs would not be the same.
const listeners = 4

// listens reports whether a voter says nothing.
func (s *storm) listens(v *voter) bool { return v.machine >= len(s.links.Nets)-listeners }

// say has everybody who lives say a line, but for those who listen.
func (s *storm) say() {
	for _, v := range s.living() {
		if s.listens(v) && !s.calm {
			continue
		}
		s.lines++
		line := fmt.Sprintf("line %d, by %s", s.lines, v.name)
		s.said[line] = true
		v.say(line)
	}
}

// divide breaks the network into so many parts. The home tracker is in one of them, or in none.
func (s *storm) divide(parts int) {
	sides := make([][]*voter, parts)
	for _, v := range s.voters {
		i := s.rand.IntN(parts)
		sides[i] = append(sides[i], v)
	}
	home := s.rand.IntN(parts + 1)
	for i, side := range sides {
		hosts := []string{}
		s.mu.Lock()
		for _, v := range side {
			s.sides[peertest.HostAddress(v.machine)] = i
			hosts = append(hosts, v.host)
		}
		s.mu.Unlock()
		if i == home {
			hosts = append(hosts, "home")
		}
		s.trackers.Cut(hosts...)
	}
	if home == parts {
		s.trackers.Cut("home")
	}
	s.t.Logf("%v: parts of %d, home is in part %d", s.clock(), sizes(sides), home)
}

func sizes(sides [][]*voter) (n []int) {
	for _, side := range sides {
		n = append(n, len(side))
	}
	return n
}

// strike kills so many of those who live, one that listens among them.
func (s *storm) strike(count int) {
	living := s.living()
	s.rand.Shuffle(len(living), func(i, j int) { living[i], living[j] = living[j], living[i] })
	if i := slices.IndexFunc(living, s.listens); i >= 0 {
		living[0], living[i] = living[i], living[0]
	}
	for _, v := range living[:min(count, len(living))] {
		s.kill(v)
		s.dying.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := v.node.Stop(ctx); err != nil {
				s.t.Errorf("seed %d: %s: %v", s.seed, v.name, err)
			}
		})
	}
}

// revive starts all the dead again. Those who listen have lost their histories.
func (s *storm) revive() {
	s.dying.Wait()
	synctest.Wait()
	for _, v := range s.voters {
		if !v.dead.Load() {
			continue
		}
		s.lives[v] = append(s.lives[v], v.events)
		run := uint32(0)
		if s.listens(v) {
			v.store, run = &openStore{Memory: history.NewMemory()}, uint32(len(s.lives[v]))
		}
		v.events, v.at = nil, nil
		s.links.SetCut(v.machine, false)
		v.dead.Store(false)
		s.begin(v, run)
	}
}

// log is all that a voter's store holds of the room.
func (s *storm) log(v *voter) []wire.Event {
	events, _ := s.stored(v)
	return events
}

func (s *storm) stored(v *voter) ([]wire.Event, []wire.Head) {
	events, heads, err := v.store.all(general)
	if err != nil {
		s.t.Fatalf("seed %d: %s: %v", s.seed, v.name, err)
	}
	return events, heads
}

func (s *storm) clock() time.Duration { return time.Since(epoch).Round(time.Millisecond) }

// epoch is when a bubble's time begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// unequal says in what the logs differ, or what they lack of what is owed; "" if nothing.
func (s *storm) unequal() string {
	first := s.log(s.voters[0])
	for _, v := range s.voters[1:] {
		log := s.log(v)
		same := slices.EqualFunc(first, log, func(a, b wire.Event) bool { return a.Hash() == b.Hash() })
		if !same {
			return fmt.Sprintf("the log of %s has %d events, that of %s %d: %s", s.voters[0].name, len(first), v.name, len(log), s.difference(s.voters[0], v))
		}
	}
	held := map[string]int{}
	for _, e := range first {
		held[string(e.Body)]++
	}
	for line := range s.said {
		if held[line] != 1 {
			return fmt.Sprintf("%q is %d times in the logs, of which all have %d events", line, held[line], len(first))
		}
	}
	return ""
}

// difference says what one has and another has not.
func (s *storm) difference(a, b *voter) string {
	said := ""
	for _, two := range [][2]*voter{{a, b}, {b, a}} {
		heads := map[wire.PeerID]wire.Head{}
		_, list := s.stored(two[1])
		for _, h := range list {
			heads[h.Author] = h
		}
		_, list = s.stored(two[0])
		for _, h := range list {
			if o := heads[h.Author]; o != h {
				i := slices.IndexFunc(s.voters, func(v *voter) bool { return v.id == h.Author })
				said += fmt.Sprintf("; of %s %s holds %d to %d, %s %d to %d", s.voters[i].name, two[0].name, h.Base+1, h.Seq, two[1].name, o.Base+1, o.Seq)
			}
		}
	}
	return strings.TrimPrefix(said, "; ")
}

// strangers says who is taken for being there and is not, or the other way round; "" if all know exactly who is there.
func (s *storm) strangers() string {
	for _, v := range s.voters {
		if n := v.knows(); n != len(s.voters)-1 {
			return fmt.Sprintf("%s knows of %d others, want %d", v.name, n, len(s.voters)-1)
		}
	}
	return ""
}

// crowded says who has more links than a large room needs, or too few; "" if nobody.
func (s *storm) crowded() string {
	for _, v := range s.voters {
		if n := v.links(); n < 3 || n > 9 {
			return fmt.Sprintf("%s has %d links, want 3 to 9", v.name, n) // a full mesh has 31
		}
	}
	return ""
}

// await waits until a word of complaint is "".
func (s *storm) await(what string, patience time.Duration, why func() string) {
	s.t.Helper()
	began := time.Now()
	for {
		synctest.Wait()
		complaint := why()
		if complaint == "" {
			s.t.Logf("%v: %s after %v", s.clock(), what, time.Since(began))
			return
		}
		if time.Since(began) > patience {
			s.t.Fatalf("seed %d: %s: not within %v: %s", s.seed, what, patience, complaint)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// wantOnce checks that in each life of each peer every event was shown at most once and each author's in order, and in
// the last one all that is in the log.
func (s *storm) wantOnce() {
	s.t.Helper()
	for _, v := range s.voters {
		for i, life := range append(s.lives[v], v.events) {
			last := map[wire.PeerID]uint64{}
			n := 0
			for _, ev := range life {
				m, ok := ev.(peer.Message)
				if !ok {
					continue
				}
				n++
				if m.Seq <= last[m.Person.Peer] {
					s.t.Errorf("seed %d: in its life %d %s was shown event %d of %s after its event %d: want each once and in order",
						s.seed, i, v.name, m.Seq, m.Person.Name, last[m.Person.Peer])
				}
				last[m.Person.Peer] = m.Seq
			}
			if held := len(s.log(v)); i == len(s.lives[v]) && n != held {
				s.t.Errorf("seed %d: %s was shown %d events, its log has %d", s.seed, v.name, n, held)
			}
		}
	}
}

// wantLive has everybody say a line, and checks that it arrives at all as one that is said now.
func (s *storm) wantLive() {
	s.t.Helper()
	marks := s.marks()
	s.say()
	s.await("what is said in the calm is in all logs", 10*time.Second, s.unequal)
	for _, v := range s.voters {
		v.mu.Lock()
		for _, ev := range v.events[marks[v].events:] {
			if m, ok := ev.(peer.Message); ok && m.History {
				s.t.Errorf("seed %d: %s was shown %q of %s as history, though it is said in the calm", s.seed, v.name, m.Text, m.Person.Name)
			}
		}
		v.mu.Unlock()
	}
}

var (
	storms      = flag.Uint64("storms", 1, "how many seeds TestManyPeersInAStorm tries")
	stormFrom   = flag.Uint64("storm", 0, "the first of them")
	stormRounds = flag.Int("stormrounds", 0, "how often the network breaks; 0: three times, under the race detector once")
)

// Thirty-two peers talk while they are killed and the network breaks and heals. In the end all have the same log,
// without anything that was said missing, each was shown every line once and in order, all know who is there, and what
// is said then arrives at once.
func TestManyPeersInAStorm(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it is long")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // thousands of goroutines, little else: a third less work
	rounds := *stormRounds
	switch {
	case rounds > 0:
	case peer.RaceDetector:
		rounds = 1
	default:
		rounds = 3
	}
	for seed := *stormFrom; seed < *stormFrom+*storms; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStorm(t, seed, 32)
				defer s.stop()
				s.links.SetLoss(0.01)
				s.await("all know each other", time.Minute, s.strangers)
				time.Sleep(time.Duration(s.rand.IntN(8)) * time.Second)
				s.say()
				for range rounds {
					s.rage()
				}
				s.settle()
			})
		})
	}
}

// rage is one round of a storm. It leaves the network broken, so that nobody speaks when it is whole at last: what was
// said has to be found without that.
func (s *storm) rage() {
	if s.rand.IntN(2) == 0 {
		s.heal()
		time.Sleep(time.Duration(s.rand.IntN(10000)) * time.Millisecond)
		s.say()
	}
	s.divide(2 + s.rand.IntN(3))
	s.strike(2 + s.rand.IntN(5))
	for range 1 + s.rand.IntN(3) {
		time.Sleep(time.Duration(s.rand.IntN(8000)) * time.Millisecond)
		s.say()
	}
	if s.rand.IntN(2) == 0 {
		s.revive()
		time.Sleep(time.Duration(s.rand.IntN(5000)) * time.Millisecond)
		s.say()
	}
}

// settle ends a storm, and checks what came of it.
func (s *storm) settle() {
	s.heal()
	s.revive()
	s.calm = true
	s.links.SetLoss(0)
	s.t.Logf("%v: calm", s.clock())
	s.await("all logs are the same", 30*time.Second, s.unequal)
	s.await("all know each other again", 30*time.Second, s.strangers)
	s.await("links are few", 2*time.Minute, s.crowded)
	s.wantLive()
	s.wantOnce()
	s.t.Logf("%v: %d lines in logs of %d", s.clock(), s.lines, len(s.log(s.voters[0])))
}
