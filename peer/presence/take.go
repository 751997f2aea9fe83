package presence

import (
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// onRecords takes what a neighbour passes on.
func (m *Machine) onRecords(n *neighbour, msg *records, out *Output) {
	if msg.answer {
		m.progress(n)
	}
	for i := range msg.records {
		m.onRecord(n, &msg.records[i], msg, out)
	}
	for i := range msg.beats {
		m.onBeat(n, &msg.beats[i], msg, out)
	}
	for i := range msg.downs {
		m.onDown(n, &msg.downs[i], out)
	}
}

// wasted counts what is no news. A neighbour that sends nothing else loses its link.
func (m *Machine) wasted(n *neighbour, cost int, out *Output) bool {
	m.stats.Repeats++
	if m.allows(n.waste, cost) {
		return true
	}
	m.blame(n, wire.PeerID{}, Flood, fmt.Sprintf("%s sends more than %v records a second that are old or prove nothing", n.id.Tag(), wasteTaken.rate), true, out)
	return false
}

// verify checks a signature, if the neighbour it came from may have it checked. A wrong one costs the neighbour the
// link, because it should have checked before it passed it on.
func (m *Machine) verify(n *neighbour, signer wire.PeerID, text, sig []byte, out *Output) bool {
	m.scratch = text[:0]
	if !m.allows(n.checks, 1) || !m.allows(m.sigs, 1) {
		m.blame(n, signer, Flood, fmt.Sprintf("%s sends more than %v records a second; some are left out for now", n.id.Tag(), sigsTaken.rate), false, out)
		return false
	}
	m.stats.Checks++
	if m.check(signer.Key(), text, sig) {
		return true
	}
	m.blame(n, signer, Forged, fmt.Sprintf("%s sent presence that %s did not sign", n.id.Tag(), signer.Tag()), true, out)
	return false
}

// authentic checks what a record says of its subject, who said it, and that it said so as often as that. e is what is
// known of the subject, or nil: what was signed by then is not checked again.
func (m *Machine) authentic(n *neighbour, e *entry, r *record, out *Output) bool {
	if e != nil && r.Beat > e.rec.Beat && e.rec.signed(r) {
		if !m.hashes(n, r.Beat-e.rec.Beat, e, out) {
			return false
		}
		if e.rec.proves(m.cfg.Room, r.Beat, r.proof) {
			return true
		}
	} else if !m.verify(n, r.peer, r.seal(m.scratch[:0], m.cfg.Room), r.sig[:], out) {
		return false
	} else if r.sound(m.cfg.Room) {
		return true
	}
	m.blame(n, r.peer, Forged, fmt.Sprintf("%s sent presence that %s did not say again", n.id.Tag(), r.peer.Tag()), true, out)
	return false
}

// onRecord takes what somebody says of itself, by way of a neighbour, in a message.
func (m *Machine) onRecord(n *neighbour, a *aged, msg *records, out *Output) {
	if a.peer == m.self {
		m.heardSelf(n, &a.record, out)
		return
	}
	e := m.table.find(a.peer)
	direct := n.id == a.peer
	switch {
	case e == nil:
		if a.left || !direct && (float64(a.age) > late*10*float64(a.period) || msg.buries(&a.record)) {
			m.wasted(n, 1, out) // nobody knows it, and it is not there; or if it is, it contradicts
			return
		}
		if !m.admits(n, a.peer, out) {
			return
		}
	default:
		switch c := a.compare(e.rec.version); {
		case c < 0:
			if m.wasted(n, 1, out) && (e.gone() || direct) {
				m.queue(n, a.peer, tellRecord|tellDown, m.now) // it does not know the end of the story
			}
			return
		case c == 0 && !(direct && e.state == expired):
			m.shown(n, e, msg)
			m.repeated(n, e, msg, a.age, direct, out)
			return
		case c > 0 && !m.follows(n, e, direct, out):
			return
		}
	}
	if e != nil && e.gone() && !a.left && m.table.members >= MaxMembers && !m.makeRoom(n, a.peer, out) {
		return
	}
	if e != nil { // making room may have moved it
		e = m.table.find(a.peer)
	}
	if !m.authentic(n, e, &a.record, out) {
		return
	}
	m.stats.News++
	rec := m.keep(&a.record)
	rec.mark = markOf(rec.peer, rec.version)
	m.accept(n, e, rec, a.age, msg.answer, out)
}

// buries tells whether a message has a report of the death of a member, too, after what it said in a record.
func (r *records) buries(rec *record) bool {
	return slices.ContainsFunc(r.downs, func(d down) bool { return d.peer == rec.peer && d.compare(rec.version) >= 0 })
}

// repeated takes a record that is known already. Ages are not signed: the youngest counts, so that one who exaggerates
// makes nobody expire, but none is younger than the first copy, so that one who plays them down keeps nobody for ever.
func (m *Machine) repeated(n *neighbour, e *entry, msg *records, age uint32, direct bool, out *Output) {
	if m.wasted(n, 1, out) && e.state == died && !msg.buries(e.rec) { // else the two would tell each other without end
		m.queue(n, e.rec.peer, tellDown, m.now)
	}
	n.knows(e.rec.peer)
	if direct {
		e.first = m.stamp()
	}
	e.heard = max(e.heard, min(m.stamp()-age, e.first))
}

// accept takes a record that is new and true. e is the entry of its peer, nil if there is none.
func (m *Machine) accept(n *neighbour, e *entry, rec *record, age uint32, answer bool, out *Output) {
	now := m.stamp()
	was, there, urgent, what := Member{}, false, true, uint8(tellRecord)
	again := e != nil
	if e == nil {
		by := m.introduced(n.id)
		m.intro[by].count++
		e = m.table.insert(entry{rec: rec, by: by})
	} else {
		was, there = e.rec.member(), !e.gone()
		urgent = e.state != here || !rec.same(e.rec.version) || m.roll.endAt != never // an answer to the roll must not get lost
		if e.state == died && !rec.left {
			m.rise()
		}
		if rec.signed(e.rec) {
			what = tellBeat
		}
		m.clear(e)
		m.table.replace(e, rec)
	}
	n.knows(rec.peer)
	e.first, e.heard = now, now-age
	e.live = !answer && (again || age <= fresh)
	switch {
	case rec.left && there:
		m.lose(e, was, left, Said, out)
	case rec.left:
		m.table.set(e, left)
	default:
		m.table.set(e, here)
		m.tellChange(there, was, rec.member(), out)
	}
	renews := false
	switch {
	case rec.peer == m.table.first():
		renews = rec.peer != m.root || m.parent == nil || rec.Beat%renewals == 0
		m.root = rec.peer
		if !answer {
			m.adopt(n)
		}
	case answer && urgent && again:
		m.missed(n)
	case answer && !urgent: // who lacks it asks for it, too
		return
	}
	how := spreading{at: m.now, answer: answer, arrival: !again, renews: renews}
	if !urgent && rec.peer != m.root {
		how.at += m.ragged(m.patience(rec, age))
	}
	m.relay(n, rec.peer, what, how)
}

func (m *Machine) tellChange(there bool, was, is Member, out *Output) {
	tell := func(w What) { out.Changes = append(out.Changes, Changed{What: w, Member: is, Was: was}) }
	if !there {
		was = Member{}
		tell(Joined)
		return
	}
	if was.Name != is.Name {
		tell(Renamed)
	}
	if was.Status != is.Status {
		tell(Status)
	}
	if was.Voice != is.Voice {
		tell(Voiced)
	}
}

// lose tells that a member is gone, who was was, and remembers it for a while. No entry is to be used after that:
// another may have been forgotten for it.
func (m *Machine) lose(e *entry, was Member, s state, cause Cause, out *Output) {
	m.table.set(e, s)
	out.Changes = append(out.Changes, Changed{What: Left, Cause: cause, Member: was, Was: was})
	if cause == Died {
		m.mourn()
	}
	if s == expired { // what waits to be told would have newcomers show it; of one that died or left, that goes along
		for _, n := range m.neighbours {
			n.knows(was.Peer)
		}
	}
	m.gone.push(was.Peer)
	for m.gone.len() > min(maxGone, leastGone+2*m.table.members) {
		id := m.gone.pop()
		if e := m.table.find(id); e != nil && e.gone() {
			m.drop(id)
		}
	}
}

// drop forgets somebody altogether.
func (m *Machine) drop(id wire.PeerID) {
	if e := m.table.find(id); e != nil {
		m.intro[e.by].count--
		delete(m.downs, id)
		m.table.remove(id)
	}
}

// scanEvery is how often ages are looked at.
func (m *Machine) scanEvery() time.Duration {
	return max(2*time.Second, time.Duration(m.period())*time.Second/16)
}

// overdue is after how much of its period a member must have been heard of, in eighths.
const overdue = 12

// scan lets go who was not heard of for too long, and asks for news of who should have been heard of.
func (m *Machine) scan(out *Output) {
	now := m.stamp()
	var lost []wire.PeerID
	ask := &want{}
	m.scans++
	i := 0
	for e := range m.table.all() {
		i++
		age, period := now-e.heard, 10*uint32(e.rec.period)
		if e.gone() || e.rec.peer == m.self || age < period {
			continue
		}
		switch {
		case m.neighbour(e.rec.peer) != nil: // the link is proof enough
		case age >= lifetimes*period:
			lost = append(lost, e.rec.peer)
		case age >= overdue*period/8 && (i+m.scans)%4 == 0 && len(ask.items) < maxWants:
			ask.items = append(ask.items, wanted{e.key, e.rec.version})
		}
	}
	for _, id := range lost {
		if e := m.table.find(id); e != nil {
			m.lose(e, e.rec.member(), expired, Expired, out)
		}
	}
	if len(ask.items) > 0 && len(m.neighbours) > 0 {
		m.send(m.neighbours[m.rand.IntN(len(m.neighbours))], ask, out)
	}
	m.forgetReporters()
	// The room has shrunk, and with it the time that one may be silent.
	if d := time.Duration(m.period()) * time.Second; m.said != nil && m.said.lasts() > 2*d && m.refresh > m.now+d {
		m.refresh = m.now + time.Duration(m.rand.Int64N(int64(d)))
	}
}
