package sim

import (
	"slices"
	"time"

	"peerchat/peer/wire"
)

// link is one session between two peers. A new session is a new link, so events of an old one cannot touch it.
type link struct {
	a, b   int32 // a < b
	end    [2]end
	broken bool // parted by a partition: nothing goes through
	dead   bool // one of them died, or closed it
}

// end is a link as one of its peers sees it.
type end struct {
	up   bool
	last int64 // when the last message of the reliable channel, or the up itself, arrives here
	free int64 // when what was sent toward here will have left
	busy bool  // the sender toward here was told so
}

func (l *link) side(i int32) *end {
	if i == l.a {
		return &l.end[0]
	}
	return &l.end[1]
}

func (l *link) other(i int32) int32 {
	if i == l.a {
		return l.b
	}
	return l.a
}

// usable tells whether the link will carry what is sent now.
func (l *link) usable() bool { return !l.dead && !l.broken }

// find is the link that node i has with j, and where it is in the list.
func (w *World) find(i, j int32) (*link, int) {
	links := w.nodes[i].links
	at, ok := slices.BinarySearchFunc(links, j, func(l *link, j int32) int { return int(l.other(i)) - int(j) })
	if !ok {
		return nil, at
	}
	return links[at], at
}

// attach puts l into the list of i. The one before it to the same peer is gone then.
func (w *World) attach(i int32, l *link) {
	n := &w.nodes[i]
	if _, at := w.find(i, l.other(i)); at < len(n.links) && n.links[at].other(i) == l.other(i) {
		n.links[at] = l
	} else {
		n.links = slices.Insert(n.links, at, l)
	}
}

func (w *World) detach(i int32, l *link) {
	if have, at := w.find(i, l.other(i)); have == l {
		w.nodes[i].links = slices.Delete(w.nodes[i].links, at, at+1)
	}
}

// apart tells whether a partition is between i and j.
func (w *World) apart(i, j int32) bool { return w.split && w.nodes[i].group != w.nodes[j].group }

// delay is how long the next message from i to j takes.
func (w *World) delay(i, j int32) int64 {
	d := int64(w.net.Delay)
	if w.net.Spread > 0 {
		h := uint64(uint32(min(i, j)))<<32 | uint64(uint32(max(i, j)))
		h = (h ^ w.cfg.Seed ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		d += int64((h ^ h>>31) % uint64(w.net.Spread))
	}
	return d + w.upTo(w.net.Jitter)
}

func (w *World) upTo(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return w.rand.Int64N(int64(d))
}

func (w *World) lost() bool { return w.net.Loss > 0 && w.rand.Float64() < w.net.Loss }

// connect lets i ask id for a link.
func (w *World) connect(i int32, id wire.PeerID) {
	j := w.number(id)
	switch {
	case i == j:
	case j < 0:
		w.fail(i, j, id, w.dial(i, id))
	default:
		if l, _ := w.find(i, j); l != nil && (l.usable() || l.side(i).up) {
			return
		}
		w.push(event{at: w.now + w.delay(i, j), kind: evOffer, to: j, from: i, life: w.dial(i, id)})
	}
}

// dial is a link that was asked for and is not there yet.
type dial struct {
	id   uint32
	peer wire.PeerID
}

// dial notes a wish of i.
func (w *World) dial(i int32, id wire.PeerID) uint32 {
	w.dials++
	w.nodes[i].dials = append(w.nodes[i].dials, dial{id: w.dials, peer: id})
	return w.dials
}

// dialed ends a dial of i, and tells whether it was still wanted.
func (w *World) dialed(i int32, id uint32) bool {
	n := &w.nodes[i]
	at := slices.IndexFunc(n.dials, func(d dial) bool { return d.id == id })
	if at >= 0 {
		n.dials = slices.Delete(n.dials, at, at+1)
	}
	return at >= 0
}

// failure is the peer that could not be linked. It may be one that never was, and has no number.
type failure wire.PeerID

func (failure) Size() int { return 0 }

// fail tells i later that id, of number j, cannot be linked.
func (w *World) fail(i, j int32, id wire.PeerID, dial uint32) {
	d := int64(w.net.Fail)
	if d == 0 && j >= 0 {
		d = w.delay(i, j)
	} else if d == 0 {
		d = 2 * int64(w.net.Delay)
	}
	w.push(event{at: w.now + d, kind: evFailed, to: i, from: j, life: dial, message: failure(id)})
}

// offered makes the link that i asked j for, whose question is now at j.
func (w *World) offered(i, j int32, dial uint32) {
	if !w.nodes[j].alive || w.apart(i, j) {
		w.fail(i, j, w.nodes[j].id, dial)
		return
	}
	old, _ := w.find(j, i)
	if old != nil && old.usable() {
		w.dialed(i, dial)
		return // both asked, and the other was first
	}
	l := &link{a: min(i, j), b: max(i, j)}
	for _, x := range [2]int32{i, j} {
		if old, _ := w.find(x, l.other(x)); old != nil {
			old.dead = true
			w.down(x, old, true)
		}
	}
	if !w.dialed(i, dial) {
		return // hearing that the old one is gone, it has changed its mind
	}
	trips := int64(max(w.net.RoundTrips, 1))*2 - 1 // one way has passed already
	up := w.now
	for range trips {
		up += w.delay(i, j)
	}
	l.side(i).last = up
	w.attach(i, l)
	w.push(event{at: up, kind: evUp, to: i, from: j, link: l})
	up += w.delay(i, j)
	l.side(j).last = up
	w.attach(j, l)
	w.push(event{at: up, kind: evUp, to: j, from: i, link: l})
}

// notice lets i see, in its time, that l is gone.
func (w *World) notice(l *link, i int32) {
	d := int64(w.net.Detect)
	if d == 0 {
		d = w.delay(l.other(i), i)
	}
	w.push(event{at: max(w.now+d, l.side(i).last), kind: evDown, to: i, from: l.other(i), link: l})
}

// close ends the link of i with j, or the wish for one.
func (w *World) close(i, j int32) {
	if j < 0 {
		return
	}
	n := &w.nodes[i]
	n.dials = slices.DeleteFunc(n.dials, func(d dial) bool { return d.peer == w.nodes[j].id })
	l, _ := w.find(i, j)
	if l == nil {
		return
	}
	if l.usable() {
		at := max(w.now+w.delay(i, j), l.side(j).last)
		w.push(event{at: at, kind: evDown, to: j, from: i, link: l, life: 1})
	}
	l.dead = true
	w.push(event{at: w.now, kind: evDown, to: i, from: j, link: l, life: 1})
}

// down takes the link from i, and tells it if it knew of it.
func (w *World) down(i int32, l *link, closed bool) {
	e := l.side(i)
	was := e.up
	e.up = false
	w.detach(i, l)
	if was {
		w.step(int(i), LinkDown{Peer: w.nodes[l.other(i)].id, Closed: closed})
	}
}

// network lets an event of the network happen.
func (w *World) network(e *event) {
	switch e.kind {
	case evOffer:
		if slices.ContainsFunc(w.nodes[e.from].dials, func(d dial) bool { return d.id == e.life }) {
			w.trace(e)
			w.offered(e.from, e.to, e.life)
		}
	case evFailed:
		if !w.dialed(e.to, e.life) {
			return
		}
		if e.from >= 0 {
			if l, _ := w.find(e.to, e.from); l != nil && l.usable() {
				return // it came about in another way
			}
		}
		w.trace(e)
		w.step(int(e.to), LinkFailed{Peer: wire.PeerID(e.message.(failure))})
	case evUp:
		if l, _ := w.find(e.to, e.from); l != e.link {
			return // a newer one took its place
		}
		w.trace(e)
		e.link.side(e.to).up = true
		w.step(int(e.to), LinkUp{Peer: w.nodes[e.from].id})
	case evDown:
		w.trace(e)
		w.down(e.to, e.link, e.life != 0)
	case evDeliver:
		if !e.link.side(e.to).up || e.link.broken {
			return
		}
		w.trace(e)
		w.step(int(e.to), Receive{From: w.nodes[e.from].id, Message: e.message})
	case evDrained:
		w.drained(e)
	}
}

// send puts a message of i on its link.
func (w *World) send(i int32, s *Send) {
	j := w.number(s.To)
	if j < 0 {
		return
	}
	l, _ := w.find(i, j)
	if l == nil || !l.side(i).up {
		return
	}
	if w.cfg.OnSend != nil {
		w.cfg.OnSend(int(i), int(j), *s)
	}
	e := l.side(j)
	at := w.queue(l, i, j, s.Message.Size()) + w.delay(i, j)
	if !l.usable() {
		return // it goes nowhere, and its sender does not know yet
	}
	copies := 1
	if s.Fast {
		if w.net.Duplicate > 0 && w.rand.Float64() < w.net.Duplicate {
			copies = 2
		}
		for range copies {
			if !w.lost() {
				w.push(event{at: at + w.upTo(w.net.Reorder), kind: evDeliver, to: j, from: i, link: l, message: s.Message})
			}
		}
		return
	}
	for w.lost() {
		at += int64(w.net.Retransmit)
	}
	e.last = max(at, e.last)
	w.push(event{at: e.last, kind: evDeliver, to: j, from: i, link: l, message: s.Message})
}

// queue is when a message of size bytes has left i for j.
func (w *World) queue(l *link, i, j int32, size int) int64 {
	rate := w.nodes[j].rate
	if rate == 0 {
		rate = w.net.Rate
	}
	if rate <= 0 {
		return w.now
	}
	e := l.side(j)
	e.free = max(e.free, w.now) + int64(float64(size)/rate*float64(time.Second))
	full := int64(float64(w.net.Buffer) / rate * float64(time.Second))
	if w.net.Buffer > 0 && !e.busy && e.free-w.now > full {
		e.busy = true
		w.push(event{at: w.now, kind: evDrained, to: i, from: j, link: l, life: 1})
		w.push(event{at: e.free - full/2, kind: evDrained, to: i, from: j, link: l})
	}
	return e.free
}

// drained tells node e.to that its queue toward e.from is long, where life is set, or short again.
func (w *World) drained(e *event) {
	if !e.link.side(e.to).up {
		return
	}
	toward := e.link.side(e.from)
	if e.life == 0 {
		rate := w.nodes[e.from].rate
		if rate == 0 {
			rate = w.net.Rate
		}
		half := int64(float64(w.net.Buffer) / rate * float64(time.Second) / 2)
		if rate > 0 && toward.free-w.now > half { // more was sent meanwhile
			w.push(event{at: toward.free - half, kind: evDrained, to: e.to, from: e.from, link: e.link})
			return
		}
		toward.busy = false
	}
	w.trace(e)
	w.step(int(e.to), LinkBusy{Peer: w.nodes[e.from].id, Busy: e.life != 0})
}

// Partition parts the network: peers of different groups cannot reach each other from now on. The links between them
// are lost, which is seen after Network.Detect.
func (w *World) Partition(group func(i int) int) {
	w.split = true
	for i := range w.nodes {
		w.nodes[i].group = int32(group(i))
	}
	w.mix(w.seq, 3)
	for i := range w.nodes {
		for _, l := range w.nodes[i].links {
			if l.a == int32(i) && w.apart(l.a, l.b) && l.usable() {
				l.broken = true
				w.notice(l, l.a)
				w.notice(l, l.b)
			}
		}
	}
}

// Cut breaks the link between i and j, as when a box between them forgets it. Both see it after Network.Detect, and may
// make another.
func (w *World) Cut(i, j int) {
	if l, _ := w.find(int32(i), int32(j)); l != nil && l.usable() {
		w.mix(uint64(l.a)<<32|uint64(l.b), 5)
		l.broken = true
		w.notice(l, l.a)
		w.notice(l, l.b)
	}
}

// Heal ends the partition. Lost links stay lost.
func (w *World) Heal() {
	w.split = false
	w.mix(w.seq, 4)
}

// SetNetwork changes how the links behave from now on, those that are there included.
func (w *World) SetNetwork(n Network) { w.net = n }

// Slow limits what goes toward peer i to rate bytes a second on each of its links; 0: as the network has it.
func (w *World) Slow(i int, rate float64) { w.nodes[i].rate = rate }

// Linked tells whether both i and j see a link between them. Links lists those that i sees, in order.
func (w *World) Linked(i, j int) bool {
	l, _ := w.find(int32(i), int32(j))
	return l != nil && l.usable() && l.end[0].up && l.end[1].up
}

// Links lists the peers that i is linked with as far as it sees.
func (w *World) Links(i int) []int {
	var list []int
	for _, l := range w.nodes[i].links {
		if l.side(int32(i)).up {
			list = append(list, int(l.other(int32(i))))
		}
	}
	return list
}
