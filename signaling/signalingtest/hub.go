// Package signalingtest is a tracker and its clients in memory, for tests of what uses package signaling; and a network
// of several trackers, Net, for tests of elections.
//
// A Hub runs the real signaling.Hub, so rooms, samples, refusals and lingering are the real ones, and every message
// passes through its wire encoding. One goroutine owns all; the methods only post. It works inside a testing/synctest
// bubble. It imports signaling and peer/wire and is imported by tests alone.
package signalingtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// URL is what clients are told as their tracker's URL.
const URL = "ws://signalingtest:5000/ws"

// Hub is a tracker in memory.
type Hub struct {
	*owner

	// Owned by the owner goroutine.
	hub      *signaling.Hub
	out      signaling.HubOutput
	isDown   bool
	lastConn signaling.ConnID
	clients  []*Client
	byConn   map[signaling.ConnID]*Client
}

// New starts a Hub. Close ends it.
func New(cfg signaling.HubConfig) *Hub {
	h := &Hub{owner: newOwner(), hub: signaling.NewHub(cfg), byConn: make(map[signaling.ConnID]*Client)}
	go h.own(h.due)
	return h
}

// Close ends the hub without a word to its clients, and waits for it.
func (h *Hub) Close() { h.end() }

// Down cuts every connection, and lets none be made until Up. What the tracker holds lingers as usual.
func (h *Hub) Down() {
	h.post(func(now time.Time) {
		h.isDown = true
		for _, c := range h.clients {
			h.drop(now, c)
		}
	})
}

// Up ends Down: every client that has started connects again.
func (h *Hub) Up() {
	h.post(func(now time.Time) {
		h.isDown = false
		for _, c := range h.clients {
			h.connect(now, c)
		}
	})
}

// Settle waits until everything posted before it has been handled.
func (h *Hub) Settle() { h.do(func(time.Time) {}) }

// due does what it is time for, and returns the time until there is more to do.
func (h *Hub) due() time.Duration {
	if at := h.out.Wake; !at.IsZero() && !at.After(time.Now()) {
		h.step(time.Now(), signaling.HubTick{})
	}
	if h.out.Wake.IsZero() {
		return math.MaxInt64
	}
	return time.Until(h.out.Wake)
}

func (h *Hub) step(now time.Time, in signaling.HubInput) {
	h.hub.Step(now, in, &h.out)
	send, gone := h.out.Send, h.out.Close
	h.out.Send, h.out.Close = nil, nil
	for _, s := range send {
		if c := h.byConn[s.Conn]; c != nil {
			m, err := signaling.DecodeReply(s.Msg.Append(nil))
			if err != nil {
				panic(fmt.Sprintf("signalingtest: a %T that the hub sends cannot be read: %v", s.Msg, err))
			}
			c.said(m)
		}
	}
	for _, id := range gone {
		if c := h.byConn[id]; c != nil {
			delete(h.byConn, id)
			c.conn = 0
			c.emit(signaling.StateChanged{State: signaling.Lost, URL: URL, Err: errors.New("the tracker said goodbye")})
		}
	}
}

func (h *Hub) connect(now time.Time, c *Client) {
	if !c.started || c.closed || c.replaced || c.conn != 0 {
		return
	}
	if h.isDown {
		c.lost(errors.New("the tracker is down"))
		return
	}
	h.lastConn++
	c.conn = h.lastConn
	h.byConn[c.conn] = c
	h.step(now, signaling.HubArrived{Conn: c.conn, Addr: netip.MustParseAddr("127.0.0.1")})
	h.step(now, signaling.HubHello{Conn: c.conn, Observed: "127.0.0.1:40000",
		Req: &signaling.HelloRequest{ID: newID(), Peer: c.id, Name: c.name, Agent: "signalingtest", Resume: c.ever}})
	for _, r := range c.rooms {
		c.ask(now, &signaling.JoinRequest{ID: newID(), Room: r}, asked{op: "join", room: r})
	}
}

func (h *Hub) drop(now time.Time, c *Client) {
	if c.conn == 0 {
		return
	}
	id := c.conn
	delete(h.byConn, id)
	c.conn = 0
	h.step(now, signaling.HubDropped{Conn: id, Seen: now})
	c.lost(errors.New("the connection was cut"))
}

// Client is a peer's way to a Hub. It has the methods of signaling.Client.
type Client struct {
	h    *Hub
	id   wire.PeerID
	sink func(signaling.ClientEvent)

	// Owned by the hub's owner goroutine.
	name     string
	rooms    []wire.Room
	conn     signaling.ConnID // zero while not connected
	asked    map[uuid.UUID]asked
	ever     bool
	started  bool
	closed   bool
	replaced bool
}

type asked struct {
	op   string
	room wire.Room
	peer wire.PeerID
	ref  any
}

// NewClient makes a client of h; nothing happens before Start. The sink must not block.
func (h *Hub) NewClient(id wire.PeerID, name string, sink func(signaling.ClientEvent)) *Client {
	c := &Client{h: h, id: id, name: name, sink: sink, asked: make(map[uuid.UUID]asked)}
	h.post(func(time.Time) { h.clients = append(h.clients, c) })
	return c
}

// Start connects.
func (c *Client) Start() {
	c.h.post(func(now time.Time) {
		c.started = true
		c.h.connect(now, c)
	})
}

// Join enters a room, now and after each reconnection.
func (c *Client) Join(room wire.Room) {
	c.h.post(func(now time.Time) {
		if !slices.Contains(c.rooms, room) {
			c.rooms = append(c.rooms, room)
		}
		c.ask(now, &signaling.JoinRequest{ID: newID(), Room: room}, asked{op: "join", room: room})
	})
}

// Leave leaves a room.
func (c *Client) Leave(room wire.Room) {
	c.h.post(func(now time.Time) {
		if i := slices.Index(c.rooms, room); i >= 0 {
			c.rooms = slices.Delete(c.rooms, i, i+1)
			c.ask(now, &signaling.LeaveRequest{ID: newID(), Room: room}, asked{op: "leave", room: room})
		}
	})
}

// SetName changes the name.
func (c *Client) SetName(name string) {
	c.h.post(func(now time.Time) {
		c.name = name
		c.ask(now, &signaling.NameRequest{ID: newID(), Name: name}, asked{op: "name"})
	})
}

// Signal hands data, a JSON value, to another peer. Without a connection it is refused at once.
func (c *Client) Signal(to wire.PeerID, data []byte) {
	data = slices.Clone(data)
	c.h.post(func(now time.Time) {
		switch {
		case !json.Valid(data) || len(data) > signaling.MaxData:
			c.emit(signaling.Refused{Op: "signal", Peer: to, Status: signaling.RequestError, Text: "a signal must be JSON and not too long"})
		case c.conn == 0:
			c.emit(signaling.Refused{Op: "signal", Peer: to, Status: signaling.ServerError, Text: "not connected to a tracker"})
		default:
			c.ask(now, &signaling.SignalRequest{ID: newID(), To: to, Data: data}, asked{op: "signal", peer: to})
		}
	})
}

// List asks for the rooms.
func (c *Client) List(ref any) {
	c.h.post(func(now time.Time) {
		if c.conn == 0 {
			c.emit(signaling.RoomList{Ref: ref, Err: errors.New("not connected to a tracker")})
			return
		}
		c.ask(now, &signaling.RoomsRequest{ID: newID()}, asked{op: "rooms", ref: ref})
	})
}

// Redial connects anew, also after having been replaced.
func (c *Client) Redial() {
	c.h.post(func(now time.Time) {
		c.h.drop(now, c)
		c.replaced = false
		c.h.connect(now, c)
	})
}

// Drop cuts this client's connection, as a failing network does; Redial or Hub.Up brings it back.
func (c *Client) Drop() { c.h.post(func(now time.Time) { c.h.drop(now, c) }) }

// Close says goodbye.
func (c *Client) Close(ctx context.Context) error {
	return c.h.await(ctx, func(now time.Time) {
		c.closed = true
		c.ask(now, &signaling.ByeRequest{ID: newID()}, asked{op: "bye"})
	})
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func (c *Client) emit(e signaling.ClientEvent) {
	if !c.closed {
		c.sink(e)
	}
}

func (c *Client) lost(err error) {
	state := signaling.Searching
	if c.ever {
		state = signaling.Lost
	}
	for id, a := range c.asked {
		delete(c.asked, id)
		if a.op == "rooms" {
			c.emit(signaling.RoomList{Ref: a.ref, Err: err})
		}
	}
	c.emit(signaling.StateChanged{State: state, URL: URL, Trying: URL + " (in memory)", Err: err})
}

func (c *Client) ask(now time.Time, r signaling.Request, a asked) {
	if c.conn == 0 {
		return
	}
	b := r.Append(nil)
	r, err := signaling.DecodeRequest(b)
	if err != nil {
		c.emit(signaling.Refused{Op: a.op, Room: a.room, Peer: a.peer, Status: signaling.RequestError, Text: err.Error()})
		return
	}
	c.asked[r.ReqID()] = a
	c.h.step(now, signaling.HubRequest{Conn: c.conn, Req: r, Size: len(b)})
}

func (c *Client) said(m signaling.Message) {
	switch m := m.(type) {
	case *signaling.HelloAnswer:
		c.ever = true
		c.emit(signaling.StateChanged{State: signaling.Connected, URL: URL, Leader: m.Leader, Term: m.Term, Observed: m.Observed,
			STUN: m.STUN, Resumed: m.Resumed, Proof: m.Proof, Addresses: []string{URL}})
	case *signaling.ByeNote:
		c.replaced = m.Status == signaling.Conflict
	default:
		tell(m, c.asked, c.emit)
	}
}

// tell reports what a tracker says in a session, as a signaling.Client does.
func tell(m signaling.Message, pending map[uuid.UUID]asked, emit func(signaling.ClientEvent)) {
	switch m := m.(type) {
	case *signaling.Answer:
		a := pending[m.Re]
		delete(pending, m.Re)
		switch {
		case m.Status == signaling.OK:
		case a.op == "rooms":
			emit(signaling.RoomList{Ref: a.ref, Err: errors.New(m.Text)})
		default:
			emit(signaling.Refused{Op: a.op, Room: a.room, Peer: a.peer, Status: m.Status, Text: m.Text})
		}
	case *signaling.MembersAnswer:
		delete(pending, m.Re)
		emit(signaling.Joined{Room: m.Room, Members: m.Members, Count: m.Count})
	case *signaling.RoomsAnswer:
		a := pending[m.Re]
		delete(pending, m.Re)
		emit(signaling.RoomList{Ref: a.ref, Rooms: m.Rooms})
	case *signaling.JoinedNote:
		emit(signaling.MemberJoined{Room: m.Room, Member: m.Member, Count: m.Count})
	case *signaling.LeftNote:
		emit(signaling.MemberLeft{Room: m.Room, Peer: m.Peer, Count: m.Count})
	case *signaling.RenamedNote:
		emit(signaling.MemberRenamed{Member: m.Member})
	case *signaling.SignalNote:
		emit(signaling.Signaled{From: m.From.Peer, Name: m.From.Name, Data: m.Data})
	}
}

// Follow, StepDown, TellHome and Scout do nothing: there is one tracker. Net has more.
func (c *Client) Follow(signaling.Target) {}

// StepDown does nothing.
func (c *Client) StepDown(signaling.Target) {}

// TellHome does nothing.
func (c *Client) TellHome(uint64, []string) {}

// Scout does nothing.
func (c *Client) Scout([]string) {}

// Ping is answered at once while there is a connection.
func (c *Client) Ping() {
	c.h.post(func(time.Time) {
		if c.conn != 0 {
			c.emit(signaling.Pong{})
		}
	})
}

// Lead fails.
func (c *Client) Lead(signaling.Lead) {
	c.h.post(func(time.Time) { c.emit(signaling.LeadFailed{Err: errors.New("there is one tracker in this test")}) })
}
