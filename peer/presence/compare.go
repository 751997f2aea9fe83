package presence

import (
	"fmt"
	"math/bits"
	"time"

	"peerchat/peer/wire"
)

// This file is how neighbours find out what one of them knows and the other does not, and mend that. Each sends a
// summary: the hash of each sixteenth of its members. The one that knows less then asks for the chunks that differ, one
// at a time of each neighbour, different ones of different neighbours; the other answers with what it has, or where
// both have something, with a list.

// summarize sends a neighbour what is known here, in short.
func (m *Machine) summarize(n *neighbour, reply bool, out *Output) {
	n.told = m.now
	m.send(n, &summary{reply: reply, count: uint64(min(m.table.members, MaxMembers)), hashes: *m.table.hashed()}, out)
}

// compareOne compares with one random neighbour, now and then.
func (m *Machine) compareOne(out *Output) {
	m.interval = min(2*m.interval, m.timing.Compare)
	m.compareAt = m.now + m.spread(m.interval)
	if len(m.neighbours) > 0 {
		m.summarize(m.neighbours[m.rand.IntN(len(m.neighbours))], false, out)
	}
}

// hurry compares more often for a while: something may have been lost.
func (m *Machine) hurry() {
	m.interval = m.timing.Hurry
	if at := m.now + m.spread(m.interval); m.compareAt == never || at < m.compareAt {
		m.compareAt = at
	}
}

// replyEvery is how often a neighbour's summaries are answered by one.
const replyEvery = time.Second

// onSummary finds out where a neighbour's knowledge differs. The one of fewer members asks, so that the other does not.
func (m *Machine) onSummary(n *neighbour, s *summary, out *Output) {
	if !m.allows(n.asked, 1) {
		m.blame(n, wire.PeerID{}, Flood, fmt.Sprintf("%s compares more than %v times a second", n.id.Tag(), askedTaken.rate), true, out)
		return
	}
	own := uint64(m.table.members)
	n.compared, n.count, n.hashes = true, s.count, s.hashes
	n.ahead = s.count > own+own/8+8
	if m.unheard && m.member {
		m.speak(max(m.now, m.speakAt))
	}
	differs := uint16(0)
	for c, h := range m.table.hashed() {
		if h != s.hashes[c] {
			differs |= 1 << c
		}
	}
	switch {
	case differs == 0:
		n.differs = 0
	case !s.reply && (own > s.count || own == s.count && n.id.Less(m.self)):
		if n.replied == never || m.now-n.replied >= replyEvery {
			n.replied = m.now
			m.summarize(n, true, out)
		}
	case n.ahead || m.allows(m.compares, m.table.members*bits.OnesCount16(differs)/chunks):
		n.differs = differs
	}
}

// perPart is how many members a part of a compare should have.
const perPart = 12

// ask asks neighbours for chunks that differ.
func (m *Machine) ask(out *Output) {
	var busy uint16
	open := false
	for _, n := range m.neighbours {
		if n.asking >= 0 {
			busy |= 1 << n.asking
		} else {
			open = open || n.differs != 0
		}
	}
	if !open {
		return
	}
	hashes := m.table.hashed()
	for _, n := range m.neighbours {
		for c := 0; c < chunks && n.asking < 0 && n.differs != 0; c++ {
			switch bit := uint16(1) << c; {
			case n.differs&bit == 0 || busy&bit != 0:
			case hashes[c] == n.hashes[c]: // another neighbour had the same
				n.differs &^= bit
			default:
				busy |= bit
				m.askFor(n, uint8(c), out)
			}
		}
	}
}

func (m *Machine) askFor(n *neighbour, chunk uint8, out *Output) {
	size, _ := m.table.sum(span(chunk, 0, 0))
	size = max(size, n.count/chunks)
	q := &compare{chunk: chunk}
	for q.bits < maxBits && size>>q.bits > perPart {
		q.bits++
	}
	for i := range 1 << q.bits {
		count, hash := m.table.sum(span(chunk, q.bits, i))
		q.counts, q.hashes = append(q.counts, count), append(q.hashes, hash)
	}
	n.asking = int(chunk)
	m.progress(n)
	m.send(n, q, out)
}

// progress gives a neighbour that was asked more time.
func (m *Machine) progress(n *neighbour) {
	if n.asking >= 0 {
		n.askUntil = m.now + m.timing.Ask
		if m.askAt == never || n.askUntil < m.askAt {
			m.askAt = n.askUntil
		}
	}
}

// unanswered gives up those who do not answer, until their next summary.
func (m *Machine) unanswered() {
	for _, n := range m.neighbours {
		switch {
		case n.asking < 0:
		case n.askUntil <= m.now:
			n.asking, n.differs = -1, 0
		case m.askAt == never || n.askUntil < m.askAt:
			m.askAt = n.askUntil
		}
	}
}

// onCompare answers with what differs in a chunk, behind the news and at the rate of the neighbour.
func (m *Machine) onCompare(n *neighbour, q *compare, out *Output) {
	if !m.allows(n.asked, 1) {
		m.blame(n, wire.PeerID{}, Flood, fmt.Sprintf("%s compares more than %v times a second", n.id.Tag(), askedTaken.rate), true, out)
		return
	}
	if n.serving { // an honest one asks for one chunk at a time
		m.stats.Refused++
		return
	}
	n.serving = true
	lists := lister{m: m, n: n, chunk: q.chunk}
	for i := range q.counts {
		from, to := span(q.chunk, q.bits, i)
		count, hash := m.table.sum(from, to)
		switch {
		case count == q.counts[i] && hash == q.hashes[i]:
		case q.counts[i] == 0:
			for e := range m.table.within(from, to) {
				if !e.gone() {
					m.queueBulk(n, e.rec.peer, tellRecord|tellDown)
				}
			}
		default:
			lists.part(from, to)
		}
	}
	lists.flush()
	m.queueMessage(n, &done{chunk: q.chunk}, true)
}

// lister makes lists of bounded size.
type lister struct {
	m     *Machine
	n     *neighbour
	chunk uint8
	parts []part
	size  int
}

// The encoded size of a part's frame and of an item, at most, and of a list.
const (
	partSize = 1 + 9 + 9 + 3
	itemSize = 1 + 9 + 9 + 9 + 1
	listSize = MaxMessage - 16 - partSize - itemSize
)

// part lists the members in a range of keys; too many of them make several parts.
func (l *lister) part(from, to uint64) {
	p := part{from: from, to: to}
	l.add(partSize)
	for e := range l.m.table.within(from, to) {
		if e.gone() || len(p.items) > 0 && p.items[len(p.items)-1].key == e.key {
			continue
		}
		if l.size+itemSize > listSize {
			p.to = e.key - 1
			l.parts = append(l.parts, p)
			l.flush()
			l.size = partSize
			p = part{from: e.key, to: to}
		}
		p.items = append(p.items, listed{e.key, e.rec.Run, e.rec.Seq, e.state == suspect})
		l.size += itemSize
	}
	l.parts = append(l.parts, p)
}

func (l *lister) add(size int) {
	if l.size+size > listSize || len(l.parts) == maxParts {
		l.flush()
	}
	l.size += size
}

func (l *lister) flush() {
	if len(l.parts) > 0 {
		l.m.queueMessage(l.n, &list{chunk: l.chunk, parts: l.parts}, false)
	}
	l.parts, l.size = nil, 0
}

// onList compares a neighbour's members, one by one.
func (m *Machine) onList(n *neighbour, l *list, out *Output) {
	items := 0
	for i := range l.parts {
		items += len(l.parts[i].items) + 1
	}
	if n.asking != int(l.chunk) || !m.allows(n.listed, items) {
		m.stats.Refused++
		return
	}
	m.progress(n)
	q := &want{}
	lack := func(key uint64, v version) {
		q.items = append(q.items, wanted{key, v})
		if len(q.items) == maxWants {
			m.send(n, q, out)
			q.items = nil
		}
	}
	for i := range l.parts {
		p := &l.parts[i]
		theirs := p.items
		for e := range m.table.within(p.from, p.to) {
			for len(theirs) > 0 && theirs[0].key < e.key {
				lack(theirs[0].key, version{})
				theirs = theirs[1:]
			}
			if len(theirs) == 0 || theirs[0].key != e.key { // they do not have it
				if !e.gone() {
					m.queueBulk(n, e.rec.peer, tellRecord|tellDown)
				}
				continue
			}
			v := version{Run: theirs[0].run, Seq: theirs[0].seq, Beat: e.rec.Beat}
			switch c := v.compare(e.rec.version); {
			case c > 0 || c == 0 && theirs[0].doubted && e.state == here:
				lack(e.key, e.rec.version)
			case c == 0 && e.state == expired:
				m.vote(n, e)
				m.accuse(n, e)
			case c < 0 || e.gone() || e.state == suspect && !theirs[0].doubted:
				m.queueBulk(n, e.rec.peer, tellRecord|tellDown)
			}
			theirs = theirs[1:]
		}
		for _, t := range theirs {
			lack(t.key, version{})
		}
	}
	if len(q.items) > 0 {
		m.send(n, q, out)
	}
}

func (m *Machine) onDone(n *neighbour, d *done) {
	if n.asking == int(d.chunk) {
		n.asking = -1
		n.differs &^= 1 << d.chunk
	}
}

// onWant answers with what the neighbour lacks.
func (m *Machine) onWant(n *neighbour, w *want, out *Output) {
	if !m.allows(n.wanted, len(w.items)) {
		m.blame(n, wire.PeerID{}, Flood, fmt.Sprintf("%s asks for more than %v records a second", n.id.Tag(), wantedTaken.rate), true, out)
		return
	}
	for _, i := range w.items {
		e := m.table.findKey(i.key)
		if e == nil {
			continue
		}
		if e.rec.peer != m.self && e.rec.compare(i.version) == 0 {
			m.vote(n, e)
		}
		if e.state == expired {
			continue
		}
		if e.rec.peer == m.self && e.rec.compare(i.version) == 0 {
			m.contradict() // it wonders whether this peer is still there
			continue
		}
		if e.rec.compare(i.version) > 0 {
			m.queueBulk(n, e.rec.peer, e.lacking(i.version)|tellDown)
		} else if m.downs[e.rec.peer] != nil {
			m.queueBulk(n, e.rec.peer, tellDown)
		}
	}
}
