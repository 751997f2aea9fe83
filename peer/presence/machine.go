package presence

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// origin is the machine's clock at its start: later than any record is old.
const origin = 2 * time.Hour

// never is a time that does not come.
const never time.Duration = 0

// Machine is one peer's part in the presence of one room.
type Machine struct {
	cfg    Config
	timing Timing
	self   wire.PeerID
	rand   *rand.Rand
	check  func(key ed25519.PublicKey, text, sig []byte) bool
	keep   func(*record) *record // makes a record of a message one to keep; tests share them

	// The clock that the rest uses never goes back, and jumps by no more than maxGap: while the machine slept, nobody
	// else did.
	now  time.Duration
	last time.Time // the caller's, at now

	table      table
	gone       fifo[wire.PeerID] // in the order they went, at most maxGone
	neighbours []*neighbour      // by ID
	intro      []introducer
	conducts   map[wire.PeerID]*conduct

	// What this peer says, in self.go.
	wish     Self
	member   bool
	over     bool // it has left
	run      uint64
	said     *record       // nil: nothing yet
	signings int           // of records that are to last
	unheard  bool          // the first word waits until sayAt to hear how large the room is
	speakAt  time.Duration // it waits until then at least, lest a link that comes and goes makes it speak all the time
	sayAt    time.Duration
	again    bool // at sayAt it says something even if nothing changed
	lazily   bool // and there is no hurry to tell that
	refresh  time.Duration
	changes  *rate.Limiter
	refuted  *rate.Limiter
	lifts    *rate.Limiter
	twinTold time.Duration

	// Deaths, in down.go.
	downs     map[wire.PeerID]*down // of those that are suspect or died
	suspects  []suspicion           // in the order of until
	reporters map[wire.PeerID]*reporter
	roll      roll // in roll.go

	// The tree, in tree.go.
	root     wire.PeerID
	parent   *neighbour
	leaf     bool // the parent is a random neighbour
	branchAt time.Duration

	// Upkeep.
	scanAt    time.Duration
	scans     int
	compareAt time.Duration
	interval  time.Duration // until the next compareAt
	askAt     time.Duration // the earliest deadline of a neighbour that was asked
	compares  *rate.Limiter
	sigs      *rate.Limiter
	walked    *rate.Limiter

	stats   Stats
	scratch []byte
	decoded records
	items   [3][]byte // of the message that is being made
}

// Stats are figures for tests and for the curious.
type Stats struct {
	Records int // entries, those of the gone included
	Gone    int // of them
	Suspect int
	Queued  int // items that wait for a neighbour
	Checks  int // signatures checked so far
	Hashes  int // made for beats so far
	News    int // records taken so far
	Repeats int // records and downs that were no news, so far
	Refused int // records, downs and messages that a limit refused, so far
}

// New makes a Machine that knows nobody.
func New(cfg Config) (*Machine, error) {
	if len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("presence needs an Ed25519 private key")
	}
	if room, err := wire.ParseRoom(string(cfg.Room)); err != nil || room != cfg.Room {
		return nil, fmt.Errorf("presence in room %q: want a room name as wire.ParseRoom gives it", string(cfg.Room))
	}
	if cfg.Rand == nil {
		return nil, errors.New("presence needs a source of random numbers")
	}
	if cfg.Run > wire.MaxCounter || cfg.Rate < 0 {
		return nil, fmt.Errorf("presence with run %d and rate %d: want a run up to %d and no negative rate", cfg.Run, cfg.Rate, uint64(wire.MaxCounter))
	}
	if cfg.Rate == 0 {
		cfg.Rate = 64 << 10
	}
	m := &Machine{cfg: cfg, timing: cfg.Timing, self: wire.IDOf(cfg.Key), rand: rand.New(cfg.Rand), run: cfg.Run, now: origin,
		downs: map[wire.PeerID]*down{}, reporters: map[wire.PeerID]*reporter{}, conducts: map[wire.PeerID]*conduct{}, intro: make([]introducer, 1), check: ed25519.Verify,
		keep:    func(r *record) *record { c := *r; return &c },
		changes: selfSaid.limiter(), refuted: contradicts.limiter(), lifts: lifted.limiter(), compares: compared.limiter(),
		sigs: sigsAll.limiter(), walked: hashesAll.limiter(), roll: roll{accused: accusations.limiter()}}
	if cfg.Shared != nil {
		m.check, m.keep = cfg.Shared.check, cfg.Shared.keep
	}
	m.timing.defaults()
	if t := m.timing; t.Refresh < MinPeriod*time.Second || t.Refresh > MaxPeriod*time.Second {
		return nil, fmt.Errorf("presence with a refresh of %v: want %d to %d s", t.Refresh, MinPeriod, MaxPeriod)
	}
	return m, nil
}

// Step takes one input at the time now and appends to out what is to be done.
func (m *Machine) Step(now time.Time, in Input, out *Output) {
	m.clock(now)
	if m.over {
		out.Wake = time.Time{}
		return
	}
	switch in := in.(type) {
	case NeighborUp:
		m.up(in.Peer, out)
	case NeighborDown:
		m.down(in, out)
	case Busy:
		if n := m.neighbour(in.Peer); n != nil {
			n.busy = in.Busy
		}
	case Self:
		m.wished(in, out)
	case Receive:
		m.receive(in, out)
	case Leave:
		m.leave(out)
		return
	case Tick:
	}
	m.due(out)
	m.wake(out)
}

// clock advances the machine's own clock by what has passed, within reason.
func (m *Machine) clock(now time.Time) {
	if m.last.IsZero() {
		m.last = now
		if m.run == 0 {
			m.run = uint64(min(max(now.UnixMilli(), 1), wire.MaxCounter))
		}
		m.interval = m.timing.Compare
		m.compareAt = m.now + m.spread(m.interval)
		m.scanAt = m.now + m.scanEvery()
		return
	}
	m.now += min(max(now.Sub(m.last), 0), maxGap)
	m.last = now
}

// stamp is now in tenths of a second.
func (m *Machine) stamp() uint32 { return uint32(m.now / (100 * time.Millisecond)) }

// spread is a random time from three to five quarters of d.
func (m *Machine) spread(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(m.rand.Int64N(int64(d/2)+1))
}

// due does what it is time for.
func (m *Machine) due(out *Output) {
	past := func(at *time.Duration) bool {
		if *at == never || *at > m.now {
			return false
		}
		*at = never
		return true
	}
	for len(m.suspects) > 0 && m.suspects[0].until <= m.now {
		m.believe(out)
	}
	if past(&m.scanAt) {
		m.scan(out)
		m.scanAt = m.now + m.scanEvery()
	}
	if past(&m.refresh) {
		m.lazily = !m.again
		m.again = true
		m.speak(m.now)
	}
	if past(&m.roll.sayAt) {
		m.again = true
		m.speak(m.now)
	}
	if past(&m.sayAt) {
		m.say(out)
	}
	if past(&m.compareAt) {
		m.compareOne(out)
	}
	if past(&m.askAt) {
		m.unanswered()
	}
	if past(&m.roll.askAt) {
		m.urge(out)
	}
	if past(&m.roll.endAt) {
		m.dismiss(out)
	}
	if past(&m.roll.heedAt) {
		m.heed(out)
	}
	if past(&m.roll.settleAt) {
		m.settle(out)
	}
	m.ask(out)
	m.crown()
	m.branches(out)
	m.poll()
	for _, n := range m.neighbours {
		m.flush(n, out)
	}
}

func (m *Machine) wake(out *Output) {
	next := never
	sooner := func(at time.Duration) {
		if at != never && (next == never || at < next) {
			next = at
		}
	}
	if len(m.suspects) > 0 {
		sooner(m.suspects[0].until)
	}
	for _, at := range [...]time.Duration{m.scanAt, m.refresh, m.sayAt, m.compareAt, m.askAt, m.branchAt, m.roll.sayAt, m.roll.askAt, m.roll.endAt, m.roll.heedAt, m.roll.settleAt} {
		sooner(at)
	}
	for _, n := range m.neighbours {
		if !n.busy {
			sooner(n.sendAt)
		}
	}
	out.Wake = m.last.Add(max(next-m.now, 0))
}

// neighbour is a peer at the other end of a link.
type neighbour struct {
	id   wire.PeerID
	busy bool
	has  int // the number of the own signing that it was told of

	// Its place on the tree, in tree.go.
	pulls   share         // as it was told
	pushes  share         // as it told
	keep    time.Duration // it is asked until then in any case
	standIn bool          // it is asked until there is a parent
	helped  time.Duration // until then, news in an answer was offered
	missed  *rate.Limiter // how often that was so

	// What waits to be sent, in spread.go.
	queued  map[wire.PeerID]uint8
	live    fifo[wire.PeerID]
	bulk    fifo[bulk]
	offers  fifo[wire.PeerID]
	offerAt time.Duration
	sendAt  time.Duration
	sentAt  time.Duration
	pace    *rate.Limiter // bytes

	messages *rate.Limiter // sent of late

	// What it is compared by, in compare.go.
	compared bool // it has sent a summary
	count    uint64
	hashes   [chunks]uint64
	told     time.Duration // when it was sent a summary last
	differs  uint16        // chunks to ask it for
	asking   int           // the chunk that it was asked for; -1: none
	askUntil time.Duration
	serving  bool
	replied  time.Duration // when a summary of its was answered last
	ahead    bool          // it knew of many more than this peer when it sent its summary

	// Who is here and who is gone, in vote.go.
	votes      map[uint64]ballot // as it says, by key
	gone, here []offered         // as it is to be told

	*conduct
}

func (m *Machine) neighbour(id wire.PeerID) *neighbour {
	if i, ok := m.place(id); ok {
		return m.neighbours[i]
	}
	return nil
}

func (m *Machine) place(id wire.PeerID) (int, bool) {
	return slices.BinarySearchFunc(m.neighbours, id, func(n *neighbour, id wire.PeerID) int { return bytes.Compare(n.id[:], id[:]) })
}

// up takes a new neighbour in.
func (m *Machine) up(id wire.PeerID, out *Output) {
	i, known := m.place(id)
	if known || id == m.self || len(m.neighbours) >= MaxNeighbors {
		return
	}
	n := &neighbour{id: id, asking: -1, queued: map[wire.PeerID]uint8{}, conduct: m.conductOf(id), missed: missesTaken.limiter(),
		pace: limit{rate.Limit(m.cfg.Rate), burst}.limiter(), messages: limit{m.apart(), together}.limiter()}
	m.neighbours = slices.Insert(m.neighbours, i, n)
	alone := len(m.neighbours) == 1
	if alone {
		m.roll.since = m.now
		m.forgive()
	}
	m.summarize(n, false, out)
	switch {
	case !m.member:
	case alone:
		// Whoever it was linked with before may take it for dead, so it says something new; but first it hears how
		// large the room is, because that is how long it may be silent then.
		m.unheard, m.again = true, true
		at := m.ready(m.changes)
		m.changes.AllowN(moment(at), 1)
		m.speakAt = at
		m.speak(max(at, m.now+m.timing.First))
	case !m.unheard:
		m.tellMyself(n, m.now)
	}
	if m.downs[id] != nil {
		m.queue(n, id, tellDown, m.now) // others take it for dead: it has to contradict
	}
}

// down takes a neighbour out.
func (m *Machine) down(in NeighborDown, out *Output) {
	i, known := m.place(in.Peer)
	if !known {
		return
	}
	m.neighbours[i].seen = m.now
	if m.neighbours[i] == m.parent {
		m.parent = nil
	}
	m.neighbours = slices.Delete(m.neighbours, i, i+1)
	if in.Died {
		m.report(in.Peer, out)
	}
	m.hurry()
}

// receive takes a message from a neighbour.
func (m *Machine) receive(in Receive, out *Output) {
	n := m.neighbour(in.From)
	if n == nil {
		return
	}
	msg, err := decodeMessage(in.Data, &m.decoded)
	if err != nil {
		m.blame(n, wire.PeerID{}, Malformed, fmt.Sprintf("%s: %v", n.id.Tag(), err), true, out)
		return
	}
	switch msg := msg.(type) {
	case *records:
		m.onRecords(n, msg, out)
	case *summary:
		m.onSummary(n, msg, out)
	case *compare:
		m.onCompare(n, msg, out)
	case *list:
		m.onList(n, msg, out)
	case *done:
		m.onDone(n, msg)
	case *want:
		m.onWant(n, msg, out)
	case *branch:
		m.onBranch(n, msg, out)
	case *have:
		m.onHave(n, msg, out)
	case *vote:
		m.onVote(n, msg)
	}
}

// Members are all who are in the room, this peer among them if it is, by ID.
func (m *Machine) Members() []Member {
	list := make([]Member, 0, m.table.members)
	for e := range m.table.all() {
		if !e.gone() {
			list = append(list, e.rec.member())
		}
	}
	return list
}

// Via is the neighbour by which a member was heard of first: the way to it, most likely.
func (m *Machine) Via(id wire.PeerID) (wire.PeerID, bool) {
	e := m.table.find(id)
	if e == nil || e.by == 0 || e.gone() {
		return wire.PeerID{}, false
	}
	return m.intro[e.by].peer, true
}

// Count is how many Members there are.
func (m *Machine) Count() int { return m.table.members }

// Lookup tells of one member.
func (m *Machine) Lookup(id wire.PeerID) (Member, bool) {
	if e := m.table.find(id); e != nil && !e.gone() {
		return e.rec.member(), true
	}
	return Member{}, false
}

// Stats are figures of what the machine holds and did.
func (m *Machine) Stats() Stats {
	s := m.stats
	s.Records, s.Gone, s.Suspect = m.table.size, m.table.size-m.table.members, len(m.suspects)
	for _, n := range m.neighbours {
		s.Queued += len(n.queued)
		s.Queued += n.bulk.len()
	}
	return s
}
