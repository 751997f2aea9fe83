package gossip

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// Machine spreads the events of the rooms that it is subscribed to. It is not for concurrent use.
type Machine struct {
	cfg    Config
	self   wire.PeerID
	verify func(*wire.Event) error

	rooms    map[wire.Room]*room
	roomList []*room // by name: maps have no order, and a machine must not depend on one
	links    map[wire.PeerID]*link
	linkList []*link // by peer

	heldBytes  int       // of all that is pending
	olderBytes int       // of all answers that are not whole
	due        time.Time // the earliest of all timers; zero: none
	fresh      []arrival // reused by each Receive
	demote     []*share  // neighbours that were struck out in this Step
	unproven   []arrival // delivered, but neither verified nor stored: see early
	earlyBytes int       // of these
	strain     strain
}

// room is one room that this peer is in.
type room struct {
	name    wire.Room
	lamport uint64
	logs    map[wire.LogID]*authorLog
	sorted  []*authorLog // by author and run
	own     *authorLog

	behind  []*authorLog // those that may lack events
	changed []*authorLog // those that went on since the last offer
	fresh   bool         // nothing of others was here, and the first contact is not over
	contact time.Time    // the end of that; zero: it has not begun
	entered time.Time    // when this peer came
	met     time.Time    // when a neighbour had first told all that it held
	crowded bool         // the Log begins no new logs

	// See older.go.
	asked   []*authorLog // those of which older events are asked for
	demand  *demand
	filled  bool      // the window is full, or was when it was looked at
	full    bool      // the Log keeps nothing older
	lacking uint64    // events that are wanted from below bases, and had by somebody
	fillAt  time.Time // when to look for what is older
	looked  time.Time
	stuck   time.Time // until when not, because it could not be stored

	absent []*absent // see absent.go

	tornAt, loseAt time.Time // since when something was lost that was not told, and when to tell it
	linked         time.Time // when the last neighbour came
	unheard        map[wire.LogID]*unheard

	slots [64]*share // neighbours by their place in the masks of logs
	seats uint64     // the places that are taken

	repairAt, offerAt, digestAt time.Time
	offered                     time.Time // the last offer
	troubled                    time.Time // when a tree was last seen not to bring an event, or a neighbour was lost
	rounds                      int       // of anti-entropy
	look                        bool      // see Output.Looks
}

// authorLog is the log of one author in one room, or a run of it: events base+1 to head are in the Log.
type authorLog struct {
	id         wire.LogID
	author     wire.PeerID // that of id
	base, head uint64      // both are what comes before all of the log as long as it has not begun
	over       bool        // a later run of its author has begun

	recent     [16][16]byte // hashes of the last events, by seq modulo 16
	via        [16]int8     // and the places of the neighbours they came from, counted from 1; 0: none
	recentFrom uint64       // those up to it are not in recent

	pending  map[uint64]held // behind a gap, or not stored: see unstored.go
	unstored bool            // what comes next is pending, because the Log did not take it
	ask      *ask            // the one question that is out
	askAt    time.Time       // when to ask
	offered  uint64          // what was offered when that was set
	gap      bool            // a live event came before its predecessors
	stranded time.Time       // since when nobody has the next event

	shown map[uint64][32]byte // hashes of what was delivered early and then not taken in, by seq

	liveFrom uint64 // first of the run of live events at the head; 0: the head is not live
	liveAt   time.Time
	liveSaid time.Time // when the last live event was said, by its author's clock
	hops     uint8     // links that the last live event travelled

	// The broadcast tree. Masks have a bit for each neighbour's place in the room.
	hasTree  bool
	isYoung  bool   // it was made by the last live event
	eager    uint64 // neighbours to push live events to
	told     uint64 // those that were told of the head
	ahead    uint64 // those that offered what had not come yet
	acks     uint64 // those that wait for an acknowledgement
	parent   *share // who sent the last live event first, or was asked to send the next
	failed   *share // who was to send what another was then asked for
	depth    uint8  // links from the author along the tree, as far as is known
	late     bool   // a neighbour offered what the parent has not sent
	prunedAt time.Time
	lost     uint64 // those that have lost their own way since the last event, and wait for this peer's: see orphan.go
	hoped    bool   // the parent never said that it had a way that does not lead through here

	compared uint64 // the last event that was asked for to be compared; see compareOne

	claimed *link // nothing of the log is here yet: this neighbour said that it exists

	// Events after mark were said while this peer was here, whether or not they are here; see meet.
	mark   uint64
	marked bool

	past

	isBehind, isChanged                  bool
	warnedClock, warnedSeq, warnedDouble bool
	warnedRuns                           bool
}

// held is an event behind a gap, or one that could not be stored.
type held struct {
	event wire.Event
	hash  [32]byte
	from  wire.PeerID
	live  bool
	shown bool // it was delivered early
	hops  uint8
	since time.Time // since when it could not be stored
}

// span is what a neighbour says it holds of a log: events base+1 to seq, the last after hops links.
type span struct {
	base, seq uint64
	hops      uint8
}

// New makes a Machine without rooms and links.
func New(cfg Config) (*Machine, error) {
	switch {
	case len(cfg.Key) != 64:
		return nil, errors.New("gossip: Config.Key is not an Ed25519 private key")
	case cfg.Log == nil:
		return nil, errors.New("gossip: Config.Log is missing")
	case cfg.NewID == nil:
		return nil, errors.New("gossip: Config.NewID is missing")
	case cfg.Rand == nil:
		return nil, errors.New("gossip: Config.Rand is missing")
	}
	cfg.Window.Events = max(0, cmp.Or(cfg.Window.Events, defaultWindow))
	cfg.Window.Age = cmp.Or(cfg.Window.Age, defaultAge)
	if cfg.Verify == nil {
		cfg.Verify = new(wire.Verifier).Verify
	}
	return &Machine{cfg: cfg, self: wire.IDOf(cfg.Key), verify: cfg.Verify, rooms: make(map[wire.Room]*room),
		links: make(map[wire.PeerID]*link)}, nil
}

// Step takes one input in and appends to out what is to be done. It returns an error for an input that does not exist;
// whatever else goes wrong is a Fault or a Refused.
func (m *Machine) Step(now time.Time, in Input, out *Output) error {
	if r, ok := in.(Receive); !ok || !isEvents(r.Frame) {
		m.prove(now, out)
	}
	switch in := in.(type) {
	case Subscribe:
		m.subscribe(now, in.Room, out)
	case Unsubscribe:
		m.unsubscribe(now, in.Room, out)
	case LinkUp:
		m.linkUp(now, in, out)
	case LinkDown:
		m.linkDown(now, in.Peer, out)
	case LinkBusy:
		m.linkBusy(now, in, out)
	case Receive:
		m.receive(now, in, out)
	case Publish:
		m.publish(now, in, out)
	case FetchOlder:
		m.demanded(now, in, out)
	case Flush:
		m.acknowledge(now, true, out)
	case Tick:
	default:
		return fmt.Errorf("gossip: input %T is not known", in)
	}
	if !m.due.IsZero() && !m.due.After(now) {
		m.prove(now, out)
		m.run(now, out)
	}
	if len(m.demote) > 0 {
		m.demoted(now, out)
	}
	out.Wake = m.due
	if len(m.unproven) > 0 {
		out.Wake = now
	}
	return nil
}

func isEvents(f wire.Frame) bool { _, ok := f.(wire.Events); return ok }

// at lowers the machine's timer to t.
func (m *Machine) at(t time.Time) { m.due = earlier(m.due, t) }

// earlier is the earlier of two times, of which a zero one is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// passed tells whether the timer t, if set, has run out.
func passed(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// jitter is a random duration from least to most.
func (m *Machine) jitter(least, most time.Duration) time.Duration {
	return least + time.Duration(m.cfg.Rand.Uint64()%uint64(most-least+1))
}

// run does what the timers ask for, and sets m.due anew.
func (m *Machine) run(now time.Time, out *Output) {
	for _, r := range m.roomList {
		if passed(r.repairAt, now) {
			m.repair(now, r, out)
		}
		if passed(r.fillAt, now) {
			m.fill(now, r, out)
		}
		if passed(r.loseAt, now) {
			m.lose(now, r, out)
		}
		if passed(r.offerAt, now) {
			m.offer(now, r, out)
		}
		if passed(r.digestAt, now) {
			m.antiEntropy(now, r, out)
		}
	}
	for _, l := range m.linkList {
		if passed(l.serveAt, now) {
			m.serve(now, l, out)
		}
		m.hedge(now, l, out)
	}
	m.acknowledge(now, false, out)

	m.due = time.Time{}
	for _, r := range m.roomList {
		m.at(r.repairAt)
		m.at(r.fillAt)
		m.at(r.loseAt)
		m.at(r.offerAt)
		m.at(r.digestAt)
	}
	for _, l := range m.linkList {
		m.at(l.serveAt)
		for i := range l.hedges {
			m.at(l.hedges[i].next)
		}
		for _, s := range l.shares {
			if len(s.acks) > 0 {
				m.at(s.ackAt)
			}
		}
	}
}

func (m *Machine) subscribe(now time.Time, name wire.Room, out *Output) {
	if m.rooms[name] != nil {
		return
	}
	heads, lamport, err := m.cfg.Log.Heads(name)
	if err != nil {
		out.Faults = append(out.Faults, Fault{Peer: m.self, Room: name, Code: "log",
			Text: fmt.Sprintf("the log of room %s cannot be read: %v; nothing is sent or received there", name, err)})
		return
	}
	r := &room{name: name, logs: make(map[wire.LogID]*authorLog), fresh: true, entered: now,
		digestAt: now.Add(m.jitter(digestMin, digestMax))}
	r.follow(now, lamport)
	for _, h := range heads {
		l := r.add(h.Log())
		l.base, l.head, l.recentFrom = h.Base, h.Seq, h.Seq
		l.stored = h.Seq
		m.findHole(r, l)
		if l.hole.open {
			l.unread = l.hole.from
		}
		l.unseen.add(max(l.id.Start(), l.unread), l.base)
		_ = m.recall(r, l) // if that fails it is tried again
		r.fresh = r.fresh && (h.Author == m.self || h.Seq == 0)
	}
	r.own = r.add(wire.LogID{Author: m.self, Run: m.cfg.Run})
	for next := r.logs[r.own.after()]; next != nil; next = r.logs[r.own.after()] {
		r.own = next
	}
	m.rooms[name] = r
	at, _ := slices.BinarySearchFunc(m.roomList, name, func(r *room, n wire.Room) int { return cmp.Compare(r.name, n) })
	m.roomList = slices.Insert(m.roomList, at, r)
	m.at(r.digestAt)
	for _, l := range m.linkList {
		if slices.Contains(l.named, name) {
			m.begin(now, l, r, out)
		}
	}
}

func (m *Machine) unsubscribe(now time.Time, name wire.Room, out *Output) {
	r := m.rooms[name]
	if r == nil {
		return
	}
	for _, l := range m.linkList {
		m.end(now, l, r, out)
	}
	if d := r.demand; d != nil {
		out.Fetched = append(out.Fetched, Fetched{Room: name, Events: d.got, Err: fmt.Errorf("fetch older messages of %s: you left it", name)})
	}
	for _, l := range r.sorted {
		for _, h := range l.pending {
			m.heldBytes -= heldSize(&h.event)
		}
	}
	delete(m.rooms, name)
	m.roomList = slices.DeleteFunc(m.roomList, func(x *room) bool { return x == r })
	for _, l := range m.linkList {
		m.resume(now, l)
	}
}

// real ends the state of a log that exists only because of a neighbour's claim.
func (a *authorLog) real() {
	if a.claimed != nil {
		a.claimed.claims--
		a.claimed = nil
	}
}

// forget removes the logs of which nothing is here and which no neighbour claims any more.
func (m *Machine) forget(r *room) {
	idle := func(a *authorLog) bool {
		if a == r.own || a.begun() || len(a.pending) > 0 || a.ask != nil {
			return false
		}
		for _, l := range m.linkList {
			if s := l.share(r); s != nil && s.known[a.id].seq > 0 {
				return false
			}
		}
		return true
	}
	r.behind = slices.DeleteFunc(r.behind, func(a *authorLog) bool {
		if !idle(a) {
			return false
		}
		a.real()
		delete(r.logs, a.id)
		a.isBehind = false
		return true
	})
	r.sorted = slices.DeleteFunc(r.sorted, func(a *authorLog) bool { return r.logs[a.id] != a })
}

// receive takes a frame in.
func (m *Machine) receive(now time.Time, in Receive, out *Output) {
	l := m.links[in.From]
	if l == nil || l.cut {
		return
	}
	l.heardAt = now
	m.heard(l, out)
	switch f := in.Frame.(type) {
	case wire.Events:
		m.events(now, l, f, out)
	case wire.Digest:
		if s := m.shared(now, l, f.Room, len(f.Heads), out); s != nil {
			m.digested(now, l, s, f, out)
		}
	case wire.Have:
		if s := m.shared(now, l, f.Room, len(f.Heads), out); s != nil {
			for i, h := range f.Heads {
				if len(f.Ways) == 0 && m.hearsPart(now, l, s, h) {
					continue
				}
				k := span{base: h.Base, seq: h.Seq, hops: unknownHops}
				if i < len(f.Ways) {
					k.hops = min(f.Ways[i].Hops, unknownHops-1)
				}
				m.learn(now, l, s, h.Log(), k, true, out)
				if i < len(f.Ways) {
					m.compare(now, s, h.Log(), k, time.Duration(f.Ways[i].Age)*time.Millisecond, out)
				}
			}
		}
	case wire.Want:
		if s := m.shared(now, l, f.Room, 0, out); s != nil {
			m.wanted(now, l, s, f.Ranges, out)
		}
	case wire.Graft:
		if s := m.shared(now, l, f.Room, len(f.Ranges), out); s != nil {
			m.grafted(now, s, f, out)
			m.wanted(now, l, s, f.Ranges, out)
		}
	case wire.Prune:
		if s := m.shared(now, l, f.Room, len(f.Authors), out); s != nil {
			m.pruned(now, s, f, out)
		}
	}
}
