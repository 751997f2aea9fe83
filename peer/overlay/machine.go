package overlay

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// Machine is one peer's views of one room. It is not for concurrent use.
type Machine struct {
	cfg    Config
	timing Timing
	self   wire.PeerID
	rand   *rand.Rand

	// The clock that the rest uses never goes back, and jumps by no more than maxGap.
	now    time.Time
	last   time.Time
	offset time.Duration // now - last

	size   int // of the room, as far as is known; 0: unknown
	target int // neighbours wanted
	spare  int // passive peers kept at most
	left   bool

	links    []*link // by peer: those there are, and those asked for
	active   []*link // the active view
	waiting  []*link // those with a deadline
	passive  []known
	contacts []contact // the one that was tried longest ago first
	lost     []lost

	inside  bool          // whom this peer asked has let it in, or there was nobody to ask
	been    bool          // it ever had a neighbour
	round   uint32        // of asking passive peers
	pass    uint32        // of asking contacts
	wait    time.Duration // before the next try to fill a place; 0: none was refused
	retry   time.Duration // before the next pass over the contacts
	nonce   uint32
	joinAt  time.Time
	fillAt  time.Time
	lostAt  time.Time
	swapAt  time.Time // of the shuffle
	pingAt  time.Time // when to look again for an answer of the neighbours
	checkAt time.Time // when to see whether the next passive peer is there
	losses  int       // neighbours whose links broke since the last shuffle
	bereft  bool      // since all places were taken last, a neighbour's link broke, or somebody could not be reached: many may be gone
	alarm   bool      // most neighbours were silent at once, and some still are

	mixAt   time.Time     // when to look for a neighbour of another origin
	mixWait time.Duration // before the try after that
	even    time.Time     // when no origin had more neighbours than its share any more
	hurries *rate.Limiter // tries that do not wait so long
	swaps   *rate.Limiter // see admitSwap
	named   int           // how many of those that the caller names at namedAt are to be tried
	namedAt time.Time
	origin  string // of the first link that had one
	diverse bool   // another had another

	told   telling // the last own shuffle
	relays []relay // of others, a ring

	probes *rate.Limiter // of all neighbours
	// mistakes is what strain was at mistaken, when a neighbour was last taken for silent by mistake.
	mistakes int
	mistaken time.Time
	tardy    time.Time     // when a neighbour last took more than promptPings to answer
	looks    *rate.Limiter // of them for no reason but caution
	alerts   *rate.Limiter // told to them
	alarms   *rate.Limiter // acted upon at once
	admits   *rate.Limiter // Joins and Neighbors of high priority, from all
	walks    *rate.Limiter // links asked for because a walk ended here
	origins  []originLimit
}

// link is a peer with a link, or one that a link was asked for.
type link struct {
	peer     wire.PeerID
	origin   string
	up       bool      // it is there
	held     bool      // the caller knows that it is needed
	active   bool      // the peer is in the active view
	suspect  bool      // and silent
	ping     uint32    // the nonce of a Ping that was not answered yet; 0: none
	pings    int       // how often that was sent
	pingAt   time.Time // when to send it again
	putOff   int       // how often that was put off
	missed   bool      // it is suspected because it left Pings unanswered
	rtt      time.Duration
	parent   bool        // it let this peer in, or got the place of who did; see tree.go
	child    bool        // this peer let it in
	heirOf   wire.PeerID // the parent that took it in this peer's place, and is not a neighbour any more
	dialing  bool        // LinkUp or LinkFailed must follow
	ask      uint32      // the nonce that was not answered yet; 0: none
	why      purpose     // of the dialing and the ask
	began    time.Time   // of both
	deadline time.Time   // of both
	rates    rates
}

// purpose is why a peer was asked to be a neighbour.
type purpose uint8

const (
	toJoin   purpose = iota + 1 // it is to let this peer into the room
	toFill                      // there is a free place
	toTake                      // a newcomer's walk ended here: this peer makes room for it
	toKeep                      // it got this peer's place with its parent: the path into the room leads through it now
	toBridge                    // it was a neighbour until the link broke: a partition may have been between
	toMix                       // too many neighbours have one origin
	toFlee                      // all have it, though this peer knows others
	toCheck                     // many are gone at once: who of those known is left?
)

// busy tells whether something is under way with the peer.
func (l *link) busy() bool { return l.dialing || l.ask != 0 }

// New makes a Machine that knows nobody. Its errors say what is wrong with the Config.
func New(cfg Config) (*Machine, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	m := &Machine{cfg: cfg, timing: cfg.Timing, self: cfg.Self, rand: rand.New(cfg.Rand), round: 1, pass: 1,
		probes: rate.NewLimiter(rate.Every(2*time.Second), 3), looks: rate.NewLimiter(rate.Every(10*time.Second), 1),
		alerts:  rate.NewLimiter(rate.Every(5*time.Second), 2),
		alarms:  rate.NewLimiter(rate.Every(10*time.Second), 3),
		swaps:   rate.NewLimiter(rate.Every(30*cfg.Timing.Shuffle), 2),
		hurries: rate.NewLimiter(rate.Every(30*cfg.Timing.Shuffle), 3),
		admits:  rate.NewLimiter(rate.Every(100*time.Millisecond), 64), walks: rate.NewLimiter(rate.Every(500*time.Millisecond), 16)}
	m.resize(cfg.RoomSize)
	return m, nil
}

// Step takes one input at the time now and appends to out what is to be done.
func (m *Machine) Step(now time.Time, in Input, out *Output) {
	m.clock(now)
	if m.left {
		out.Wake = time.Time{}
		return
	}
	switch in := in.(type) {
	case Tick:
	case Receive:
		m.receive(in, out)
	case LinkUp:
		m.linkUp(in, out)
	case LinkDown:
		m.linkDown(in.Peer, out)
	case LinkFailed:
		m.linkFailed(in.Peer, out)
	case Contacts:
		m.learn(in, out)
	case Suspect:
		m.doubted(in.Peer, out)
	case Look:
		if m.looks.AllowN(m.now, 1) {
			m.probe(out)
		}
	case Trust:
		l, _ := m.find(in.Peer)
		m.trust(l, out)
	case RoomSize:
		m.resize(in.N)
	case Leave:
		m.leave(out)
		return
	}
	m.due(out)
	m.wake(out)
}

// clock advances the machine's own clock by what has passed, within reason.
func (m *Machine) clock(now time.Time) {
	if m.last.IsZero() {
		m.now, m.last = now, now
		m.swapAt = m.now.Add(m.upTo(m.timing.Shuffle))
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

func (m *Machine) timers() [7]timer {
	return [...]timer{{&m.lostAt, (*Machine).bridge}, {&m.swapAt, (*Machine).shuffle}, {&m.mixAt, (*Machine).diversify},
		{&m.checkAt, (*Machine).check}, {&m.pingAt, (*Machine).ping}, {&m.joinAt, (*Machine).join}, {&m.fillAt, (*Machine).fill}}
}

func (m *Machine) due(out *Output) {
	m.expire(out)
	for _, t := range m.timers() {
		if !t.at.IsZero() && !t.at.After(m.now) {
			*t.at = time.Time{}
			t.do(m, out)
		}
	}
}

func (m *Machine) wake(out *Output) {
	var next time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, t := range m.timers() {
		earlier(*t.at)
	}
	for _, l := range m.waiting {
		earlier(l.deadline)
	}
	if out.Wake = next; !next.IsZero() {
		out.Wake = next.Add(-m.offset)
	}
}

// soon sets a timer to at most d from now, unless it is earlier already.
func (m *Machine) soon(at *time.Time, d time.Duration) {
	if t := m.now.Add(d); at.IsZero() || t.Before(*at) {
		*at = t
	}
}

// upTo is a random time below d.
func (m *Machine) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(m.rand.Int64N(int64(d)))
}

// resize fits the views to a room of n.
func (m *Machine) resize(n int) {
	m.size = max(n, 0)
	m.target, m.spare = Sizes(n)
	if m.cfg.Active > 0 {
		m.target, m.spare = m.cfg.Active, 6*m.cfg.Active
	}
	if m.cfg.Passive > 0 {
		m.spare = m.cfg.Passive
	}
	m.spare = min(m.spare, MaxPassive)
	for len(m.passive) > m.spare {
		m.drop(m.rand.IntN(len(m.passive)))
	}
	m.free()
}

// Sizes are the sizes of the views that fit a room of n: max(5, ln n + 1, rounded) and 6 times that.
func Sizes(n int) (active, passive int) {
	active = min(max(5, int(math.Round(math.Log(float64(max(n, 1)))+1))), MaxActive)
	return active, min(6*active, MaxPassive)
}

// small tells whether everybody in the room can be everybody's neighbour.
func (m *Machine) small() bool { return m.size > 0 && m.size <= m.target+1 }

// find is the link with id and where it is, or would be, in the list.
func (m *Machine) find(id wire.PeerID) (*link, int) {
	at, ok := slices.BinarySearchFunc(m.links, id, func(l *link, id wire.PeerID) int { return bytes.Compare(l.peer[:], id[:]) })
	if !ok {
		return nil, at
	}
	return m.links[at], at
}

// link is the entry of id; nil if there are too many.
func (m *Machine) link(id wire.PeerID) *link {
	l, at := m.find(id)
	if l == nil && len(m.links) < MaxLinks {
		l = &link{peer: id, rates: newRates()}
		m.links = slices.Insert(m.links, at, l)
	}
	return l
}

// tidy forgets an entry that is good for nothing, and tells the caller when a link is no longer needed.
func (m *Machine) tidy(l *link, out *Output) {
	if l.active || l.busy() {
		return
	}
	m.until(l, time.Time{})
	if l.held {
		l.held = false
		out.Actions = append(out.Actions, Release{Peer: l.peer})
	}
	if !l.up {
		if _, at := m.find(l.peer); at < len(m.links) && m.links[at] == l {
			m.links = slices.Delete(m.links, at, at+1)
		}
	}
}

// until sets a deadline, or takes it away.
func (m *Machine) until(l *link, t time.Time) {
	was := !l.deadline.IsZero()
	l.deadline = t
	switch {
	case was && t.IsZero():
		m.waiting = slices.DeleteFunc(m.waiting, func(o *link) bool { return o == l })
	case !was && !t.IsZero():
		m.waiting = append(m.waiting, l)
	}
}

func (m *Machine) send(l *link, msg Message, out *Output) {
	out.Sends = append(out.Sends, Send{To: l.peer, Message: msg})
}

func (m *Machine) linkUp(in LinkUp, out *Output) {
	if in.Peer == m.self || in.Peer.IsZero() {
		return
	}
	l := m.link(in.Peer)
	if l == nil {
		return
	}
	if l.up { // a session that took the place of another: what was under way on that is lost
		m.broken(l, out)
		if l = m.link(in.Peer); l == nil {
			return
		}
	}
	l.up, l.origin, l.rtt = true, in.Origin, in.RTT
	m.observe(l)
	m.diverse = m.diverse || m.origin != "" && l.origin != "" && l.origin != m.origin
	if m.origin == "" {
		m.origin = l.origin
	}
	if l.dialing {
		l.dialing = false
		m.question(l, out)
		m.tidy(l, out)
	} else if m.been && m.have() == 0 { // whoever comes along is better than nobody
		m.want(l.peer, toFill, out)
	}
}

func (m *Machine) linkDown(id wire.PeerID, out *Output) {
	if l, _ := m.find(id); l != nil && l.up {
		m.broken(l, out)
	}
}

// broken deals with the end of a link that was up.
func (m *Machine) broken(l *link, out *Output) {
	l.up = false
	asked := l.ask != 0
	why := l.why
	l.ask = 0
	if l.active {
		m.bereft = true
		m.remove(l, out)
		m.miss(Contact{Peer: l.peer, Origin: l.origin}, m.timing.Bridge*3/4+m.upTo(m.timing.Bridge/2))
		m.vacant()
		m.thinned()
	}
	m.tidy(l, out)
	if asked {
		m.failed(l.peer, why)
	}
}

func (m *Machine) linkFailed(id wire.PeerID, out *Output) {
	if l, _ := m.find(id); l != nil && l.dialing {
		l.dialing = false
		m.tidy(l, out)
		m.failed(id, l.why)
	}
}

// expire ends what took too long.
func (m *Machine) expire(out *Output) {
	for i := 0; i < len(m.waiting); {
		l := m.waiting[i]
		if l.deadline.After(m.now) {
			i++
			continue
		}
		why := l.why
		if l.ask != 0 { // whatever was answered meanwhile, this makes it void: both ends come to the same
			m.send(l, Disconnect{}, out)
			if l.active {
				m.remove(l, out)
				m.vacant()
			}
		}
		l.dialing, l.ask = false, 0
		m.tidy(l, out)
		m.until(l, time.Time{})
		m.failed(l.peer, why)
	}
}

// leave ends everything.
func (m *Machine) leave(out *Output) {
	m.left = true
	for _, l := range slices.Clone(m.active) {
		m.send(l, Disconnect{Leaving: true}, out)
		m.remove(l, out)
	}
	for _, l := range slices.Clone(m.links) {
		if l.ask != 0 {
			m.send(l, Disconnect{Leaving: true}, out)
		}
		l.dialing, l.ask = false, 0
		m.tidy(l, out)
	}
	m.links, m.waiting, m.passive, m.contacts, m.lost, m.relays = nil, nil, nil, nil, nil, nil
	out.Wake = time.Time{}
}

// Active lists the neighbours, in the order in which they came.
func (m *Machine) Active() []wire.PeerID {
	list := make([]wire.PeerID, len(m.active))
	for i, l := range m.active {
		list[i] = l.peer
	}
	return list
}

// Passive lists the others that are known.
func (m *Machine) Passive() []wire.PeerID {
	list := make([]wire.PeerID, len(m.passive))
	for i := range m.passive {
		list[i] = m.passive[i].peer
	}
	return list
}

// Neighbor tells whether a peer is in the active view.
func (m *Machine) Neighbor(id wire.PeerID) bool {
	l, _ := m.find(id)
	return l != nil && l.active
}
