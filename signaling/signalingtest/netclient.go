package signalingtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
