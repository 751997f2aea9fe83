package presence

import (
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/cbor"
	"peerchat/peer/wire"
)

// This file is how news travels: to the neighbours on the tree, several in a message, at a bounded rate. What waits for
// a neighbour is the names of members, each once; what is said of them is looked up when it goes.

// What is to be told of a member, and where that waits.
const (
	tellRecord = 1 << iota // all that it signed, and its last beat
	tellBeat               // its last beat, to who knows what it signed
	tellDown
	inLive
	inBulk
	inOffers
)

// minFree is how many bytes must be free again before a neighbour that had its share gets more.
const minFree = 4 << 10

// burst is how many bytes a neighbour gets at once. A message longer than that would not count.
const burst = 16 << 10

// bulk is something that waits behind the news: a member, or a whole message.
type bulk struct {
	peer wire.PeerID
	msg  []byte
	last bool // of an answer
}

// fifo is a queue that gives its memory back.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }
func (f *fifo[T]) push(v T) { f.items = append(f.items, v) }
func (f *fifo[T]) peek() *T { return &f.items[f.head] }

func (f *fifo[T]) pop() T {
	v := f.items[f.head]
	var zero T
	f.items[f.head] = zero
	f.head++
	switch {
	case f.head == len(f.items):
		f.items, f.head = f.items[:0], 0
		if cap(f.items) > 1024 {
			f.items = nil
		}
	case f.head > 64 && f.head > len(f.items)/2:
		f.items = f.items[:copy(f.items, f.items[f.head:])]
		f.head = 0
	}
	return v
}

// spreading is how news goes to the neighbours.
type spreading struct {
	at      time.Duration // when
	answer  bool          // it came in answer to a question
	arrival bool          // it is of a member that nobody here knew
	renews  bool          // it is what the tree is made anew by
}

// relay tells the neighbours on the tree, or all of them while none is on it, but for the one it came from; the others
// are offered it. What the root says goes to these, too, but later, and a report of a death to its subject. What came
// in answer to a question is told only to those who may not know it: not to those who knew of many more than this peer.
// While a large room fills, those who arrive travel together, and are offered late.
func (m *Machine) relay(from *neighbour, id wire.PeerID, what uint8, how spreading) {
	all, root := m.treeless() || how.renews, what&(tellRecord|tellBeat) != 0 && id == m.root
	for _, n := range m.neighbours {
		switch {
		case n == from:
		case what == tellDown && n.id == id:
			m.queue(n, id, what, how.at)
		case how.answer && n.ahead:
		case all || n.onTree():
			at := how.at
			if how.arrival {
				n.messages.SetLimitAt(moment(m.now), m.apart())
				at = max(at, m.ready(n.messages))
			}
			m.queue(n, id, what, at)
		case root:
			m.queue(n, id, what, how.at+m.aside())
		case how.at > m.now: // it is not urgent
		case how.arrival && m.table.members > fewMembers:
			m.offer(n, id, slowOffer*m.timing.Offer)
		default:
			m.offer(n, id, m.timing.Offer)
		}
	}
}

// asides is by how many offers the word of the root goes later, at most, to those who are not on the tree.
const asides = 4

// aside is how long this one waits, half of that at least. They have heard it by then where the tree is whole, and
// where they told it themselves it need not go: so it costs each link one packet, not two, and not all links at once.
func (m *Machine) aside() time.Duration {
	most := m.crowded(asides * m.timing.Offer)
	return most/2 + time.Duration(m.rand.Int64N(int64(most)/2+1))
}

// knows is called when a neighbour has shown what is to be told to it of a member, or more: reports of deaths apart.
func (n *neighbour) knows(id wire.PeerID) {
	if q, ok := n.queued[id]; ok {
		n.queued[id] = q &^ (tellRecord | tellBeat)
	}
}

const (
	// lazyPart is the part of its period that a refresh may wait at each member on its way: half of that on average,
	// because something else goes before.
	lazyPart = 20
	// stalePart is the part of its period after which it waits no longer than news, as where the tree is deeper than
	// usual. Since it is asked for by name a half after the next was due, nobody is where nothing is lost, however deep
	// the tree.
	stalePart = 3. / 8
)

// ragged is most of d, three quarters at least: who passed on what the root said, which goes at once, did so at about
// the same time as all others, and is not to do so again when a refresh has waited for long enough.
func (m *Machine) ragged(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(m.rand.Int64N(int64(d)/4+1))
}

// patience is how long a refresh that is so old may wait here for others to travel with.
func (m *Machine) patience(r *record, age uint32) time.Duration {
	if float64(age) > stalePart*10*float64(r.period) {
		return m.timing.Batch
	}
	return m.timing.patience(r.lasts())
}

// patience is how long a refresh may wait at each member, by its period.
func (t *Timing) patience(period time.Duration) time.Duration {
	return max(t.Batch, min(t.Lazy, period/lazyPart))
}

// queue has a neighbour told something at the time at, or a little later.
func (m *Machine) queue(n *neighbour, id wire.PeerID, what uint8, at time.Duration) {
	q := n.queued[id]
	if q&inLive == 0 {
		n.live.push(id)
	}
	n.queued[id] = q | what | inLive
	m.hasten(n, at)
}

// slowOffer is how much longer offers of those who arrive wait.
const slowOffer = 8

// fewMembers is up to how many members news waits for no company.
const fewMembers = 150

// crowded is how long something waits for company in a room of this size: where many are, many come and go, and each of
// them would otherwise be a packet on each link of the tree, and an offer on each of the others.
func (m *Machine) crowded(d time.Duration) time.Duration {
	const most = 4
	return d * time.Duration(min(max(m.table.members, fewMembers), most*fewMembers)) / fewMembers
}

// together is how many messages a neighbour gets before those who arrive wait for each other: when many come, they come
// one after the other for a while.
const together = 8

// apart is how fast they come after that.
func (m *Machine) apart() rate.Limit { return rate.Every(m.crowded(m.timing.Offer)) }

// queueBulk has a neighbour told something behind everything else.
func (m *Machine) queueBulk(n *neighbour, id wire.PeerID, what uint8) {
	q := n.queued[id]
	if q&(inLive|inBulk) == 0 {
		n.bulk.push(bulk{peer: id})
		q |= inBulk
	}
	n.queued[id] = q | what
	m.hasten(n, m.now)
}

func (m *Machine) queueMessage(n *neighbour, msg message, last bool) {
	n.bulk.push(bulk{msg: appendMessage(nil, msg), last: last})
	m.hasten(n, m.now)
}

func (m *Machine) hasten(n *neighbour, at time.Duration) {
	if n.sentAt != never {
		at = max(at, n.sentAt+m.crowded(m.timing.Batch))
	}
	if n.sendAt == never || at < n.sendAt {
		n.sendAt = at
	}
}

// send sends a small message of its own at once.
func (m *Machine) send(n *neighbour, msg message, out *Output) {
	m.emit(n, appendMessage(nil, msg), out)
}

func (m *Machine) emit(n *neighbour, data []byte, out *Output) {
	n.pace.ReserveN(moment(m.now), len(data))
	out.Sends = append(out.Sends, Send{To: n.id, Data: data})
}

// flush sends a neighbour what waits for it, as far as it may have it now.
func (m *Machine) flush(n *neighbour, out *Output) {
	if n.busy || n.sendAt == never || n.sendAt > m.now {
		return
	}
	n.sendAt = never
	if n.offers.len() > 0 {
		if n.offerAt > m.now {
			m.hasten(n, n.offerAt)
		} else {
			for h := m.offered(n); h != nil; h = m.offered(n) {
				m.send(n, h, out)
			}
		}
	}
	for n.live.len() > 0 || n.bulk.len() > 0 {
		if free := n.pace.TokensAt(moment(m.now)); free <= 0 {
			m.hasten(n, m.now+time.Duration((minFree-free)/float64(n.pace.Limit())*float64(time.Second))+time.Millisecond)
			return
		}
		var data []byte
		if n.live.len() > 0 {
			data = m.batch(n, false)
		} else if n.bulk.peek().msg != nil {
			b := n.bulk.pop()
			data = b.msg
			n.serving = n.serving && !b.last
		} else {
			data = m.batch(n, true)
		}
		if data != nil {
			m.allows(n.messages, 1)
			n.sentAt = m.now
			m.emit(n, data, out)
		}
	}
}

// roomLeft is how much of a message must be free for another item: a record and a down of the longest.
const roomLeft = 700

// batch makes a message of what waits; nil if there is nothing to be said any more.
func (m *Machine) batch(n *neighbour, answer bool) []byte {
	recs, beats, downs := m.items[0][:0], m.items[1][:0], m.items[2][:0]
	nr, nb, nd := 0, 0, 0
	for len(recs)+len(beats)+len(downs) < MaxMessage-roomLeft && nr < maxRecords && nb < maxBeats && nd < maxDowns {
		var id wire.PeerID
		where := uint8(inLive)
		if answer {
			if n.bulk.len() == 0 || n.bulk.peek().msg != nil {
				break
			}
			id, where = n.bulk.pop().peer, inBulk
		} else {
			if n.live.len() == 0 {
				break
			}
			id = n.live.pop()
		}
		what := n.queued[id]
		if what&where == 0 {
			continue
		}
		if left := what &^ (where | tellRecord | tellBeat | tellDown); left != 0 {
			n.queued[id] = left
		} else {
			delete(n.queued, id)
		}
		e := m.table.find(id)
		if e == nil {
			continue
		}
		age, most := m.stamp()-e.heard, lifetimes*10*uint32(e.rec.period)-1
		if e.gone() { // told to who shows an older one; its subject may have come back with its clock set back
			age = min(age, most)
		}
		d := m.downs[id]
		if d != nil && what&tellDown != 0 {
			downs = d.append(downs)
			nd++
			if m.stamp()-e.first < 10*uint32(e.rec.period)/4 { // the version that it names may be on its way still
				what |= tellBeat
			}
		}
		switch {
		case age > most || what&(tellRecord|tellBeat) == 0:
		case what&tellRecord != 0 || e.rec.Beat == e.rec.base:
			recs = e.rec.append(recs, age)
			nr++
		default:
			beats = (&beat{age, e.key, e.rec.Beat, e.rec.proof}).append(beats)
			nb++
		}
	}
	m.items = [...][]byte{recs, beats, downs}
	if nr+nb+nd == 0 {
		return nil
	}
	b := appendRecordsHead(make([]byte, 0, len(recs)+len(beats)+len(downs)+12), answer)
	b = append(cbor.AppendArray(b, nr), recs...)
	b = append(cbor.AppendArray(b, nb), beats...)
	return append(cbor.AppendArray(b, nd), downs...)
}
