package signaling

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// This file is the hub's part in an election: serving and standing by, the members whom a new tracker expects, the
// signals that wait for them, and dialling clients back.

type (
	// HubServe makes the hub serve. If it stood by, Members are in their rooms at once: joiners are told of them, and
	// each has RestoreLinger to say hello. If it served already, its clients are told of the new term and leader, and
	// Members does not count.
	HubServe struct {
		Term    uint64
		Leader  wire.PeerID
		Proof   []byte     // goes into the answer to hello; at most MaxProof, else it is left out
		Members []Restored // at most MaxRestored; the rest does not count, nor does what is malformed
	}
	// HubDialled is what came of a HubDial. There must be one for each, even if the connection has gone.
	HubDialled struct {
		Conn    ConnID
		ID      uuid.UUID
		OK      bool
		Address string // host:port
		Text    string
	}
)

func (HubServe) hubInput()   {}
func (HubDialled) hubInput() {}

// HubDial asks the shell to dial a connection's observed address at another port, and to see whether Peer's tracker
// answers there.
type HubDial struct {
	Conn ConnID
	ID   uuid.UUID
	Peer wire.PeerID
	Port uint16
}

// The bounds of signals that are kept for a peer without a connection, and of dial-backs.
const (
	maxKept      = 1024
	maxKeptBytes = 4 << 20
	maxKeptPeer  = 8
	// maxKeptPeerBytes keeps what a peer gets at once below what makes it a slow reader.
	maxKeptPeerBytes = 128 << 10
	// keepTime is below the time after which a client that waits for an answer gives its tracker up.
	keepTime = 3 * time.Second

	maxDials     = 64
	maxDialsAddr = 8 // to one address, unless it is this machine
	dialEvery    = 2 * time.Second
)

// kept is a signal that waits for its receiver's hello.
type kept struct {
	to    *hubPeer
	from  Member
	conn  ConnID // the sender's
	re    uuid.UUID
	data  []byte
	until time.Time
}

// dialling is a connection's last dial-back. While it is under way it is kept even if the connection has gone.
type dialling struct {
	at     time.Time
	active bool
	addr   netip.Addr
}

// Has says whether a connection has been admitted as p's.
func (h *Hub) Has(conn ConnID, p wire.PeerID) bool {
	c := h.conns[conn]
	return c != nil && c.peer != nil && c.peer.id == p
}

// serve begins to serve, or changes what is served.
func (h *Hub) serve(now time.Time, in HubServe, out *HubOutput) {
	changed := in.Term != h.cfg.Term || in.Leader != h.cfg.Leader
	h.cfg.Term, h.cfg.Leader, h.proof = in.Term, in.Leader, nil
	if len(in.Proof) <= MaxProof {
		h.proof = bytes.Clone(in.Proof)
	}
	if h.moved != nil {
		h.moved = nil
		h.restore(now, in.Members)
		return
	}
	if !changed {
		return
	}
	note := &TermNote{Term: in.Term, Leader: in.Leader}
	for _, id := range slices.Sorted(maps.Keys(h.conns)) {
		if h.conns[id].peer != nil { // the others learn it from the answer to their hello
			out.Send = append(out.Send, HubSend{id, note})
		}
	}
}

// standBy sends everybody away, and whoever comes later.
func (h *Hub) standBy(in HubMoved, out *HubOutput) {
	h.moved = &ByeNote{Status: Moved, Tracker: in.Tracker, Term: in.Term, Leader: in.Leader}
	if in.Tracker != "" {
		h.moved.Text = "this tracker has handed over to " + in.Tracker
	} else {
		h.moved.Text = "this tracker stands by, and knows of no other that serves"
	}
	h.proof = nil
	h.dismissAll(h.moved, out)
}

// restore makes the members of the tracker that was before. They come from other peers' word, so each is looked at.
func (h *Hub) restore(now time.Time, members []Restored) {
	for _, m := range members[:min(len(members), MaxRestored)] {
		if m.Peer.IsZero() || h.peers[m.Peer] != nil {
			continue
		}
		name, err := wire.ParseName(m.Name)
		if err != nil {
			name = m.Peer.Tag()
		}
		p := &hubPeer{id: m.Peer, name: name, ping: h.cfg.Ping}
		for _, name := range m.Rooms {
			if r, err := wire.ParseRoom(string(name)); err != nil || r != name || p.index(name) >= 0 {
				continue
			}
			room := h.rooms[name]
			if len(p.rooms) >= h.cfg.Limits.RoomsPeer || room == nil && len(h.rooms) >= h.cfg.Limits.Rooms {
				break
			}
			if room == nil {
				room = &hubRoom{name: name}
				h.rooms[name] = room
			}
			p.rooms = append(p.rooms, membership{room: room, at: len(room.members)})
			room.members = append(room.members, p)
		}
		if len(p.rooms) > 0 {
			h.peers[p.id] = p
			h.lingerUntil(p, now.Add(h.cfg.RestoreLinger))
		}
	}
}

// keep keeps a signal for a peer that is expected back, if there is room. It is answered when it is handed over, or
// when nobody has come for it.
func (h *Hub) keep(now time.Time, p, to *hubPeer, r *SignalRequest) bool {
	if len(h.kept) >= maxKept || h.keptBytes+len(r.Data) > maxKeptBytes {
		return false
	}
	n, size := 0, len(r.Data)
	for i := range h.kept {
		if h.kept[i].to == to {
			n++
			size += len(h.kept[i].data)
		}
	}
	if n >= maxKeptPeer || size > maxKeptPeerBytes {
		return false
	}
	h.keptBytes += len(r.Data)
	h.kept = append(h.kept, kept{to: to, from: Member{p.id, p.name}, conn: p.conn, re: r.ID, data: bytes.Clone(r.Data),
		until: now.Add(keepTime)})
	return true
}

// release ends the waiting of the signals that which chooses: they are handed over to their receiver if it is here,
// and refused otherwise.
func (h *Hub) release(which func(*kept) bool, out *HubOutput) {
	h.kept = slices.DeleteFunc(h.kept, func(k kept) bool {
		if !which(&k) {
			return false
		}
		h.keptBytes -= len(k.data)
		a := &Answer{Op: "signal", Re: k.re, Status: OK}
		if k.to.conn != 0 {
			out.Send = append(out.Send, HubSend{k.to.conn, &SignalNote{From: k.from, Data: k.data}})
		} else {
			a.Status, a.Text = NotFound, notConnected(k.to.id)
		}
		if h.conns[k.conn] != nil {
			out.Send = append(out.Send, HubSend{k.conn, a})
		}
		return true
	})
}

// dialBack has a client dialled, unless that has just been done or too many are being dialled.
func (h *Hub) dialBack(now time.Time, p *hubPeer, r *DialbackRequest, out *HubOutput) {
	d, addr := h.dials[p.conn], h.conns[p.conn].addr
	switch {
	case d.active:
		h.answer(out, p.conn, r, RateLimited, "this connection is being dialled back already; wait for that answer")
	case !d.at.IsZero() && now.Sub(d.at) < dialEvery:
		h.answer(out, p.conn, r, RateLimited, fmt.Sprintf("dialled back just now: at most once in %v", dialEvery))
	case h.dialling >= maxDials:
		h.answer(out, p.conn, r, RateLimited, fmt.Sprintf("busy dialling %d others back; try later", maxDials))
	case h.dialAddrs[addr] >= maxDialsAddr && !addr.IsLoopback():
		h.answer(out, p.conn, r, RateLimited, fmt.Sprintf("busy dialling %d others at this address back; try later", maxDialsAddr))
	default:
		h.dials[p.conn] = dialling{at: now, active: true, addr: addr}
		h.dialAddrs[addr]++
		h.dialling++
		out.Dial = append(out.Dial, HubDial{Conn: p.conn, ID: r.ID, Peer: p.id, Port: r.Port})
	}
}

func (h *Hub) dialled(in HubDialled, out *HubOutput) {
	h.dialling--
	d, ok := h.dials[in.Conn]
	if !ok || !d.active {
		return
	}
	if h.dialAddrs[d.addr]--; h.dialAddrs[d.addr] <= 0 {
		delete(h.dialAddrs, d.addr)
	}
	d.active = false
	h.dials[in.Conn] = d
	if h.conns[in.Conn] == nil {
		delete(h.dials, in.Conn)
	} else {
		out.Send = append(out.Send, HubSend{in.Conn, &DialbackAnswer{Re: in.ID, OK: in.OK, Address: in.Address, Text: in.Text}})
	}
}
