package peer

import (
	"fmt"
	"time"

	"peerchat/peer/wire"
)

// This file is how a Core behaves towards peers that misbehave, or come and go too often: an identity is all that it takes to
// send anything, so whatever a peer can make this one do, again and again, is limited here.

const (
	// maxConduct bounds the peers whose conduct is remembered.
	maxConduct = 1024
	// avoidLeast is how long a peer is avoided after its first offence; it doubles with each, up to avoidMost, and is
	// forgiven after forgiveAfter without one.
	avoidLeast   = 2 * time.Second
	avoidMost    = 17 * time.Minute
	forgiveAfter = time.Hour
)

// limit is what a bucket allows: burst at once, then rate a second.
type limit struct{ rate, burst float64 }

var (
	presenceSent  = limit{1, 15}       // own presences; less than what the others take
	presenceTaken = limit{0.5, 20}     // of one neighbour; of those that come faster the last one counts, later
	comingsTaken  = limit{0.2, 20}     // links of one peer that come up
	signalsTaken  = limit{64, 256}     // messages of one peer through the tracker
	holdersTaken  = limit{20, 200}     // Holders of one neighbour
	changesTaken  = limit{0.5, 100}    // of one peer's rooms and name by the tracker's word, that are shown
	strangerTaken = limit{16, 64}      // those of all peers together that there is no link with
	failuresShown = limit{1. / 30, 10} // failures of one kind that others can cause
)

// bucket is a token bucket; the zero value is full.
type bucket struct {
	spent float64
	at    time.Time
}

func (b *bucket) fill(now time.Time, l limit) {
	if d := now.Sub(b.at); d > 0 {
		b.spent = max(0, b.spent-d.Seconds()*l.rate)
		b.at = now
	}
}

// take takes a token, if there is one.
func (b *bucket) take(now time.Time, l limit) bool {
	b.fill(now, l)
	if b.spent+1 > l.burst {
		return false
	}
	b.spent++
	return true
}

// ready is when there will be a token again.
func (b *bucket) ready(now time.Time, l limit) time.Time {
	b.fill(now, l)
	if wait := b.spent + 1 - l.burst; wait > 0 {
		return now.Add(time.Duration(wait/l.rate*float64(time.Second)) + time.Millisecond)
	}
	return now
}

// conduct is how a peer has behaved. It outlives its links, so that nobody can wipe it out by making a new one.
type conduct struct {
	presence, comings, signals, changes bucket
	passes                              bucket // signals for others
	holders                             bucket

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
		r = &conduct{}
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
	until = r.comings.ready(now, comingsTaken)
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
	c.complain(now, room, code, fmt.Sprintf("%s; there is no link with it for %v", text, wait), out)
	c.dropLink(now, l, code, out)
	c.againAt(r.until)
}

// againAt has the links that are lacking looked for again at a time.
func (c *Core) againAt(t time.Time) {
	if c.retryAt.IsZero() || t.Before(c.retryAt) {
		c.retryAt = t
	}
}

// changes reports whether a peer may change in what is shown, by the tracker's word. Who comes and goes all the time does so
// unseen; its own word over a link, or the tracker's next list, says in the end how it stands.
func (c *Core) changes(now time.Time, id wire.PeerID) bool {
	if c.conductOf(now, id).changes.take(now, changesTaken) {
		return true
	}
	c.counters["tracker.limited"]++
	return false
}

// complaint is how often a kind of failure was told.
type complaint struct {
	bucket
	kept uint64 // not told since the last one that was
}

// complain tells a failure that others can cause as often as they like, and so not each time.
func (c *Core) complain(now time.Time, room wire.Room, code, text string, out *CoreOutput) {
	k := c.complaints[code]
	if k == nil {
		k = &complaint{}
		c.complaints[code] = k
	}
	if !k.take(now, failuresShown) {
		k.kept++
		return
	}
	if k.kept > 0 {
		text = fmt.Sprintf("%s (and %d more of this kind before)", text, k.kept)
		k.kept = 0
	}
	c.failure(room, code, text, out)
}
