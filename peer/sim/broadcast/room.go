// Package broadcast is the broadcast of peer/gossip in a simulated room: its machine rides on the members of peer/sim/member, over
// the overlay that peer/overlay keeps, and what it costs and brings is counted line by line.
//
// A Room owns all of it, and is one goroutine's. The package must never import more of ours than peer/sim, peer/sim/member,
// peer/overlay, peer/gossip and peer/wire.
package broadcast

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/gossip"
	"peerchat/peer/overlay"
	"peerchat/peer/sim"
	"peerchat/peer/sim/member"
	"peerchat/peer/wire"
)

const name wire.Room = "general"

// Config is what a Room starts with.
type Config struct {
	Seed    uint64
	Network sim.Network
	// Active and Passive are the sizes of the overlay's views; 0: its own choice.
	Active, Passive int
	// Roster is how many random members, dead or alive, a peer is told of that knows nobody any more; 0: a tracker helps it.
	Roster int
	// Flood lets lines be flooded by member.Flood instead, to compare with.
	Flood bool
}

// Room is a simulated room with a broadcast.
type Room struct {
	*member.Room
	Traffic Traffic
	Lines   []*Line
	// Suspicions is how often a neighbour was suspected or trusted again, Wrong how often one was suspected that was alive.
	Suspicions, Wrong int

	lines  map[event]*Line
	events map[event]*wire.Event // each is kept once, for all
	proven map[[32]byte]bool
	lives  map[int]int
	logs   map[int]*log // which outlive their peers
	verify wire.Verifier
	buf    []byte
}

// event names one.
type event struct {
	author wire.PeerID
	seq    uint64
}

// Line is one line that was said, and how it got around.
type Line struct {
	Author         int
	Said           time.Duration // since the start of the world
	Copies, Second int           // copies of it that were sent, and those of them on the fast channel
	Got            []Arrival     // the author's own is the first
	reached        map[int]bool  // peers, of whatever life
}

// Arrival is when and how a line came to one peer.
type Arrival struct {
	Peer, Life int
	Hops       int // links it had travelled
	After      time.Duration
}

// Traffic is what was sent, in frames, and their bytes.
type Traffic struct {
	Events, Second        int // copies of events on the reliable channel, and on the fast one
	Offers, Acks          int
	Grafts, Prunes, Wants int
	Digests               int
	EventBytes, Bytes     int // of frames with events, and of all; the overlay's are not in it
}

// Sub is t without u.
func (t Traffic) Sub(u Traffic) Traffic {
	return Traffic{t.Events - u.Events, t.Second - u.Second, t.Offers - u.Offers, t.Acks - u.Acks, t.Grafts - u.Grafts,
		t.Prunes - u.Prunes, t.Wants - u.Wants, t.Digests - u.Digests, t.EventBytes - u.EventBytes, t.Bytes - u.Bytes}
}

// Frame is a wire.Frame on a simulated link.
type Frame struct {
	wire.Frame
	size int
}

// Size is the length of its encoding, in bytes.
func (f Frame) Size() int { return f.size }

// New makes an empty room.
func New(cfg Config) *Room {
	r := &Room{lines: make(map[event]*Line), events: make(map[event]*wire.Event), proven: make(map[[32]byte]bool),
		lives: make(map[int]int), logs: make(map[int]*log)}
	r.Room = member.NewRoom(member.RoomConfig{
		Sim:      sim.Config{Seed: cfg.Seed, Network: cfg.Network, OnSend: r.sent},
		Overlay:  overlay.Config{Active: cfg.Active, Passive: cfg.Passive},
		Contacts: 3,
		Roster:   cfg.Roster,
		Rider: func(i int, id wire.PeerID, seed uint64) member.Rider {
			if cfg.Flood {
				return member.NewFlood()
			}
			return r.ride(i, seed)
		},
	})
	return r
}

// key is that of peer i.
func key(i int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, uint64(i))
	return ed25519.NewKeyFromSeed(seed)
}

// Fill lets n more peers join, one each gap.
func (r *Room) Fill(n int, gap time.Duration) {
	for range n {
		r.Begin(r.Add(wire.IDOf(key(r.Len()))))
		r.Run(gap)
	}
}

// Say lets peer i say a line.
func (r *Room) Say(i int) *Line {
	l := &Line{Author: i, Said: r.Elapsed(), reached: make(map[int]bool)}
	r.Lines = append(r.Lines, l)
	r.Do(i, func(p sim.Participant, now time.Time, out *sim.Output) {
		m := p.(*member.Member)
		x := m.Rider().(*rider)
		x.line = l
		x.step(now, gossip.Publish{Room: name, Name: "p", Drafts: []gossip.Draft{{Kind: wire.KindText,
			Body: fmt.Appendf(nil, "this is line %d, of an ordinary length", len(r.Lines))}}}, out)
		x.step(now, gossip.Flush{}, out)
		m.SetWake(out)
	})
	return l
}

// Holders is how many of the living hold a line.
func (r *Room) Holders(l *Line) (n int) {
	for i := range l.reached {
		if r.Alive(i) {
			n++
		}
	}
	return n
}

// proof verifies an event once for all.
func (r *Room) proof(e *wire.Event) error {
	h := e.Hash()
	if r.proven[h] {
		return nil
	}
	err := r.verify.Verify(e)
	r.proven[h] = err == nil
	return err
}

// sent counts a message.
func (r *Room) sent(_, _ int, s sim.Send) {
	f, ok := s.Message.(Frame)
	if !ok {
		return
	}
	t := &r.Traffic
	t.Bytes += f.size
	switch f := f.Frame.(type) {
	case wire.Events:
		for i := range f.Events {
			if l := r.lines[event{f.Events[i].Author, f.Events[i].Seq}]; l != nil {
				l.Copies++
				if s.Fast {
					l.Second++
				}
			}
		}
		t.EventBytes += s.Message.Size()
		if s.Fast {
			t.Second += len(f.Events)
		} else {
			t.Events += len(f.Events)
		}
	case wire.Have:
		if s.Fast {
			t.Acks++
		} else {
			t.Offers++
		}
	case wire.Graft:
		t.Grafts++
	case wire.Prune:
		t.Prunes++
	case wire.Want:
		t.Wants++
	case wire.Digest:
		t.Digests++
	}
}

// rider is the machine of one life of one peer.
type rider struct {
	room *Room
	i    int
	m    *gossip.Machine
	out  gossip.Output
	in   bool // it takes part in the room
	line *Line

	doubts, told []overlay.Input
}

func (r *Room) ride(i int, seed uint64) member.Rider {
	x := &rider{room: r, i: i}
	ids := uint64(0)
	var err error
	if r.logs[i] == nil {
		r.logs[i] = &log{room: r, authors: make(map[wire.PeerID]*chain)}
	}
	x.m, err = gossip.New(gossip.Config{Key: key(i), Log: r.logs[i], Rand: sim.Source(seed), Verify: r.proof,
		NewID: func() (id uuid.UUID) {
			ids++
			binary.BigEndian.PutUint64(id[:], seed)
			binary.BigEndian.PutUint64(id[8:], ids)
			id[6], id[8] = 0x70|id[6]&0xf, 0x80|id[8]&0x3f
			return id
		}})
	x.must(err)
	r.lives[i]++
	return x
}

// step gives the machine an input, and passes on what it puts out.
func (x *rider) step(now time.Time, in gossip.Input, out *sim.Output) {
	o := &x.out
	clear(o.Sends)
	clear(o.Delivers)
	*o = gossip.Output{Sends: o.Sends[:0], Delivers: o.Delivers[:0], Held: o.Held[:0], Faults: o.Faults[:0], Refused: o.Refused[:0],
		Fetched: o.Fetched[:0], Suspicions: o.Suspicions[:0], Looks: o.Looks[:0]}
	if !x.in {
		x.in = true
		x.must(x.m.Step(now, gossip.Subscribe{Room: name}, o))
	}
	x.must(x.m.Step(now, in, o))
	for i := range o.Delivers {
		x.deliver(now, &o.Delivers[i])
	}
	for _, s := range o.Sends {
		b, err := wire.AppendFrame(x.room.buf[:0], s.Frame)
		x.must(err)
		x.room.buf = b
		out.Sends = append(out.Sends, sim.Send{To: s.To, Message: Frame{s.Frame, len(b)}, Fast: s.Fast})
	}
	for range o.Looks {
		x.doubts = append(x.doubts, overlay.Look{})
	}
	for _, s := range o.Suspicions {
		x.room.Suspicions++
		if s.Suspected {
			x.doubts = append(x.doubts, overlay.Suspect{Peer: s.Peer})
			if k, ok := x.room.Index(s.Peer); ok && x.room.Alive(k) {
				x.room.Wrong++
			}
		} else {
			x.doubts = append(x.doubts, overlay.Trust{Peer: s.Peer})
		}
	}
	for _, f := range o.Faults {
		panic(fmt.Sprintf("peer %d reports %s among honest peers: %s", x.i, f.Code, f.Text))
	}
}

// Learned is member.Informer's.
func (x *rider) Learned() []overlay.Input {
	x.doubts, x.told = x.told[:0], x.doubts
	return x.told
}

func (x *rider) must(err error) {
	if err != nil {
		panic(err)
	}
}

func (x *rider) deliver(now time.Time, d *gossip.Deliver) {
	r, k := x.room, event{d.Event.Author, d.Event.Seq}
	if x.line != nil && d.From == d.Event.Author && d.Hops == 0 {
		r.lines[k], x.line = x.line, nil
	}
	if l := r.lines[k]; l != nil {
		l.reached[x.i] = true
		l.Got = append(l.Got, Arrival{x.i, r.lives[x.i], int(d.Hops), r.Elapsed() - l.Said})
	}
}

// NeighborUp is member.Rider's, as are the others.
func (x *rider) NeighborUp(now time.Time, peer wire.PeerID, out *sim.Output) {
	x.step(now, gossip.LinkUp{Peer: peer, Rooms: []wire.Room{name}}, out)
}

// NeighborDown takes a neighbour away.
func (x *rider) NeighborDown(now time.Time, peer wire.PeerID, _ bool, out *sim.Output) {
	x.step(now, gossip.LinkDown{Peer: peer}, out)
}

// Busy tells that a link has more to carry than it can.
func (x *rider) Busy(now time.Time, peer wire.PeerID, busy bool, out *sim.Output) {
	x.step(now, gossip.LinkBusy{Peer: peer, Busy: busy}, out)
}

// Receive takes a frame.
func (x *rider) Receive(now time.Time, from wire.PeerID, msg sim.Message, out *sim.Output) {
	x.step(now, gossip.Receive{From: from, Frame: msg.(Frame).Frame}, out)
	x.step(now, gossip.Flush{}, out)
}

// Tick lets time pass.
func (x *rider) Tick(now time.Time, out *sim.Output) { x.step(now, gossip.Tick{}, out) }

// Wake is when the machine wants that.
func (x *rider) Wake() time.Time { return x.out.Wake }
