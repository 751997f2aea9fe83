package gossip

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

const general wire.Room = "general"

var epoch = time.UnixMilli(1_790_000_000_000).UTC()

// failer is what a test and a rapid property have in common.
type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// world is a small network of machines in virtual time. Each pair of linked nodes has a reliable ordered channel and a
// fast one; loss delays the first, as a retransmission does, and drops from the second.
type world struct {
	t     failer
	now   time.Time
	seed  uint64
	rand  *rand.Rand
	nodes []*node
	queue []packet // by time, then order of sending
	sent  int

	delay  func() time.Duration
	loss   float64       // of packets
	repeat float64       // of fast packets, that come twice
	rto    time.Duration // what a loss costs on the reliable channel
	busy   float64       // of frames that are followed by others before a Flush

	drop       func(from, to *node, f wire.Frame) bool // what never arrives; nil: nothing
	dropFast   bool                                    // only what was sent on the fast channel
	honest     bool                                    // whoever is blamed without a reason is a failure; see wantExcuse
	suspicions []Suspicion                             // of all, in order
	spoken     map[number]string                       // what was said under each number
	lost       func(n *node, l Lost)                   // is told what a node is told of losses, if it is there
	proven     map[proof]bool

	payloads map[wire.PeerID]map[uuid.UUID]int // event copies that reached each peer
	hops     uint8                             // the most that a delivered event had travelled
	log      *strings.Builder                  // the play, if it is wanted
}

// proof is a single event and its signature, which is the same for all nodes.
type proof struct {
	hash [32]byte
	sig  [64]byte
}

// verify does for all nodes what each would do alone.
func (w *world) verify(e *wire.Event) error {
	p := proof{e.Hash(), e.Proof.Sig}
	if e.Proof.Size == 1 && w.proven[p] {
		return nil
	}
	err := new(wire.Verifier).Verify(e)
	w.proven[p] = err == nil && e.Proof.Size == 1
	return err
}

type node struct {
	name      string
	key       ed25519.PrivateKey
	id        wire.PeerID
	store     *history.Memory
	machine   *Machine
	wake      time.Time
	links     map[*node]*wireLink
	ids       uint64
	said      []string // what this node was refused not
	delivered map[wire.PeerID][]uint64
	texts     map[uuid.UUID]string
	faults    map[string]int
	held      map[wire.PeerID]uint64
	older     int // events that were delivered as older ones
	fetched   []Fetched
	losses
	window Window
	run    uint32
	off    time.Duration // how far its clock is ahead; it starts anew with another
	broken error         // of the store: what writes to it returns it
	moody  float64       // how often what writes to the store fails though it is not broken
	chance *rand.Rand    // for that
	unread bool          // then reading it fails, too
	silent bool          // that was so at some time: it did not answer what it was asked
	fitful bool          // it was so at some time
}

func newWorld(t failer, seed uint64, names ...string) *world {
	w := &world{t: t, now: epoch, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), payloads: make(map[wire.PeerID]map[uuid.UUID]int),
		proven: make(map[proof]bool), spoken: make(map[number]string),
		delay: func() time.Duration { return 5 * time.Millisecond }, rto: time.Second}
	for i, name := range names {
		w.add(name, byte(i+1))
	}
	return w
}

func (w *world) add(name string, key byte) *node {
	return w.addKey(name, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{key}, ed25519.SeedSize)))
}

func (w *world) addKey(name string, key ed25519.PrivateKey) *node {
	n := &node{name: name, store: history.NewMemory(), links: make(map[*node]*wireLink), faults: make(map[string]int),
		key: key, held: make(map[wire.PeerID]uint64),
		delivered: make(map[wire.PeerID][]uint64), texts: make(map[uuid.UUID]string)}
	n.id = wire.IDOf(n.key)
	n.chance = rand.New(rand.NewPCG(w.seed, uint64(n.id[0])))
	w.payloads[n.id] = make(map[uuid.UUID]int)
	w.nodes = append(w.nodes, n)
	w.start(n)
	return n
}

// start gives a node a new machine over its store.
func (w *world) start(n *node) {
	w.t.Helper()
	m, err := New(Config{Key: n.key, Log: nodeLog{n}, Run: n.run, Window: n.window, Verify: w.verify, Rand: rand.New(rand.NewPCG(w.rand.Uint64(), 2)),
		NewID: func() (id uuid.UUID) {
			n.ids++
			copy(id[:], n.id[:6])
			id[6], id[8] = 0x70, 0x80
			binary.BigEndian.PutUint32(id[12:], uint32(n.ids))
			return id
		}})
	if err != nil {
		w.t.Fatalf("new machine: %v", err)
	}
	n.machine, n.wake = m, time.Time{}
	w.step(n, Subscribe{general})
}

func (w *world) node(name string) *node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	w.t.Fatalf("no node %q", name)
	return nil
}

func (w *world) name(id wire.PeerID) string {
	for _, n := range w.nodes {
		if n.id == id {
			return n.name
		}
	}
	return id.Tag()
}

func (w *world) logf(format string, args ...any) {
	if w.log != nil {
		fmt.Fprintf(w.log, "%7.1f ms  ", float64(w.now.Sub(epoch).Microseconds())/1000)
		fmt.Fprintf(w.log, format+"\n", args...)
	}
}

// unlogged does what does not belong to the play.
func (w *world) unlogged(f func()) {
	log := w.log
	w.log = nil
	f()
	w.log = log
}

// step gives a node an input and does what it says.
func (w *world) step(n *node, in Input) {
	w.t.Helper()
	var out Output
	var before map[wire.PeerID]blame
	if w.honest {
		before = n.blames()
	}
	if err := n.machine.Step(w.now.Add(n.off), in, &out); err != nil {
		w.t.Fatalf("%s: step %#v: %v", n.name, in, err)
	}
	if w.honest {
		w.wantExcuse(n, before)
	}
	if n.wake = out.Wake; !n.wake.IsZero() {
		n.wake = n.wake.Add(-n.off)
	}
	for _, d := range out.Delivers {
		w.deliver(n, d)
	}
	for _, f := range out.Faults {
		n.faults[f.Code]++
		w.logf("%s reports %s of %s: %s%s", n.name, f.Code, w.name(f.Peer), f.Text, map[bool]string{true: " (drops the link)"}[f.Drop])
	}
	for _, f := range out.Fetched {
		n.fetched = append(n.fetched, f)
		w.logf("%s has fetched %d older events, more %v, %v", n.name, f.Events, f.More, f.Err)
	}
	n.losses.tell(&out)
	for _, l := range out.Lost {
		if w.lost != nil {
			w.lost(n, l)
		}
	}
	for _, r := range out.Refused {
		w.logf("%s cannot say %q: %v", n.name, r.Ref, r.Err)
	}
	for _, h := range out.Held {
		n.held[h.Peer] = h.Seq
		w.logf("%s knows that %s holds its events up to %d", n.name, w.name(h.Peer), h.Seq-wire.LogOf(n.id, h.Seq).Start())
	}
	for _, s := range out.Sends {
		w.send(n, s)
	}
	for _, s := range out.Suspicions {
		w.suspicions = append(w.suspicions, s)
		w.logf("%s %s %s", n.name, map[bool]string{true: "suspects", false: "has heard again of"}[s.Suspected], w.name(s.Peer))
	}
}

// deliver checks what must hold of every delivery.
func (w *world) deliver(n *node, d Deliver) {
	w.t.Helper()
	e := d.Event
	had := n.delivered[e.Author]
	if d.Older {
		at, twice := slices.BinarySearch(had, e.Seq)
		if twice || !d.History {
			w.t.Fatalf("%s is delivered %d of %s as an older event, of which it had %v", n.name, e.Seq, w.name(e.Author), had)
		}
		n.older++
		n.delivered[e.Author] = slices.Insert(had, at, e.Seq)
	} else {
		goesOn := n.store.Base(general, wire.LogOf(e.Author, e.Seq)) >= e.Seq-1 // past what nobody has, or it keeps less than this
		if len(had) > 0 && had[len(had)-1]+1 != e.Seq && !(goesOn && had[len(had)-1] < e.Seq) {
			w.t.Fatalf("%s is delivered %d of %s after %d", n.name, e.Seq, w.name(e.Author), had[len(had)-1])
		}
		n.delivered[e.Author] = append(had, e.Seq)
	}
	n.texts[e.ID] = string(e.Body)
	w.hops = max(w.hops, d.Hops)
	if e.Author == n.id && d.From == n.id {
		n.said = append(n.said, string(e.Body))
		w.speaks(n, &e)
	}
	how := ""
	switch {
	case d.Older:
		how = ", as older history"
	case d.History:
		how = ", as history"
	}
	w.logf("%s is delivered %s %q from %s%s", n.name, w.number(e.Author, e.Seq), e.Body, w.name(d.From), how)
}

func (w *world) describe(f wire.Frame) string {
	var b strings.Builder
	switch f := f.(type) {
	case wire.Events:
		b.WriteString("events")
		for _, e := range f.Events {
			fmt.Fprintf(&b, " %s", w.number(e.Author, e.Seq))
		}
		if f.Live {
			fmt.Fprintf(&b, " (live, %d hops)", f.Hops)
		}
	case wire.Digest:
		fmt.Fprintf(&b, "%s%s", map[bool]string{true: "answer to digest", false: "digest"}[f.Reply], w.heads(f.Heads))
	case wire.Have:
		fmt.Fprintf(&b, "have%s", w.heads(f.Heads))
	case wire.Want:
		b.WriteString("want")
		for _, r := range f.Ranges {
			fmt.Fprintf(&b, " %s-%d", w.number(r.Author, r.From), r.To-wire.LogOf(r.Author, r.From).Start())
		}
	case wire.Graft:
		b.WriteString("graft")
		for _, r := range f.Ranges {
			fmt.Fprintf(&b, " %s-%d", w.number(r.Author, r.From), r.To-wire.LogOf(r.Author, r.From).Start())
		}
	case wire.Prune:
		b.WriteString("prune")
		for _, author := range f.Authors {
			fmt.Fprintf(&b, " %s", w.name(author))
		}
	}
	return b.String()
}

func (w *world) heads(heads []wire.Head) string {
	var b strings.Builder
	for _, h := range heads {
		fmt.Fprintf(&b, " %s", w.number(h.Author, h.Seq))
		if start := h.Log().Start(); h.Base > start {
			fmt.Fprintf(&b, "(after %d)", h.Base-start)
		}
	}
	if len(heads) == 0 {
		return " of nothing"
	}
	return b.String()
}

// identity is one of many.
func (w *world) identity(i int) (ed25519.PrivateKey, wire.PeerID) {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint32(seed, uint32(i))
	key := ed25519.NewKeyFromSeed(seed)
	return key, wire.IDOf(key)
}

// kill ends a node without a word.
func (w *world) kill(n *node) {
	w.nodes = slices.DeleteFunc(w.nodes, func(x *node) bool { return x == n })
	for _, x := range w.nodes {
		if x.links[n] != nil {
			delete(x.links, n)
			w.step(x, LinkDown{n.id})
		}
	}
	clear(n.links)
	n.wake = time.Time{}
}

// restart kills a node and starts it again with the same store.
func (w *world) restart(n *node) {
	w.logf("— %s is killed and starts again —", n.name)
	for _, x := range w.nodes {
		w.unlink(n, x)
	}
	w.start(n)
}

func (w *world) say(n *node, texts ...string) {
	w.t.Helper()
	var drafts []Draft
	for _, s := range texts {
		drafts = append(drafts, Draft{Kind: wire.KindText, Body: []byte(s), Ref: s})
	}
	w.logf("%s says %q", n.name, texts)
	w.step(n, Publish{Room: general, Name: n.name, Drafts: drafts})
}

// run lets the network run for d.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for {
		var next *node
		for _, n := range w.nodes {
			if !n.wake.IsZero() && (next == nil || n.wake.Before(next.wake)) {
				next = n
			}
		}
		if len(w.queue) > 0 && (next == nil || !w.queue[0].at.After(next.wake)) {
			p := w.queue[0]
			if p.at.After(end) {
				break
			}
			w.queue = w.queue[1:]
			if p.at.After(w.now) {
				w.now = p.at
			}
			w.arrive(p)
			continue
		}
		if next == nil || next.wake.After(end) {
			break
		}
		if next.wake.After(w.now) {
			w.now = next.wake
		}
		w.step(next, Tick{})
	}
	w.now = end
}

// converged fails unless everybody was delivered everything that was said, once and in order, and nothing else.
func (w *world) converged() {
	w.t.Helper()
	for _, author := range w.nodes {
		for _, n := range w.nodes {
			got := n.delivered[author.id]
			if len(got) != len(author.said) {
				w.t.Fatalf("%s said %d lines, %s was delivered %d of them: %v", author.name, len(author.said), n.name, len(got), got)
			}
			if len(got) > 0 && got[0] != 1 {
				w.t.Fatalf("%s was first delivered number %d of %s", n.name, got[0], author.name)
			}
			events, err := n.store.Range(general, author.id, 1, 1<<40, 1<<20)
			if err != nil || len(events) != len(got) {
				w.t.Fatalf("%s stores %d events of %s, %v: %d were delivered", n.name, len(events), author.name, err, len(got))
			}
			for i, e := range events {
				if string(e.Body) != author.said[i] {
					w.t.Fatalf("%s has %q as line %d of %s, who said %q", n.name, e.Body, i+1, author.name, author.said[i])
				}
			}
		}
	}
}

// compares tells whether n has asked from for an event that it has; see witness.go.
func (n *node) compares(from *node, e *wire.Event) bool {
	l, r := n.machine.links[from.id], n.machine.rooms[e.Room]
	return l != nil && r != nil && l.share(r) != nil && l.share(r).spot == (spot{e.Author, e.Seq})
}
