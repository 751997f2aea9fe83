package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"peerchat/peer/wire"
)

// World is the peers, the links and the time. It is not for concurrent use.
type World struct {
	cfg   Config
	net   Network
	rand  *rand.Rand
	start time.Time
	now   int64 // nanoseconds since start
	seq   uint64
	heap  heap
	nodes []node
	index map[wire.PeerID]int32
	alive int
	dials uint32 // so many links were asked for
	hash  uint64
	steps uint64
	split bool // the groups of the nodes count
	out   Output
	busy  bool // a participant is in Step
	still int  // events since the time moved
}

// node is one peer, dead or alive.
type node struct {
	id     wire.PeerID
	p      Participant
	alive  bool
	life   uint32
	group  int32
	rate   float64 // toward it; 0: the network's
	every  int64   // it does something at multiples of this only; 0: whenever there is something to do
	wake   int64   // when it wants to be woken; 0: never
	queued int64   // the evWake that is in the heap and counts; 0: none
	links  []*link // by the other's number
	dials  []dial  // links that were asked for and are not there yet
}

// New makes an empty world.
func New(cfg Config) *World {
	if cfg.Start.IsZero() {
		cfg.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return &World{cfg: cfg, net: cfg.Network, start: cfg.Start, rand: rand.New(rand.NewPCG(cfg.Seed, 1)),
		index: map[wire.PeerID]int32{}, hash: cfg.Seed}
}

// Add makes room for a peer, which lives once Start is called, and returns its number: they count from 0. It panics if
// id is taken.
func (w *World) Add(id wire.PeerID) int {
	if _, ok := w.index[id]; ok {
		panic(fmt.Sprintf("sim: peer %s is there already", id.Tag()))
	}
	i := len(w.nodes)
	w.nodes = append(w.nodes, node{id: id})
	w.index[id] = int32(i)
	return i
}

// Start begins a life of peer i. It panics if it is alive.
func (w *World) Start(i int, p Participant) {
	n := &w.nodes[i]
	if n.alive {
		panic(fmt.Sprintf("sim: peer %d is alive already", i))
	}
	n.p, n.alive = p, true
	n.life++
	w.alive++
	w.mix(uint64(i), 1)
	w.step(i, Start{})
}

// Kill ends the life of peer i at once, without a word. Those linked to it see it after Network.Detect. The dead stay
// dead if they are killed.
func (w *World) Kill(i int) {
	n := &w.nodes[i]
	if !n.alive {
		return
	}
	w.mix(uint64(i), 2)
	n.alive, n.p, n.wake, n.queued = false, nil, 0, 0
	w.alive--
	for _, l := range n.links {
		l.dead = true
		w.notice(l, l.other(int32(i)))
	}
	n.links, n.dials = nil, nil
}

// Do lets f, in the name of the user of peer i, act on its participant, and carries out what that puts out. Nothing
// happens if it is dead.
func (w *World) Do(i int, f func(p Participant, now time.Time, out *Output)) {
	n := &w.nodes[i]
	if !n.alive {
		return
	}
	w.enter()
	f(n.p, w.Now(), &w.out)
	w.leave(i)
}

// step gives peer i an input.
func (w *World) step(i int, in Input) {
	n := &w.nodes[i]
	if !n.alive {
		return
	}
	w.enter()
	n.p.Step(w.Now(), in, &w.out)
	w.leave(i)
}

func (w *World) enter() {
	if w.busy {
		panic("sim: a participant acts on its world from within Step")
	}
	w.busy = true
	w.steps++
	w.out.Reset()
}

func (w *World) leave(i int) {
	w.busy = false
	for k := range w.out.Sends {
		w.send(int32(i), &w.out.Sends[k])
	}
	for _, id := range w.out.Connect {
		w.connect(int32(i), id)
	}
	for _, id := range w.out.Close {
		w.close(int32(i), w.number(id))
	}
	w.setWake(int32(i), w.out.Wake)
}

// number is who id is; -1 for one that never was.
func (w *World) number(id wire.PeerID) int32 {
	if i, ok := w.index[id]; ok {
		return i
	}
	return -1
}

func (w *World) setWake(i int32, t time.Time) {
	n := &w.nodes[i]
	if t.IsZero() {
		n.wake = 0
		return
	}
	n.wake = n.turn(max(int64(t.Sub(w.start)), w.now, 1)) // 0 is never
	// One event in the heap is enough: one that comes too early sets the next.
	if n.queued == 0 || n.wake < n.queued {
		n.queued = n.wake
		w.push(event{at: n.wake, kind: evWake, to: i, life: n.life})
	}
}

func (w *World) push(e event) {
	w.seq++
	e.seq = w.seq
	e.at = max(e.at, w.now)
	switch e.kind {
	case evUp, evDown, evDeliver, evDrained, evFailed:
		e.at = w.nodes[e.to].turn(e.at)
	}
	w.heap.push(e)
}

// turn is when a node does what is to be done at a time.
func (n *node) turn(at int64) int64 {
	if n.every <= 0 {
		return at
	}
	return (at + n.every - 1) / n.every * n.every
}

// Starve lets peer i do something only so often from now on, as on a machine that has no time for it, and then all that
// it has to; 0: at once, as ever. What it is told to do by Do it does at once.
func (w *World) Starve(i int, every time.Duration) { w.nodes[i].every = int64(every) }

// Run lets the world go on for d.
func (w *World) Run(d time.Duration) {
	end := w.now + int64(d)
	for len(w.heap) > 0 && w.heap[0].at <= end {
		w.next()
	}
	w.now = end
}

// RunUntil lets the world go on until ok, which is asked after each event, but for at most d. It reports whether ok
// held.
func (w *World) RunUntil(d time.Duration, ok func() bool) bool {
	end := w.now + int64(d)
	for !ok() {
		if len(w.heap) == 0 || w.heap[0].at > end {
			w.now = end
			return ok()
		}
		w.next()
	}
	return true
}

// next lets one event happen.
func (w *World) next() {
	e := w.heap.pop()
	if e.at > w.now {
		w.now, w.still = e.at, 0
	} else if w.still++; w.still > 1000*(len(w.nodes)+100) {
		panic(fmt.Sprintf("sim: time stands still after %v: participants answer each other without end", w.Elapsed()))
	}
	switch e.kind {
	case evWake:
		n := &w.nodes[e.to]
		if n.life != e.life || n.queued != e.at {
			return
		}
		n.queued = 0
		if n.wake > e.at {
			n.queued = n.wake
			w.push(event{at: n.wake, kind: evWake, to: e.to, life: n.life})
			return
		}
		if n.wake == 0 {
			return
		}
		n.wake = 0
		w.trace(&e)
		w.step(int(e.to), Tick{})
	case evCall:
		w.trace(&e)
		e.message.(call)()
	default:
		w.network(&e)
	}
}

// call is a function in the place of an event's message.
type call func()

func (call) Size() int { return 0 }

// After calls f when d has passed. f may do to the world what its caller may.
func (w *World) After(d time.Duration, f func()) {
	w.push(event{at: w.now + int64(d), kind: evCall, message: call(f)})
}

// Churn replaces rate of the living a second, from now on and for d: a random one dies, and another, which was dead
// before it, starts with what born makes, which may be nil for nobody.
func (w *World) Churn(rate float64, d time.Duration, born func(i int) Participant) {
	end := w.now + int64(d)
	var again func()
	wait := func() time.Duration {
		return time.Duration(w.rand.ExpFloat64() * float64(time.Second) / (rate * float64(max(w.alive, 1))))
	}
	again = func() {
		if w.now > end {
			return
		}
		dead := w.pick(false)
		if i := w.pick(true); i >= 0 {
			w.Kill(i)
		}
		if dead >= 0 {
			if p := born(dead); p != nil {
				w.Start(dead, p)
			}
		}
		w.After(wait(), again)
	}
	w.After(wait(), again)
}

// pick is a random peer that is alive, or dead; -1 if none was found.
func (w *World) pick(alive bool) int {
	for range 64 * (1 + len(w.nodes)/64) {
		if len(w.nodes) == 0 {
			break
		}
		if i := w.rand.IntN(len(w.nodes)); w.nodes[i].alive == alive {
			return i
		}
	}
	return -1
}

// Now is the time in the world, Elapsed how long ago it began.
func (w *World) Now() time.Time         { return w.start.Add(time.Duration(w.now)) }
func (w *World) Elapsed() time.Duration { return time.Duration(w.now) }

// Len is how many peers were added, Living how many of them are alive.
func (w *World) Len() int    { return len(w.nodes) }
func (w *World) Living() int { return w.alive }

// ID names peer i, Index is the number of the peer that id names.
func (w *World) ID(i int) wire.PeerID { return w.nodes[i].id }
func (w *World) Index(id wire.PeerID) (i int, ok bool) {
	n := w.number(id)
	return int(n), n >= 0
}

// Alive tells whether peer i is. Participant is its life, nil if it is dead.
func (w *World) Alive(i int) bool              { return w.nodes[i].alive }
func (w *World) Participant(i int) Participant { return w.nodes[i].p }

// Rand is the world's own source of chance, for what its user decides. Seed draws the seed of one participant.
func (w *World) Rand() *rand.Rand { return w.rand }
func (w *World) Seed() uint64     { return w.rand.Uint64() }

// Hash is a digest of everything that has happened: who got what from whom, and when. Steps is how many inputs were
// taken.
func (w *World) Hash() uint64  { return w.hash }
func (w *World) Steps() uint64 { return w.steps }

// trace adds an event to the hash.
func (w *World) trace(e *event) {
	w.mix(uint64(e.at), uint64(e.kind))
	size := 0
	if e.message != nil {
		size = e.message.Size()
	}
	w.mix(uint64(uint32(e.to))<<32|uint64(uint32(e.from)), uint64(size))
}

// mix adds two numbers to the hash (the finalizer of SplitMix64, which lets each bit of the input change every bit).
func (w *World) mix(a, b uint64) {
	h := w.hash ^ a*0x9e3779b97f4a7c15 ^ b<<56
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	w.hash = h ^ h>>31 + b
}
