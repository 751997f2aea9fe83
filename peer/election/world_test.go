package election

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"peerchat/peer/machinetest"
	"peerchat/peer/wire"
)

// world is a seeded simulation of peers, the links between them, and the trackers that they host.
type world struct {
	rand    *rand.Rand
	start   time.Time
	now     time.Time
	events  machinetest.Queue[event]
	nodes   []*node
	byID    map[wire.PeerID]*node
	home    *tracker
	timing  Timing
	blocked map[[2]int]bool // directed
	delay   time.Duration   // of a message, at least; up to twice this
	loss    float64
	twice   float64
	linkOut time.Duration // until a dead link shows
	silence time.Duration // until a silent tracker shows
	proved  map[string]bool
	log     *strings.Builder
	graph   [][2]int // the links that there are in calm
	fail    func(format string, args ...any)
	quiet   bool // only elections in the log, no upkeep
	tap     func(to *node, data []byte)

	sent      map[string]int
	faults    []Fault
	stepped   int
	firstNews map[int]time.Time
}

// tracker is a tracker process: a peer's or the home tracker.
type tracker struct {
	up      bool
	hung    bool // accepts, and answers nothing
	term    uint64
	clients map[int]bool
}

type node struct {
	w       *world
	i       int
	name    string
	id      wire.PeerID
	key     ed25519.PrivateKey
	offer   Offer
	m       *Machine
	life    int
	alive   bool
	term    uint64 // persisted
	skew    time.Duration
	links   []int
	ends    map[int]time.Time // when the last message to a neighbour arrives, to keep the order
	track   tracker
	target  int // of the client: a node, homeTarget, or nobody
	before  int // where it was sent on from, which it tries, too; or nobody
	dial    int // generation of the client's attempts
	joined  bool
	wakeAt  time.Time
	wakeNo  int
	maxTerm uint64
	out     Output
	knows   bool // it polls the home tracker
}

const (
	nobody     = -1
	homeTarget = -2
)

type event struct {
	do func()
	// A message, where do is nil.
	to, from int
	life     int
	data     []byte
}

func (w *world) after(d time.Duration, do func()) { w.events.Push(w.now.Add(d), event{do: do}) }

func newWorld(t testing.TB, seed uint64) *world {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &world{rand: rand.New(rand.NewPCG(seed, 1)), start: start, now: start, byID: map[wire.PeerID]*node{},
		blocked: map[[2]int]bool{}, delay: time.Millisecond, linkOut: 2 * time.Second, silence: 2 * time.Second,
		proved: map[string]bool{}, sent: map[string]int{}, firstNews: map[int]time.Time{},
		home: &tracker{clients: map[int]bool{}}}
	if t != nil {
		w.fail = t.Fatalf
	}
	return w
}

// add makes a peer, which does not run yet.
func (w *world) add(name string, offer Offer) *node {
	i := len(w.nodes)
	seed := sha256.Sum256([]byte("peer " + strconv.Itoa(i)))
	key := ed25519.NewKeyFromSeed(seed[:])
	if offer.Candidate {
		offer.Addresses = []string{"n" + strconv.Itoa(i)}
	}
	n := &node{w: w, i: i, name: name, key: key, id: wire.IDOf(key), offer: offer, target: nobody, before: nobody, ends: map[int]time.Time{},
		track: tracker{clients: map[int]bool{}}}
	w.nodes = append(w.nodes, n)
	w.byID[n.id] = n
	return n
}

func (n *node) run() {
	w := n.w
	n.alive = true
	n.life++
	n.m = New(Config{Key: n.key, Offer: n.offer, Term: n.term, Rand: rand.NewPCG(w.rand.Uint64(), 2), Timing: w.timing})
	if n.knows {
		n.poll(n.life)
	}
	n.m.check = func(key ed25519.PublicKey, text, sig []byte) bool {
		k := string(sig) + string(key) + string(text)
		ok, known := w.proved[k]
		if !known {
			ok = ed25519.Verify(key, text, sig)
			w.proved[k] = ok
		}
		return ok
	}
	n.step(Tick{})
}

// step gives the machine an input and does what it puts out.
func (n *node) step(in Input) {
	w := n.w
	if !n.alive {
		return
	}
	w.stepped++
	out := &n.out
	out.Reset()
	n.m.Step(w.now.Add(n.skew), in, out)
	if n.m.term < n.maxTerm || n.m.term < n.term {
		w.fail("the term of %s fell from %d to %d", n.name, max(n.maxTerm, n.term), n.m.term)
	}
	if out.Persist > 0 {
		n.term = out.Persist
	}
	if n.m.term != n.term {
		w.fail("%s has term %d but was told to keep %d", n.name, n.m.term, n.term)
	}
	n.maxTerm = n.m.term
	for _, f := range out.Faults {
		w.tell(n, "reports %s: %s", f.Code, f.Text)
		w.faults = append(w.faults, f)
	}
	sends, actions := slices.Clone(out.Sends), slices.Clone(out.Actions)
	if out.Changed != nil {
		w.tell(n, "%s", describe(w, out.Changed))
	}
	for _, s := range sends {
		n.send(w.byID[s.To], s.Data)
	}
	wake := out.Wake.Add(-n.skew)
	if !wake.Equal(n.wakeAt) {
		n.wakeAt = wake
		n.wakeNo++
		no, life := n.wakeNo, n.life
		w.events.Push(later(wake, w.now), event{do: func() {
			if n.wakeNo == no && n.life == life {
				n.wakeAt = time.Time{}
				n.step(Tick{})
			}
		}})
	}
	for _, a := range actions {
		n.act(a)
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func (n *node) send(to *node, data []byte) {
	w := n.w
	w.count(n, to, data)
	if w.blocked[[2]int{n.i, to.i}] || !to.alive || w.loss > 0 && w.rand.Float64() < w.loss {
		return
	}
	copies := 1
	if w.twice > 0 && w.rand.Float64() < w.twice {
		copies = 2
	}
	for range copies {
		at := w.now.Add(w.delay + time.Duration(w.rand.Int64N(int64(w.delay))))
		if w.loss == 0 && w.twice == 0 { // in order
			at = later(at, n.ends[to.i].Add(1))
			n.ends[to.i] = at
		}
		w.events.Push(at, event{to: to.i, from: n.i, life: to.life, data: data})
	}
}

var kinds = []string{"", "candidate", "COORDINATOR", "ELECTION", "RESIGN", "ANSWER", "VOUCH?", "VOUCHED", "summary"}

func (w *world) count(n, to *node, data []byte) {
	w.sent[kinds[data[0]]]++
	if w.tap != nil {
		w.tap(to, data)
	}
	if w.log == nil || w.quiet && (data[0] == kindCandidate || data[0] == kindSummary) {
		return
	}
	lost := ""
	if w.blocked[[2]int{n.i, to.i}] || !to.alive {
		lost = ", into the void"
	}
	m, err := DecodeMessage(data)
	if err != nil {
		w.fail("%s sends what does not decode: %v", n.name, err)
	}
	w.tell(n, "→ %s  %s%s", to.name, say(w, m), lost)
}

// elections is the number of messages that elections took: all but upkeep.
func (w *world) elections() int {
	total := 0
	for k, v := range w.sent {
		if k != "candidate" && k != "summary" {
			total += v
		}
	}
	return total
}

func (w *world) name(id wire.PeerID) string {
	if n := w.byID[id]; n != nil {
		return n.name
	}
	return "home"
}

func say(w *world, m Message) string {
	lead := func(r *Reign) string {
		who := w.name(r.Rank.ID)
		if r.Rank.Home {
			who = "home, says " + who
		}
		if !r.Rank.Firm {
			who += ", solo"
		}
		return fmt.Sprintf("term %d, %s", r.Term, who)
	}
	switch m := m.(type) {
	case *Candidate:
		return "candidate " + w.name(m.Peer)
	case *Coordinator:
		return "COORDINATOR " + lead(&m.Reign)
	case *Election:
		return "ELECTION " + lead(&m.Reign)
	case *Resignation:
		return fmt.Sprintf("RESIGN term %d, %s leaves it to %s", m.Term, w.name(m.Leader), w.name(m.Successor))
	case *Answer:
		if m.Alive {
			return fmt.Sprintf("ANSWER to %s: %s hears the tracker", w.name(m.To), w.name(m.By))
		}
		return fmt.Sprintf("ANSWER to %s: wait for %s", w.name(m.To), w.name(m.By))
	case *Vouch:
		return fmt.Sprintf("VOUCH? term %d", m.Term)
	case *Vouched:
		return fmt.Sprintf("VOUCHED term %d: %s", m.Term, [...]string{"unsure", "gone", "alive"}[m.Verdict])
	case *Summary:
		return fmt.Sprintf("summary: floor %d, %s, %d candidates", m.Floor, lead(&m.Reign), len(m.Candidates))
	}
	return "?"
}

func describe(w *world, s *State) string {
	leader := w.name(s.Leader)
	if !s.Home && s.Leader.IsZero() {
		leader = "nobody"
	}
	extra := ""
	if s.Solo {
		extra += ", solo"
	}
	if s.InMesh {
		extra += ", in the mesh only"
	}
	return fmt.Sprintf("is %s: term %d, leader %s%s", s.Phase, s.Term, leader, extra)
}

func (w *world) tell(n *node, format string, args ...any) {
	if w.log != nil {
		fmt.Fprintf(w.log, "%8.1f ms  %s %s\n", float64(w.now.Sub(w.start))/1e6, n.name, fmt.Sprintf(format, args...))
	}
}

func (w *world) note(format string, args ...any) {
	if w.log != nil {
		fmt.Fprintf(w.log, "%8.1f ms  — %s —\n", float64(w.now.Sub(w.start))/1e6, fmt.Sprintf(format, args...))
	}
}

// run lets the world go on for d.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		at, e, ok := w.events.Pop(end)
		if !ok {
			break
		}
		w.now = later(at, w.now)
		if e.do != nil {
			e.do()
		} else if n := w.nodes[e.to]; n.life == e.life && slices.Contains(n.links, e.from) {
			n.step(Receive{From: w.nodes[e.from].id, Data: e.data})
		}
	}
	w.now = end
}

// link makes two running peers neighbours.
func (w *world) link(a, b *node) {
	if slices.Contains(a.links, b.i) || !a.alive || !b.alive {
		return
	}
	a.links, b.links = append(a.links, b.i), append(b.links, a.i)
	a.step(NeighbourUp{Peer: b.id})
	b.step(NeighbourUp{Peer: a.id})
}

func (w *world) unlink(a, b *node) {
	drop := func(a, b *node) {
		if i := slices.Index(a.links, b.i); i >= 0 {
			a.links = slices.Delete(a.links, i, i+1)
			a.step(NeighbourDown{Peer: b.id})
		}
	}
	drop(a, b)
	drop(b, a)
}

// mesh links everybody who runs with everybody.
func (w *world) mesh() {
	for i, a := range w.nodes {
		for _, b := range w.nodes[:i] {
			if a.alive && b.alive && !w.cut(a.i, b.i) {
				w.link(a, b)
			}
		}
	}
}

func (w *world) cut(a, b int) bool { return w.blocked[[2]int{a, b}] || w.blocked[[2]int{b, a}] }
