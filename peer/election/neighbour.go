package election

import (
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// neighbour is a peer at the other end of a link.
type neighbour struct {
	id    wire.PeerID
	shown Reign // the best lead that it has shown, or was sent
	flow  *rate.Limiter
	asks  *rate.Limiter // summaries of it that are looked at
	told  time.Time     // when it was blamed for a flood last
}

func (m *Machine) neighbour(id wire.PeerID) *neighbour {
	for _, n := range m.neighbours {
		if n.id == id {
			return n
		}
	}
	return nil
}

func (m *Machine) neighbourUp(id wire.PeerID, out *Output) {
	if id == m.self || m.neighbour(id) != nil || len(m.neighbours) >= MaxNeighbours {
		return
	}
	if c := m.known(id); c != nil {
		c.left = false
	}
	m.neighbours = append(m.neighbours, &neighbour{id: id, flow: rate.NewLimiter(rate.Every(5*time.Millisecond), 1024),
		asks: rate.NewLimiter(rate.Every(250*time.Millisecond), 32)})
	m.summarize(id, false, out)
	if m.own == nil {
		m.soon(&m.announceAt, 200*time.Millisecond)
	}
	if m.phase == waiting && len(m.neighbours) == 1 { // it is isolated no longer
		m.wait()
	}
}

func (m *Machine) neighbourDown(id wire.PeerID) {
	i := slices.IndexFunc(m.neighbours, func(n *neighbour) bool { return n.id == id })
	if i < 0 {
		return
	}
	m.neighbours = slices.Delete(m.neighbours, i, i+1)
	m.questions = slices.DeleteFunc(m.questions, func(q wire.PeerID) bool { return q == id })
	for _, c := range m.ranking {
		c.forget(id)
	}
	if m.phase == asking && m.asked[id] {
		delete(m.asked, id)
		if len(m.asked) == 0 {
			m.phaseAt = m.now
		}
	}
}

// receive takes a message from a neighbour.
func (m *Machine) receive(in Receive, out *Output) {
	n := m.neighbour(in.From)
	if n == nil {
		return
	}
	if !n.flow.AllowN(m.now, 1) {
		if m.now.Sub(n.told) > 10*time.Second {
			n.told = m.now
			m.fault(out, Fault{From: n.id, Code: "flood", Drop: true,
				Text: fmt.Sprintf("%s sends more than 200 election messages a second", n.id.Tag())})
		}
		return
	}
	msg, err := DecodeMessage(in.Data)
	if err != nil {
		m.fault(out, Fault{From: n.id, Code: "malformed", Drop: true, Text: fmt.Sprintf("%s: %v", n.id.Tag(), err)})
		return
	}
	switch msg := msg.(type) {
	case *Candidate:
		m.onCandidate(n, msg, out)
	case *Coordinator:
		m.onCoordinator(n, msg, out)
	case *Election:
		m.onElection(n, msg, out)
	case *Resignation:
		m.onResign(n, msg, out)
	case *Answer:
		m.onAnswer(n, msg, out)
	case *Vouch:
		m.onVouch(n, msg, out)
	case *Vouched:
		m.onVouched(n, msg, out)
	case *Summary:
		m.onSummary(n, msg, out)
	}
}

// send encodes a message for one neighbour.
func (m *Machine) send(to wire.PeerID, msg Message, out *Output) {
	if b, err := AppendMessage(nil, msg); err == nil {
		out.Sends = append(out.Sends, Send{To: to, Data: b})
	}
}

// flood sends a message on to neighbours, but for who sent it, who gets it from there anyway, and who is known to have
// it from elsewhere (the branches that the candidate's own announcements took). route is what the message came with.
func (m *Machine) flood(msg Message, route *Route, from wire.PeerID, skip func(*neighbour) bool, out *Output) {
	if route.Hops >= MaxHops {
		return
	}
	covered := route.Cover
	var to []*neighbour
	for _, n := range m.neighbours {
		if n.id != from && !slices.Contains(covered, short(n.id)) && !skip(n) {
			to = append(to, n)
		}
	}
	if len(to) == 0 {
		return
	}
	next := Route{Hops: route.Hops + 1}
	for _, n := range to[:min(len(to), maxCover)] {
		next.Cover = append(next.Cover, short(n.id))
	}
	*route = next
	b, err := AppendMessage(nil, msg)
	if err != nil {
		return
	}
	for _, n := range to {
		out.Sends = append(out.Sends, Send{To: n.id, Data: b})
	}
}

// show sends a neighbour who leads, if there is a signed announcement and the neighbour is not known to have it.
func (m *Machine) show(n *neighbour, out *Output) {
	if m.proof == nil || n.shown.compare(&m.reign) >= 0 {
		return
	}
	n.shown = m.reign
	c := *m.proof
	c.Route = Route{}
	m.send(n.id, &c, out)
}

// sync asks one random neighbour to compare, now and then.
func (m *Machine) sync(out *Output) {
	m.syncAt = m.now.Add(m.timing.Sync/2 + m.spread(m.timing.Sync))
	if len(m.neighbours) > 0 {
		m.summarize(m.neighbours[m.rand.IntN(len(m.neighbours))].id, false, out)
	}
	if m.joined && (m.trip > 0 || m.now.Sub(m.probedAt) >= m.timing.Refresh) { // it may have been busy only
		m.probe(out)
	}
	m.expire()
}

func (m *Machine) summarize(to wire.PeerID, reply bool, out *Output) {
	s := &Summary{Reply: reply, Floor: m.term, Reign: m.reign}
	if m.own != nil {
		s.Candidates = append(s.Candidates, version{m.self, m.own.Seq})
	}
	for _, c := range m.ranking {
		s.Candidates = append(s.Candidates, version{c.rec.Peer, c.rec.Seq})
	}
	m.send(to, s, out)
}

// onSummary compares what a neighbour knows, and sends it what it does not.
func (m *Machine) onSummary(n *neighbour, s *Summary, out *Output) {
	if !n.asks.AllowN(m.now, 1) { // the answer may be a hundred times as long
		return
	}
	more := false
	c := s.Reign.compare(&m.reign)
	if c <= 0 && m.leading && !m.reign.Rank.Firm && m.raises.AllowN(m.now, 1) { // somebody is there: the lead gets firm
		m.lead(true, max(m.term, min(s.Floor, m.highest()))+1, out)
		return
	}
	switch {
	case c < 0:
		n.shown = s.Reign
		m.contradict(n, &s.Reign, out)
	case c > 0:
		more = true
	default:
		n.shown = s.Reign
	}
	if s.Floor > m.term && s.Reign.compare(&m.reign) <= 0 && m.leading {
		m.reassert(s.Floor+1, out)
	}
	theirs := make(map[wire.PeerID]uint64, len(s.Candidates))
	for _, v := range s.Candidates {
		theirs[v.Peer] = v.Seq
		if c := m.known(v.Peer); v.Peer != m.self && (c == nil && len(m.ranking) < MaxRanking || c != nil && c.rec.Seq < v.Seq) {
			more = true
		}
		if v.Peer == m.self && (m.own == nil || v.Seq > m.own.Seq) { // an earlier life's, if there is one: let us see it
			more = true
		}
	}
	full := len(s.Candidates) >= MaxRanking
	give := func(rec Candidate, age time.Duration) {
		if seq, ok := theirs[rec.Peer]; rec.Seq > seq && (ok || !full || rec.Peer == m.self) {
			rec.Route, rec.Age = Route{}, uint16(min((age+time.Second-1)/time.Second, math.MaxUint16))
			m.send(n.id, &rec, out)
		}
	}
	if m.own != nil && m.candidate() {
		give(*m.own, 0)
	}
	for _, c := range m.ranking {
		give(c.rec, m.now.Sub(c.heard))
	}
	if more && !s.Reply {
		m.summarize(n.id, true, out)
	}
}
