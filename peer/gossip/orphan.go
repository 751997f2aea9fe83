package gossip

import (
	"math/bits"
	"slices"
	"time"
)

// A log whose parent has gone is an orphan. Its next event would come by an offer, late, and just as late to all who
// get it from here. So another parent is looked for at once, with the same Graft by which events are asked for: this
// one asks for the next that will be said. (The paper's NeighborDown leaves that to the next message.) Nobody knows who
// is below whom in a tree; what is known are the links that the last event had travelled to each, which are fewer at a
// parent than at its children. So a neighbour
//
//   - that it took no more links to than to here (nearer) does not get its events by way of this peer,
//   - nor does one that it took one link more to (beside), if it is not pushed there from here;
//   - a child (below) does; but its other neighbours may be no children of this peer.
//
// Who is asked by its own parent learns by it that the parent has no way any more, and is an orphan, too. So the tree
// is turned around, link by link, until one is asked that has another way, or finds one. Nobody asks those who asked it
// since the last event (lost), so this ends.
//
// Where that fails, as when several wait for each other in a circle, the next event comes by an offer after all.

// kinship is how far an orphan goes.
type kinship int

const (
	nearer kinship = iota // as far as it goes while its parent may still be there, for what two bring costs a copy
	beside
	below
)

// adopt finds new parents for logs that have none, or a bad one. So many and no more are done at once that the end of a
// link costs a frame or two; they are those that were heard last. The rest is grafted when it is offered.
func (m *Machine) adopt(now time.Time, r *room, orphans []*authorLog, most kinship, out *Output) {
	orphans = slices.DeleteFunc(orphans, func(a *authorLog) bool {
		author := m.links[a.author]
		return a == r.own || !a.begun() || !a.grown(now) || author != nil && author.share(r) != nil && author.fosters(now)
	})
	if len(orphans) == 0 {
		return
	}
	var grafts [len(r.slots)][]*authorLog
	for _, a := range latest(orphans) {
		if s, kin, hops := a.guardian(now, r, most); s != nil {
			a.depth, a.hoped = hops+1, kin > nearer
			grafts[s.slot] = append(grafts[s.slot], a)
		}
	}
	for i, logs := range grafts {
		if len(logs) > 0 {
			m.graft(r.slots[i], logs, out)
		}
	}
}

// guardian is the neighbour that is the likeliest to bring a log's next event, if there is one, and the links which
// that will likely have travelled to it.
func (a *authorLog) guardian(now time.Time, r *room, most kinship) (best *share, kin kinship, hops uint8) {
	here := a.farthest()
	for mask := r.seats &^ a.lost; mask != 0; mask &= mask - 1 {
		s := r.slots[bits.TrailingZeros64(mask)]
		k := s.known[a.id]
		if k.seq == 0 || !s.link.fosters(now) {
			continue
		}
		as := nearer
		switch {
		case a.eager&s.bit() != 0:
			as, k.hops = below, here+1
		case k.hops == here+1:
			as = beside
		case k.hops > here:
			continue
		}
		if as <= most && (best == nil || as < kin || as == kin && k.hops < hops) {
			best, kin, hops = s, as, k.hops
		}
	}
	return best, kin, hops
}

// fosters tells whether a neighbour may become the parent of a log.
func (l *link) fosters(now time.Time) bool {
	return !l.busy && !l.cut && !l.suspected && l.struck(now) < maxStrikes
}

// farthest is how many links the last event may have travelled to a neighbour that is nearer.
func (a *authorLog) farthest() uint8 { return min(a.hops, a.depth) }

// leans is told that a neighbour wants the next event of a log from here, and reports whether one has to be found that
// brings it: that neighbour was the parent and has lost its own way, or there is no parent.
func (a *authorLog) leans(s *share) bool {
	switch {
	case a.parent == s:
		a.parent = nil
	case a.parent != nil || a.lost&s.bit() != 0:
		return false
	}
	a.lost |= s.bit()
	return true
}
