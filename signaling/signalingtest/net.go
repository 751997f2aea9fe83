package signalingtest

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"peerchat/signaling"
)

// Times of a Net: those of the real client and station, without their jitter.
const (
	netDial    = time.Millisecond       // to be refused, or admitted
	netTimeout = 3 * time.Second        // of an attempt that nobody answers
	netSilence = 4 * time.Second        // until a tracker that says nothing is lost
	netSearch  = 2 * time.Second        // after a loss, until other trackers are looked for
	netLook    = 400 * time.Millisecond // between two looks for other trackers
	netReach   = 500 * time.Millisecond // until a tracker has dialled back
	netBackoff = 100 * time.Millisecond
	netMost    = 10 * time.Second
)

// Net is a network of trackers in memory: stand-alone ones, and the one that each peer may have. Each runs the real
// signaling.Hub. Machines can be cut off from each other, and trackers killed or hung. One goroutine owns all; it works
// inside a testing/synctest bubble.
//
// Its clients do what a signaling.Station does, but simply: where one of several addresses of a tracker answers, it is
// taken at once.
type Net struct {
	*owner

	// Owned by the owner goroutine.
	seed     uint64
	trackers map[string]*netTracker // by URL
	clients  []*NetClient
	sides    map[string]int // of machines that were cut off
	events   []netEvent
	lastSeq  uint64
	lastConn signaling.ConnID
}

type netEvent struct {
	at  time.Time
	seq uint64
	do  func(now time.Time)
}

// netTracker is one tracker, at home on the machine of its host.
type netTracker struct {
	net     *Net
	url     string
	host    string
	hub     *signaling.Hub
	out     signaling.HubOutput
	byConn  map[signaling.ConnID]*NetClient
	owner   *NetClient // nil: stand-alone
	info    signaling.Info
	hung    bool
	backlog []signaling.HubInput // while hung
}

// NewNet starts a Net without trackers. Close ends it.
func NewNet(seed uint64) *Net {
	n := &Net{owner: newOwner(), seed: seed, trackers: map[string]*netTracker{}, sides: map[string]int{}}
	go n.own(n.due)
	return n
}

// Close ends the net without a word to anybody, and waits for it.
func (n *Net) Close() { n.end() }

// TrackerURL is the URL of the tracker of the machine or peer with this name.
func TrackerURL(host string) string { return "ws://" + host + ":5000/ws" }

// Start starts a stand-alone tracker on a machine of its own; it is at TrackerURL(host).
func (n *Net) Start(host string) {
	n.do(func(now time.Time) {
		if url := TrackerURL(host); n.trackers[url] == nil {
			n.trackers[url] = n.newTracker(host, nil)
		}
	})
}

// Kill kills a stand-alone tracker, or a peer with its tracker: those who are connected to that see the connection
// close. A peer that was killed tells no more events.
func (n *Net) Kill(host string) {
	n.do(func(now time.Time) {
		for _, c := range n.clients {
			if c.host == host && !c.closed {
				c.closed = true
				c.drop(now)
			}
		}
		n.remove(now, TrackerURL(host))
	})
}

// Hang stops a tracker as SIGSTOP does, or lets it go on: connections stay, and nothing is answered.
func (n *Net) Hang(host string, hung bool) {
	n.do(func(now time.Time) {
		t := n.trackers[TrackerURL(host)]
		if t == nil || t.hung == hung {
			return
		}
		t.hung = hung
		if hung {
			for _, c := range t.members() {
				c.watch()
			}
			return
		}
		backlog := t.backlog
		t.backlog = nil
		for _, in := range backlog {
			t.step(now, in)
		}
	})
}

// Cut puts machines, of stand-alone trackers or peers, on a side of their own: nothing passes between them and the
// others, whose connections fall silent. Machines that were cut off with another call are on another side.
func (n *Net) Cut(hosts ...string) {
	n.do(func(time.Time) {
		n.lastSeq++
		for _, h := range hosts {
			n.sides[h] = int(n.lastSeq)
		}
		for _, c := range n.clients {
			c.watch()
		}
	})
}

// Heal ends every Cut.
func (n *Net) Heal() { n.do(func(time.Time) { clear(n.sides) }) }

// Serving lists the hosts of the trackers that serve, sorted.
func (n *Net) Serving() []string {
	var hosts []string
	n.do(func(time.Time) {
		for _, t := range n.trackers {
			if t.info.Serving {
				hosts = append(hosts, t.host)
			}
		}
	})
	slices.Sort(hosts)
	return hosts
}

func (n *Net) reaches(a, b string) bool { return n.sides[a] == n.sides[b] }

// after does something later.
func (n *Net) after(d time.Duration, do func(now time.Time)) {
	n.lastSeq++
	n.events = append(n.events, netEvent{time.Now().Add(d), n.lastSeq, do})
}

// due does what it is time for, in order, and returns the time until the next.
func (n *Net) due() time.Duration {
	for {
		now := time.Now()
		next := time.Duration(math.MaxInt64)
		first := -1
		for i, e := range n.events {
			if first < 0 || e.at.Before(n.events[first].at) || e.at.Equal(n.events[first].at) && e.seq < n.events[first].seq {
				first = i
			}
		}
		if first >= 0 {
			e := n.events[first]
			if !e.at.After(now) {
				n.events = slices.Delete(n.events, first, first+1)
				e.do(now)
				continue
			}
			next = e.at.Sub(now)
		}
		ticked := false
		for _, url := range slices.Sorted(maps.Keys(n.trackers)) {
			t := n.trackers[url]
			switch at := t.out.Wake; {
			case t.hung || at.IsZero():
			case !at.After(now):
				t.step(now, signaling.HubTick{})
				ticked = true
			default:
				next = min(next, at.Sub(now))
			}
		}
		if !ticked {
			return next
		}
	}
}

func (n *Net) newTracker(host string, owner *NetClient) *netTracker {
	t := &netTracker{net: n, url: TrackerURL(host), host: host, owner: owner, byConn: map[signaling.ConnID]*NetClient{},
		hub: signaling.NewHub(signaling.HubConfig{Seed: n.seed, Standby: owner != nil})}
	t.info = signaling.Info{Serving: owner == nil}
	if owner != nil {
		t.info.Peer = owner.id
	}
	return t
}

// remove ends a tracker as kill does.
func (n *Net) remove(now time.Time, url string) {
	t := n.trackers[url]
	if t == nil {
		return
	}
	delete(n.trackers, url)
	for _, c := range t.members() {
		c.at, c.conn = nil, 0
		c.lost(now, signaling.StateChanged{Closed: n.reaches(c.host, t.host)}, fmt.Errorf("tracker %s: the connection was closed", url))
	}
}

// members are those who are connected, in the order in which they came.
func (t *netTracker) members() []*NetClient {
	var list []*NetClient
	for _, id := range slices.Sorted(maps.Keys(t.byConn)) {
		list = append(list, t.byConn[id])
	}
	return list
}

func (t *netTracker) step(now time.Time, in signaling.HubInput) {
	if t.hung {
		t.backlog = append(t.backlog, in)
		return
	}
	t.hub.Step(now, in, &t.out)
	send, gone := t.out.Send, t.out.Close
	t.out.Send, t.out.Close, t.out.Dial = nil, nil, nil
	for _, s := range send {
		c := t.byConn[s.Conn]
		if c == nil || !t.net.reaches(c.host, t.host) {
			continue
		}
		m, err := signaling.DecodeReply(s.Msg.Append(nil))
		if err != nil {
			panic(fmt.Sprintf("signalingtest: a %T that the hub sends cannot be read: %v", s.Msg, err))
		}
		c.said(now, t, m)
	}
	for _, id := range gone {
		if c := t.byConn[id]; c != nil {
			delete(t.byConn, id)
			if c.at == t && c.conn == id && t.net.reaches(c.host, t.host) {
				c.at, c.conn = nil, 0
				c.dismissed(now, t)
			}
		}
	}
}

// serve has the tracker serve under a term.
func (t *netTracker) serve(now time.Time, l signaling.Lead) {
	t.info.Serving, t.info.Term, t.info.Leader, t.info.Proof, t.info.Tracker = true, l.Term, l.Leader, l.Proof, ""
	t.step(now, signaling.HubServe{Term: l.Term, Leader: l.Leader, Proof: l.Proof, Members: l.Members})
}

// standBy sends everybody to another tracker.
func (t *netTracker) standBy(now time.Time, to signaling.Target) {
	m := signaling.HubMoved{Term: to.Term, Leader: to.Leader}
	if len(to.URLs) > 0 {
		m.Tracker = to.URLs[0]
	}
	if !t.info.Serving && t.info.Tracker == m.Tracker && t.info.Term == m.Term && t.info.Leader == m.Leader {
		return
	}
	t.info.Serving, t.info.Term, t.info.Leader, t.info.Proof, t.info.Tracker = false, m.Term, m.Leader, nil, m.Tracker
	t.step(now, m)
}

// admit makes a connection and says hello.
func (t *netTracker) admit(now time.Time, c *NetClient) {
	t.net.lastConn++
	id := t.net.lastConn
	t.byConn[id] = c
	c.at, c.conn = t, id
	t.step(now, signaling.HubArrived{Conn: id, Addr: netip.MustParseAddr("127.0.0.1")})
	t.step(now, signaling.HubHello{Conn: id, Observed: "127.0.0.1:40000",
		Req: &signaling.HelloRequest{ID: newID(), Peer: c.id, Name: c.name, Agent: "signalingtest", Resume: c.ever}})
}
