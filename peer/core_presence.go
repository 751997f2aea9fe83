package peer

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// This file is what peers say of themselves over their links: their names, their rooms and their voice.

// presenceEvery is how often the own presence is told when nothing changes, within a quarter either way. It mends what
// the tracker told wrongly or late, and costs a small frame a link.
const presenceEvery = 30 * time.Second

func (c *Core) presence() wire.Presence {
	return wire.Presence{Seq: c.changed, Name: c.roster.self.Name, Rooms: slices.Clone(c.order), Voice: c.voices.voice()}
}

// presenceChanged tells every neighbour that the own rooms or the own name are others now.
func (c *Core) presenceChanged(now time.Time, out *CoreOutput) {
	c.changed++
	c.tellPresence(now, out)
	c.sayMyself(now, out)
}

// tellPresence tells every neighbour of the own rooms and name: at once, or a little later if they change fast, and
// then again now and then.
func (c *Core) tellPresence(now time.Time, out *CoreOutput) {
	if !c.presences.AllowN(now, 1) {
		c.presenceAt = ready(c.presences, now)
		return
	}
	c.presenceAt = time.Time{}
	for _, id := range c.linkIDs() {
		if l := c.links[id]; l.up {
			c.tellAgain(now)
			c.sendPresence(l, out)
		}
	}
}

// tellAgain has the own presence told again after a while.
func (c *Core) tellAgain(now time.Time) {
	if c.presenceAt.IsZero() {
		c.presenceAt = now.Add(presenceEvery*3/4 + time.Duration(c.rand.Int64N(int64(presenceEvery/2))))
	}
}

// tellMissed tells the own presence over the session that a link has come to, if it changed since the Hello there: the
// change went over no session, or over one that is closed and may have lost it.
func (c *Core) tellMissed(now time.Time, l *link, out *CoreOutput) {
	c.tellAgain(now)
	if s := c.sessions[l.session]; s != nil && s.told < c.changed {
		c.sendPresence(l, out)
	}
}

func (c *Core) sendPresence(l *link, out *CoreOutput) {
	if s := c.sessions[l.session]; s != nil {
		s.told = c.changed
	}
	c.send(l, c.presence(), false, out)
}

// heard takes a Presence that came over a session.
func (c *Core) heard(now time.Time, id uuid.UUID, s *session, l *link, p wire.Presence, out *CoreOutput) {
	run := l.pair.Instance(id)
	if !s.works || !l.up {
		if p.Seq >= s.said.Seq {
			s.said = p // it counts as the Hello does, when the session has opened
		}
		return
	}
	waits := !l.presentAt.IsZero()
	switch may := c.conductOf(now, l.peer).presence; {
	case l.stale(run, p) || waits && p.Seq < l.presence.Seq:
		c.counters["presence.late"]++
	case may.AllowN(now, 1):
		c.present(now, l, run, p, out)
	default:
		c.counters["presence.limited"]++
		l.presence, l.presentAt = p, ready(may, now)
	}
}

// stale reports whether p, which a process of the link's peer said, is older than what is known of that process.
func (l *link) stale(run uuid.UUID, p wire.Presence) bool { return run == l.run && p.Seq < l.said.Seq }

// present takes what a neighbour says of itself.
func (c *Core) present(now time.Time, l *link, run uuid.UUID, p wire.Presence, out *CoreOutput) {
	changed := c.learn(now, l, run, p, out)
	if l.up && changed {
		c.meet(now, l, out)
		c.share(now, l, out)
	}
	c.checkUse(now, l, out)
	c.unclaimed = true
}

// learn notes what a neighbour says of itself, or what is known already if that is newer. It reports whether the
// neighbour's rooms are others now.
func (c *Core) learn(now time.Time, l *link, run uuid.UUID, p wire.Presence, out *CoreOutput) (changed bool) {
	if l.stale(run, p) {
		p = l.said
	}
	if run != l.run || p.Seq >= l.presence.Seq {
		l.presentAt = time.Time{} // what waits is no newer
	}
	changed = !slices.Equal(l.rooms, p.Rooms)
	l.run, l.said, l.rooms = run, p, slices.Clone(p.Rooms)
	c.roster.presence(now, l.peer, p, c.joined, &out.Events)
	c.hearVoice(now, l.peer, out)
	return changed
}
