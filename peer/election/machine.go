package election

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// phase is where this peer stands in replacing a lost tracker.
type phase uint8

const (
	idle     phase = iota // nothing to do, or nothing that it may do
	waiting               // for its turn
	asking                // neighbours, whether they hear the tracker
	electing              // it asked for better ones, and listens
	yielding              // a better one is there: it listens for its announcement
	vouched               // others hear the tracker: it reconnects
)

// Machine is one peer's part of the election.
type Machine struct {
	cfg    Config
	timing Timing
	self   wire.PeerID
	rand   *rand.Rand

	// The clock that the rest uses never goes back, and jumps by no more than maxGap.
	now    time.Time
	last   time.Time
	offset time.Duration // now - last

	term    uint64       // the highest seen: what this peer accepts and announces is no lower
	reign   Reign        // who leads as far as this peer knows
	proof   *Coordinator // that announced it; nil where only a tracker's word is known
	places  []string     // its addresses
	leading bool
	joined  bool // this peer's client is connected to the leader's tracker

	neighbours []*neighbour
	ranking    []*candidate // best first, without oneself, at most MaxRanking
	offer      Offer
	own        *Candidate // as announced last; nil: not announced
	seq        uint64
	unfit      time.Time // until then this peer is no candidate, because it could not host

	// Doubt, in suspect.go.
	suspect   bool
	closed    bool
	phase     phase
	phaseAt   time.Time
	asked     map[wire.PeerID]bool
	answers   [Alive + 1]int
	vetoes    int
	mute      int    // rounds in which no neighbour said anything
	yields    int    // better ones that were waited for and did not take over
	askedFor  uint64 // seq of the own Election
	pullAt    time.Time
	pullAfter time.Duration
	questions []wire.PeerID // neighbours that wait for a verdict
	verdictAt time.Time
	probedAt  time.Time
	pingAt    time.Time     // of the first Probe since the last Heard
	trip      time.Duration // by how much a round trip to the tracker is longer than nearTrip; those to neighbours may be twice that
	doubtAt   time.Time     // when a better candidate that did not suspect gives the tracker up
	heard     []heardElection

	// The lead, in lead.go.
	handOver   time.Time // when the successor must have taken over
	successor  wire.PeerID
	givenUp    Reign // the lost lead that a solo one stands in for
	quitting   bool
	heirs      int  // successors tried
	resigned   will // the last Resignation heard
	resignedAt time.Time
	claimedAt  time.Time
	ghostAt    time.Time // when this peer, while it led, heard last that it led in an earlier life
	homeAt     time.Time // when the home tracker gets the lead
	home       []string  // where it answers this peer
	homeHold   time.Duration
	homeLed    time.Time // when a home tracker got the lead last
	raiseAt    time.Time // before this no more Elections are sent to raise a leader's term

	announceAt time.Time
	syncAt     time.Time
	settleAt   time.Time
	raisers    map[wire.PeerID]*rate.Limiter // leaders that raise the term
	raises     *rate.Limiter
	relays     [kindSummary + 1]*rate.Limiter // of each kind: so this peer stays below what its own neighbours take from it
	told       State
	toldOnce   bool
	check      func(key ed25519.PublicKey, text, sig []byte) bool
	scratch    []byte
}

// heardElection is a relayed Election: where it came from is the way back for Answers.
type heardElection struct {
	by   wire.PeerID
	term uint64
	seq  uint64
	from wire.PeerID
}

// New makes a Machine that knows nobody. It panics if the key is not an Ed25519 private key.
func New(cfg Config) *Machine {
	m := &Machine{cfg: cfg, timing: cfg.Timing, self: wire.IDOf(cfg.Key), rand: rand.New(cfg.Rand), offer: cfg.Offer,
		term: min(cfg.Term, wire.MaxCounter/2), raisers: map[wire.PeerID]*rate.Limiter{}, check: ed25519.Verify}
	m.timing.defaults()
	m.homeHold = m.timing.Home
	m.raises = rate.NewLimiter(rate.Every(time.Second), 16)
	m.relays = [kindSummary + 1]*rate.Limiter{
		kindCandidate:   rate.NewLimiter(rate.Every(200*time.Millisecond), 64), // of those not known; the known have a limit each
		kindCoordinator: rate.NewLimiter(rate.Every(500*time.Millisecond), 32), // that raise no term
		kindElection:    rate.NewLimiter(rate.Every(100*time.Millisecond), 64),
		kindResign:      rate.NewLimiter(rate.Every(time.Second), 8),
		kindAnswer:      rate.NewLimiter(rate.Every(50*time.Millisecond), 64),
	}
	return m
}

// Step takes one input at the time now and appends to out what is to be done.
func (m *Machine) Step(now time.Time, in Input, out *Output) {
	m.clock(now)
	term := m.term
	switch in := in.(type) {
	case Tick:
	case Receive:
		m.receive(in, out)
	case NeighbourUp:
		m.neighbourUp(in.Peer, out)
	case NeighbourDown:
		m.neighbourDown(in.Peer)
	case Connected:
		m.connected(in, out)
	case Heard:
		m.measure()
		m.alive(out)
	case Suspect:
		m.doubt(in.Closed, out)
	case Offer:
		m.offered(in, out)
	case Host:
		m.lead(false, m.term, out)
	case HostFailed:
		m.hostFailed(out)
	case HomeBack:
		m.homeBack(in.Addresses)
	case HomeGone:
		m.home, m.homeAt = nil, time.Time{}
	case Resign:
		m.resign(out)
	case Learn:
		m.learn(in.Data, out)
	case Withdraw:
		m.withdraw()
	}
	m.due(out)
	if m.term > term {
		out.Persist = m.term
	}
	if s := m.State(); s != m.told || !m.toldOnce {
		m.told, m.toldOnce = s, true
		out.Changed = &s
	}
	m.wake(out)
}

// clock advances the machine's own clock by what has passed, within reason.
func (m *Machine) clock(now time.Time) {
	if m.last.IsZero() {
		m.now, m.last = now, now
		m.term = min(m.term, wire.HighestTerm(now, 0)) // nobody else could accept more: the clock was ahead, or the file is not ours
		m.syncAt = m.now.Add(m.spread(m.timing.Sync))
		m.settleAt = m.now.Add(m.timing.Settle / 4)
		return
	}
	gap := min(max(now.Sub(m.last), 0), maxGap)
	m.now, m.last = m.now.Add(gap), now
	m.offset = m.now.Sub(now)
}

// timer is one of the machine's deadlines and what happens then.
type timer struct {
	at *time.Time
	do func(*Machine, *Output)
}

func (m *Machine) timers() [10]timer {
	return [...]timer{
		{&m.verdictAt, (*Machine).unsure}, {&m.doubtAt, (*Machine).doubted}, {&m.phaseAt, (*Machine).turn},
		{&m.pullAt, (*Machine).pull}, {&m.handOver, (*Machine).heirFailed}, {&m.homeAt, (*Machine).leadHome},
		{&m.announceAt, (*Machine).announce}, {&m.syncAt, (*Machine).sync}, {&m.settleAt, (*Machine).settle},
		{&m.unfit, (*Machine).fit},
	}
}

func (m *Machine) due(out *Output) {
	for _, t := range m.timers() {
		if !t.at.IsZero() && !t.at.After(m.now) {
			*t.at = time.Time{}
			t.do(m, out)
		}
	}
}

func (m *Machine) wake(out *Output) {
	var next time.Time
	for _, t := range m.timers() {
		if !t.at.IsZero() && (next.IsZero() || t.at.Before(next)) {
			next = *t.at
		}
	}
	out.Wake = next.Add(-m.offset)
}

// spread is a random time below d.
func (m *Machine) spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(m.rand.Int64N(int64(d)))
}

// soon sets a timer to a random time within d, unless it is earlier already.
func (m *Machine) soon(at *time.Time, d time.Duration) {
	if t := m.now.Add(m.spread(d)); at.IsZero() || t.Before(*at) {
		*at = t
	}
}

// State is what the screen tells. The last one told by Output.Changed is the same.
func (m *Machine) State() State {
	s := State{Phase: PhaseNone, Term: m.term, Place: -1}
	if !m.reign.none() {
		s.Phase, s.Leader, s.Home = PhaseFollowing, m.reign.leader(), m.reign.Rank.Home
		s.Solo = !m.reign.Rank.Firm && m.proof != nil
		s.InMesh = m.inMesh()
	}
	switch {
	case m.leading:
		s.Phase = PhaseHosting
	case m.suspect && m.phase != idle && m.phase != vouched:
		s.Phase = PhaseElecting
	case m.suspect:
		s.Phase = PhaseLost
	}
	if m.candidate() {
		s.Place = m.place()
	}
	return s
}

func (m *Machine) inMesh() bool {
	return m.proof != nil && !m.reign.Rank.Home && !m.reign.Rank.Dialable
}

// Standings lists the candidates that are known, oneself among them if it is one, the best first.
func (m *Machine) Standings() []Standing {
	list := make([]Standing, 0, len(m.ranking)+1)
	self := !m.candidate()
	add := func() {
		if !self {
			self = true
			list = append(list, Standing{Peer: m.self, Offer: m.offer, Self: true})
		}
	}
	own := m.rank()
	for _, c := range m.ranking {
		if own.Compare(&c.rec.Rank) > 0 {
			add()
		}
		list = append(list, Standing{Peer: c.rec.Peer, Age: m.now.Sub(c.heard), Offer: Offer{Candidate: true,
			Dialable: c.rec.Rank.Dialable, Priority: c.rec.Rank.Priority, Port: c.rec.Rank.Port, Addresses: c.rec.Addresses}})
	}
	add()
	return list
}

// nextSeq numbers what this peer signs. It starts from the clock so that a new life goes on above the last; where the
// clock is behind, hearing one's own old word lifts it.
func (m *Machine) nextSeq() uint64 {
	ms := max(m.last.UnixMilli(), 1)
	m.seq = min(max(m.seq+1, uint64(ms)), wire.MaxCounter)
	return m.seq
}

// verify checks the signature of a message that came from a neighbour, and blames that neighbour, because it should
// have checked too.
func (m *Machine) verify(from wire.PeerID, msg Message, out *Output) bool {
	text, signer := sealed(m.scratch, msg)
	m.scratch = text[:0]
	if m.check(signer.Key(), text, signature(msg)[:]) {
		return true
	}
	m.fault(out, Fault{From: from, Code: "forged", Drop: true,
		Text: fmt.Sprintf("%s sent an election message (%T) that %s did not sign", from.Tag(), msg, signer.Tag())})
	return false
}

// maxFaults bounds the faults of one Step.
const maxFaults = 16

func (m *Machine) fault(out *Output, f Fault) {
	if len(out.Faults) < maxFaults {
		out.Faults = append(out.Faults, f)
	}
}

// highest is the highest term that this peer believes now.
func (m *Machine) highest() uint64 { return wire.HighestTerm(m.last, m.term) }
