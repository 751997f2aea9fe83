package negotiate

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Machine negotiates with one remote peer. Make it with New.
type Machine struct {
	cfg      Config
	impolite bool
	canOffer bool

	wanted   bool
	sessions []*session // in the order begun
	ended    []uuid.UUID
	link     *session // the one to send on; nil: no link
	upSince  time.Time

	heard    uint64        // counts the first messages about a session that came from the remote peer
	attempts int           // begun since the link was last well
	toil     time.Duration // how long the transport last took for a description
	offerAt  time.Time     // when to begin the next; zero: not planned
	graceAt  time.Time     // when to close what is surplus; zero: nothing is

	offers   float64 // offers that may be taken at offersAt
	offersAt time.Time
}

// session is an attempt, or what became of it.
type session struct {
	id         uuid.UUID
	own        bool // we offered it
	began      time.Time
	described  bool      // our description went out
	stepAt     time.Time // when the latest of the two descriptions went out or came
	exchanged  bool      // both descriptions are known here
	open       bool
	replaces   bool      // the remote peer offered it when the link was settled
	instance   uuid.UUID // of the remote peer; zero until both descriptions are known
	heard      uint64    // when that was, by Machine.heard
	answer     Message   // ours, to be said again when the offer comes again
	candidates int       // of the remote peer
}

// since reports whether s is with an instance of the remote peer that came after that of o, so that o is dead if s is
// open. An offer alone makes nothing dead, for whoever has seen an old one can say it again; but only its author can
// open it.
func (s *session) since(o *session) bool {
	return s.exchanged && o.exchanged && s.instance != o.instance && s.heard > o.heard
}

// New makes a Machine that wants no link yet.
func New(cfg Config) *Machine {
	if cfg.Pace == nil {
		cfg.Pace = &Pace{}
	}
	m := &Machine{cfg: cfg, canOffer: cfg.MustOffer || !cfg.RemoteMustOffer, offers: offerBurst}
	m.impolite = cfg.Remote.Less(cfg.Self)
	if cfg.MustOffer != cfg.RemoteMustOffer {
		m.impolite = cfg.MustOffer
	}
	return m
}

// Link is the session to send on, if there is a link.
func (m *Machine) Link() (uuid.UUID, bool) {
	if m.link == nil {
		return uuid.Nil, false
	}
	return m.link.id, true
}

// Sessions is how many sessions there are, open or not.
func (m *Machine) Sessions() int { return len(m.sessions) }

// Step takes an input and appends to out what is to be done. An input about a session that is over is ignored.
func (m *Machine) Step(now time.Time, in Input, out *Output) {
	switch in := in.(type) {
	case Want:
		m.want(now, in.Eager)
	case Unwant:
		m.unwant(out)
	case Described:
		m.described(now, in, out)
	case Gathered:
		if s := m.find(in.Session); s != nil && s.described {
			c := in.Candidate
			out.Signals = append(out.Signals, Message{Kind: KindCandidate, Session: s.id, Candidate: &c})
		}
	case Opened:
		m.opened(now, in.Session, out)
	case Closed:
		m.closed(now, in, out)
	case Remote:
		m.remote(now, in.Message, out)
	}
	m.due(now, out)
	out.Wake = m.wake()
}

func (m *Machine) want(now time.Time, eager bool) {
	switch {
	case eager:
		m.attempts = 0
		m.wanted = true
		if m.link == nil {
			m.offerAt = now
		}
	case !m.wanted:
		m.wanted = true
		if m.link == nil && m.offerAt.IsZero() {
			m.offerAt = now.Add(m.spread(Patience))
		}
	}
}

func (m *Machine) unwant(out *Output) {
	m.wanted = false
	m.offerAt, m.graceAt = time.Time{}, time.Time{}
	for len(m.sessions) > 0 {
		m.drop(m.sessions[0], out)
	}
	if m.link != nil {
		m.link = nil
		out.Changes = append(out.Changes, LinkDown{Reason: "not wanted any more"})
	}
}

// due does what the clock asks for.
func (m *Machine) due(now time.Time, out *Output) {
	for _, s := range slices.Clone(m.sessions) {
		if !s.open && !now.Before(s.began.Add(AttemptLife)) {
			m.drop(s, out)
		}
	}
	if !m.graceAt.IsZero() && !now.Before(m.graceAt) {
		m.graceAt = time.Time{}
		for _, s := range slices.Clone(m.sessions) {
			if m.link != nil && s != m.link && s.own {
				m.drop(s, out)
			}
		}
	}
	if m.wanted && m.canOffer && m.link == nil && !m.offerAt.IsZero() && !now.Before(m.offerAt) {
		m.makeRoom(true, out)
		s := &session{id: m.cfg.NewID(), own: true, began: now}
		m.sessions = append(m.sessions, s)
		m.attempts++
		m.offerAt = now.Add(AttemptLife) // until it is described
		out.Actions = append(out.Actions, Offer{Session: s.id})
	}
}

func (m *Machine) wake() time.Time {
	var at time.Time
	earliest := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	earliest(m.graceAt)
	if m.wanted && m.canOffer && m.link == nil {
		earliest(m.offerAt)
	}
	for _, s := range m.sessions {
		if !s.open {
			earliest(s.began.Add(AttemptLife))
		}
	}
	return at
}

// described sends our half of a session to the other side.
func (m *Machine) described(now time.Time, in Described, out *Output) {
	s := m.find(in.Session)
	if s == nil || s.described {
		return
	}
	m.toil = now.Sub(s.began)
	if s.own && m.link != nil {
		m.drop(s, out) // another one was faster
		return
	}
	s.described, s.stepAt = true, now
	if s.own && m.newest(true) == s {
		m.offerAt = now.Add(m.grown(m.cfg.Pace.signalTimeout()))
	}
	msg := Message{
		Kind: KindOffer, Session: s.id, Instance: m.cfg.Instance,
		SDP: in.Description.SDP, Fingerprint: in.Description.Fingerprint,
	}
	if !s.own {
		msg.Kind = KindAnswer
		s.answer = msg
	}
	out.Signals = append(out.Signals, msg)
}

func (m *Machine) remote(now time.Time, msg Message, out *Output) {
	s := m.find(msg.Session)
	switch msg.Kind {
	case KindOffer:
		m.offered(now, s, msg, out)
	case KindAnswer:
		switch {
		case s == nil:
			// It waits for a session that we gave up.
			m.reject(msg.Session, out)
		case s.own && s.described && !s.exchanged:
			m.exchanged(s, msg.Instance)
			m.cfg.Pace.answered(now.Sub(s.stepAt))
			s.stepAt = now
			out.Actions = append(out.Actions, Answer{
				Session: s.id, Answer: Description{SDP: msg.SDP, Fingerprint: msg.Fingerprint},
			})
			if m.link == nil && m.newest(true) == s {
				m.offerAt = now.Add(m.grown(m.cfg.Pace.openTimeout()))
			}
		}
	case KindCandidate:
		if s != nil && msg.Candidate != nil && s.candidates < MaxCandidates {
			s.candidates++
			out.Actions = append(out.Actions, AddCandidate{Session: s.id, Candidate: *msg.Candidate})
		}
	case KindReject:
		// An open session speaks for itself.
		if s != nil && !s.open {
			m.end(s)
			out.Actions = append(out.Actions, CloseSession{Session: s.id})
		}
	}
}

// offered takes an offer, or not.
func (m *Machine) offered(now time.Time, s *session, msg Message, out *Output) {
	if s != nil {
		// Said again, because our answer is late or lost.
		if !s.own && s.described && !s.open {
			out.Signals = append(out.Signals, s.answer)
		}
		return
	}
	if slices.Contains(m.ended, msg.Session) {
		return
	}
	if !m.wanted || m.cfg.MustOffer && !m.cfg.RemoteMustOffer {
		m.reject(msg.Session, out)
		return
	}
	if m.crossed(now) || !m.mayTake(now) {
		return
	}
	if !m.impolite {
		for _, own := range slices.Clone(m.sessions) {
			if own.own && !own.exchanged {
				m.drop(own, out)
			}
		}
	}
	m.makeRoom(false, out)
	s = &session{id: msg.Session, began: now}
	m.exchanged(s, msg.Instance)
	s.replaces = m.link != nil && !now.Before(m.upSince.Add(Settled))
	m.sessions = append(m.sessions, s)
	if m.link == nil {
		// The other side is at it, so leave it to that for a while.
		m.offerAt = now.Add(m.spread(2 * Patience))
	}
	out.Actions = append(out.Actions, Accept{
		Session: s.id, Offer: Description{SDP: msg.SDP, Fingerprint: msg.Fingerprint},
	})
}

// exchanged notes that the remote peer's description has come, and from which instance.
func (m *Machine) exchanged(s *session, instance uuid.UUID) {
	m.heard++
	s.exchanged, s.instance, s.heard = true, instance, m.heard
}

// crossed reports whether an offer that comes now has crossed one of ours and is ours to ignore. If ours then comes to
// nothing, the other side's next one is taken.
func (m *Machine) crossed(now time.Time) bool {
	if !m.impolite || m.link != nil {
		return false
	}
	s := m.newest(true)
	return s != nil && now.Before(s.began.Add(2*SignalTimeout))
}

// mayTake spends one of the offers that the remote peer may make us take.
func (m *Machine) mayTake(now time.Time) bool {
	if !m.offersAt.IsZero() && now.After(m.offersAt) {
		m.offers = min(offerBurst, m.offers+float64(now.Sub(m.offersAt))/float64(offerRefill))
	}
	m.offersAt = now
	if m.offers < 1 {
		return false
	}
	m.offers--
	return true
}

func (m *Machine) opened(now time.Time, id uuid.UUID, out *Output) {
	s := m.find(id)
	if s == nil || s.open {
		return
	}
	if slices.ContainsFunc(m.sessions, func(o *session) bool { return o.open && o.since(s) }) {
		m.drop(s, out) // late: its process is gone, and another one is there already
		return
	}
	s.open = true
	m.cfg.Pace.opened(now.Sub(s.stepAt))
	m.graceAt = now.Add(Grace)
	for _, o := range slices.Clone(m.sessions) {
		if s.since(o) {
			m.drop(o, out)
			if o == m.link {
				m.upSince = now
			}
		}
	}
	if m.link == nil {
		m.link, m.upSince, m.offerAt = s, now, time.Time{}
		out.Changes = append(out.Changes, LinkUp{Session: id})
		return
	}
	if s.replaces {
		for _, old := range slices.Clone(m.sessions) {
			old.replaces = false // what else was offered meanwhile is surplus of this one
			if old != s && old.open {
				m.drop(old, out)
			}
		}
		m.upSince = now
	}
	m.choose(out)
}

// choose makes the lowest open session the link, if there is one.
func (m *Machine) choose(out *Output) bool {
	var best *session
	for _, s := range m.sessions {
		if s.open && (best == nil || bytes.Compare(s.id[:], best.id[:]) < 0) {
			best = s
		}
	}
	if best != nil && best != m.link {
		m.link = best
		out.Changes = append(out.Changes, LinkMoved{Session: best.id})
	}
	return best != nil
}

func (m *Machine) closed(now time.Time, in Closed, out *Output) {
	s := m.find(in.Session)
	if s == nil {
		return
	}
	m.end(s)
	if m.link == nil && s.own && !s.described && m.wanted {
		m.offerAt = now.Add(m.grown(m.cfg.Pace.signalTimeout())) // it came to nothing here
	}
	if s != m.link || m.choose(out) {
		return
	}
	m.link = nil
	reason := "closed"
	if in.Err != nil {
		reason = in.Err.Error()
	}
	out.Changes = append(out.Changes, LinkDown{Reason: reason})
	if !m.wanted {
		return
	}
	switch {
	case now.Sub(m.upSince) < Well:
		// It comes up and breaks: no haste.
		m.offerAt = now.Add(m.grown(m.cfg.Pace.signalTimeout()))
		m.attempts++
	case m.impolite:
		m.attempts = 0
		m.offerAt = now
	default:
		m.attempts = 0
		m.offerAt = now.Add(m.spread(Patience))
	}
}

// makeRoom closes the oldest session of a direction when there are too many for another.
func (m *Machine) makeRoom(own bool, out *Output) {
	for _, open := range []bool{false, true} {
		var oldest *session
		n := 0
		for _, s := range m.sessions {
			if s.own == own && s.open == open && s != m.link {
				if n++; oldest == nil {
					oldest = s
				}
			}
		}
		if n >= MaxAttempts {
			m.drop(oldest, out)
		}
	}
}

// drop closes a session. The other side is told where it would not notice by itself.
func (m *Machine) drop(s *session, out *Output) {
	m.end(s)
	out.Actions = append(out.Actions, CloseSession{Session: s.id})
	if !s.open && s.exchanged && s.described {
		m.reject(s.id, out)
	}
}

// end forgets a session.
func (m *Machine) end(s *session) {
	m.sessions = slices.DeleteFunc(m.sessions, func(o *session) bool { return o == s })
	m.ended = append(m.ended, s.id)
	if len(m.ended) > maxEnded {
		m.ended = slices.Delete(m.ended, 0, len(m.ended)-maxEnded)
	}
}

func (m *Machine) reject(id uuid.UUID, out *Output) {
	out.Signals = append(out.Signals, Message{Kind: KindReject, Session: id})
}

// Instance is that of the remote peer which a session is with; zero if it is not known, or the session is over.
func (m *Machine) Instance(session uuid.UUID) uuid.UUID {
	if s := m.find(session); s != nil {
		return s.instance
	}
	return uuid.Nil
}

func (m *Machine) find(id uuid.UUID) *session {
	for _, s := range m.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

// newest is the session of a direction that was begun last and is not open.
func (m *Machine) newest(own bool) *session {
	for i := len(m.sessions) - 1; i >= 0; i-- {
		if s := m.sessions[i]; s.own == own && !s.open {
			return s
		}
	}
	return nil
}

// grown is a delay after the attempts made so far, and more where this machine is slow itself: another attempt beside
// the first would only take processor time from it.
func (m *Machine) grown(d time.Duration) time.Duration {
	d += min(toilFactor*m.toil, paceMost)
	for range m.attempts - 1 {
		if d *= 2; d >= MaxDelay {
			d = MaxDelay
			break
		}
	}
	return m.spread(d)
}

// spread changes a delay by up to a quarter.
func (m *Machine) spread(d time.Duration) time.Duration {
	if m.cfg.Rand == nil {
		return d
	}
	return d - d/4 + time.Duration(m.cfg.Rand.Uint64()%uint64(d/2+1))
}
