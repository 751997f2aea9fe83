package gossip

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// The broadcast is Plumtree (Leitão, Pereira, Rodrigues: Epidemic Broadcast Trees, SRDS 2007) with a tree for each
// author: a live event is pushed along the links that are eager in its author's tree, and offered (Have) on the others.
// A duplicate prunes a link from the tree, an offer of what did not come grafts one, and so does one of what came a
// longer way. In a tree of its own every author is the root, which makes its events take the fewest links there are; in
// a tree for all, as in the paper, those of most take twice as many. The tree of an author is a word of bits in its
// log, one for each neighbour.
//
// The paper makes its tree by a flood, and prunes. Here an author's first event is pushed to the author's neighbours
// only, and asked for from there on: whom a peer asks is its parent. So the first event costs no copy too many either,
// only time, and in a full mesh, where nobody needs to ask, nobody ever relays.

// unknownHops stands for a number of hops that nobody told.
const unknownHops = 255

// bit is the share's place in the masks of its room's logs; 0 if it has none. Such a neighbour is sent what is said
// here, and offered all else.
func (s *share) bit() uint64 {
	if s == nil || s.slot < 0 {
		return 0
	}
	return 1 << s.slot
}

// seat gives a share its place.
func (r *room) seat(s *share) {
	s.slot = -1
	if i := bits.TrailingZeros64(^r.seats); i < len(r.slots) {
		s.slot = int8(i)
		r.slots[i], r.seats = s, r.seats|1<<i
	}
	r.own.eager |= s.bit()
}

// unseat takes it back, and gives the logs that have come by it until now another parent.
func (m *Machine) unseat(now time.Time, r *room, s *share, out *Output) {
	b := s.bit()
	if b == 0 {
		return
	}
	r.slots[s.slot], r.seats = nil, r.seats&^b
	var orphans []*authorLog
	for _, a := range r.sorted {
		if a.parent == nil && a.eager&b != 0 { // perhaps it was the parent until it was suspected
			orphans = append(orphans, a)
		}
		a.eager, a.told, a.ahead, a.acks, a.lost = a.eager&^b, a.told&^b, a.ahead&^b, a.acks&^b, a.lost&^b
		if a.failed == s {
			a.failed = nil
		}
		if a.parent == s {
			a.parent = nil
			orphans = append(orphans, a)
		}
	}
	m.adopt(now, r, orphans, below, out)
}

// grown tells whether the log has a tree that is not out of date.
func (a *authorLog) grown(now time.Time) bool { return a.hasTree && now.Sub(a.liveAt) < treeLife }

// grow is told of a live event that came first from s, and makes that the log's parent. A log without a tree gets one
// without children, and is offered at once.
func (m *Machine) grow(now time.Time, r *room, a *authorLog, s *share) {
	a.isYoung = !a.grown(now)
	if a.isYoung {
		a.hasTree, a.eager = true, 0
		r.look = (m.self[len(m.self)-1]^a.author[len(a.author)-1])%lookShare == 0
		r.offerAt = earlier(r.offerAt, now.Add(m.jitter(0, offerFirst)))
		m.at(r.offerAt)
	}
	if s.bit() == 0 {
		return
	}
	a.parent = s
	a.eager |= s.bit()
	if a.failed != nil && a.failed != s {
		m.troubled(now, r)
		m.strike(now, a.failed)
	} else if s.link.strikes > 0 {
		s.link.strikes--
	}
	a.failed = nil
}

// relay pushes events of one log on along its tree.
func (m *Machine) relay(now time.Time, r *room, a *authorLog, from *share, events []wire.Event, out *Output) {
	if r.look {
		r.look = false
		out.Looks = append(out.Looks, r.name)
	}
	if a.hops >= wire.MaxHops {
		return // from here on they travel by digest
	}
	for mask := a.eager &^ from.bit(); mask != 0; mask &= mask - 1 {
		s := r.slots[bits.TrailingZeros64(mask)]
		if l := s.link; l.busy || l.cut || l.peer == a.author {
			continue // a busy one gets a digest afterwards
		}
		if s.known[a.id].seq >= events[len(events)-1].Seq { // it was faster another way
			m.prune(now, s, a, out)
			continue
		}
		m.sendLive(now, s, a, events, a.hops, out)
		a.told |= s.bit()
	}
}

// redundant looks at a live event that came from s though first, in place first, had already sent it. Second copies of
// one neighbour are no redundancy: they are there because it heard of no arrival.
func (m *Machine) redundant(now time.Time, s *share, a *authorLog, first int8, out *Output) {
	r := s.room
	if s.slot < 0 || first == s.slot || a != r.own && (first < 0 || r.slots[first] == nil) {
		return
	}
	loser := s
	if s.link.peer == a.author && s.link.struck(now) < maxStrikes {
		// Who says it is as near as can be. That another was faster is chance, or will be told again.
		loser = r.slots[first]
		if a.parent = s; a.eager&loser.bit() == 0 {
			return
		}
		a.eager |= s.bit()
	}
	if a.eager&loser.bit() == 0 && now.Sub(a.prunedAt) < pruneAgain {
		return // it was told, and does not know yet
	}
	m.prune(now, loser, a, out)
}

// prune takes a link out of a tree, here and at the other end.
func (m *Machine) prune(now time.Time, s *share, a *authorLog, out *Output) {
	a.eager &^= s.bit()
	a.prunedAt = now
	if a.parent == s {
		a.parent = nil
	}
	out.Sends = append(out.Sends, Send{To: s.link.peer, Frame: wire.Prune{Room: s.room.name, Authors: []wire.PeerID{a.author}}})
}

// pruned takes a Prune in.
func (m *Machine) pruned(now time.Time, s *share, f wire.Prune, out *Output) {
	var orphans []*authorLog
	for _, author := range f.Authors {
		for _, a := range s.room.runs(author) { // of which one has a tree
			a.eager &^= s.bit()
			if a.parent == s {
				a.parent = nil
				orphans = append(orphans, a)
			}
		}
	}
	m.adopt(now, s.room, orphans, below, out)
}

// grafted takes the part of a Graft in that is no question. There is nothing to push of an author without a tree: when
// there is, it is offered. What a peer without a way is to push, it has to look for.
func (m *Machine) grafted(now time.Time, s *share, f wire.Graft, out *Output) {
	var orphans []*authorLog
	for _, q := range f.Ranges {
		if a := s.room.logs[wire.LogOf(q.Author, q.From)]; a != nil && (a == s.room.own || a.grown(now)) {
			a.eager |= s.bit()
			switch {
			case q.From > a.head:
				if a != s.room.own && a.leans(s) {
					orphans = append(orphans, a)
				}
			case !a.isYoung:
				m.troubled(now, s.room)
			}
		}
	}
	m.adopt(now, s.room, orphans, below, out)
}

// compare makes a neighbour the parent of a log if it had the last event by fewer links than it came here, and would
// have sent it no later than the parent did. It is called with the offer, which says for how long it has been there. So
// what is gained in links is never paid for in time, and what a slow parent loses by an offer (see learn) is not won
// back by this. Of old events nobody knows any more who had them sooner: there it takes a gain that time is likely to
// follow.
func (m *Machine) compare(now time.Time, s *share, id wire.LogID, k span, age time.Duration, out *Output) {
	r := s.room
	a := r.logs[id]
	if a == nil || a == r.own || s.bit() == 0 || k.seq != a.head || a.parent == s || !a.grown(now) {
		return
	}
	switch since := now.Sub(a.liveAt); {
	case a.parent == nil:
		m.adopt(now, r, []*authorLog{a}, beside, out)
	case a.hoped && k.hops <= a.farthest():
		m.move(now, a, s, k.hops, out)
	case k.hops+1 >= a.depth:
	case age >= maxAge && since >= maxAge:
		if a.depth-(k.hops+1) >= longCut {
			m.move(now, a, s, k.hops, out)
		}
	case since <= age+compareSlack:
		m.move(now, a, s, k.hops, out)
	}
}

// introduce tells a neighbour that holds as much as this peer does how far that is from its authors. It is called with
// the neighbour's digest, as one comes when a link begins. So who was put between two others finds its place in their
// trees before the next event, and who lost its parent to it finds another.
func (m *Machine) introduce(now time.Time, s *share, out *Output) {
	r := s.room
	var logs []*authorLog
	for _, a := range r.sorted {
		if a.told&s.bit() != 0 || s.bit() == 0 || a.author == s.link.peer || a.parent == s || a.parent == nil && a != r.own || !a.grown(now) {
			continue
		}
		if k := s.known[a.id]; k.seq == a.head && k.hops == unknownHops {
			logs = append(logs, a)
		}
	}
	if len(logs) == 0 {
		return
	}
	f := wire.Have{Room: r.name}
	for _, a := range latest(logs) {
		way := a.way(now)
		way.Hops = a.depth
		f.Heads, f.Ways = append(f.Heads, wire.Head{Author: a.author, Base: a.base, Seq: a.head}), append(f.Ways, way)
		a.told |= s.bit()
	}
	out.Sends = append(out.Sends, Send{To: s.link.peer, Frame: f})
}

// latest are those of logs, in their order, that were heard last, if they are more than are to be looked after at once.
func latest(logs []*authorLog) []*authorLog {
	if len(logs) <= maxAdopted {
		return logs
	}
	slices.SortFunc(logs, func(a, b *authorLog) int {
		return cmp.Or(b.liveAt.Compare(a.liveAt), a.compare(b))
	})
	logs = logs[:maxAdopted]
	slices.SortFunc(logs, (*authorLog).compare)
	return logs
}

// shorten is the same for neighbours that had offered the event before it came: they had it sooner in any case.
func (m *Machine) shorten(now time.Time, r *room, a *authorLog, out *Output) {
	mask := a.ahead
	a.ahead = 0
	if a.parent == nil || a.isBehind && len(a.pending) > 0 || !a.grown(now) {
		return
	}
	var best *share
	hops := a.depth - 1
	for mask &^= a.parent.bit(); mask != 0; mask &= mask - 1 {
		s := r.slots[bits.TrailingZeros64(mask)]
		if k := s.known[a.id]; k.seq >= a.head && k.hops < hops {
			best, hops = s, k.hops
		}
	}
	if best != nil {
		m.move(now, a, best, hops, out)
	}
}

// move puts a log's place in its tree from its parent to s, which is hops from the author.
func (m *Machine) move(now time.Time, a *authorLog, s *share, hops uint8, out *Output) {
	if !s.link.fosters(now) {
		return
	}
	if old := a.parent; a.eager&old.bit() != 0 {
		m.prune(now, old, a, out)
	}
	a.depth, a.hoped = hops+1, false
	m.graft(s, []*authorLog{a}, out)
}

// graft makes a neighbour the parent of logs, in their order.
func (m *Machine) graft(s *share, logs []*authorLog, out *Output) {
	for part := range slices.Chunk(logs, wire.MaxRanges) {
		f := wire.Graft{Room: s.room.name, Ranges: make([]wire.Range, 0, len(part))}
		for _, a := range part {
			a.parent = s
			a.eager |= s.bit()
			if from := a.head + 1; from+maxWant <= wire.MaxCounter {
				f.Ranges = append(f.Ranges, wire.Range{Author: a.author, From: from, To: from + maxWant - 1})
			}
		}
		if len(f.Ranges) > 0 {
			out.Sends = append(out.Sends, Send{To: s.link.peer, Frame: f})
		}
	}
}

// strike notes that a neighbour was the parent of a log whose event then came from another, which had to be asked. One
// that does so again and again loses all that it is the parent of, and what it offers is no reason to make it one.
func (m *Machine) strike(now time.Time, s *share) {
	l := s.link
	l.strikes = min(l.struck(now)+1, 2*maxStrikes)
	l.struckAt = now
	s.doubted = true // see examine
	if l.strikes == maxStrikes {
		m.demote = append(m.demote, s)
	}
}

// trip is a round trip, for who would rather wait than ask in vain.
func (l *link) trip() time.Duration {
	if !l.timed {
		return max(l.rtt, unknownTrip)
	}
	return l.rtt
}

// struck is how many strikes of a neighbour count still.
func (l *link) struck(now time.Time) int {
	return max(0, l.strikes-int(now.Sub(l.struckAt)/strikeLife))
}

// demoted takes neighbours that were struck too often out of all places as parents.
func (m *Machine) demoted(now time.Time, out *Output) {
	for len(m.demote) > 0 {
		s := m.demote[0]
		m.demote = m.demote[1:]
		var orphans []*authorLog
		if s.link == m.links[s.link.peer] && s.link.share(s.room) == s {
			for _, a := range s.room.sorted {
				if a.parent == s && a.author != s.link.peer {
					orphans = append(orphans, a)
				}
			}
		}
		m.adopt(now, s.room, orphans, nearer, out)
	}
}
