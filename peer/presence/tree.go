package presence

import (
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// This file is the tree that news takes. It is that of the paths which the records of one member, the root, take when
// they are told to everybody by everybody (reverse path forwarding: Dalal and Metcalfe 1978): where one came from first
// is the parent, which is asked to tell news (branch), and told it in turn. The root is the first of the members, so
// that all agree on it, and says something every half a minute, so that the tree is whole by then. Who has
// lost its parent asks two others until then.
//
// A tree is only as good as those on it. So who is not told news along it is offered what is urgent a little later
// (have). If offers of a neighbour help again and again, the link with it is taken to the tree for a while.

const (
	// renewals is how many words of the root there are until the next that all tell at once to everybody. What goes
	// aside of the tree goes later, and shows where the tree is broken, but not where another way is a little sooner.
	renewals = 8
	// overlap is how long the old parent stays on the tree when there is a new one, and overlaps for how many waits of
	// a refresh besides: it may have gone by on the new way already, and be on the old one still.
	overlap  = 2 * time.Second
	overlaps = 3
	// grafted is how long a link stays on the tree that brought what the tree did not, again and again.
	grafted = 30 * time.Second
	// crowned is how long a member waits that has become the root, for others to see it too.
	crowned = time.Second
	// helps is how soon after an offer what was asked for must come to count as its result.
	helps = 3 * time.Second
	// maxWaiting bounds the offers that wait for a neighbour. What is beyond is found by comparing.
	maxWaiting = 4 << 10
)

// share is what part one end of a link wants it to have in the tree.
type share uint8

const (
	none   share = iota // news is only offered on it
	spare               // it is told, because who wants it has no parent, or has another that is new
	parent              // it is told, and comes this way
)

// onTree tells whether news goes to a neighbour: one of the two wanted it.
func (n *neighbour) onTree() bool { return n.pulls != none || n.pushes != none }

// first is the first of the members: the root of the tree.
func (t *table) first() (id wire.PeerID) {
	for e := range t.all() {
		if !e.gone() {
			return e.rec.peer
		}
	}
	return id
}

// crown follows who is the root.
func (m *Machine) crown() {
	root := m.table.first()
	if root == m.root {
		return
	}
	m.root = root
	m.adopt(nil)
	if root == m.self && len(m.neighbours) > 0 {
		m.again = true
		m.speak(m.now + crowned)
	}
}

// adopt makes a neighbour the parent; nil: there is none.
func (m *Machine) adopt(n *neighbour) {
	if old := m.parent; old != nil && old != n {
		old.keep = max(old.keep, m.now+overlap+overlaps*m.timing.patience(time.Duration(m.period())*time.Second))
	}
	m.parent, m.leaf = n, false
}

// graft takes the place of a leaf on the tree, until the root says something. Whose parent is gone and who is the
// parent of others cannot: the new one may be among those below it.
func (m *Machine) graft() {
	if m.parent != nil || m.root == m.self || len(m.neighbours) == 0 ||
		slices.ContainsFunc(m.neighbours, func(n *neighbour) bool { return n.pushes == parent }) {
		return
	}
	m.parent, m.leaf = m.neighbours[m.rand.IntN(len(m.neighbours))], true
}

// standIns are how many neighbours take the place of the parent of who has lost it and is one itself, until the root
// says something. One might be among those below it, which are few for nearly all members.
const standIns = 2

// standIn chooses them.
func (m *Machine) standIn() {
	orphan := m.parent == nil && m.root != m.self
	var free []*neighbour
	lacking := standIns
	for _, n := range m.neighbours {
		switch {
		case !orphan:
			n.standIn = false
		case n.standIn:
			lacking--
		case n.pushes != parent:
			free = append(free, n)
		}
	}
	if !orphan {
		return
	}
	for ; lacking > 0 && len(free) > 0; lacking-- {
		i := m.rand.IntN(len(free))
		free[i].standIn = true
		free = slices.Delete(free, i, i+1)
	}
}

// branches tells the neighbours which of them are on the tree as far as this peer is concerned.
func (m *Machine) branches(out *Output) {
	m.graft()
	m.standIn()
	m.branchAt = never
	for _, n := range m.neighbours {
		pulls := none
		switch {
		case n == m.parent:
			pulls = parent
		case n.keep > m.now, n.standIn:
			pulls = spare
		}
		if n.keep > m.now && (m.branchAt == never || n.keep < m.branchAt) {
			m.branchAt = n.keep
		}
		if pulls != n.pulls {
			n.pulls = pulls
			m.send(n, &branch{pulls}, out)
		}
	}
}

// onBranch is told by a neighbour whether it wants news.
func (m *Machine) onBranch(n *neighbour, b *branch, out *Output) {
	if !m.allows(n.asked, 1) {
		m.blame(n, wire.PeerID{}, Flood, fmt.Sprintf("%s joins and leaves the tree more than %v times a second", n.id.Tag(), askedTaken.rate), true, out)
		return
	}
	n.pushes = b.share
	if m.leaf && n == m.parent && b.share == parent && n.id.Less(m.self) {
		m.adopt(nil) // each is the other's, so neither is on the tree. If both gave up, both would do the same again, without end.
	}
}

// treeless tells whether no neighbour is on the tree, or none knows of it yet.
func (m *Machine) treeless() bool {
	return !slices.ContainsFunc(m.neighbours, func(n *neighbour) bool { return n.onTree() })
}

// offer has a neighbour that is not on the tree told later that there is news of a member. What waits already goes with
// it.
func (m *Machine) offer(n *neighbour, id wire.PeerID, after time.Duration) {
	if n.queued[id]&(inOffers|inLive) != 0 || n.offers.len() >= maxWaiting {
		return
	}
	n.queued[id] |= inOffers
	if at := m.now + m.spread(m.crowded(after)); n.offers.len() == 0 || at < n.offerAt {
		n.offerAt = at
	}
	n.offers.push(id)
	m.hasten(n, n.offerAt)
}

// offered makes a message of the offers that wait; nil if there are none any more.
func (m *Machine) offered(n *neighbour) *have {
	h := &have{}
	for n.offers.len() > 0 && len(h.items) < maxWants {
		id := n.offers.pop()
		if q := n.queued[id] &^ inOffers; q != 0 {
			n.queued[id] = q // it is told anyway
			continue
		}
		delete(n.queued, id)
		if e := m.table.find(id); e != nil && e.state != expired {
			h.items = append(h.items, offered{e.key, e.gist()})
		}
	}
	if len(h.items) == 0 {
		return nil
	}
	return h
}

// gist stands for what is known of a member, where it need not be known in full that two know the same.
func (e *entry) gist() uint32 {
	g := e.rec.gist()
	if e.state == suspect || e.state == died {
		g = ^g
	}
	return g
}

// onHave asks a neighbour for what it offers and is not known here.
func (m *Machine) onHave(n *neighbour, h *have, out *Output) {
	if !m.allows(n.listed, len(h.items)) {
		m.stats.Refused++
		return
	}
	q := &want{}
	for _, i := range h.items {
		switch e := m.table.findKey(i.key); {
		case e == nil:
			q.items = append(q.items, wanted{key: i.key})
		case e.gist() != i.gist && e.rec.peer != m.self:
			q.items = append(q.items, wanted{i.key, e.rec.version})
		}
	}
	if len(q.items) > 0 {
		n.helped = m.now + helps
		m.send(n, q, out)
	}
}

// missed is called when an answer brought what the tree did not.
func (m *Machine) missed(n *neighbour) {
	if m.now < n.helped && !n.onTree() && !m.allows(n.missed, 1) {
		n.keep = m.now + grafted
	}
}
