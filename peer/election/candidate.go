package election

import (
	"slices"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// candidate is what is known of another candidate.
type candidate struct {
	rec    Candidate
	since  time.Time // since when it has had this rank
	heard  time.Time
	flow   *rate.Limiter
	parent wire.PeerID // the neighbour that brought the latest record
	// others had the latest record by another way: they need nothing of this candidate from here. parent and others are
	// the tree along which a candidate's announcements spread with one message for each peer.
	others []wire.PeerID
	left   bool // it was a neighbour, and has not been heard of since
}

// forget drops what is known of a neighbour that is gone.
func (c *candidate) forget(id wire.PeerID) {
	c.left = c.left || c.rec.Peer == id
	if c.parent == id {
		c.parent, c.others = wire.PeerID{}, nil
	}
	c.others = slices.DeleteFunc(c.others, func(o wire.PeerID) bool { return o == id })
}

func (c *candidate) has(id wire.PeerID) {
	if id != c.parent && !slices.Contains(c.others, id) {
		c.others = append(c.others, id)
	}
}

func (m *Machine) known(id wire.PeerID) *candidate {
	for _, c := range m.ranking {
		if c.rec.Peer == id {
			return c
		}
	}
	return nil
}

// candidate reports whether this peer may lead.
func (m *Machine) candidate() bool { return m.offer.Candidate && m.unfit.IsZero() && !m.quitting }

// rank is this peer's own as a candidate.
func (m *Machine) rank() Rank {
	return Rank{Dialable: m.offer.Dialable, Priority: m.offer.Priority, Port: m.offer.Port, ID: m.self}
}

// fit makes this peer a candidate again.
func (m *Machine) fit(*Output) {
	m.soon(&m.announceAt, 10*time.Millisecond)
	if m.suspect && m.phase == idle {
		m.wait()
	}
}

// place is how many known candidates rank above this peer, a lost leader left out.
func (m *Machine) place() int {
	own, n := m.rank(), 0
	for _, c := range m.ranking {
		if c.rec.Rank.Compare(&own) > 0 && !(m.suspect && c.rec.Peer == m.reign.leader()) {
			n++
		}
	}
	return n
}

// offered takes a new offer of this peer's own.
func (m *Machine) offered(o Offer, out *Output) {
	o.Addresses = slices.Clone(o.Addresses)
	if checkAddresses(o.Addresses) != nil {
		o.Addresses = nil
	}
	was := m.rank()
	same := o.Candidate == m.offer.Candidate && slices.Equal(o.Addresses, m.offer.Addresses)
	m.offer = o
	now := m.rank()
	if same && now == was {
		return
	}
	m.own = nil
	m.soon(&m.announceAt, 20*time.Millisecond)
	if m.suspect && m.phase == idle {
		m.wait()
	}
	switch {
	case !m.leading:
	case !o.Candidate:
		m.heirs = 0
		m.nextHeir(out)
	case now.Compare(&was) < 0: // at the same term, the old word would outrank the new one
		m.lead(m.reign.Rank.Firm, m.term+1, out)
	default:
		m.lead(m.reign.Rank.Firm, m.term, out)
	}
}

// announce tells everybody that this peer is a candidate, if it is among the best.
func (m *Machine) announce(out *Output) {
	m.announceAt = m.now.Add(m.timing.Refresh - m.spread(m.timing.Refresh/4))
	if !m.candidate() || m.place() >= MaxRanking {
		return
	}
	if len(m.neighbours) == 0 {
		m.own = nil
		return
	}
	addresses := m.offer.Addresses
	if checkAddresses(addresses) != nil {
		addresses = nil
	}
	c := &Candidate{Peer: m.self, Seq: m.nextSeq(), Rank: m.rank(), Addresses: addresses}
	sign(m.cfg.Key, c)
	m.own = c
	m.flood(c, &Route{}, m.self, none, out)
}

func none(*neighbour) bool { return false }

// onCandidate takes a candidate's record.
func (m *Machine) onCandidate(n *neighbour, msg *Candidate, out *Output) {
	if msg.Peer == m.self {
		if (m.own == nil || msg.Seq > m.own.Seq) && m.verify(n.id, msg, out) { // an earlier life's
			m.seq = max(m.seq, msg.Seq)
			m.soon(&m.announceAt, 10*time.Millisecond)
		}
		return
	}
	c := m.known(msg.Peer)
	if c != nil && msg.Seq <= c.rec.Seq {
		if msg.Seq == c.rec.Seq {
			c.has(n.id)
		}
		return
	}
	if c == nil && len(m.ranking) == MaxRanking && m.ranking[MaxRanking-1].rec.Rank.Compare(&msg.Rank) > 0 {
		return
	}
	age := time.Duration(msg.Age) * time.Second
	if age >= m.timing.Expire || c != nil && !c.flow.AllowN(m.now, 1) {
		return
	}
	if !m.verify(n.id, msg, out) || c == nil && !m.relays[kindCandidate].AllowN(m.now, 1) {
		return
	}
	if c == nil {
		c = &candidate{since: m.now, flow: rate.NewLimiter(rate.Every(m.timing.Refresh/8), 8)}
		m.ranking = append(m.ranking, c)
	} else if c.rec.Rank != msg.Rank {
		c.since = m.now
	}
	c.heard, c.parent, c.others, c.left = m.now.Add(-age), n.id, c.others[:0], false
	route := msg.Route
	c.rec = *msg
	c.rec.Route, c.rec.Age = Route{}, 0
	slices.SortFunc(m.ranking, func(a, b *candidate) int { return b.rec.Rank.Compare(&a.rec.Rank) })
	if len(m.ranking) > MaxRanking {
		m.ranking = m.ranking[:MaxRanking]
	}
	for _, o := range m.neighbours {
		if o.id != n.id && slices.Contains(route.Cover, short(o.id)) {
			c.has(o.id)
		}
	}
	// A leader relays no candidates, so that no tree leads through the peer whose death it is for. Where it is the only
	// way, summaries carry them.
	if !m.leading {
		m.flood(msg, &msg.Route, n.id, none, out)
	}
	if m.own != nil && m.place() >= MaxRanking {
		m.own = nil // one of the others takes its place
	}
}

// expire forgets candidates that are silent.
func (m *Machine) expire() {
	size := len(m.ranking)
	m.ranking = slices.DeleteFunc(m.ranking, func(c *candidate) bool { return m.now.Sub(c.heard) > m.timing.Expire })
	if len(m.ranking) < size && m.own == nil && m.candidate() {
		m.soon(&m.announceAt, m.timing.Sync)
	}
	for id, l := range m.raisers {
		if l.TokensAt(m.now) >= float64(l.Burst()) {
			delete(m.raisers, id)
		}
	}
}

// drop forgets a candidate that failed; its next record brings it back.
func (m *Machine) drop(id wire.PeerID) {
	m.ranking = slices.DeleteFunc(m.ranking, func(c *candidate) bool { return c.rec.Peer == id })
	if m.own == nil && m.candidate() {
		m.soon(&m.announceAt, m.timing.Sync)
	}
}
