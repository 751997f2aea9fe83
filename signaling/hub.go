package signaling

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// Hub is the tracker as a function: who is connected, who is in which room, and what each of them is told. It is
// pure. It answers for the peers that are connected to it, and does not assume that there are no others: whoever
// joins several hubs into one tracker adds the remote members and delivers what was NotFound here.
type Hub struct {
	cfg    HubConfig
	rng    *rand.Rand
	conns  map[ConnID]*hubConn
	addrs  map[netip.Addr]int
	peers  map[wire.PeerID]*hubPeer
	rooms  map[wire.Room]*hubRoom
	moved  *ByeNote // standing by: what everybody is told
	proof  []byte
	linger []lingering // by deadline, soonest first
	list   roomCache
	picked []int // scratch of sample

	kept      []kept // oldest first
	keptBytes int
	dials     map[ConnID]dialling
	dialAddrs map[netip.Addr]int // dials under way, by address
	dialling  int                // dials under way
}

type hubConn struct {
	addr    netip.Addr
	peer    *hubPeer      // nil before hello
	may     *rate.Limiter // requests, by their cost
	refused int           // in a row, for too high a rate
}

type hubPeer struct {
	id      wire.PeerID
	name    string
	conn    ConnID // zero while lingering
	rooms   []membership
	ping    time.Duration
	epoch   uint32 // counts hellos and drops; older entries of Hub.linger are void
	session uint32 // counts hellos; memberships of an older one wait to be confirmed
}

type membership struct {
	room    *hubRoom
	at      int    // index of the peer in room.members
	session uint32 // the peer's session that confirmed it
}

type hubRoom struct {
	name    wire.Room
	members []*hubPeer
}

type lingering struct {
	peer  *hubPeer
	epoch uint32
	until time.Time
}

// NewHub makes a Hub.
func NewHub(cfg HubConfig) *Hub {
	cfg = cfg.withDefaults()
	h := &Hub{
		cfg:   cfg,
		rng:   rand.New(rand.NewPCG(cfg.Seed, 0x6875622e676f)),
		conns: make(map[ConnID]*hubConn),
		addrs: make(map[netip.Addr]int),
		peers: make(map[wire.PeerID]*hubPeer),
		rooms: make(map[wire.Room]*hubRoom),
		dials: make(map[ConnID]dialling), dialAddrs: make(map[netip.Addr]int),
	}
	if cfg.Standby {
		h.standBy(HubMoved{Term: cfg.Term, Leader: cfg.Leader}, new(HubOutput))
	}
	return h
}

// Conns, Peers and Rooms count what the hub holds; Peers includes those that linger.
func (h *Hub) Conns() int { return len(h.conns) }

// Peers counts the peers, those that linger included.
func (h *Hub) Peers() int { return len(h.peers) }

// Rooms counts the rooms.
func (h *Hub) Rooms() int { return len(h.rooms) }

// Step tells the hub what happened at now.
func (h *Hub) Step(now time.Time, in HubInput, out *HubOutput) {
	h.expire(now, out)
	switch in := in.(type) {
	case HubArrived:
		h.arrived(in, out)
	case HubHello:
		h.hello(now, in, out)
	case HubRequest:
		h.request(now, in, out)
	case *HubRequest: // for those who make many
		h.request(now, *in, out)
	case HubBad:
		h.bad(now, in, out)
	case HubDropped:
		h.dropped(now, in, out)
	case HubMoved:
		h.standBy(in, out)
	case HubServe:
		h.serve(now, in, out)
	case HubDialled:
		h.dialled(in, out)
	case HubStopped:
		h.dismissAll(&ByeNote{Status: OK, Text: in.Text}, out)
	case HubTick:
	}
	out.Wake = time.Time{}
	if len(h.linger) > 0 {
		out.Wake = h.linger[0].until
	}
	if len(h.kept) > 0 && (out.Wake.IsZero() || h.kept[0].until.Before(out.Wake)) {
		out.Wake = h.kept[0].until
	}
}

// addrKey is what PerAddress counts: a whole IPv6 /64 is one customer.
func addrKey(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() && !a.IsLoopback() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

func (h *Hub) arrived(in HubArrived, out *HubOutput) {
	key := addrKey(in.Addr)
	most, lim := h.cfg.Limits.PerAddress, h.cfg.Limits
	if key.IsLoopback() {
		most = lim.PerLoopback
	}
	var no *ByeNote
	switch {
	case h.moved != nil:
		no = h.moved
	case len(h.conns) >= lim.Connections:
		no = &ByeNote{Status: RateLimited, Text: fmt.Sprintf(
			"this tracker is full: it takes %d connections; try later or another one", lim.Connections)}
	case h.addrs[key] >= most:
		no = &ByeNote{Status: RateLimited, Text: fmt.Sprintf(
			"too many connections from %s: at most %d are allowed", key, most)}
	}
	if no != nil {
		out.Send = append(out.Send, HubSend{in.Conn, no})
		out.Close = append(out.Close, in.Conn)
		return
	}
	h.conns[in.Conn] = &hubConn{addr: key, may: h.cfg.Limits.requests()}
	h.addrs[key]++
}

func (h *Hub) hello(now time.Time, in HubHello, out *HubOutput) {
	c := h.conns[in.Conn]
	if c == nil {
		return
	}
	if c.peer != nil {
		h.answer(out, in.Conn, in.Req, Conflict, "hello was said already on this connection")
		return
	}
	p := h.peers[in.Req.Peer]
	known := p != nil
	if !known {
		p = &hubPeer{id: in.Req.Peer, name: in.Req.Name}
		h.peers[p.id] = p
	}
	if p.conn != 0 {
		h.dismiss(p.conn, &ByeNote{Status: Conflict, Process: in.Req.Process,
			Text: "replaced: the same identity has connected again, from " + c.addr.String()}, out)
	}
	p.conn, c.peer = in.Conn, p
	fair := time.Duration(len(h.peers)) * time.Second / time.Duration(h.cfg.PingBudget)
	p.ping = max(h.cfg.Ping, fair).Round(time.Millisecond)
	p.epoch++
	p.session++
	if len(p.rooms) > 0 {
		// What the client does not join again it does not want any more.
		h.lingerUntil(p, now.Add(h.cfg.Linger))
	}
	out.Send = append(out.Send, HubSend{in.Conn, &HelloAnswer{
		Re: in.Req.ID, Observed: in.Observed, STUN: in.STUN, Term: h.cfg.Term, Leader: h.cfg.Leader,
		Resumed: known && in.Req.Resume, Ping: int(p.ping / time.Millisecond), Proof: h.proof,
	}})
	if len(h.kept) > 0 {
		h.release(func(k *kept) bool { return k.to == p }, out)
	}
	if known {
		h.rename(p, in.Req.Name, out)
	}
}

func (h *Hub) request(now time.Time, in HubRequest, out *HubOutput) {
	c := h.conns[in.Conn]
	if c == nil {
		return
	}
	if !h.afford(now, in.Conn, c, in.Req, cost(in, c.peer), out) {
		return
	}
	p := c.peer
	if p == nil {
		h.answer(out, in.Conn, in.Req, Unauthorized, "say hello first")
		return
	}
	switch r := in.Req.(type) {
	case *SignalRequest:
		h.signal(now, p, r, out)
	case *JoinRequest:
		h.join(p, r, out)
	case *LeaveRequest:
		if i := p.index(r.Room); i >= 0 {
			h.part(p, i, out)
			h.answer(out, in.Conn, r, OK, "")
		} else {
			h.answer(out, in.Conn, r, NotFound, "not in "+r.Room.String())
		}
	case *MembersRequest:
		if i := p.index(r.Room); i >= 0 {
			room := p.rooms[i].room
			out.Send = append(out.Send, HubSend{p.conn, &MembersAnswer{Op: "members", Re: r.ID, Room: r.Room,
				Members: h.sample(room, p), Count: len(room.members)}})
		} else {
			h.answer(out, in.Conn, r, NotFound, "not in "+r.Room.String()+"; join it first")
		}
	case *RoomsRequest:
		out.Send = append(out.Send, HubSend{p.conn, &RoomsAnswer{Re: r.ID, Rooms: h.listRooms(now),
			Total: len(h.rooms)}})
	case *DialbackRequest:
		h.dialBack(now, p, r, out)
	case *NameRequest:
		h.rename(p, r.Name, out)
		h.answer(out, in.Conn, r, OK, "")
	case *ByeRequest:
		h.answer(out, in.Conn, r, OK, "")
		h.remove(p, out)
		h.dismiss(in.Conn, &ByeNote{Status: OK, Text: "goodbye"}, out)
	default:
		h.answer(out, in.Conn, r, RequestError, "unexpected "+r.Op())
	}
}

// cost is what a request of p, nil before its hello, takes of what its connection may: more for what makes more work,
// as a name does that all rooms are told of.
func cost(in HubRequest, p *hubPeer) int {
	n := 1 + in.Size>>10
	switch in.Req.(type) {
	case *JoinRequest, *LeaveRequest, *MembersRequest:
		n += 4
	case *RoomsRequest, *DialbackRequest:
		n += 19
	case *NameRequest:
		n += 19
		if p != nil {
			n += len(p.rooms)
		}
	}
	return n
}

// afford takes a request's cost, or refuses it. Whoever goes on and on is cut off.
func (h *Hub) afford(now time.Time, id ConnID, c *hubConn, r Request, n int, out *HubOutput) bool {
	if c.may.AllowN(now, n) {
		c.refused = 0
		return true
	}
	if c.refused++; c.refused > 1000 {
		h.dismiss(id, &ByeNote{Status: RateLimited, Text: "cut off: far more requests than are allowed"}, out)
	} else {
		h.answer(out, id, r, RateLimited, fmt.Sprintf("too many requests: at most %g a second; slow down", h.cfg.Limits.Rate))
	}
	return false
}

func (h *Hub) bad(now time.Time, in HubBad, out *HubOutput) {
	c := h.conns[in.Conn]
	if c == nil || !h.afford(now, in.Conn, c, &badRequest{in.Err}, 10, out) {
		return
	}
	out.Send = append(out.Send, HubSend{in.Conn, &Answer{Op: in.Err.Op, Re: in.Err.ID, Status: RequestError,
		Text: in.Err.Error()}})
}

// badRequest lets what could not be read be answered like a request.
type badRequest struct{ *BadRequest }

func (r *badRequest) Append(b []byte) []byte { return b }
func (r *badRequest) ReqID() uuid.UUID       { return r.ID }
func (r *badRequest) Op() string             { return r.BadRequest.Op }

func notConnected(p wire.PeerID) string {
	return "peer " + p.Tag() + " is not connected to this tracker"
}

func (h *Hub) signal(now time.Time, p *hubPeer, r *SignalRequest, out *HubOutput) {
	to := h.peers[r.To]
	if to == nil || to.conn == 0 {
		if to == nil || !h.keep(now, p, to, r) {
			h.answer(out, p.conn, r, NotFound, notConnected(r.To))
		}
		return
	}
	note, answer := reuse(&out.note), reuse(&out.answer)
	*note = SignalNote{From: Member{p.id, p.name}, Data: r.Data}
	*answer = Answer{Op: "signal", Re: r.ID, Status: OK}
	out.Send = append(out.Send, HubSend{to.conn, note}, HubSend{p.conn, answer})
}

func (h *Hub) answer(out *HubOutput, to ConnID, r Request, s Status, text string) {
	out.Send = append(out.Send, HubSend{to, &Answer{Op: r.Op(), Re: r.ReqID(), Status: s, Text: text}})
}

// dropped forgets a connection. Its peer lingers.
func (h *Hub) dropped(now time.Time, in HubDropped, out *HubOutput) {
	c := h.conns[in.Conn]
	if c == nil {
		return
	}
	h.forget(in.Conn, c)
	p := c.peer
	if p == nil {
		return
	}
	p.conn = 0
	p.epoch++
	until := now.Add(h.cfg.Linger)
	if dead := in.Seen.Add(3 * p.ping); !in.Seen.IsZero() && dead.Before(until) {
		until = dead
	}
	if len(p.rooms) == 0 || !until.After(now) {
		h.remove(p, out)
		return
	}
	h.lingerUntil(p, until)
}

// lingerUntil notes a deadline of p's present epoch, after those that are as soon. Deadlines come almost in order, so
// this is an append most of the time.
func (h *Hub) lingerUntil(p *hubPeer, until time.Time) {
	i, _ := slices.BinarySearchFunc(h.linger, until, func(l lingering, until time.Time) int {
		if until.Before(l.until) {
			return 1
		}
		return -1
	})
	h.linger = slices.Insert(h.linger, i, lingering{p, p.epoch, until})
}

// expire ends what has lingered long enough: peers that did not come back, and memberships that were not confirmed.
func (h *Hub) expire(now time.Time, out *HubOutput) {
	n := 0
	for ; n < len(h.linger) && !h.linger[n].until.After(now); n++ {
		l := h.linger[n]
		switch {
		case l.epoch != l.peer.epoch:
		case l.peer.conn == 0:
			h.remove(l.peer, out)
		default:
			for i := len(l.peer.rooms) - 1; i >= 0; i-- {
				if l.peer.rooms[i].session != l.peer.session {
					h.part(l.peer, i, out)
				}
			}
		}
	}
	if len(h.kept) > 0 && !h.kept[0].until.After(now) {
		h.release(func(k *kept) bool { return !k.until.After(now) }, out)
	}
	if n > 0 {
		rest := copy(h.linger, h.linger[n:])
		clear(h.linger[rest:])
		h.linger = h.linger[:rest]
	}
}

// remove takes a peer out of its rooms and forgets it.
func (h *Hub) remove(p *hubPeer, out *HubOutput) {
	p.epoch++
	for i := len(p.rooms) - 1; i >= 0; i-- {
		h.part(p, i, out)
	}
	if h.peers[p.id] == p {
		delete(h.peers, p.id)
	}
	if c := h.conns[p.conn]; c != nil {
		c.peer = nil
	}
	if len(h.kept) > 0 {
		h.release(func(k *kept) bool { return k.to == p }, out)
	}
}

// dismiss says goodbye on a connection and forgets it. What it does to the peer is the caller's matter.
func (h *Hub) dismiss(id ConnID, why *ByeNote, out *HubOutput) {
	c := h.conns[id]
	if c == nil {
		return
	}
	h.forget(id, c)
	out.Send = append(out.Send, HubSend{id, why})
	out.Close = append(out.Close, id)
	if p := c.peer; p != nil && p.conn == id {
		p.conn = 0
		if why.Status != Conflict {
			h.remove(p, out)
		}
	}
}

func (h *Hub) dismissAll(why *ByeNote, out *HubOutput) {
	for _, id := range slices.Sorted(maps.Keys(h.conns)) {
		out.Send = append(out.Send, HubSend{id, why})
		out.Close = append(out.Close, id)
	}
	clear(h.conns)
	clear(h.addrs)
	clear(h.peers)
	clear(h.rooms)
	clear(h.dials)
	clear(h.dialAddrs)
	h.linger, h.kept, h.keptBytes = nil, nil, 0
}

func (h *Hub) forget(id ConnID, c *hubConn) {
	delete(h.conns, id)
	if !h.dials[id].active {
		delete(h.dials, id)
	}
	if h.addrs[c.addr]--; h.addrs[c.addr] <= 0 {
		delete(h.addrs, c.addr)
	}
}
