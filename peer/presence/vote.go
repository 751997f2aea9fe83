package presence

import (
	"maps"
	"time"
)

// This file is how neighbours agree on who is gone of whom nobody can report that, because all died who had a link to
// it. Silence means little to one who was not there when the others were called: a newcomer that hears late of many
// deaths would wait for answers that were given before it came, and take the living for dead. So nobody goes by its own
// ears alone. Neighbours are asked, and whom more of them say to be gone than to be here is gone. An honest one says so
// only of whom it let go itself, or did not hear answer the roll; and says that somebody is here only if it heard that
// itself.

const (
	// voteWait is how long those whom a neighbour says to be gone wait for others to be asked about with them, and
	// voteMost how many of them are asked about at once: 64 KiB to each neighbour.
	voteWait = time.Second
	voteMost = 2 << 10
	// fresh is how old the first word of a member may be to have been said while this peer was there, in tenths of a
	// second.
	fresh = 50
	// votesKept is how many votes wait for a neighbour that is busy, of each kind. What is beyond it asks for again
	// when it compares.
	votesKept = 4 << 10
	// voteMemory is how long after a roll call neighbours are told who did not answer it.
	voteMemory = time.Minute
)

// ballot is what a neighbour says of a member.
type ballot struct {
	gist uint32 // of the record that it is about
	here bool
}

// gist stands for a record where it need not be known in full that two know the same.
func (r *record) gist() uint32 {
	return uint32(r.mark>>32) ^ uint32(r.mark) + uint32(r.Beat)*0x9e3779b1
}

// misses tells whether a member is gone here but for a word of its own, or did not answer the roll.
func (m *Machine) misses(e *entry) bool {
	if e.gone() {
		return e.state != left
	}
	r := &m.roll
	return r.dueAt != never && r.dueAt <= m.now && m.now-r.dueAt < voteMemory && m.absentee(e)
}

// absentee tells whether a member did not answer the roll and is not linked.
func (m *Machine) absentee(e *entry) bool { return m.silent(e) && m.neighbour(e.rec.peer) == nil }

// vote has a neighbour told what is held here of a member that it asked for or showed, if anything is.
func (m *Machine) vote(n *neighbour, e *entry) {
	switch {
	case m.misses(e):
		n.tellVote(&n.gone, e)
	case e.live && e.state == here:
		n.tellVote(&n.here, e)
	}
}

func (n *neighbour) tellVote(list *[]offered, e *entry) {
	if len(*list) < votesKept || !n.stuck() {
		*list = append(*list, offered{e.key, e.rec.gist()})
	}
}

// stuck tells whether a neighbour does not take what waits for it.
func (n *neighbour) stuck() bool { return n.busy || n.bulk.len() >= maxWaiting }

// poll tells the neighbours what vote has collected.
func (m *Machine) poll() {
	for _, n := range m.neighbours {
		if n.stuck() {
			continue
		}
		m.queueVotes(n, false, &n.gone)
		m.queueVotes(n, true, &n.here)
	}
}

func (m *Machine) queueVotes(n *neighbour, here bool, items *[]offered) {
	for list := *items; len(list) > 0; {
		k := min(len(list), maxWants)
		m.queueMessage(n, &vote{here: here, items: list[:k]}, false)
		list = list[k:]
	}
	*items = nil
}

// onVote takes a neighbour's word on members. What the others say of those who are gone for it is found out, unless the
// roll is called.
func (m *Machine) onVote(n *neighbour, v *vote) {
	if !m.allows(n.voted, len(v.items)) {
		m.stats.Refused++
		return
	}
	for _, i := range v.items {
		if e := m.table.findKey(i.key); e != nil && e.rec.gist() == i.gist {
			m.cast(n, e, v.here)
		}
	}
}

// cast takes a neighbour's vote on a member as it is known here.
func (m *Machine) cast(n *neighbour, e *entry, here bool) {
	r := &m.roll
	switch {
	case e.gone() || m.neighbour(e.rec.peer) != nil:
		return
	case e.rec.peer == m.self:
		if !here {
			m.contradict()
		}
		return
	case here && r.settleAt == never && r.endAt == never: // nobody asked
		return
	}
	if n.votes == nil {
		n.votes = map[uint64]ballot{}
	}
	n.votes[e.key] = ballot{e.rec.gist(), here}
	if here {
		return
	}
	if _, asked := r.asked[e.key]; !asked && r.heedAt == never && r.endAt == never {
		r.heedAt = m.now + voteWait
	}
}

// count is how many neighbours say that a member is gone, and that it is here.
func (m *Machine) count(e *entry) (gone, here int) {
	for _, n := range m.neighbours {
		switch b, ok := n.votes[e.key]; {
		case !ok || b.gist != e.rec.gist():
		case b.here:
			here++
		default:
			gone++
		}
	}
	return gone, here
}

// doomed tells whether a member is gone by the votes of the neighbours.
func (m *Machine) doomed(e *entry) bool {
	if e.gone() || e.rec.peer == m.self || m.neighbour(e.rec.peer) != nil {
		return false
	}
	gone, here := m.count(e)
	return gone > here
}

// heed asks all neighbours for those of whom one says that they are gone.
func (m *Machine) heed(out *Output) {
	r := &m.roll
	if r.asked == nil {
		r.asked = make(map[uint64]time.Duration)
	}
	m.canvass(func(e *entry) bool {
		if _, asked := r.asked[e.key]; asked || len(r.asked) == voteMost || !m.doomed(e) {
			return false
		}
		r.asked[e.key] = m.now + rollWay
		return true
	}, out)
	if r.settleAt == never {
		r.settleAt = m.now + rollWay
	}
}

// canvass asks all neighbours for news of some members; who has none votes.
func (m *Machine) canvass(of func(*entry) bool, out *Output) {
	ask := &want{}
	send := func() {
		for _, n := range m.neighbours {
			m.send(n, ask, out)
		}
		ask = &want{}
	}
	for e := range m.table.all() {
		if !of(e) {
			continue
		}
		if ask.items = append(ask.items, wanted{e.key, e.rec.version}); len(ask.items) == maxWants {
			send()
		}
	}
	if len(ask.items) > 0 {
		send()
	}
}

// settle lets those go who are gone by the votes of the neighbours, once all had the time to answer. Votes on those
// whom nobody was asked about yet wait for a turn, but during a roll call, when all are asked about in the end.
func (m *Machine) settle(out *Output) {
	r := &m.roll
	answered := make(map[uint64]bool)
	for key, at := range r.asked {
		if at <= m.now {
			answered[key] = true
			delete(r.asked, key)
		} else if r.settleAt == never || at < r.settleAt {
			r.settleAt = at
		}
	}
	m.bury(func(e *entry) bool { return answered[e.key] && m.doomed(e) }, out)
	for _, n := range m.neighbours {
		maps.DeleteFunc(n.votes, func(key uint64, _ ballot) bool {
			e := m.table.findKey(key)
			_, asked := r.asked[key]
			if answered[key] || !asked && (e == nil || !m.doomed(e)) {
				return true
			}
			if !asked && r.heedAt == never && r.endAt == never {
				r.heedAt = m.now
			}
			return false
		})
	}
}

// bury lets members go, and tells so the neighbours that did not say it themselves, such as newcomers.
func (m *Machine) bury(of func(*entry) bool, out *Output) {
	list := m.table.peers(of)
	if len(list) > 0 {
		m.hurry() // others may know better
	}
	for _, id := range list {
		e := m.table.find(id)
		if e == nil {
			continue
		}
		for _, n := range m.neighbours {
			if b, ok := n.votes[e.key]; !ok || b.here || b.gist != e.rec.gist() {
				n.tellVote(&n.gone, e)
			}
		}
		m.lose(e, e.rec.member(), expired, Expired, out)
	}
}

// forgetVotes forgets what the neighbours said in a roll call.
func (m *Machine) forgetVotes() {
	for _, n := range m.neighbours {
		n.votes = nil
	}
}
