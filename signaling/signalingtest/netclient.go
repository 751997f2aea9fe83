package signalingtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// NetPeer is who a NetClient is.
type NetPeer struct {
	ID   wire.PeerID
	Name string
	Host string // its machine: its own tracker is at TrackerURL(Host)
	// Named are the hosts of the trackers that the user named.
	Named []string
	// NoHost is a peer that never has a tracker, Undialable one whose tracker nobody could dial when that was measured.
	NoHost, Undialable bool
	// LAN finds every tracker that serves and is not cut off.
	LAN bool
}

// NetClient is a peer's way to the trackers of a Net. It has the methods of signaling.Station.
type NetClient struct {
	n    *Net
	id   wire.PeerID
	host string
	cfg  NetPeer
	sink func(signaling.ClientEvent)

	// Owned by the Net's owner goroutine.
	name    string
	rooms   []wire.Room
	asked   map[uuid.UUID]asked
	at      *netTracker // zero while not connected
	conn    signaling.ConnID
	bye     *signaling.ByeNote
	hello   *signaling.HelloAnswer // of the connection
	started bool
	closed  bool
	stopped bool // replaced
	ever    bool
	urls    []string          // of the last tracker
	target  *signaling.Target // where to go, until there
	lostAt  time.Time
	failed  int
	tries   int
	round   int // counts what was begun and given up
	watched signaling.ConnID

	own      *netTracker    // nil until it stands by
	leading  signaling.Lead // as told last
	scouted  []string
	looking  bool
	dialable bool
	home     string // a stand-alone tracker that was met
}

// NewClient makes a client; nothing happens before Start. The sink must not block.
func (n *Net) NewClient(p NetPeer, sink func(signaling.ClientEvent)) *NetClient {
	c := &NetClient{n: n, id: p.ID, host: p.Host, cfg: p, name: p.Name, sink: sink, asked: map[uuid.UUID]asked{}}
	n.post(func(time.Time) { n.clients = append(n.clients, c) })
	return c
}

func (c *NetClient) post(f func(now time.Time)) {
	c.n.post(func(now time.Time) {
		if !c.closed {
			f(now)
		}
	})
}

func (c *NetClient) emit(e signaling.ClientEvent) {
	if !c.closed {
		c.sink(e)
	}
}

// Start begins to look for a tracker.
func (c *NetClient) Start() {
	c.post(func(now time.Time) {
		c.started = true
		c.seek(now)
	})
}

// Join enters a room, now and after each reconnection.
func (c *NetClient) Join(room wire.Room) {
	c.post(func(now time.Time) {
		if !slices.Contains(c.rooms, room) {
			c.rooms = append(c.rooms, room)
		}
		c.ask(now, &signaling.JoinRequest{ID: newID(), Room: room}, asked{op: "join", room: room})
	})
}

// Leave leaves a room.
func (c *NetClient) Leave(room wire.Room) {
	c.post(func(now time.Time) {
		if i := slices.Index(c.rooms, room); i >= 0 {
			c.rooms = slices.Delete(c.rooms, i, i+1)
			c.ask(now, &signaling.LeaveRequest{ID: newID(), Room: room}, asked{op: "leave", room: room})
		}
	})
}

// SetName changes the name.
func (c *NetClient) SetName(name string) {
	c.post(func(now time.Time) {
		c.name = name
		c.ask(now, &signaling.NameRequest{ID: newID(), Name: name}, asked{op: "name"})
	})
}

// Signal hands data, a JSON value, to another peer. Without a connection it is refused at once.
func (c *NetClient) Signal(to wire.PeerID, data []byte) {
	data = slices.Clone(data)
	c.post(func(now time.Time) {
		switch {
		case !json.Valid(data) || len(data) > signaling.MaxData:
			c.emit(signaling.Refused{Op: "signal", Peer: to, Status: signaling.RequestError, Text: "a signal must be JSON and not too long"})
		case c.at == nil:
			c.emit(signaling.Refused{Op: "signal", Peer: to, Status: signaling.ServerError, Text: "not connected to a tracker"})
		default:
			c.ask(now, &signaling.SignalRequest{ID: newID(), To: to, Data: data}, asked{op: "signal", peer: to})
		}
	})
}

// List asks for the rooms.
func (c *NetClient) List(ref any) {
	c.post(func(now time.Time) {
		if c.at == nil {
			c.emit(signaling.RoomList{Ref: ref, Err: errors.New("not connected to a tracker")})
			return
		}
		c.ask(now, &signaling.RoomsRequest{ID: newID()}, asked{op: "rooms", ref: ref})
	})
}

// Redial connects anew at once.
func (c *NetClient) Redial() {
	c.post(func(now time.Time) {
		c.drop(now)
		c.stopped, c.tries, c.lostAt = false, 0, now
		c.seek(now)
	})
}

// Follow goes to a tracker, and stays at the present one until it is there.
func (c *NetClient) Follow(t signaling.Target) {
	c.post(func(now time.Time) {
		if c.own != nil && !c.own.info.Serving && len(t.URLs) > 0 {
			c.own.standBy(now, t)
		}
		c.follow(now, t)
	})
}

// Ping is answered at once by a tracker that is alive.
func (c *NetClient) Ping() {
	c.post(func(time.Time) {
		if c.up() {
			c.emit(signaling.Pong{})
		}
	})
}

// Lead makes the own tracker serve, under another term if it does so already.
func (c *NetClient) Lead(l signaling.Lead) {
	c.post(func(now time.Time) {
		if c.cfg.NoHost {
			c.emit(signaling.LeadFailed{Err: errors.New("this peer may not be a tracker")})
			return
		}
		c.standBy()
		began := !c.own.info.Serving
		c.leading = l
		c.own.serve(now, l)
		c.emit(signaling.Leading{URL: c.own.url, URLs: []string{c.own.url}})
		if began {
			c.follow(now, signaling.Target{Leader: c.id, Term: l.Term, URLs: []string{c.own.url}})
			c.look(now)
		}
	})
}

// StepDown sends those who came to the own tracker to another.
func (c *NetClient) StepDown(t signaling.Target) {
	c.post(func(now time.Time) {
		if c.own != nil {
			c.own.standBy(now, t)
		}
	})
}

// TellHome raises the term of a stand-alone tracker.
func (c *NetClient) TellHome(term uint64, urls []string) {
	c.post(func(now time.Time) {
		for _, u := range urls {
			t := c.n.trackers[u]
			if t == nil || t.hung || !c.n.reaches(c.host, t.host) {
				continue
			}
			if t.owner == nil && term > t.info.Term {
				t.serve(now, signaling.Lead{Term: term})
			}
			return
		}
	})
}

// Scout says where to look for other trackers.
func (c *NetClient) Scout(urls []string) {
	urls = slices.Clone(urls)
	c.post(func(now time.Time) {
		c.scouted = urls
		c.look(now)
	})
}

// Close says goodbye, and ends the own tracker.
func (c *NetClient) Close(ctx context.Context) error {
	return c.n.await(ctx, func(now time.Time) {
		if c.closed {
			return
		}
		c.closed = true
		c.ask(now, &signaling.ByeRequest{ID: newID()}, asked{op: "bye"})
		if c.own != nil {
			c.own.step(now, signaling.HubStopped{Text: "the tracker is shutting down"})
			c.n.remove(now, c.own.url)
		}
	})
}

// up reports whether the connection carries anything now.
func (c *NetClient) up() bool { return c.at != nil && !c.at.hung && c.n.reaches(c.host, c.at.host) }

func (c *NetClient) ask(now time.Time, r signaling.Request, a asked) {
	if c.at == nil {
		return
	}
	b := r.Append(nil)
	r, err := signaling.DecodeRequest(b)
	if err != nil {
		c.emit(signaling.Refused{Op: a.op, Room: a.room, Peer: a.peer, Status: signaling.RequestError, Text: err.Error()})
		return
	}
	c.asked[r.ReqID()] = a
	if c.n.reaches(c.host, c.at.host) {
		c.at.step(now, signaling.HubRequest{Conn: c.conn, Req: r, Size: len(b)})
	}
}

// drop ends the connection without a word.
func (c *NetClient) drop(now time.Time) {
	t, id := c.at, c.conn
	if t == nil {
		return
	}
	c.at, c.conn = nil, 0
	delete(t.byConn, id)
	t.step(now, signaling.HubDropped{Conn: id, Seen: now})
}

// watch loses a connection that is silent for too long.
func (c *NetClient) watch() {
	if c.at == nil || c.up() || c.watched == c.conn {
		return
	}
	id := c.conn
	c.watched = id
	c.n.after(netSilence, func(now time.Time) {
		c.watched = 0
		if c.conn != id || c.up() || c.closed {
			return
		}
		url := c.at.url
		c.drop(now)
		c.lost(now, signaling.StateChanged{}, fmt.Errorf("tracker %s: it has fallen silent", url))
	})
}

// lost tells of a lost connection, and looks for the next; how says in what way it was lost.
func (c *NetClient) lost(now time.Time, how signaling.StateChanged, err error) {
	c.forget(err)
	c.lostAt, c.tries = now, 0
	how.State, how.Err = signaling.Lost, err
	if len(c.urls) > 0 {
		how.URL = c.urls[0]
	}
	c.emit(how)
	c.seek(now)
}

func (c *NetClient) forget(err error) {
	for id, a := range c.asked {
		delete(c.asked, id)
		if a.op == "rooms" {
			c.emit(signaling.RoomList{Ref: a.ref, Err: err})
		}
	}
}

// dismissed takes the end of a connection by the tracker.
func (c *NetClient) dismissed(now time.Time, t *netTracker) {
	bye := c.bye
	c.bye = nil
	err := fmt.Errorf("tracker %s: it said goodbye", t.url)
	switch {
	case c.closed:
	case bye != nil && bye.Status == signaling.Conflict:
		c.stopped = true
		c.forget(err)
		c.emit(signaling.StateChanged{State: signaling.Lost, URL: t.url, Closed: true, Err: err})
	case bye != nil && bye.Status == signaling.Moved && bye.Tracker != "":
		c.urls = append([]string{bye.Tracker}, slices.DeleteFunc(c.urls, func(u string) bool { return u == bye.Tracker })...)
		c.urls = c.urls[:min(len(c.urls), signaling.MaxAddresses)]
		c.lost(now, signaling.StateChanged{Closed: true, Moved: true}, err)
	default:
		c.lost(now, signaling.StateChanged{Closed: true}, err)
	}
}

func (c *NetClient) follow(now time.Time, t signaling.Target) {
	if len(t.URLs) == 0 || !c.started {
		return
	}
	if c.at != nil && c.hello != nil && c.hello.Leader == t.Leader && (!t.Leader.IsZero() || slices.Contains(t.URLs, c.at.url)) {
		c.target = nil
		return
	}
	c.target, c.failed, c.tries = &t, 0, 0
	c.n.after(t.Jitter/2, c.given(c.seek))
}

// given does f unless something else was begun meanwhile.
func (c *NetClient) given(f func(now time.Time)) func(now time.Time) {
	c.round++
	round := c.round
	return func(now time.Time) {
		if c.round == round && !c.closed {
			f(now)
		}
	}
}

// seek begins a round: where it was sent, or the last tracker, and what a search finds.
func (c *NetClient) seek(now time.Time) {
	if !c.started || c.stopped || c.closed {
		return
	}
	c.tries++
	c.n.after(netDial, c.given(c.attempt))
}

// attempt is a round: who answers first is taken.
func (c *NetClient) attempt(now time.Time) {
	silent := false
	try := func(urls []string, want *signaling.Target) bool {
		for _, u := range urls {
			t, mute := c.find(u, want)
			if silent = silent || mute; t != nil {
				c.adopt(now, t)
				return true
			}
		}
		return false
	}
	first := c.urls
	if c.target != nil {
		first = c.target.URLs
	}
	if try(first, c.target) || c.at == nil && (!c.ever || now.Sub(c.lostAt) >= netSearch) && try(c.search(), nil) {
		return
	}
	wait := time.Duration(0)
	if silent {
		wait = netTimeout
	}
	c.n.after(wait, c.given(func(time.Time) {
		backoff := min(netBackoff<<min(c.tries-1, 20), netMost) / 2
		if c.tries == 1 {
			backoff = 0
		}
		c.n.after(backoff, c.given(c.seek))
		if c.at != nil {
			return
		}
		c.failed++
		err := errors.New("no tracker answered")
		state := signaling.Searching
		if c.ever {
			state = signaling.Lost
		}
		c.emit(signaling.StateChanged{State: state, Failed: c.failed, Trying: "again", Err: err})
		if !c.ever {
			c.emit(signaling.NoneFound{Err: err})
		}
	}))
}

// search is where trackers may be: those that the user named, and those of the LAN.
func (c *NetClient) search() []string {
	var urls []string
	for _, h := range c.cfg.Named {
		urls = append(urls, TrackerURL(h))
	}
	if c.cfg.LAN {
		for _, u := range slices.Sorted(maps.Keys(c.n.trackers)) {
			if t := c.n.trackers[u]; t.info.Serving && t != c.own && !slices.Contains(urls, u) {
				urls = append(urls, u)
			}
		}
	}
	return urls
}

// find is the tracker at a URL, or where that one sends people, if it answers; silent says that nothing does, not even a refusal.
func (c *NetClient) find(url string, want *signaling.Target) (t *netTracker, silent bool) {
	for range 4 {
		host := strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), ":5000/ws")
		t := c.n.trackers[url]
		switch {
		case !c.n.reaches(c.host, host), t != nil && t.hung:
			return nil, true
		case t == nil:
			return nil, false
		case t.info.Serving && want != nil && t.info.Leader != want.Leader:
			return nil, false
		case t.info.Serving:
			return t, false
		case t.info.Tracker == "", want != nil && t.info.Term < want.Term:
			return nil, false
		}
		url = t.info.Tracker
	}
	return nil, false
}

// adopt goes to a tracker, and says goodbye to the one before.
func (c *NetClient) adopt(now time.Time, t *netTracker) {
	old, id, alive := c.at, c.conn, c.up()
	if old != nil {
		delete(old.byConn, id)
		c.forget(errors.New("the tracker changed"))
	}
	t.admit(now, c)
	switch {
	case old == nil || old == t:
	case alive:
		old.step(now, signaling.HubRequest{Conn: id, Req: &signaling.ByeRequest{ID: newID()}, Size: 1})
	default:
		old.step(now, signaling.HubDropped{Conn: id, Seen: now})
	}
}

// said takes what the tracker says.
func (c *NetClient) said(now time.Time, t *netTracker, m signaling.Message) {
	if c.at != t {
		return
	}
	switch m := m.(type) {
	case *signaling.HelloAnswer:
		c.greeted(now, m)
	case *signaling.TermNote:
		c.hello.Term, c.hello.Leader, c.hello.Proof, c.hello.Resumed = m.Term, m.Leader, nil, true
		c.tellUp()
	case *signaling.ByeNote:
		c.bye = m
	default:
		tell(m, c.asked, c.emit)
	}
}

// greeted takes the admission.
func (c *NetClient) greeted(now time.Time, m *signaling.HelloAnswer) {
	urls := []string{c.at.url}
	if c.target != nil {
		for _, u := range c.target.URLs {
			if u != c.at.url && len(urls) < signaling.MaxAddresses {
				urls = append(urls, u)
			}
		}
	}
	c.hello, c.urls, c.target, c.ever, c.failed, c.tries = m, urls, nil, true, 0, 0
	c.round++ // what was waited for is there
	c.tellUp()
	for _, r := range c.rooms {
		c.ask(now, &signaling.JoinRequest{ID: newID(), Room: r}, asked{op: "join", room: r})
	}
	c.look(now)
	if c.cfg.NoHost || c.at == nil || c.at == c.own {
		return
	}
	c.standBy()
	if !c.own.info.Serving {
		c.own.standBy(now, signaling.Target{Leader: m.Leader, Term: m.Term, URLs: []string{c.at.url}})
	}
	c.n.after(netReach, func(time.Time) {
		if c.up() && !c.cfg.Undialable && !c.dialable {
			c.dialable = true
			c.offer()
		}
	})
}

func (c *NetClient) tellUp() {
	t, m := c.at, c.hello
	c.emit(signaling.StateChanged{State: signaling.Connected, URL: t.url, Hosting: t == c.own, Leader: m.Leader, Term: m.Term, Proof: m.Proof,
		Addresses: []string{t.url}, Named: slices.Contains(c.cfg.Named, t.host), Observed: m.Observed, STUN: m.STUN, Resumed: m.Resumed})
}

// standBy makes the own tracker, if there is none.
func (c *NetClient) standBy() {
	if c.own != nil {
		return
	}
	c.own = c.n.newTracker(c.host, c)
	if c.n.trackers[c.own.url] != nil {
		panic("signalingtest: two trackers at " + c.own.url)
	}
	c.n.trackers[c.own.url] = c.own
	c.offer()
}

func (c *NetClient) offer() {
	c.emit(signaling.Offered{Candidate: true, Dialable: c.dialable, Port: signaling.DefaultPort, Addresses: []string{c.own.url}})
}

// look looks for other trackers as long as this peer leads, or follows a leader.
func (c *NetClient) look(now time.Time) {
	if !c.looking {
		c.looking = true
		c.n.after(0, c.looks)
	}
}

func (c *NetClient) looks(now time.Time) {
	leads := c.own != nil && c.own.info.Serving
	if c.closed || !leads && (c.at == nil || c.hello.Leader.IsZero()) {
		c.looking, c.home = false, ""
		return
	}
	every := netLook
	if !leads {
		every = 3 * time.Second
	}
	c.n.after(every, c.looks)
	if t := c.n.trackers[c.home]; c.home != "" {
		if t == nil || t.hung || !c.n.reaches(c.host, t.host) {
			c.home = ""
			c.emit(signaling.HomeGone{})
		}
	}
	var seen []*netTracker
	for _, u := range append(slices.Clone(c.scouted), c.search()...) {
		t, _ := c.find(u, nil)
		if t == nil || t == c.own || t == c.at || slices.Contains(seen, t) {
			continue
		}
		seen = append(seen, t)
		if t.owner == nil {
			if leads && c.leading.Term > t.info.Term {
				t.serve(now, signaling.Lead{Term: c.leading.Term})
			}
			if c.home == "" {
				c.home = t.url
			}
		} else if leads {
			t.owner.emit(signaling.Met{Term: c.leading.Term, Proof: c.leading.Proof})
		}
		c.emit(signaling.Met{URLs: []string{t.url}, Term: t.info.Term, Leader: t.info.Leader, Proof: t.info.Proof})
	}
}
