package peer

import (
	"fmt"
	"time"

	"peerchat/peer/negotiate"
	"peerchat/peer/wire"
	"peerchat/signaling"
)

// signaled takes what the signaling client reports.
func (c *Core) signaled(now time.Time, ev signaling.ClientEvent, out *CoreOutput) {
	switch ev := ev.(type) {
	case signaling.StateChanged:
		c.trackerState(now, ev, out)
	case signaling.Joined:
		if !c.joined(ev.Room) {
			return
		}
		c.roster.trackerRoom(now, ev.Room, ev.Members, ev.Count, c.joined, &out.Events)
		for _, m := range ev.Members {
			if l := c.links[m.Peer]; l != nil {
				l.untracked = false
			}
		}
		delete(c.awaited, ev.Room)
		c.nameTracker(now, out)
		c.wantLinks(now, true, out)
		c.checkReady(out)
	case signaling.MemberJoined:
		c.roster.tracked[ev.Room] = ev.Count
		if p := c.roster.people[ev.Member.Peer]; (p == nil || !p.in(ev.Room)) && !c.changes(now, ev.Member.Peer) {
			return
		}
		c.roster.trackerJoined(now, ev.Room, ev.Member, c.joined, &out.Events)
		c.nameTracker(now, out)
		c.resize(now, out)
		if c.needed(ev.Member.Peer) && !c.stopping {
			c.wantLink(now, ev.Member.Peer, false, out)
		}
	case signaling.MemberLeft:
		c.roster.tracked[ev.Room] = ev.Count
		c.roster.trackerLeft(now, ev.Room, ev.Peer, c.joined, &out.Events)
		if l := c.links[ev.Peer]; l != nil {
			if !l.up {
				c.unreachable(now, ev.Peer, out)
			}
			c.checkUse(now, l, out)
		}
		c.unclaimed = true // a message that all the others hold is now held by all
	case signaling.MemberRenamed:
		if p := c.roster.people[ev.Member.Peer]; p != nil && p.mesh == nil && c.changes(now, ev.Member.Peer) {
			c.roster.rename(p, ev.Member.Name, c.joined, &out.Events)
		}
	case signaling.Signaled:
		c.relayed(now, ev, wire.PeerID{}, out)
	case signaling.Refused:
		c.refused(now, ev, out)
	case signaling.RoomList:
		c.answerRooms(ev, out)
	default:
		c.attend(now, ev, out)
	}
}

// trackerState follows the signaling client's connection.
func (c *Core) trackerState(now time.Time, ev signaling.StateChanged, out *CoreOutput) {
	was := c.elections.client.State
	c.attend(now, ev, out)
	c.tellTracker(now, out)
	if ev.State != signaling.Connected {
		if c.lostSince.IsZero() && was == signaling.Connected {
			c.lostSince = now
		}
		return
	}
	c.lostSince = time.Time{}
	c.observed = ev.Observed
	c.stun = ev.STUN
	out.Ops = append(out.Ops, opSTUN{urls: ev.STUN})
}

// nameTracker tells what the peer that is the tracker is called, when that becomes known.
func (c *Core) nameTracker(now time.Time, out *CoreOutput) {
	if p := c.roster.people[c.tracker.Leader]; p != nil && c.tracker.Name == "" && p.Name != "" {
		c.tellTracker(now, out)
	}
}

// checkReady tells that the first rooms are joined at a tracker, once.
func (c *Core) checkReady(out *CoreOutput) {
	if c.ready || len(c.awaited) > 0 || !c.connected() {
		return
	}
	c.ready = true
	out.Events = append(out.Events, Ready{Self: c.roster.self, Rooms: append([]wire.Room(nil), c.order...)})
}

// relayed takes a message that another peer sent through the tracker, or through a neighbour: half of a negotiation.
// Their word for who sent it counts for nothing, the signature does.
func (c *Core) relayed(now time.Time, ev signaling.Signaled, by wire.PeerID, out *CoreOutput) {
	if ev.From == c.self || c.stopping {
		return
	}
	l, may := c.links[ev.From], c.strangers
	if l != nil {
		may = c.conductOf(now, ev.From).signals
	}
	if !may.AllowN(now, 1) { // before the work of reading and verifying
		c.counters["signal.limited"]++
		return
	}
	m, err := negotiate.Parse(ev.Data)
	if err != nil {
		c.counters["signal.bad"]++
		return
	}
	if l == nil && m.Kind != negotiate.KindOffer {
		c.counters["signal.stray"]++
		return
	}
	if _, avoid := c.avoided(now, ev.From); m.Kind == negotiate.KindOffer && (avoid || l == nil && !c.mayAdmit(now, ev.From)) {
		c.counters["links.refused"]++
		return
	}
	if err := m.Verify(ev.From, c.self); err != nil {
		c.counters["signal.forged"]++
		through := "the tracker"
		if !by.IsZero() {
			through = c.called(by)
		}
		c.complain(now, by, wire.PeerID{}, Failure{Code: "forged", Text: fmt.Sprintf("an offer in the name of %s came through %s with a wrong signature and was ignored: %v", c.called(ev.From), through, err)}, out)
		return
	}
	if l == nil {
		if !c.makePlace(now, ev.From, out) {
			return
		}
		l = c.newLink(now, ev.From)
		l.wanted = c.needed(ev.From)
		c.negotiate(now, l, negotiate.Want{}, out)
	}
	l.replies, l.replyBy = true, by
	c.negotiate(now, l, negotiate.Remote{Message: m}, out)
	c.checkUse(now, l, out)
}

// refused tells what the tracker did not do.
func (c *Core) refused(now time.Time, ev signaling.Refused, out *CoreOutput) {
	c.counters["tracker.refused"]++
	if ev.Op == "signal" { // the other is gone or busy; its pair tries again by itself, by another way if there is one
		if l := c.links[ev.Peer]; l != nil {
			l.untracked = ev.Status == signaling.NotFound
			if by, _ := c.way(l); l.untracked && !l.up && by == nil {
				c.unreachable(now, l.peer, out)
			}
		}
		return
	}
	c.complain(now, wire.PeerID{}, wire.PeerID{}, Failure{Room: ev.Room, Code: "tracker", Text: fmt.Sprintf("the tracker refused %q: %s (%s)", ev.Op, ev.Text, ev.Status)}, out)
	if ev.Op == "join" {
		delete(c.awaited, ev.Room)
		c.checkReady(out)
	}
}
