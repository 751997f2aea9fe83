package overlay

import "peerchat/peer/wire"

// Whoever comes in hangs by one link on the peer that let it in, and those that come by way of it hang on it: the links
// by which all came in are a tree that holds the room together. The other links may all be within one branch, when many
// come at once, because a newcomer is carried around, and told of, where it came in. So a link of the tree is given up
// only when a peer has no other to give. Then the child goes below the one that got its place, which has just come in
// by the same peer, and cannot be refused there: that one makes room in the same way, if it has to, and further down
// somebody has a place. A link is one of the tree that was asked for with priority, as by a Join or with no neighbours
// left, or over a partition: there may be no other. Nothing depends on its being a tree, though: it is about paths, and
// whoever is wrong about a link has only spared it.

// kin tells whether l is a link of the tree.
func (l *link) kin() bool { return l.parent || l.child }

// least is a random neighbour for which ok holds, of those that can best be spared: not a parent, and not a child, if
// there are others.
func (m *Machine) least(ok func(*link) bool) *link {
	for _, spared := range []func(*link) bool{
		func(l *link) bool { return !l.kin() },
		func(l *link) bool { return !l.parent },
		anybody,
	} {
		if l := m.pick(func(l *link) bool { return spared(l) && ok(l) }); l != nil {
			return l
		}
	}
	return nil
}

// lead makes a neighbour a parent. The one whose place it got is not looked for any more.
func (m *Machine) lead(l *link) {
	l.parent = true
	if !l.heirOf.IsZero() {
		m.found(l.heirOf)
		l.heirOf = wire.PeerID{}
	}
}

// handed makes a neighbour of the heir that a parent took in this peer's place, or of the parent again if that fails.
func (m *Machine) handed(parent Contact, heir wire.PeerID, out *Output) {
	m.miss(parent, m.timing.Bridge*3/4+m.upTo(m.timing.Bridge/2))
	m.want(heir, toKeep, out)
	l, _ := m.find(heir)
	switch {
	case l == nil || !l.active && !l.busy():
		return // it is none, or too much is under way
	case l.why != toJoin:
		l.why = toKeep
	}
	l.heirOf = parent.Peer
	if l.active {
		m.lead(l)
	}
}
