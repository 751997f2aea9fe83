package presence

import (
	"crypto/ed25519"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/machinetest"
	"peerchat/peer/wire"
)

// world is a seeded simulation of the members of one room and the links between them.
type world struct {
	rand   *rand.Rand
	start  time.Time
	now    time.Time
	events machinetest.Queue[event]
	nodes  []*node
	byID   map[wire.PeerID]*node
	timing Timing
	delay  [2]time.Duration                       // of a message, at least and at most
	broken [2]time.Duration                       // until a link that broke shows
	drop   func(from, to *node, data []byte) bool // what gets lost, or is passed over; nil: nothing
	log    *strings.Builder
	tell   func(message) bool // which messages the log has
	fail   func(format string, args ...any)
	faults []string
	seed   maphash.Seed
	proved map[[64]byte]uint64
	shared map[saying]*record

	sent     map[string]*tally // by kind of message
	lean     bool              // nobody's view is kept: there are too many
	onChange func(n *node, c Changed)
}

type tally struct{ messages, bytes int }

type node struct {
	w      *world
	i      int
	name   string
	key    ed25519.PrivateKey
	id     wire.PeerID
	m      *Machine
	life   int
	alive  bool
	left   bool // said so
	wish   Self
	skew   time.Duration // of its clock
	links  []*link
	view   map[wire.PeerID]Member // what the Changes amount to
	out    Output
	wakeAt time.Time
	wakeNo int
	sent   tally
	got    tally
	late   map[wire.PeerID]time.Time // living members that it shows as gone, since when
}

// link is one end of a link between two nodes.
type link struct {
	to   *node
	back *link
	life int  // of the node that has this end
	open bool // nothing goes through one that is not, nor did what was under way arrive
	end  time.Time
}

type event struct {
	do   func()
	via  *link // a message, where do is nil; wake of the node where that is nil, too
	data []byte
	node *node
	no   int
}

func (w *world) after(d time.Duration, do func()) { w.events.Push(w.now.Add(d), event{do: do}) }

func newWorld(t testing.TB, seed uint64) *world {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &world{rand: rand.New(rand.NewPCG(seed, 1)), start: start, now: start, byID: map[wire.PeerID]*node{},
		delay:  [2]time.Duration{5 * time.Millisecond, 25 * time.Millisecond},
		broken: [2]time.Duration{500 * time.Millisecond, 5 * time.Second},
		seed:   maphash.MakeSeed(), proved: map[[64]byte]uint64{}, shared: map[saying]*record{}, sent: map[string]*tally{}}
	if t != nil {
		w.fail = t.Fatalf
	}
	return w
}

func (w *world) between(d [2]time.Duration) time.Duration {
	return d[0] + time.Duration(w.rand.Int64N(int64(d[1]-d[0])+1))
}

// add makes a member that does not run yet.
func (w *world) add(name string) *node {
	i := len(w.nodes)
	key := keyFor(i)
	n := &node{w: w, i: i, name: name, key: key, id: wire.IDOf(key), wish: Self{Name: name}, late: map[wire.PeerID]time.Time{}}
	w.nodes = append(w.nodes, n)
	w.byID[n.id] = n
	return n
}

// run starts a node, or starts it again.
func (n *node) run() {
	w := n.w
	m, err := New(Config{Key: n.key, Room: room, Rand: rand.NewPCG(w.rand.Uint64(), 2), Timing: w.timing})
	if err != nil {
		w.fail("%v", err)
	}
	// Signatures are checked once for all, and records kept once: there may be 10,000 members.
	m.check = func(key ed25519.PublicKey, text, sig []byte) bool {
		var h maphash.Hash
		h.SetSeed(w.seed)
		_, _ = h.Write(key)
		_, _ = h.Write(text)
		sum := h.Sum64()
		if known, ok := w.proved[[64]byte(sig)]; ok {
			return known == sum
		}
		if !ed25519.Verify(key, text, sig) {
			return false
		}
		w.proved[[64]byte(sig)] = sum
		return true
	}
	m.keep = func(r *record) *record {
		if known := w.shared[saying{r.sig, r.Beat}]; known != nil {
			return known
		}
		c := *r
		w.shared[saying{r.sig, r.Beat}] = &c
		return &c
	}
	n.m, n.alive, n.left, n.view = m, true, false, map[wire.PeerID]Member{}
	n.life++
	clear(n.late)
	n.step(n.wish)
}

// step gives the machine an input and does what it puts out.
func (n *node) step(in Input) {
	w := n.w
	if !n.alive {
		return
	}
	n.out.Reset()
	n.m.Step(w.now.Add(n.skew), in, &n.out)
	for _, c := range n.out.Changes {
		n.changed(c)
	}
	for _, f := range n.out.Faults {
		text := fmt.Sprintf("%s: %s %s (drop %v)", n.name, f.Code, f.Text, f.Drop)
		w.faults = append(w.faults, text)
		w.say("%s reports %s: %s", n.name, f.Code, w.named(f.Text))
	}
	for _, s := range n.out.Sends {
		n.send(s)
	}
	if wake := n.out.Wake.Add(-n.skew); !n.out.Wake.IsZero() && !wake.Equal(n.wakeAt) {
		n.wakeAt = wake
		n.wakeNo++
		if wake.Before(w.now) {
			wake = w.now
		}
		w.events.Push(wake, event{node: n, no: n.wakeNo})
	}
}

// changed holds what is told of members to what was told before.
func (n *node) changed(c Changed) {
	w, id := n.w, c.Member.Peer
	if w.lean {
		if w.onChange != nil {
			w.onChange(n, c)
		}
		return
	}
	was, known := n.view[id]
	switch {
	case id == n.id:
		w.fail("%s is told of itself: %+v", n.name, c)
	case c.What == Joined && known, c.What != Joined && !known:
		w.fail("%s is told %q of %s, whom it knew: %v", n.name, c.What, w.who(id), known)
	case c.Was != was && c.What == Left, c.What == Renamed && c.Was.Name == c.Member.Name:
		w.fail("%s is told %+v, but it was %+v", n.name, c, was)
	case c.What == Left:
		delete(n.view, id)
		w.say("%s sees %s leave (%s)", n.name, w.who(id), c.Cause)
	default:
		n.view[id] = c.Member
		switch c.What {
		case Joined:
			w.say("%s sees %s join as %s", n.name, w.who(id), c.Member.Name)
		case Renamed:
			w.say("%s sees %s renamed to %s", n.name, w.who(id), c.Member.Name)
		case Voiced:
			w.say("%s sees %s in voice: %+v", n.name, w.who(id), c.Member.Voice)
		default:
			w.say("%s sees %s with status %q", n.name, w.who(id), c.Member.Status)
		}
	}
	if w.onChange != nil {
		w.onChange(n, c)
	}
}

func (n *node) send(s Send) {
	w := n.w
	l := n.linkTo(w.byID[s.To])
	if l == nil {
		w.fail("%s sends to %s, which is no neighbour", n.name, w.who(s.To))
		return
	}
	n.sent.messages++
	n.sent.bytes += len(s.Data)
	kind := kinds[s.Data[1]]
	if w.sent[kind] == nil {
		w.sent[kind] = &tally{}
	}
	w.sent[kind].messages++
	w.sent[kind].bytes += len(s.Data)
	if w.log != nil {
		msg, err := decodeMessage(s.Data, nil)
		if err != nil {
			w.fail("%s sends what does not decode: %v", n.name, err)
		}
		if w.tell == nil || w.tell(msg) {
			w.say("%s → %s  %s", n.name, l.to.name, w.put(msg))
		}
	}
	if !l.open || w.drop != nil && w.drop(n, l.to, s.Data) {
		return
	}
	at := w.now.Add(w.between(w.delay))
	if !at.After(l.end) {
		at = l.end.Add(1)
	}
	l.end = at
	w.events.Push(at, event{via: l, data: s.Data})
}

var kinds = []string{"", "records", "summary", "compare", "list", "done", "want", "branch", "have", "vote"}

func (n *node) linkTo(o *node) *link {
	for _, l := range n.links {
		if l.to == o {
			return l
		}
	}
	return nil
}

// advance lets the world go on for d.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for {
		at, e, ok := w.events.Pop(end)
		if !ok {
			break
		}
		if at.After(w.now) {
			w.now = at
		}
		switch {
		case e.do != nil:
			e.do()
		case e.via != nil:
			if to := e.via.to; e.via.open && e.via.back.life == to.life {
				to.got.messages++
				to.got.bytes += len(e.data)
				to.step(Receive{From: w.from(e.via), Data: e.data})
			}
		case e.node.wakeNo == e.no:
			e.node.wakeAt = time.Time{}
			e.node.step(Tick{})
		}
	}
	w.now = end
}

func (w *world) from(l *link) wire.PeerID { return l.back.to.id }

// link makes two running nodes neighbours.
func (w *world) link(a, b *node) {
	if a == b || !a.alive || !b.alive || a.linkTo(b) != nil || b.linkTo(a) != nil {
		return
	}
	la, lb := &link{to: b, life: a.life, open: true}, &link{to: a, life: b.life, open: true}
	la.back, lb.back = lb, la
	a.links, b.links = append(a.links, la), append(b.links, lb)
	w.say("%s and %s are linked", a.name, b.name)
	a.step(NeighborUp{Peer: b.id})
	b.step(NeighborUp{Peer: a.id})
}

// end ends n's end of a link, if it is still there.
func (n *node) end(l *link, dead bool) {
	l.open = false
	if i := slices.Index(n.links, l); i >= 0 {
		n.links = slices.Delete(n.links, i, i+1)
		n.step(NeighborDown{Peer: l.to.id, Died: dead})
	}
}

// cut breaks a link without a goodbye: each side that lives notices after a while.
func (w *world) cut(a *node, l *link) {
	l.open, l.back.open = false, false
	w.after(w.between(w.broken), func() { a.end(l, true) })
	w.after(w.between(w.broken), func() { l.to.end(l.back, true) })
}

// unlink closes a link with a goodbye, which arrives after what was sent before.
func (w *world) unlink(a *node, l *link) {
	if at := w.now.Add(w.delay[1]); at.After(l.end) {
		l.end = at
	}
	w.events.Push(l.end.Add(1), event{do: func() {
		if l.open {
			l.to.end(l.back, false)
		}
		l.open = false
	}})
	if i := slices.Index(a.links, l); i >= 0 {
		a.links = slices.Delete(a.links, i, i+1)
		a.step(NeighborDown{Peer: l.to.id})
	}
}

// kill ends a node without a word.
func (w *world) kill(n *node) {
	w.say("%s is killed", n.name)
	for _, l := range slices.Clone(n.links) {
		w.cut(n, l)
	}
	n.alive = false
	n.links = nil
}

// quit has a node leave.
func (w *world) quit(n *node) {
	w.say("%s leaves", n.name)
	n.step(Leave{})
	for _, l := range slices.Clone(n.links) {
		w.unlink(n, l)
	}
	n.alive, n.left = false, true
	n.links = nil
}

// groups are the living nodes, by which of them are linked with each other in some way.
func (w *world) groups() (groups [][]*node) {
	seen := map[*node]bool{}
	for _, root := range w.nodes {
		if !root.alive || seen[root] {
			continue
		}
		seen[root] = true
		group := []*node{root}
		for i := 0; i < len(group); i++ {
			for _, l := range group[i].links {
				if l.open && l.to.alive && !seen[l.to] {
					seen[l.to] = true
					group = append(group, l.to)
				}
			}
		}
		groups = append(groups, group)
	}
	return groups
}

// wrong says what somebody knows that is not so.
func (w *world) wrong() string {
	for _, group := range w.groups() {
		for _, n := range group {
			if why := n.wrong(group); why != "" {
				return why
			}
		}
	}
	return ""
}

func (n *node) wrong(group []*node) string {
	w := n.w
	members := n.m.Members()
	if !slices.IsSortedFunc(members, func(a, b Member) int { return strings.Compare(string(a.Peer[:]), string(b.Peer[:])) }) {
		return n.name + " lists its members out of order"
	}
	if len(members) != n.m.Count() || len(members) != len(n.view)+1 {
		return fmt.Sprintf("%s counts %d members, lists %d, and was told of %d", n.name, n.m.Count(), len(members), len(n.view))
	}
	want := map[wire.PeerID]Self{}
	for _, o := range group {
		want[o.id] = o.wish
	}
	for _, m := range members {
		s, ok := want[m.Peer]
		if !ok {
			return fmt.Sprintf("%s believes that %s is there", n.name, w.who(m.Peer))
		}
		if s != (Self{Name: m.Name, Status: m.Status, Voice: m.Voice}) {
			return fmt.Sprintf("%s believes of %s: %+v, but it is %+v", n.name, w.who(m.Peer), m, s)
		}
		if m.Peer != n.id && n.view[m.Peer] != m {
			return fmt.Sprintf("%s lists %+v, but was told of %+v", n.name, m, n.view[m.Peer])
		}
		delete(want, m.Peer)
	}
	for id := range want {
		return fmt.Sprintf("%s knows nothing of %s (%d of %d)", n.name, w.who(id), len(members), len(group))
	}
	return ""
}

// mesh gives everybody who runs about degree links to others of its group, and links everybody of a group with each
// other in some way. allowed says who may be linked; nil: all.
func (w *world) mesh(degree int, allowed func(a, b *node) bool) {
	alive := slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return !n.alive })
	ok := func(a, b *node) bool {
		return a != b && (allowed == nil || allowed(a, b)) && a.linkTo(b) == nil && b.linkTo(a) == nil
	}
	for _, n := range alive {
		for tries := 0; len(n.links) < degree && tries < 8*degree; tries++ {
			if o := alive[w.rand.IntN(len(alive))]; ok(n, o) && len(o.links) < degree+1 {
				w.link(n, o)
			}
		}
	}
	groups := w.groups()
	for i, g := range groups {
		for _, other := range groups[:i] {
			if a, b := g[w.rand.IntN(len(g))], other[w.rand.IntN(len(other))]; ok(a, b) {
				w.link(a, b)
				break
			}
		}
	}
}
