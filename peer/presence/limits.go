package presence

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// Bounds of what others can make a Machine do or keep.
const (
	maxGone      = 16 << 10 // members that are remembered though they are gone
	leastGone    = 1 << 10  // of them at least, however small the room
	maxReporters = 4 << 10  // reporters of deaths whose conduct is known; after a death each is one for 2 s
	maxLies      = 32       // deaths that a reporter may report of the living before it is not believed
	lieForgiven  = 10 * time.Second
	maxFaults    = 16 // of one Step
	maxGap       = 30 * time.Second
	// late is how old a record may be to make a new member, in periods; whoever is there says something in each.
	late = 1.5
	// A member's changes cost it tokens: talkBurst at once, then one each talkEvery.
	talkBurst = 30
	talkEvery = 10 // tenths of a second
)

// limit allows burst at once, then rate a second.
type limit struct {
	rate  rate.Limit
	burst int
}

func (l limit) limiter() *rate.Limiter { return rate.NewLimiter(l.rate, l.burst) }

var (
	selfSaid    = limit{0.4, 15}         // own changes; with what follows less than the others take
	contradicts = limit{0.5, 8}          // own contradictions to being dead
	lifted      = limit{1. / 30, 4}      // new runs because an earlier life's was higher
	compared    = limit{500, 30_000}     // members to compare with neighbours that know about as many
	wasteTaken  = limit{2_000, 20_000}   // records, beats and downs of one neighbour that are no news
	sigsTaken   = limit{1_000, 4_000}    // signatures of one neighbour that are checked
	sigsAll     = limit{2_000, 6_000}    // and of all of them
	hashesTaken = limit{20_000, 200_000} // hashes for the beats of one neighbour; one takes 0.1 µs
	hashesAll   = limit{50_000, 500_000} // and of all of them
	missesTaken = limit{0.2, 4}          // news by one neighbour's offers that the tree did not bring, which happens when it is cut
	askedTaken  = limit{8, 64}           // summaries and compares of one neighbour
	wantedTaken = limit{1_000, 20_000}   // items of one neighbour's wants
	listedTaken = limit{10_000, 40_000}  // items of one neighbour's lists
	wondered    = limit{5, 50}           // reports and beats of one neighbour about records that are not known, which are asked for
	downsTaken  = limit{200, 2_000}      // reports of deaths by one neighbour's hand
	accusations = limit{0.1, 8}          // of members that did not answer a roll call; less than the others take
	votesTaken  = limit{20, 20_000}      // votes of one neighbour
	reports     = limit{0.5, 64}         // by one reporter
)

// wrongCosts is how much a wrong beat wastes: 1,250 at once, and then 125 a second, cost the link.
const wrongCosts = 16

// moment is a time of the Machine's own clock as limiters have it.
func moment(at time.Duration) time.Time { return time.Time{}.Add(at) }

// allows takes n of what a limiter allows now, if it allows so many.
func (m *Machine) allows(l *rate.Limiter, n int) bool { return l.AllowN(moment(m.now), n) }

// ready is when a limiter will allow one.
func (m *Machine) ready(l *rate.Limiter) time.Duration {
	if lacks := 1 - l.TokensAt(moment(m.now)); lacks > 0 {
		return m.now + time.Duration(lacks/float64(l.Limit())*float64(time.Second)) + time.Millisecond
	}
	return m.now
}

// roomLimit is a limit that follows the size of the room. It counts what was taken, not what is left as a rate.Limiter
// does, because a room that has grown takes more at once.
type roomLimit struct {
	spent float64
	at    time.Duration
}

// take takes one of what l allows now, if there is one.
func (r *roomLimit) take(now time.Duration, l limit) bool {
	if d := now - r.at; d > 0 {
		r.spent = max(0, r.spent-d.Seconds()*float64(l.rate))
		r.at = now
	}
	if r.spent+1 > float64(l.burst) {
		return false
	}
	r.spent++
	return true
}

// conduct is what a neighbour did lately. It outlives its links, so that nobody can wipe it out by making a new one.
type conduct struct {
	news roomLimit

	waste, checks, hashed, asked, wanted, listed, reported, unknown, voted *rate.Limiter

	blamed map[Code]time.Duration // when it was told of last
	seen   time.Duration          // when its link went down
}

// maxConducts bounds the conducts of those who are no neighbours.
const maxConducts = 64

func (m *Machine) conductOf(id wire.PeerID) *conduct {
	c := m.conducts[id]
	if c == nil {
		c = &conduct{waste: wasteTaken.limiter(), checks: sigsTaken.limiter(), hashed: hashesTaken.limiter(), asked: askedTaken.limiter(),
			wanted: wantedTaken.limiter(), listed: listedTaken.limiter(), reported: downsTaken.limiter(), unknown: wondered.limiter(),
			voted: votesTaken.limiter(), blamed: map[Code]time.Duration{}}
		m.conducts[id] = c
	}
	if len(m.conducts) > len(m.neighbours)+maxConducts {
		var oldest wire.PeerID
		for other, o := range m.conducts {
			if other == id || m.neighbour(other) != nil {
				continue
			}
			if b := m.conducts[oldest]; b == nil || o.seen < b.seen || o.seen == b.seen && other.Less(oldest) {
				oldest = other
			}
		}
		delete(m.conducts, oldest)
	}
	return c
}

// spend takes a token of a member's own changes.
func (e *entry) spend(now uint32) bool {
	spent := e.spent - uint8(min(uint32(e.spent), (now-e.first)/talkEvery))
	if spent >= talkBurst {
		return false
	}
	e.spent = spent + 1
	return true
}

// introducer is a neighbour that entries came from first.
type introducer struct {
	peer  wire.PeerID
	count int // of entries
}

// introduced is the index of a neighbour among the introducers. Index 0 is for oneself and for who finds no place.
func (m *Machine) introduced(by wire.PeerID) uint16 {
	free := 0
	for i := range m.intro {
		switch {
		case m.intro[i].peer == by && i > 0:
			return uint16(i)
		case m.intro[i].count == 0 && i > 0 && free == 0:
			free = i
		}
	}
	if free == 0 {
		if len(m.intro) > 4*MaxNeighbors {
			return 0
		}
		free = len(m.intro)
		m.intro = append(m.intro, introducer{})
	}
	m.intro[free] = introducer{peer: by}
	return uint16(free)
}

// admits decides whether a neighbour may introduce a peer that is not known yet. A neighbour passes on what others say,
// so it is not to blame for them one by one, and nobody can tell honest newcomers from a crowd of invented ones. But a
// room does not grow without bounds: as long as no other neighbour says that the room is larger than it is here,
// newcomers are taken at the rate of a lively room. Who is linked with this peer has proved itself by that.
func (m *Machine) admits(n *neighbour, subject wire.PeerID, out *Output) bool {
	if n.id != subject && m.table.members > m.believable(n) &&
		!n.news.take(m.now, limit{max(8, rate.Limit(m.table.members)/50), max(256, m.table.members/10)}) {
		m.blame(n, subject, Crowd, fmt.Sprintf("%s shows more new members than a room of %d can have; they are taken slowly",
			n.id.Tag(), m.table.members), false, out)
		return false
	}
	if m.table.members < MaxMembers {
		return true
	}
	return m.makeRoom(n, subject, out)
}

// believable is how many members the room has by the word of the other neighbours; where there are none, by that of n.
func (m *Machine) believable(n *neighbour) int {
	most, others := 0, false
	for _, o := range m.neighbours {
		if o != n && o.compared {
			others = true
			most = max(most, int(o.count))
		}
	}
	if !others {
		most = int(n.count)
	}
	return most + most/4
}

// makeRoom drops a member of the neighbour that introduced most, if that is not n, so that one who invents members
// crowds out its own first.
func (m *Machine) makeRoom(n *neighbour, subject wire.PeerID, out *Output) bool {
	m.blame(n, subject, Full, fmt.Sprintf("the room has more than %d members: not all of them can be shown", MaxMembers), false, out)
	largest := uint16(1)
	for i := range m.intro {
		if i > 0 && m.intro[i].count > m.intro[largest].count {
			largest = uint16(i)
		}
	}
	if len(m.intro) < 2 || m.intro[largest].peer == n.id && n.id != subject {
		return false
	}
	// From a random key on, the first of its members that is not linked; a few tries, because the own ones may be many.
	from := m.rand.Uint64()
	for tries := 0; tries < 2; tries, from = tries+1, 0 {
		for e := range m.table.within(from, ^uint64(0)) {
			if e.by == largest && !e.gone() && e.rec.peer != m.self && m.neighbour(e.rec.peer) == nil {
				m.lose(e, e.rec.member(), expired, Crowded, out)
				return true
			}
		}
	}
	return false
}

// blame tells a fault of a neighbour, each kind once in a while unless the link is to go for it.
func (m *Machine) blame(n *neighbour, subject wire.PeerID, code Code, text string, drop bool, out *Output) {
	m.stats.Refused++
	if at, ok := n.blamed[code]; ok && m.now-at < blameEvery {
		return
	}
	n.blamed[code] = m.now
	m.fault(out, Fault{Peer: n.id, Subject: subject, Code: code, Text: text, Drop: drop})
}

// blameEvery is how often one kind of fault of one neighbour is told.
const blameEvery = 30 * time.Second

func (m *Machine) fault(out *Output, f Fault) {
	if len(out.Faults) < maxFaults {
		out.Faults = append(out.Faults, f)
	}
}
