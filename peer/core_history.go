package peer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"peerchat/peer/gossip"
	"peerchat/peer/wire"
)

// This file is how the user learns what of a room is missing here, and gets what is older than what was fetched.

const (
	// syncPatience is how long events have to be missing before that is told: most gaps close at once.
	syncPatience = 300 * time.Millisecond
	// syncEvery is the least time between two tellings of one room, syncLook that between two counts while something is
	// missing.
	syncEvery = 200 * time.Millisecond
	syncLook  = 100 * time.Millisecond
)

// syncing is what was told of how much of a room is missing.
type syncing struct {
	told   int
	since  time.Time // since when something is missing; zero: nothing is
	lookAt time.Time // when to count again
	tellAt time.Time // when it may be told again
}

// tellSynced tells what of the rooms is missing, where that has changed.
func (c *Core) tellSynced(now time.Time, out *CoreOutput) {
	c.syncAt = time.Time{}
	for _, name := range c.order {
		s := &c.rooms[name].syncing
		if now.Before(s.lookAt) {
			c.syncAgain(s.lookAt)
			continue
		}
		n := c.gossip.Missing(name)
		switch {
		case n == 0:
			s.since = time.Time{}
		case s.since.IsZero():
			s.since = now
			fallthrough
		default:
			s.lookAt = now.Add(syncLook)
		}
		switch {
		case n == s.told:
		case s.told == 0 && now.Before(s.since.Add(syncPatience)):
			c.syncAgain(s.since.Add(syncPatience))
		case now.Before(s.tellAt):
			c.syncAgain(s.tellAt)
		default:
			s.told, s.tellAt = n, now.Add(syncEvery)
			out.Events = append(out.Events, Synced{Room: name, Missing: n})
		}
	}
}

func (c *Core) syncAgain(t time.Time) {
	if c.syncAt.IsZero() || t.Before(c.syncAt) {
		c.syncAt = t
	}
}

// fetchOlder asks for what is older than what is here. Whoever asks while that is under way gets the same answer.
func (c *Core) fetchOlder(now time.Time, cmd FetchOlder, out *CoreOutput) {
	refuse := func(err error) {
		out.Events = append(out.Events, Answer{Ref: cmd.Ref, Value: OlderAnswer{Room: cmd.Room, Err: err}})
	}
	switch {
	case !c.joined(cmd.Room):
		refuse(fmt.Errorf("fetch older messages of %s: you are not in it; /join it first", cmd.Room))
		return
	case len(c.fetches[cmd.Room]) >= maxQueries:
		refuse(fmt.Errorf("fetch older messages of %s: %d others wait for that already; wait for their answers", cmd.Room, maxQueries))
		return
	}
	c.fetches[cmd.Room] = append(c.fetches[cmd.Room], cmd.Ref)
	c.stepGossip(now, gossip.FetchOlder{Room: cmd.Room, Events: cmd.Events}, out)
}

// fetched answers those who asked for older events.
func (c *Core) fetched(f gossip.Fetched, out *CoreOutput) {
	if r := c.rooms[f.Room]; r != nil && f.Events == 0 && len(r.near) == 0 {
		f.Err = fmt.Errorf("fetch older messages of %s: %w", f.Room, ErrAlone)
	}
	refs := c.fetches[f.Room]
	delete(c.fetches, f.Room)
	for _, ref := range refs {
		out.Events = append(out.Events, Answer{Ref: ref, Value: OlderAnswer{Room: f.Room, Events: f.Events, More: f.More, Err: f.Err}})
	}
}

// missingBefore is how many events are missing before one, if it is the first of its log after a hole.
func (c *Core) missingBefore(e *wire.Event) uint64 {
	log := wire.LogOf(e.Author, e.Seq)
	if e.Seq != c.cfg.Store.Base(e.Room, log)+1 {
		return 0
	}
	return c.cfg.Store.Hole(e.Room, log)
}

// lost tells what of a room nobody keeps any more, or the own history would not keep. The most is lost of those who
// are named. Where an author's numbers go on by more than anybody can have said, nobody knows how many there were, nor
// where some of them may have been said before this peer came.
func (c *Core) lost(now time.Time, l gossip.Lost, out *CoreOutput) {
	const named, most = 3, 1_000_000_000
	slices.SortStableFunc(l.Logs, func(a, b gossip.LostOf) int { return cmp.Compare(b.Events, a.Events) })
	total, sure, perhaps, full := uint64(0), true, false, false
	for _, o := range l.Logs {
		total += min(o.Events, most+1)
		sure, perhaps, full = sure && o.Events <= most, perhaps || o.Perhaps, full || o.Unkept
	}
	var whose []string
	for i, o := range l.Logs {
		switch {
		case i == named:
			whose = append(whose, fmt.Sprintf("others (%d)", len(l.Logs)-i))
		case i < named && sure && len(l.Logs) > 1:
			whose = append(whose, fmt.Sprintf("%s (%d)", c.called(o.Author), o.Events))
		case i < named:
			whose = append(whose, c.called(o.Author))
		}
	}
	what := fmt.Sprintf("%d lines of %s in %s are lost", total, strings.Join(whose, ", "), l.Room)
	switch {
	case !sure:
		what = fmt.Sprintf("lines of %s in %s may be lost", strings.Join(whose, ", "), l.Room)
	case perhaps && total == 1:
		what = fmt.Sprintf("1 line of %s in %s may be lost", whose[0], l.Room)
	case perhaps:
		what = fmt.Sprintf("up to %d lines of %s in %s may be lost", total, strings.Join(whose, ", "), l.Room)
	case total == 1:
		what = fmt.Sprintf("1 line of %s in %s is lost", whose[0], l.Room)
	}
	why := "nobody linked keeps them any more"
	if full {
		why += ", or the history here is full and keeps nothing so old"
	}
	c.complain(now, wire.PeerID{}, wire.PeerID{}, Notice{Room: l.Room, Code: "lost", Text: what + ": " + why +
		", and they had not come here yet. A larger history-events, also on the others' side, keeps more"}, out)
}

// older takes an event that was put before the start of its log. Its holders are not told: who has what is newer has
// it, too.
func (c *Core) older(r *room, d gossip.Deliver, out *CoreOutput) {
	if d.Asked { // it is read from the history, when somebody looks there
		r.retitle(&d.Event)
		return
	}
	c.show(r, &d, true, out)
}

// retitle takes the room's topic from an event, if it is one that counts.
func (r *room) retitle(e *wire.Event) {
	if e.Kind == wire.KindTopic && r.topic.before(e) {
		r.topic = topic{text: string(e.Body), lamport: e.Lamport, author: e.Author}
	}
}
