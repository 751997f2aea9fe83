package election

import (
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// doubt takes the word of this peer's own connection that the tracker is lost.
func (m *Machine) doubt(closed bool, out *Output) {
	m.joined = false
	if m.leading {
		return
	}
	m.closed = m.closed || closed
	m.doubtAt = time.Time{}
	for _, q := range m.questions {
		m.send(q, &Vouched{Term: m.term, Verdict: Gone}, out)
	}
	m.questions = m.questions[:0]
	if m.suspect {
		return
	}
	if m.reign.Rank.Home {
		m.home = nil
	}
	m.suspect, m.vetoes, m.mute, m.yields = true, 0, 0, 0
	m.pullAfter = m.timing.Pull
	m.pullAt = m.now.Add(m.pullAfter + m.spread(2*m.pullAfter))
	m.wait()
}

// The round trips that the Timing has room for, and the most that is added to it for longer ones.
const (
	nearTrip = 20 * time.Millisecond
	maxTrip  = 500 * time.Millisecond
)

// measure takes the time that the tracker took to answer a Probe. It follows at once when that grows, and slowly when
// it falls.
func (m *Machine) measure() {
	if m.pingAt.IsZero() {
		return
	}
	took := m.now.Sub(m.pingAt) - nearTrip
	m.trip = min(max(took, (m.trip+took)/2, 0), maxTrip)
	m.pingAt = time.Time{}
}

// alive takes a sign of life of the tracker.
func (m *Machine) alive(out *Output) {
	if m.leading || m.reign.none() {
		return
	}
	m.joined = true
	m.calm()
	for _, q := range m.questions {
		m.send(q, &Vouched{Term: m.term, Verdict: Alive}, out)
	}
	m.questions = m.questions[:0]
	if !m.doubtAt.IsZero() {
		m.doubtAt = time.Time{}
		for _, e := range m.heard {
			if e.term > m.term {
				m.answer(&e, true, out)
			}
		}
	}
}

// calm ends all doubt.
func (m *Machine) calm() {
	m.suspect, m.closed = false, false
	m.phase, m.phaseAt, m.pullAt = idle, time.Time{}, time.Time{}
}

// wait begins the wait for this candidate's turn.
func (m *Machine) wait() {
	m.phase, m.phaseAt = idle, time.Time{}
	if !m.candidate() {
		return
	}
	place := m.place()
	wait := time.Duration(place)*(m.timing.Step+m.trip) + m.spread(m.timing.Jitter)
	if place > 0 {
		wait += 2 * m.trip // until the best one has asked around
	}
	if place >= MaxRanking { // among many that nobody knows
		wait += m.spread(2 * time.Second)
	}
	if len(m.neighbours) == 0 {
		wait = max(wait, m.timing.Isolated)
	}
	m.phase, m.phaseAt = waiting, m.now.Add(wait)
}

// turn is called when the time of the present phase is over.
func (m *Machine) turn(out *Output) {
	switch m.phase {
	case waiting:
		m.ask(out)
	case asking:
		m.decide(out)
	case electing:
		m.lead(true, m.term+1, out)
	case yielding: // the better one failed
		m.yields++
		m.wait()
	case vouched: // the tracker is still lost
		m.wait()
	}
}

// ask asks some neighbours whether they hear the tracker.
func (m *Machine) ask(out *Output) {
	if !m.candidate() {
		m.phase = idle
		return
	}
	if len(m.neighbours) == 0 {
		m.lead(false, m.term, out)
		return
	}
	leader := m.reign.leader()
	var ids []wire.PeerID
	for _, n := range m.neighbours {
		if n.id != leader {
			ids = append(ids, n.id)
		}
	}
	wait := m.timing.Vouch + 4*m.trip // there, to the tracker and back, and here again
	if len(ids) == 0 {                // the leader is the only one: it must know
		ids = append(ids, leader)
		if m.closed {
			wait = m.timing.Leader + 2*m.trip
		}
	}
	m.rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:min(len(ids), maxAsked)]
	m.phase, m.phaseAt = asking, m.now.Add(wait)
	m.asked, m.answers = make(map[wire.PeerID]bool, len(ids)), [Alive + 1]int{}
	for _, id := range ids {
		m.asked[id] = true
		m.send(id, &Vouch{Term: m.reign.Term, Leader: leader}, out)
	}
}

// onVouch answers whether the tracker lives, from evidence that is newer than the question.
func (m *Machine) onVouch(n *neighbour, v *Vouch, out *Output) {
	verdict := Unsure
	switch {
	case v.Leader.IsZero() && m.reign.Rank.Home: // whatever the term: there is one home tracker
		verdict = Gone
		if !m.suspect {
			m.question(n.id, out)
			return
		}
	case v.Term < m.reign.Term || v.Term == m.reign.Term && v.Leader != m.reign.leader():
		m.show(n, out) // it may not know yet; if it does, it knows better
	case v.Term > m.reign.Term:
	case m.leading:
		verdict = Alive
	case m.suspect:
		verdict = Gone
	case m.joined:
		m.question(n.id, out)
		return
	}
	m.send(n.id, &Vouched{Term: v.Term, Verdict: verdict}, out)
}

// question keeps a neighbour's question until there is news of the tracker.
func (m *Machine) question(from wire.PeerID, out *Output) {
	if !slices.Contains(m.questions, from) {
		m.questions = append(m.questions, from)
	}
	m.probe(out)
	if m.verdictAt.IsZero() {
		m.verdictAt = m.now.Add(m.timing.Vouch*3/4 + 2*m.trip)
	}
}

// probe asks for a sign of life of the tracker, at most once in 20 ms.
func (m *Machine) probe(out *Output) {
	if m.probedAt.IsZero() || m.now.Sub(m.probedAt) >= 20*time.Millisecond {
		m.probedAt = m.now
		if m.pingAt.IsZero() {
			m.pingAt = m.now
		}
		out.Actions = append(out.Actions, Probe{})
	}
}

// unsure tells those who asked that the tracker neither answered nor was lost in time.
func (m *Machine) unsure(out *Output) {
	for _, q := range m.questions {
		m.send(q, &Vouched{Term: m.reign.Term, Verdict: Unsure}, out)
	}
	m.questions = m.questions[:0]
}

// onVouched counts a neighbour's verdict. A single one that hears the tracker stops the election, but not for ever: it
// may lie, or be on the tracker's side of a broken network.
func (m *Machine) onVouched(n *neighbour, v *Vouched, out *Output) {
	if m.phase != asking || !m.asked[n.id] {
		return
	}
	delete(m.asked, n.id)
	m.answers[v.Verdict]++
	gone, open := m.answers[Gone], len(m.asked)
	switch {
	case v.Verdict == Alive && m.vetoes < maxVetoes:
		m.reconnect(out)
	case open == 0, m.closed && gone >= open+m.answers[Unsure]+m.answers[Alive]:
		// Its socket was closed here and at half of those asked: there is no waiting for the others, who may be dead.
		m.decide(out)
	}
}

// decide goes by the answers there are: silence is no sign of life.
func (m *Machine) decide(out *Output) {
	alive, gone, unsure := m.answers[Alive], m.answers[Gone], m.answers[Unsure]
	switch {
	case alive > gone+unsure:
		m.reconnect(out)
		return
	case alive+gone+unsure == 0: // it may be this peer that is cut off
		if m.mute++; m.mute < maxMute && !m.onlyLeader() {
			m.ask(out)
		} else {
			m.lead(false, m.term, out)
		}
		return
	case m.place() == 0:
		m.lead(true, m.term+1, out)
		return
	}
	e := &Election{Reign: Reign{Term: m.term + 1, Seq: m.nextSeq(), Rank: m.rank()}}
	e.Reign.Rank.Firm = true
	sign(m.cfg.Key, e)
	m.askedFor = e.Reign.Seq
	m.phase, m.phaseAt = electing, m.now.Add(m.timing.Answer+3*m.trip)
	m.flood(e, &e.Route, m.self, m.lost, out)
}

// onlyLeader reports whether the leader is the only neighbour.
func (m *Machine) onlyLeader() bool {
	return len(m.neighbours) == 1 && m.neighbours[0].id == m.reign.leader()
}

// lost reports whether n is the leader that is being replaced: nothing is sent to the dead.
func (m *Machine) lost(n *neighbour) bool { return m.suspect && n.id == m.reign.leader() }

// reconnect goes back to a tracker that others hear.
func (m *Machine) reconnect(out *Output) {
	m.vetoes++
	m.phase, m.phaseAt = vouched, m.now.Add(m.timing.Retry+m.spread(m.timing.Retry))
	out.Actions = append(out.Actions, Reconnect{})
}

// pull asks a neighbour for news, in case the announcement took a branch that is gone.
func (m *Machine) pull(out *Output) {
	if !m.suspect || len(m.neighbours) == 0 {
		return
	}
	m.pullAfter = min(2*m.pullAfter, 2*time.Second)
	m.pullAt = m.now.Add(m.pullAfter + m.spread(m.pullAfter))
	n := m.neighbours[m.rand.IntN(len(m.neighbours))]
	if m.lost(n) && len(m.neighbours) > 1 { // the dead have no news: the next one in line
		n = m.neighbours[(slices.Index(m.neighbours, n)+1)%len(m.neighbours)]
	}
	m.summarize(n.id, false, out)
}

// onElection takes another candidate's question for better ones.
func (m *Machine) onElection(n *neighbour, e *Election, out *Output) {
	r := &e.Reign
	if r.Rank.ID == m.self || r.Rank.Home {
		return
	}
	if r.Term <= m.reign.Term {
		m.show(n, out) // it has not heard what was decided since
		return
	}
	if r.Term > m.highest() {
		m.jump(n, r, out)
		return
	}
	i := slices.IndexFunc(m.heard, func(h heardElection) bool { return h.by == r.Rank.ID })
	if i >= 0 && m.heard[i].seq >= r.Seq {
		return
	}
	if !m.verify(n.id, e, out) || !m.relays[kindElection].AllowN(m.now, 1) {
		return
	}
	if i >= 0 {
		m.heard = slices.Delete(m.heard, i, i+1)
	} else if len(m.heard) >= 4*MaxRanking {
		m.heard = slices.Delete(m.heard, 0, 1)
	}
	h := heardElection{by: r.Rank.ID, term: r.Term, seq: r.Seq, from: n.id}
	m.heard = append(m.heard, h)
	if m.leading {
		m.answer(&h, true, out)
		if r.Term > m.term+1 || !m.reign.Rank.Firm || !r.Rank.Firm { // somebody can accept no lower one
			m.reassert(r.Term, out)
		}
		return
	}
	m.flood(e, &e.Route, n.id, m.elsewhere(r.Rank.ID), out)
	if m.reign.Rank.Home && m.joined && r.Term > m.term+1 {
		m.soon(&m.homeAt, 500*time.Millisecond)
	}
	own := m.rank()
	own.Firm = true
	switch {
	case !m.candidate() || own.Compare(&r.Rank) < 0:
		if m.yields < maxYields && (m.phase == waiting || m.phase == asking || m.phase == electing) {
			m.phase, m.phaseAt = yielding, m.now.Add(m.timing.Announce)
		}
	case !r.Rank.Firm: // no candidate: it only wants a higher term
	case m.suspect:
		m.answer(&h, false, out)
		if m.phase == waiting {
			m.phaseAt = m.now
		}
	default:
		m.answer(&h, false, out)
		if m.doubtAt.IsZero() {
			m.doubtAt = m.now.Add(m.timing.Vouch + 2*m.trip)
			m.probe(out)
		}
	}
}

// doubted gives up a tracker that others miss and that does not answer this peer either.
func (m *Machine) doubted(out *Output) {
	if m.suspect || m.leading {
		return
	}
	m.doubt(false, out)
	if m.phase == waiting {
		// The one who asks for better ones has asked around, and the tracker did not answer this peer either: that is
		// enough.
		m.answers = [Alive + 1]int{Gone: 1}
		m.decide(out)
	}
}

// elsewhere reports whom a candidate's floods reach by another branch of its tree.
func (m *Machine) elsewhere(origin wire.PeerID) func(*neighbour) bool {
	c := m.known(origin)
	var gone wire.PeerID
	if m.suspect {
		gone = m.reign.leader()
	}
	return func(n *neighbour) bool {
		return n.id == origin || n.id == gone || c != nil && slices.Contains(c.others, n.id)
	}
}

func (m *Machine) answer(h *heardElection, alive bool, out *Output) {
	a := &Answer{To: h.by, By: m.self, Term: h.term, Seq: h.seq, Alive: alive}
	sign(m.cfg.Key, a)
	m.pass(h.from, a, out)
}

// pass sends an Answer on the way back, or out, as often as Answers may go.
func (m *Machine) pass(to wire.PeerID, a *Answer, out *Output) {
	if m.relays[kindAnswer].AllowN(m.now, 1) {
		m.send(to, a, out)
	}
}

// onAnswer takes an Answer, or sends it back the way the Election came.
func (m *Machine) onAnswer(n *neighbour, a *Answer, out *Output) {
	if a.To != m.self {
		i := slices.IndexFunc(m.heard, func(h heardElection) bool { return h.by == a.To && h.seq == a.Seq && h.term == a.Term })
		if i >= 0 && m.heard[i].from != n.id && m.verify(n.id, a, out) {
			m.pass(m.heard[i].from, a, out)
		}
		return
	}
	if a.Seq != m.askedFor || (m.phase != electing && m.phase != yielding) || !m.verify(n.id, a, out) {
		return
	}
	switch c := m.known(a.By); {
	case a.Alive && m.vetoes < maxVetoes && (c != nil || a.By == m.reign.leader()):
		m.reconnect(out)
	case !a.Alive && m.phase == electing && m.yields < maxYields && c != nil && m.better(c):
		m.phase, m.phaseAt = yielding, m.now.Add(m.timing.Announce)
	}
}

// better reports whether a known candidate ranks above this peer.
func (m *Machine) better(c *candidate) bool {
	own := m.rank()
	return c.rec.Rank.Compare(&own) > 0
}

func (m *Machine) jump(n *neighbour, r *Reign, out *Output) {
	m.fault(out, Fault{From: n.id, Code: "term", Text: fmt.Sprintf("%s speaks of term %d, far above %d: it is ignored",
		n.id.Tag(), r.Term, m.term)})
}
