package chat

import (
	"slices"
	"time"

	"peerchat/peer/gossip"
	"peerchat/peer/sim"
	"peerchat/peer/sim/member"
	"peerchat/peer/wire"
)

// Line is one line that was said, and how it got around.
type Line struct {
	Author         int
	Said           time.Duration // since the start of the world
	Copies, Second int           // copies of it that were sent, and those of them that were not the first on their way
	Got            []Arrival     // the author's own is the first

	text    []byte
	gone    map[[2]int32]bool // ways, from one peer to another, that it was sent
	reached map[int]bool      // peers, of whatever life
}

// Arrival is when and how a line came to one peer.
type Arrival struct {
	Peer, Life int
	Hops       int // links it had travelled
	After      time.Duration
}

// Frame is a wire.Frame on a simulated link. It is not copied: machines change nothing that they were given.
type Frame struct {
	wire.Frame
	size int
}

// Size is the length of its encoding, in bytes.
func (f Frame) Size() int { return f.size }

// Traffic is what was sent, in frames, and their bytes.
type Traffic struct {
	Events                int // copies of events
	Offers, Acks          int
	Grafts, Prunes, Wants int
	Digests               int
	EventBytes, Bytes     int // of frames with events, and of all of the broadcast's
	Presence, Overlay     int // frames
	PresenceBytes         int
	OverlayBytes          int
}

// Sub is t without u.
func (t Traffic) Sub(u Traffic) Traffic {
	return Traffic{t.Events - u.Events, t.Offers - u.Offers, t.Acks - u.Acks, t.Grafts - u.Grafts,
		t.Prunes - u.Prunes, t.Wants - u.Wants, t.Digests - u.Digests, t.EventBytes - u.EventBytes, t.Bytes - u.Bytes,
		t.Presence - u.Presence, t.Overlay - u.Overlay, t.PresenceBytes - u.PresenceBytes, t.OverlayBytes - u.OverlayBytes}
}

// envelope is what a frame adds to an overlay's message: kind, room and lengths.
const envelope = 6 + len(name)

// sent counts a message, and looks at what peer i sends of its own.
func (r *Room) sent(i, to int, s sim.Send) {
	t := &r.Traffic
	f, ok := s.Message.(Frame)
	if !ok {
		if m, ok := s.Message.(member.Message); ok {
			t.Overlay++
			t.OverlayBytes += m.Size() + envelope
		}
		return
	}
	if _, ok := f.Frame.(wire.Members); ok {
		t.Presence++
		t.PresenceBytes += f.size
		return
	}
	t.Bytes += f.size
	switch frame := f.Frame.(type) {
	case wire.Events:
		for k := range frame.Events {
			e := &frame.Events[k]
			if l := r.lines[event{e.Author, e.Seq}]; l != nil {
				way := [2]int32{int32(i), int32(to)}
				if l.Copies++; l.gone[way] {
					l.Second++
				}
				l.gone[way] = true
			}
			if e.Author == r.ID(i) {
				r.durable(i, e)
			}
		}
		t.EventBytes += f.size
		t.Events += len(frame.Events)
	case wire.Have:
		if r.acknowledges(i, to, frame) {
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

// acknowledges tells whether what participant i says that it holds has come from the one that it says it to.
func (r *Room) acknowledges(i, to int, f wire.Have) bool {
	return slices.ContainsFunc(f.Heads, func(h wire.Head) bool {
		l := r.lines[event{h.Author, h.Seq}]
		return l != nil && l.gone[[2]int32{int32(to), int32(i)}]
	})
}

// deliver takes what a participant shows its user.
func (r *Room) deliver(x *participant, d *gossip.Deliver) {
	k := event{d.Event.Author, d.Event.Seq}
	if l, ok := d.Ref.(*Line); ok && d.Event.Author == x.self {
		r.lines[k] = l
	}
	r.shows(x, k, d)
	if l := r.lines[k]; l != nil {
		l.reached[x.i] = true
		l.Got = append(l.Got, Arrival{x.i, x.life, int(d.Hops), r.Elapsed() - l.Said})
	}
}

// Holders is how many of the living were shown a line, in whatever life.
func (r *Room) Holders(l *Line) (n int) {
	for i := range l.reached {
		if r.Alive(i) {
			n++
		}
	}
	return n
}

// Reached is how many of peers were.
func (r *Room) Reached(l *Line, peers []int) (n int) {
	for _, i := range peers {
		if l.reached[i] {
			n++
		}
	}
	return n
}
