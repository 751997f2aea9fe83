package peer

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// This file is how a Core behaves towards peers that misbehave, or come and go too often: an identity is all that it
// takes to send anything, so whatever a peer can make this one do, again and again, is limited here.

const (
	// maxConduct bounds the peers whose conduct is remembered.
	maxConduct = 1024
	// avoidLeast is how long a peer is avoided after its first offence; it doubles with each, up to avoidMost, and is
	// forgiven after forgiveAfter without one.
	avoidLeast   = 2 * time.Second
	avoidMost    = 17 * time.Minute
	forgiveAfter = time.Hour
	// keptForRooms is how many links voice leaves to the rooms, and to strangers beside maxStrangers: to be in voice is
	// easily said.
	keptForRooms = 16
	// manyNames is how many links that lead to one place are told, if they are more than half of all.
	manyNames = 8
	// maxAlike is how many strangers that lead to one place are not too many, when there is no room for more strangers.
	maxAlike = 3
)

// limit allows burst at once, then rate a second.
type limit struct {
	rate  rate.Limit
	burst int
}

var (
	presenceSent  = limit{1, 15}    // own presences; less than what the others take
	presenceTaken = limit{0.5, 20}  // of one neighbour; of those that come faster the last one counts, later
	comingsTaken  = limit{0.2, 20}  // links of one peer that come up
	signalsTaken  = limit{64, 256}  // messages of one peer through the tracker
	holdersTaken  = limit{20, 200}  // Holders of one neighbour
	changesTaken  = limit{0.5, 100} // of one peer's rooms and name by the tracker's word, that are shown
	strangerTaken = limit{64, 256}  // those of all peers together that there is no link with
	linesSaid     = limit{10, 1000} // in a room, and then by one, until it is told who says so much
)

func (l limit) limiter() *rate.Limiter { return rate.NewLimiter(l.rate, l.burst) }

// ready is when a limiter will allow one.
func ready(l *rate.Limiter, now time.Time) time.Time {
	if lacks := 1 - l.TokensAt(now); lacks > 0 {
		return now.Add(time.Duration(lacks/float64(l.Limit())*float64(time.Second)) + time.Millisecond)
	}
	return now
}

// conduct is how a peer has behaved. It outlives its links, so that nobody can wipe it out by making a new one.
type conduct struct {
	presence, comings, signals, changes *rate.Limiter
	passes                              *rate.Limiter // signals for others
	holders                             *rate.Limiter
	lines                               *rate.Limiter // said where more is said than can be read

	told     map[string]time.Time     // when a kind of misdeed was told last
	caused   map[string]*rate.Limiter // complaints about others, by their kind
	offences int
	last     time.Time // offence
	until    time.Time // avoided till then
	seen     time.Time
}

// conductOf is the record of a peer, made if need be. The one that was not looked at for longest makes room.
func (c *Core) conductOf(now time.Time, id wire.PeerID) *conduct {
	r := c.conduct[id]
	if r == nil {
		if len(c.conduct) >= maxConduct {
			var oldest wire.PeerID
			var at time.Time
			for other, o := range c.conduct {
				if c.links[other] != nil {
					continue
				}
				seen := o.seen
				if o.until.After(now) { // else a crowd of others would wipe it out
					seen = seen.Add(forgiveAfter)
				}
				if at.IsZero() || seen.Before(at) || seen.Equal(at) && other.Less(oldest) {
					oldest, at = other, seen
				}
			}
			delete(c.conduct, oldest)
		}
		r = &conduct{presence: presenceTaken.limiter(), comings: comingsTaken.limiter(), signals: signalsTaken.limiter(),
			changes: changesTaken.limiter(), passes: signalsTaken.limiter(), holders: holdersTaken.limiter(), lines: linesSaid.limiter()}
		c.conduct[id] = r
	}
	r.seen = now
	return r
}

// avoided reports whether no link is wanted with a peer for the time being, and until when.
func (c *Core) avoided(now time.Time, id wire.PeerID) (until time.Time, yes bool) {
	r := c.conduct[id]
	if r == nil {
		return now, false
	}
	until = ready(r.comings, now)
	if r.until.After(until) {
		until = r.until
	}
	return until, until.After(now)
}

// offend closes the link with a peer that broke the protocol, and avoids it for longer each time. Text is told.
func (c *Core) offend(now time.Time, l *link, room wire.Room, code, text string, out *CoreOutput) {
	r := c.conductOf(now, l.peer)
	if now.Sub(r.last) > forgiveAfter {
		r.offences = 0
	}
	wait := min(avoidLeast<<min(r.offences, 20), avoidMost)
	r.offences++
	r.last, r.until = now, now.Add(wait)
	c.complain(now, l.peer, l.peer, Failure{Room: room, Code: code, Text: fmt.Sprintf("%s; there is no link with it for %v", text, wait)}, out)
	c.endLink(now, l, code, ending(code, wait), out)
	c.againAt(r.until)
}

// use is what a link is good for, as far as that decides who makes room for whom.
type use uint8

const (
	forRooms  use = iota // a room needs it
	forVoice             // only that its peer is in voice with this one, or says so
	forNobody            // nothing that is known here
)

func (c *Core) use(id wire.PeerID) use {
	switch {
	case c.inRoomNeeds(id):
		return forRooms
	case c.needed(id):
		return forVoice
	}
	return forNobody
}

// most is how many links of a use there may be.
func (u use) most() int {
	switch u {
	case forVoice:
		return MaxLinks - maxStrangers - keptForRooms
	case forNobody:
		return maxStrangers
	}
	return MaxLinks
}

// patience is how long a link that is not up keeps its place against others that want it.
func (u use) patience() time.Duration {
	switch u {
	case forVoice:
		return 15 * time.Second
	case forNobody:
		return 3 * time.Second
	}
	return forgiveAfter
}

// crowded reports whether there are as many links of a use as there may be.
func (c *Core) crowded(u use) bool {
	n := 0
	for other := range c.links {
		if c.use(other) == u {
			n++
		}
	}
	return n >= u.most() || len(c.links) >= MaxLinks
}

// outstayed is a link that is to make room for another of the same use: one that is not up for all the time that it was
// given, or else, among strangers, one of those that lead to the same place. So names that cost nothing take turns with
// each other, and who comes from elsewhere, and does what it came for, gets its turn. Nil if there is none.
func (c *Core) outstayed(now time.Time, u use) (chosen *link) {
	from := map[string]int{}
	older := func(l *link) {
		if chosen == nil || l.since.Before(chosen.since) || l.since.Equal(chosen.since) && l.peer.Less(chosen.peer) {
			chosen = l
		}
	}
	for id, l := range c.links {
		switch {
		case c.use(id) != u:
		case !l.up && now.Sub(l.since) >= u.patience():
			older(l)
		case l.up:
			from[originOf(l.path)]++
		}
	}
	if chosen != nil || u != forNobody {
		return chosen
	}
	for id, l := range c.links {
		if l.up && c.use(id) == u && from[originOf(l.path)] >= maxAlike && now.Sub(l.since) >= time.Second {
			older(l)
		}
	}
	return chosen
}

// mayAdmit decides whether a peer without a link may make one, once its offer has proved to be its own.
func (c *Core) mayAdmit(now time.Time, id wire.PeerID) bool {
	u := c.use(id)
	return !c.crowded(u) || c.outstayed(now, u) != nil
}

// makePlace reports whether there is a place for a link with id. It ends another for it, if need be and if there is one
// to spare.
func (c *Core) makePlace(now time.Time, id wire.PeerID, out *CoreOutput) bool {
	u := c.use(id)
	if u == forVoice && now.Equal(c.voiceFull) { // a crowd in voice is looked through once
		return false
	}
	if !c.crowded(u) {
		return true
	}
	if l := c.outstayed(now, u); l != nil {
		c.counters["links.spared"]++
		c.dropLink(now, l, NotNeeded, out)
		return !c.crowded(u)
	}
	if u == forVoice {
		c.voiceFull = now
	}
	return false
}

// suspectNames tells if most of many links lead to where a new one does. They may be one house, or one person with many
// names, who then is most of what this peer hears; nobody can tell which, but the user may.
func (c *Core) suspectNames(now time.Time, l *link, out *CoreOutput) {
	origin := originOf(l.path)
	if a, err := netip.ParseAddr(origin); err == nil && a.IsLoopback() {
		return
	}
	alike, all := 0, 0
	for _, o := range c.links {
		if o.up {
			all++
			if originOf(o.path) == origin {
				alike++
			}
		}
	}
	if origin == "" || alike < manyNames || 2*alike <= all || alike == all || now.Sub(c.namesTold) < tellAgain {
		return
	}
	c.namesTold = now
	c.complain(now, wire.PeerID{}, wire.PeerID{}, Notice{Code: "names", Text: fmt.Sprintf("%d of your %d links lead to %s: one house, or one person with many names; "+
		"the others keep their part of your links", alike, all, origin)}, out)
}

// againAt has the links that are lacking looked for again at a time.
func (c *Core) againAt(t time.Time) {
	if c.retryAt.IsZero() || t.Before(c.retryAt) {
		c.retryAt = t
	}
}

// changes reports whether a peer may change in what is shown, by the tracker's word. Who comes and goes all the time
// does so unseen; its own word over a link, or the tracker's next list, says in the end how it stands.
func (c *Core) changes(now time.Time, id wire.PeerID) bool {
	if c.conductOf(now, id).changes.AllowN(now, 1) {
		return true
	}
	c.counters["tracker.limited"]++
	return false
}

// heed tells who says far more in a room than can be read. It is let do so: what others say comes in time all the same,
// and one line more of it costs no more than one of anybody; but the history has an end.
func (c *Core) heed(now time.Time, r *room, author wire.PeerID, out *CoreOutput) {
	if author == c.self || r.lines.AllowN(now, 1) {
		return
	}
	who := c.conductOf(now, author)
	if at, told := who.told["talk"]; told && now.Sub(at) < tellAgain || who.lines.AllowN(now, 1) {
		return
	}
	c.misbehaved(now, misdeed{peer: author, room: r.name, code: "talk"}, out)
}
