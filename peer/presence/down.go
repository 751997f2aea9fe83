package presence

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// This file is how deaths become known. Whoever loses the link to a member says so; everybody then suspects it for a
// while, in which it, or anybody who has a newer record of it, may contradict (Das, Gupta, Motivala: SWIM, DSN 2002,
// section 4.2). So a lie about somebody who is there and can be reached shows nowhere.

type suspicion struct {
	down  *down
	until time.Duration
}

// reporter is how well somebody is believed who reports deaths.
type reporter struct {
	rate *rate.Limiter
	lies int
	at   time.Duration // of the last lie, or of its half pardon
}

// report says that the link to a member broke.
func (m *Machine) report(id wire.PeerID, out *Output) {
	e := m.table.find(id)
	if e == nil || e.state != here {
		return
	}
	m.doubt(e, m.reported(e), nil)
}

// reported is this peer's word that a member is dead.
func (m *Machine) reported(e *entry) *down {
	d := &down{peer: e.rec.peer, version: e.rec.version, by: m.self}
	m.scratch = d.seal(m.scratch[:0], m.cfg.Room)
	copy(d.sig[:], ed25519.Sign(m.cfg.Key, m.scratch))
	return d
}

// doubt suspects a member by a report that came from a neighbour, or is the own one, and passes it on.
func (m *Machine) doubt(e *entry, d *down, from *neighbour) {
	m.table.set(e, suspect)
	m.downs[d.peer] = d
	m.suspects = append(m.suspects, suspicion{d, m.now + m.timing.Suspect})
	m.relay(from, d.peer, tellDown, spreading{at: m.now})
}

// believe ends the oldest suspicion: who did not contradict is dead, unless there is a link to it.
func (m *Machine) believe(out *Output) {
	s := m.suspects[0]
	m.suspects = m.suspects[1:]
	id := s.down.peer
	e := m.table.find(id)
	if e == nil || e.state != suspect || m.downs[id] != s.down {
		return // it was contradicted
	}
	if m.neighbour(id) != nil {
		m.suspects = append(m.suspects, suspicion{s.down, m.now + m.timing.Suspect})
		return
	}
	m.lose(e, e.rec.member(), died, Died, out)
}

// clear ends what was said about a member's death, because it has said something since.
func (m *Machine) clear(e *entry) {
	d := m.downs[e.rec.peer]
	if d == nil {
		return
	}
	if e.state == suspect {
		m.lied(d.by)
	}
	delete(m.downs, e.rec.peer)
}

func (m *Machine) lied(by wire.PeerID) {
	if r := m.reporters[by]; r != nil {
		r.pardon(m.now)
		r.lies++
		r.at = m.now
	}
}

func (r *reporter) pardon(now time.Duration) {
	for r.lies > 0 && now-r.at >= lieForgiven {
		r.lies--
		r.at += lieForgiven
	}
}

// onDown takes somebody's word that another is dead.
func (m *Machine) onDown(n *neighbour, d *down, out *Output) {
	if d.peer == m.self {
		m.calledDead(n, d, out)
		return
	}
	e := m.table.find(d.peer)
	if e == nil || e.gone() && e.state != died {
		m.wasted(n, 1, out)
		return
	}
	switch c := d.compare(e.rec.version); {
	case c < 0:
		if m.wasted(n, 1, out) {
			m.queue(n, d.peer, e.lacking(d.version)|tellDown, m.now) // it has said something since
		}
	case c > 0:
		// Who relays this must have the record. Whether it is newer or only said to be, its signature tells.
		if m.wasted(n, 1, out) && m.allows(n.unknown, 1) {
			m.send(n, &want{items: []wanted{{e.key, e.rec.version}}}, out)
		}
	case e.state != here:
		m.wasted(n, 1, out)
	case m.table.find(d.by) == nil || d.by == m.self:
		m.hearsay(n, e, out)
	case m.credible(n, d, out):
		m.doubt(m.table.find(d.peer), ptr(*d), n)
	}
}

func ptr[T any](v T) *T { return &v }

// calledDead takes somebody's word that this peer is dead. Whoever says so, others may believe it; and this peer may
// itself take the reporter for dead, because the link between them broke.
func (m *Machine) calledDead(n *neighbour, d *down, out *Output) {
	switch {
	case m.said == nil || d.compare(m.said.version) > 0: // there is no such record
		m.wasted(n, 1, out)
	case d.compare(m.said.version) < 0:
		if m.wasted(n, 1, out) {
			m.queue(n, m.self, m.table.find(m.self).lacking(d.version), m.now)
		}
	case m.bearable(n, d, out) && m.verify(n, d.by, d.seal(m.scratch[:0], m.cfg.Room), d.sig[:], out):
		m.lied(d.by)
		m.contradict()
	}
}

// bearable reports whether a neighbour may have one more report looked at.
func (m *Machine) bearable(n *neighbour, d *down, out *Output) bool {
	if m.allows(n.reported, 1) {
		return true
	}
	m.blame(n, d.by, Flood, fmt.Sprintf("%s passes on more than %v reports of deaths a second", n.id.Tag(), downsTaken.rate), false, out)
	return false
}

// hearsay takes a report by somebody whom nobody can be held to: who is not known here, because it went before this
// peer came or is still to be heard of, or was this peer in an earlier life. So it is the word of the neighbour that
// shows it, and counts as its vote.
func (m *Machine) hearsay(n *neighbour, e *entry, out *Output) {
	if m.wasted(n, 1, out) && m.allows(n.voted, 1) {
		m.cast(n, e, false)
	}
}

// credible reports whether a report by a member, or one who was a member, may be passed on: it is signed by it, and it
// does not report too much.
func (m *Machine) credible(n *neighbour, d *down, out *Output) bool {
	if !m.bearable(n, d, out) {
		return false
	}
	r := m.reporters[d.by]
	if r == nil {
		r = &reporter{rate: reports.limiter()}
	}
	r.pardon(m.now)
	if r.lies >= maxLies || !m.allows(r.rate, 1) {
		m.blame(n, d.by, Slander, fmt.Sprintf("%s says of too many that they are dead; it is not believed for a while", d.by.Tag()),
			n.id == d.by, out)
		return false
	}
	if len(m.reporters) >= maxReporters && m.reporters[d.by] == nil {
		if m.forgetReporters(); len(m.reporters) >= maxReporters {
			m.stats.Refused++
			return false
		}
	}
	if !m.verify(n, d.by, d.seal(m.scratch[:0], m.cfg.Room), d.sig[:], out) {
		return false
	}
	m.reporters[d.by] = r
	return true
}

// forgetReporters drops those of whom nothing is worth remembering.
func (m *Machine) forgetReporters() {
	for id, r := range m.reporters {
		r.pardon(m.now)
		if r.lies == 0 && r.rate.TokensAt(moment(m.now)) >= float64(reports.burst) {
			delete(m.reporters, id)
		}
	}
}
