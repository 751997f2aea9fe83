package election

import (
	"bytes"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// lead makes this peer the leader of a term, and tells everybody. A solo leader, which is not firm, takes no new term:
// so a machine that was cut off for a while, or has just started, deposes nobody when it meets the others.
func (m *Machine) lead(firm bool, term uint64, out *Output) {
	if len(m.neighbours) == 0 {
		firm, term = false, m.term
	}
	if term > wire.MaxCounter || !m.offer.Candidate {
		m.phase, m.phaseAt = idle, time.Time{}
		return
	}
	if m.suspect {
		if !firm {
			m.givenUp = m.reign
		}
		m.drop(m.reign.leader())
	}
	addresses := m.offer.Addresses
	if checkAddresses(addresses) != nil {
		addresses = nil
	}
	c := &Coordinator{Reign: Reign{Term: term, Seq: m.nextSeq(), Rank: m.rank()}, Addresses: slices.Clone(addresses)}
	c.Reign.Rank.Firm = firm
	sign(m.cfg.Key, c)
	skip := m.elsewhere(m.self) // before the old leader is forgotten
	m.term = max(m.term, term)
	m.adopt(c)
	m.leading, m.claimedAt = true, m.now
	m.handOver = time.Time{}
	out.Actions = append(out.Actions, Become{Term: term, Solo: !firm, InMesh: !m.offer.Dialable})
	m.spreadReign(m.self, Route{}, skip, out)
}

// adopt makes an announcement the one that counts.
func (m *Machine) adopt(c *Coordinator) {
	m.calm()
	m.questions, m.doubtAt = m.questions[:0], time.Time{}
	m.reign, m.places = c.Reign, c.Addresses
	m.joined = false
	p := *c
	p.Route = Route{}
	m.proof = &p
}

// spreadReign floods the announcement of the present lead.
func (m *Machine) spreadReign(from wire.PeerID, route Route, skip func(*neighbour) bool, out *Output) {
	c := *m.proof
	c.Route = route
	m.flood(&c, &c.Route, from, func(n *neighbour) bool {
		if skip(n) || n.shown.compare(&m.reign) >= 0 {
			return true
		}
		n.shown = m.reign
		return false
	}, out)
}

// reassert takes the own lead to a higher term, because somebody accepts no lower one.
func (m *Machine) reassert(term uint64, out *Output) {
	if m.leading && term > m.term && term <= m.highest() && m.raises.AllowN(m.now, 1) {
		m.lead(true, term, out)
	}
}

// onCoordinator takes the announcement of a leader.
func (m *Machine) onCoordinator(n *neighbour, c *Coordinator, out *Output) {
	order := c.Reign.compare(&m.reign)
	if order == 0 && m.proof != nil && bytes.Compare(c.Sig[:], m.proof.Sig[:]) > 0 && c.Reign.Rank.ID != m.self {
		order = 1 // one leader signed two of the same number: all must choose the same
	}
	switch {
	case order == 0:
		n.shown = c.Reign
		return
	case order < 0:
		if n.shown.compare(&c.Reign) < 0 {
			n.shown = c.Reign
		}
		m.contradict(n, &c.Reign, out)
		return
	case c.Reign.Term > m.highest():
		m.jump(n, &c.Reign, out)
		return
	case c.Reign.Term < m.term:
		m.raise(out)
		return
	}
	// In this order: what is forged must not use up the leave that the honest need.
	if !m.verify(n.id, c, out) || c.Reign.Rank.ID != m.self && !m.mayLead(&c.Reign) {
		return
	}
	n.shown = c.Reign
	if c.Reign.Rank.ID == m.self && !c.Reign.Rank.Home {
		m.ghost(c, out)
		return
	}
	if m.reign.Rank.Home && m.joined && !c.Reign.Rank.Home {
		// The home tracker outranks everybody, and this peer is in touch with it: it speaks for it, at a term above.
		m.term = max(m.term, c.Reign.Term)
		m.home = slices.Clone(m.places)
		m.speakForHome()
		return
	}
	m.follow(n, c, out)
}

// contradict tells a neighbour that believes in a lower lead what this peer knows. Of a home tracker it may know no
// more than the tracker's own word: then it speaks for it, or, if it lost it, asks the leader for a term that it can
// accept.
func (m *Machine) contradict(n *neighbour, lower *Reign, out *Output) {
	switch {
	case m.proof != nil:
		m.show(n, out)
	case lower.none() || lower.Rank.Home || m.reign.none():
	case m.reign.Rank.Home && m.joined:
		m.speakForHome()
	case !m.joined:
		m.raise(out)
	}
}

// speakForHome lets this peer, which is connected to the home tracker, announce it.
func (m *Machine) speakForHome() {
	if m.homeAt.IsZero() {
		m.homeAt = m.now.Add(m.hold()/2 + m.spread(m.homeHold))
	}
}

// follow accepts a leader.
func (m *Machine) follow(n *neighbour, c *Coordinator, out *Output) {
	led, was, before := m.leading, m.reign.leader(), m.reign
	hadHome, joined, lost, places := m.reign.Rank.Home, m.joined, m.suspect, m.places
	skip := m.elsewhere(c.Reign.Rank.ID) // before the old leader is forgotten
	m.term = max(m.term, c.Reign.Term)
	route := c.Route
	m.adopt(c)
	m.leading, m.handOver = false, time.Time{}
	m.spreadReign(n.id, route, skip, out)
	home := c.Reign.Rank.Home
	if lost && !was.IsZero() && was != c.Reign.Rank.ID {
		m.drop(was)
	}
	if led {
		out.Actions = append(out.Actions, StepDown{Leader: m.reign.leader(), Term: c.Reign.Term, Addresses: c.Addresses, Home: home})
		m.soon(&m.announceAt, time.Second)
	}
	if home {
		m.homeLed, m.homeAt = m.now, time.Time{}
	}
	same := !before.none() && !led && was == m.reign.leader() && hadHome == home
	if same && joined && !lost {
		m.joined = true
		if home { // wherever others say that it is
			m.places = places
		}
		return
	}
	out.Actions = append(out.Actions, Follow{Leader: m.reign.leader(), Term: c.Reign.Term, Addresses: c.Addresses, Home: home, InMesh: m.inMesh()})
	if led && !before.Rank.Firm && c.Reign.compare(&m.givenUp) == 0 { // this one was lost; do those who are back know better?
		m.doubt(false, out)
	}
	if m.candidate() && m.place() < 3 { // its tree should no longer lead through the new leader
		m.soon(&m.announceAt, m.timing.Sync)
	}
	if len(m.home) > 0 && !home {
		m.homeBack(m.home)
	}
}

// ghost takes an announcement of an earlier life of this peer, which others may still believe: that leader is dead.
func (m *Machine) ghost(c *Coordinator, out *Output) {
	m.seq = max(m.seq, c.Reign.Seq)
	switch {
	case !m.leading:
		m.term = max(m.term, c.Reign.Term)
		m.adopt(c)
		m.doubt(true, out)
	case !m.ghostAt.IsZero() && m.now.Sub(m.ghostAt) < time.Minute:
		m.twin(c, out)
	default:
		if m.reassert(c.Reign.Term+1, out); m.reign.Term > c.Reign.Term {
			m.ghostAt = m.now
		}
	}
}

// twin gives way to another process that leads in the name of this peer: an earlier life would not have answered what
// this one announced. Else the two would raise the term against each other for ever.
func (m *Machine) twin(c *Coordinator, out *Output) {
	m.fault(out, Fault{Peer: m.self, Code: "twin",
		Text: "another process has this peer's identity, and is the tracker: this one gives way. Each needs a profile of its own"})
	m.term = max(m.term, c.Reign.Term)
	m.adopt(c)
	m.leading, m.handOver, m.own = false, time.Time{}, nil
	m.unfit = m.now.Add(time.Minute)
	out.Actions = append(out.Actions, StepDown{Term: m.term})
}

// mayLead limits how often one peer, and all together, raise the term, and how often a lead changes within its term.
// Identities are free, so only who is heard gets a limit of its own.
func (m *Machine) mayLead(r *Reign) bool {
	if r.Term <= m.term {
		return m.relays[kindCoordinator].AllowN(m.now, 1)
	}
	own := m.raisers[r.Rank.ID]
	if own == nil {
		own = rate.NewLimiter(rate.Every(5*time.Second), 4)
	}
	if len(m.raisers) >= 4*MaxRanking || own.TokensAt(m.now) < 1 || !m.raises.AllowN(m.now, 1) {
		return false
	}
	m.raisers[r.Rank.ID] = own
	return own.AllowN(m.now, 1)
}

// raise asks the leader for a term that this peer can accept.
func (m *Machine) raise(out *Output) {
	if m.now.Before(m.raiseAt) || m.term >= wire.MaxCounter {
		return
	}
	m.raiseAt = m.now.Add(m.timing.Sync)
	e := &Election{Reign: Reign{Term: m.term + 1, Seq: m.nextSeq(), Rank: Rank{ID: m.self}}}
	sign(m.cfg.Key, e)
	m.flood(e, &e.Route, m.self, none, out)
}

// connected takes the word of the tracker that this peer joined.
func (m *Machine) connected(in Connected, out *Output) {
	if m.leading || in.Leader == m.self || checkAddresses(in.Addresses) != nil {
		return
	}
	in.Term = min(in.Term, m.highest()) // it is where this peer is, whatever it says of its term
	home := in.Leader.IsZero()
	m.pingAt = time.Time{}
	if m.reign.Rank.Home == home && m.reign.leader() == in.Leader && in.Term <= m.reign.Term && !m.reign.none() {
		m.alive(out)
		m.probe(out) // how long does it take to answer?
		if home && in.Term < m.reign.Term {
			out.Actions = append(out.Actions, TellHome{Term: m.reign.Term, Addresses: in.Addresses})
		}
		return
	}
	r := Reign{Term: in.Term, Rank: Rank{ID: in.Leader}}
	if home {
		r.Rank = Rank{Firm: true, Home: true, Dialable: true}
		if in.Term < m.term && (m.reign.none() || m.reign.Rank.Home) {
			r.Term = m.term
			out.Actions = append(out.Actions, TellHome{Term: m.term, Addresses: in.Addresses})
		}
	}
	if r.compare(&m.reign) < 0 || r.Term < m.term {
		m.joined = false // it left the one that it follows, which sent it here perhaps
		if home {        // it answers, but somebody else leads
			m.homeBack(in.Addresses)
		}
		return
	}
	m.term = max(m.term, r.Term)
	m.calm()
	m.reign, m.places, m.proof = r, slices.Clone(in.Addresses), nil
	m.alive(out)
	m.probe(out)
}

// homeBack takes the word that the home tracker answers this peer. The leader gives it the lead soon, others only when
// the leader does not. A home that was lost soon after it had got the lead must be back for longer each time.
func (m *Machine) homeBack(addresses []string) {
	if checkAddresses(addresses) != nil {
		return
	}
	m.home = slices.Clone(addresses)
	if m.reign.Rank.Home && !m.suspect || !m.homeAt.IsZero() {
		return
	}
	hold := m.hold()
	if !m.leading {
		hold += 2*m.timing.Home + m.spread(4*m.timing.Home)
	}
	m.homeAt = m.now.Add(hold)
}

// hold is how long the home tracker has to be back now.
func (m *Machine) hold() time.Duration {
	if !m.homeLed.IsZero() && m.now.Sub(m.homeLed) < 2*m.homeHold+time.Minute {
		m.homeHold = min(2*m.homeHold, 10*time.Minute)
	} else {
		m.homeHold = m.timing.Home
	}
	return m.homeHold
}

// leadHome announces the home tracker, which this peer reaches, as the leader of the next term.
func (m *Machine) leadHome(out *Output) {
	places := m.home
	if m.reign.Rank.Home && m.joined {
		places = m.places
	} else if len(places) == 0 || m.reign.Rank.Home {
		return
	}
	if m.term >= wire.MaxCounter {
		return
	}
	led := m.leading
	c := &Coordinator{Reign: Reign{Term: m.term + 1, Seq: m.nextSeq(),
		Rank: Rank{Firm: true, Home: true, Dialable: true, ID: m.self}}, Addresses: slices.Clone(places)}
	sign(m.cfg.Key, c)
	joined := m.joined && m.reign.Rank.Home
	m.term = c.Reign.Term
	m.adopt(c)
	m.joined = joined
	m.leading, m.handOver, m.homeLed = false, time.Time{}, m.now
	out.Actions = append(out.Actions, TellHome{Term: m.term, Addresses: places})
	m.spreadReign(m.self, Route{}, none, out)
	if led {
		out.Actions = append(out.Actions, StepDown{Term: m.term, Addresses: places, Home: true})
		m.soon(&m.announceAt, time.Second)
	}
	if !joined {
		out.Actions = append(out.Actions, Follow{Term: m.term, Addresses: places, Home: true})
	}
}

// settle hands over to a better candidate that has proved steady, so that in calm the best one leads.
func (m *Machine) settle(out *Output) {
	m.settleAt = m.now.Add(m.timing.Settle/4 + m.spread(m.timing.Settle/4))
	if !m.leading || !m.reign.Rank.Firm || !m.handOver.IsZero() || len(m.ranking) == 0 || len(m.neighbours) == 0 {
		return
	}
	best, own := m.ranking[0], m.rank()
	if best.rec.Rank.Compare(&own) < 0 {
		return
	}
	wait := m.timing.SettleTie
	if best.rec.Rank.able(&own) > 0 {
		wait = m.timing.Settle
	}
	if m.now.Sub(best.since) >= wait && m.now.Sub(m.claimedAt) >= wait && m.now.Sub(best.heard) < 2*m.timing.Refresh {
		m.heirs = 1
		m.bequeath(best.rec.Peer, out)
	}
}

// bequeath names the successor.
func (m *Machine) bequeath(to wire.PeerID, out *Output) {
	m.successor, m.handOver = to, m.now.Add(m.timing.HandOver)
	r := &Resignation{Leader: m.self, Term: m.reign.Term, Successor: to}
	sign(m.cfg.Key, r)
	m.flood(r, &r.Route, m.self, none, out)
}

// resign hands over because this peer is going.
func (m *Machine) resign(out *Output) {
	if !m.leading || m.quitting {
		return
	}
	m.quitting, m.heirs = true, 0
	m.nextHeir(out)
}

// nextHeir tries the best candidate there is, if possible none whose link has gone, and gives up after three.
func (m *Machine) nextHeir(out *Output) {
	if len(m.ranking) == 0 || len(m.neighbours) == 0 || m.heirs >= 3 {
		m.leading, m.joined = false, false
		m.handOver = time.Time{}
		out.Actions = append(out.Actions, StepDown{Term: m.reign.Term})
		m.doubt(true, out)
		return
	}
	m.heirs++
	heir := max(0, slices.IndexFunc(m.ranking, func(c *candidate) bool { return !c.left }))
	m.bequeath(m.ranking[heir].rec.Peer, out)
}

// heirFailed is called when a successor did not take over in time.
func (m *Machine) heirFailed(out *Output) {
	if !m.leading {
		return
	}
	m.drop(m.successor)
	if !m.candidate() {
		m.nextHeir(out)
	}
}

// hostFailed gives the lead to the next best, because this process cannot be a tracker.
func (m *Machine) hostFailed(out *Output) {
	if !m.leading {
		return
	}
	m.unfit = m.now.Add(time.Minute)
	m.own, m.heirs = nil, 0
	m.nextHeir(out)
}

// withdraw gives up a lead that nobody but this peer has seen.
func (m *Machine) withdraw() {
	if m.leading && !m.reign.Rank.Firm {
		m.leading, m.joined = false, false
		m.reign, m.proof, m.places = Reign{}, nil, nil
		m.calm()
	}
}

// Proof is the signed announcement of the present leader, for Learn elsewhere; nil where only a tracker's word is
// known.
func (m *Machine) Proof() []byte {
	if m.proof == nil {
		return nil
	}
	b, err := AppendMessage(nil, m.proof)
	if err != nil {
		return nil
	}
	return b
}

// learn takes an announcement from a tracker. What would be sent to a neighbour in answer goes nowhere: trackers that
// meet show each other what they know.
func (m *Machine) learn(data []byte, out *Output) {
	msg, err := DecodeMessage(data)
	c, ok := msg.(*Coordinator)
	if err != nil || !ok {
		m.fault(out, Fault{Code: "malformed", Text: "a tracker showed an announcement of its leader that cannot be read"})
		return
	}
	c.Route = Route{}
	m.onCoordinator(&neighbour{}, c, out)
	out.Sends = slices.DeleteFunc(out.Sends, func(s Send) bool { return s.To.IsZero() })
}

// onResign passes the lead on.
func (m *Machine) onResign(n *neighbour, r *Resignation, out *Output) {
	if r.Term != m.reign.Term || r.Leader != m.reign.leader() || r.Leader == m.self || m.leading {
		if r.Term < m.reign.Term {
			m.show(n, out)
		}
		return
	}
	// It is passed on once; again only when its sender repeats it, because the successor could not take over then.
	w := will{r.Term, r.Successor}
	if m.resigned == w && m.now.Sub(m.resignedAt) < m.timing.HandOver || !m.verify(n.id, r, out) || !m.relays[kindResign].AllowN(m.now, 1) {
		return
	}
	m.resigned, m.resignedAt = w, m.now
	if r.Successor == m.self && m.candidate() {
		m.lead(true, m.term+1, out)
		return
	}
	m.flood(r, &r.Route, n.id, m.elsewhere(r.Leader), out)
}

// will is what is remembered of a Resignation, so that it is passed on once.
type will struct {
	term      uint64
	successor wire.PeerID
}
