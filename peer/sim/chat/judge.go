package chat

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"peerchat/peer/gossip"
	"peerchat/peer/wire"
)

// Invariant is something that must hold.
type Invariant string

// What must hold at every moment.
const (
	Once      Invariant = "nothing is shown twice"
	Said      Invariant = "nothing is shown that was not said"
	Order     Invariant = "what an author says is shown in order"
	Numbers   Invariant = "no number is used twice"
	Durable   Invariant = "what is sent of one's own is in the log"
	Blameless Invariant = "honest peers find no fault with each other"
	Bounded   Invariant = "memory is bounded, and what is gone is forgotten"
)

// What must hold when the network has been calm for a while.
const (
	Mutual    Invariant = "neighbours agree that they are neighbours"
	Connected Invariant = "all are connected"
	Complete  Invariant = "everybody holds everything"
	Truthful  Invariant = "who says that nothing is missing lacks nothing, and who lacks nothing says so"
	Known     Invariant = "everybody knows exactly who is there"
	Prompt    Invariant = "a line takes no longer than its tree is deep"
	Lean      Invariant = "a line costs one copy for each peer"
)

// Breach is an Invariant that did not hold.
type Breach struct {
	Invariant Invariant
	At        time.Duration // since the start of the world
	Text      string
}

// Error is the whole sentence.
func (b Breach) Error() string {
	return fmt.Sprintf("%s: after %v %s", b.Invariant, b.At.Round(time.Millisecond), b.Text)
}

// maxSilence is for how many seconds of calm a peer may not know that somebody holds more: as long as comparing logs
// takes from end to end of a room.
const maxSilence = 60

// maxBreaches is how many are kept.
const maxBreaches = 20

// judge knows what was said, and what went wrong.
type judge struct {
	said     map[event][32]byte // in its author's log, at that moment
	breaches []Breach
}

func newJudge() judge {
	return judge{said: make(map[event][32]byte)}
}

// Breaches are what did not hold so far, the first ones.
func (r *Room) Breaches() []Breach { return r.judge.breaches }

func (r *Room) breach(i Invariant, format string, args ...any) {
	if len(r.judge.breaches) < maxBreaches {
		r.judge.breaches = append(r.judge.breaches, Breach{i, r.Elapsed(), fmt.Sprintf(format, args...)})
	}
}

// stored is told of an event that its author, peer i, has in its log now.
func (r *Room) stored(i int, e *wire.Event) {
	k, hash := event{e.Author, e.Seq}, e.Hash()
	if was, ok := r.judge.said[k]; ok && was != hash {
		r.breach(Numbers, "peer %d said something else as its number %d", i, e.Seq)
	}
	r.judge.said[k] = hash
}

// durable looks at an own event that peer i sends.
func (r *Room) durable(i int, e *wire.Event) {
	if hash, ok := r.judge.said[event{e.Author, e.Seq}]; !ok || hash != e.Hash() {
		r.breach(Durable, "peer %d sends its number %d, which is not stored", i, e.Seq)
	}
}

// shows looks at an event that a participant shows its user.
func (r *Room) shows(x *participant, k event, d *gossip.Deliver) {
	author, _ := r.Index(k.author)
	hash, ok := r.judge.said[k]
	if l, own := d.Ref.(*Line); own && string(l.text) != string(d.Event.Body) {
		r.breach(Said, "peer %d said %q, and is shown %q", x.i, l.text, d.Event.Body)
	}
	switch {
	case !ok && k.author == x.self:
		r.breach(Durable, "peer %d is shown its own number %d, which is not stored", x.i, k.seq)
	case x.delivered[k]:
		r.breach(Once, "peer %d is shown number %d of peer %d again", x.i, k.seq, author)
	case !ok || hash != d.Event.Hash():
		r.breach(Said, "peer %d is shown number %d of peer %d, which says %q", x.i, k.seq, author, d.Event.Body)
	case d.Older: // it comes when it comes
	case k.seq <= x.shown[k.author]:
		r.breach(Order, "peer %d is shown number %d of peer %d after number %d", x.i, k.seq, author, x.shown[k.author])
	default:
		x.shown[k.author] = k.seq
	}
	x.delivered[k] = true
}

// CheckBounds looks at what all who live keep in memory.
func (r *Room) CheckBounds() {
	for i := range r.Len() {
		if m := r.Member(i); m != nil {
			if err := r.participant(i).check(m); err != nil {
				r.breach(Bounded, "peer %d: %v", i, err)
			}
		}
	}
}

// Settle lets the world go on until what must hold in the calm does, but for at most d. It returns how long that took,
// or the Breach.
func (r *Room) Settle(d time.Duration) (time.Duration, error) {
	const step = time.Second
	start := r.Elapsed()
	silent := make(map[int]int) // for how many steps a peer has lacked something, and said that nothing is missing
	for {
		b := r.Unsettled()
		if r.calm && b != nil && b.Invariant == Complete { // so all are connected
			r.each(func(i int, why string) bool {
				if silent[i]++; r.participant(i).gossip.Missing(name) > 0 {
					delete(silent, i)
				} else if silent[i] == maxSilence {
					r.breach(Truthful, "%s, and says for %d s that nothing is missing", why, maxSilence)
				}
				return true
			})
		}
		if b == nil {
			return r.Elapsed() - start, nil
		}
		if r.Elapsed()-start >= d {
			r.breach(b.Invariant, "%s", b.Text)
			return d, *b
		}
		r.Run(step)
	}
}

// Spread lets the world go on until everybody who lives holds everything, but for at most d. It returns how long that
// took, or the Breach. In a room of thousands some view is always about to change, so that all of Settle seldom holds
// in one moment.
func (r *Room) Spread(d time.Duration) (time.Duration, error) {
	start := r.Elapsed()
	for {
		why := r.lacking()
		switch passed := r.Elapsed() - start; {
		case why == "":
			return passed, nil
		case passed >= d:
			r.breach(Complete, "%s", why)
			return passed, r.judge.breaches[len(r.judge.breaches)-1]
		}
		r.Run(time.Second)
	}
}

// Unsettled is what does not hold now and must in the calm; nil if all does.
func (r *Room) Unsettled() *Breach {
	no := func(i Invariant, format string, args ...any) *Breach {
		return &Breach{i, r.Elapsed(), fmt.Sprintf(format, args...)}
	}
	g := r.Graph()
	if n := len(g.Components()); n > 1 {
		return no(Connected, "the room is in %d parts", n)
	}
	if s := g.Symmetric(); s < 1 {
		return no(Mutual, "%.1f %% of the views are mutual", 100*s)
	}
	if why := r.lacking(); why != "" {
		return no(Complete, "%s", why)
	}
	for i := range r.Len() {
		if x := r.participant(i); r.calm && x != nil && len(x.near) > 0 && x.gossip.Missing(name) > 0 { // else those who are gone may have held more
			return no(Truthful, "peer %d says that %d are missing, and holds everything", i, x.gossip.Missing(name))
		}
	}
	if why := r.mistaken(); why != "" {
		return no(Known, "%s", why)
	}
	return nil
}

// lacking says who lacks what somebody has.
func (r *Room) lacking() (first string) {
	r.each(func(_ int, why string) bool {
		first = why
		return false
	})
	return first
}

// each calls f for those who lack what somebody has, until it returns false.
func (r *Room) each(f func(i int, why string) bool) {
	type end struct {
		who        int
		base, head uint64
	}
	best := make(map[wire.LogID]end) // of each log the one that goes farthest, and of these the one that begins first
	logs := make(map[int]map[wire.LogID]wire.Head)
	for i := range r.Len() {
		if !r.Alive(i) {
			continue
		}
		heads, _, err := r.peers[i].store.Heads(name)
		must(err)
		logs[i] = make(map[wire.LogID]wire.Head, len(heads))
		for _, h := range heads {
			log := h.Log()
			logs[i][log] = h
			b, ok := best[log]
			if h.Seq > h.Base && (!ok || h.Seq > b.head || h.Seq == b.head && h.Base < b.base) {
				best[log] = end{i, h.Base, h.Seq}
			}
		}
	}
	all := slices.SortedFunc(maps.Keys(best), wire.LogID.Compare)
	for i := range r.Len() {
		if !r.Alive(i) {
			continue
		}
		for _, log := range all {
			most, h := best[log], logs[i][log]
			from, to := max(h.Seq, log.Start())+1, most.head
			if h.Seq >= most.head {
				from, to = most.base+1, h.Base
			}
			if from > to {
				continue
			}
			author, _ := r.Index(log.Author)
			if !f(i, fmt.Sprintf("peer %d lacks %d to %d of run %d of peer %d, which peer %d has", i, from-log.Start(), to-log.Start(), log.Run, author, most.who)) {
				return
			}
			break
		}
	}
}

// mistaken says who knows of somebody who is not there, or does not of somebody who is. Of many, a sample is asked.
func (r *Room) mistaken() (why string) {
	r.asked(func(x *participant) bool {
		if gone := x.gone(); len(gone) > 0 {
			why = fmt.Sprintf("peer %d believes that peer %d is there", x.i, gone[0])
		} else if here := x.presence.Count(); here != r.Living() {
			why = fmt.Sprintf("peer %d knows of %d who are there, of %d", x.i, here, r.Living())
		}
		return why == ""
	})
	return why
}

// Mistakes are how many a peer believes to be there though they are gone, and does not know though they are there: the
// mean over the living, or a sample of many.
func (r *Room) Mistakes() (gone, unknown float64) {
	n := 0
	r.asked(func(x *participant) bool {
		g := len(x.gone())
		gone += float64(g)
		unknown += float64(r.Living() - (x.presence.Count() - g))
		n++
		return true
	})
	return gone / float64(max(n, 1)), unknown / float64(max(n, 1))
}

// asked calls f for those who live, or a sample of about 200, until it returns false. In a bare room nobody is asked.
func (r *Room) asked(f func(x *participant) bool) {
	for i := 0; i < r.Len() && !r.cfg.Bare; i += max(1, r.Len()/200) {
		if x := r.participant(i); x != nil && !f(x) {
			return
		}
	}
}

// gone are those whom the peer believes to be there though they are not.
func (x *participant) gone() (list []int) {
	for _, m := range x.presence.Members() {
		if k, _ := x.room.Index(m.Peer); !x.room.Alive(k) {
			list = append(list, k)
		}
	}
	return list
}

// Probe lets a peer say some lines, one after the other, and looks at what they cost and how soon all have them. It is
// for rooms that are settled, in a network without losses whose messages take at most trip.
func (r *Room) Probe(i int, trip time.Duration) {
	const lines, warm = 6, 2
	wait := 8*trip + 3*time.Duration(depth(r.Living()))*trip
	least := 0
	for k := range lines {
		l := r.Say(i)
		r.Run(wait)
		if n := r.Holders(l); n < r.Living() {
			r.breach(Prompt, "line %d of peer %d has reached %d of %d in %v", k+1, i, n, r.Living(), wait)
		}
		// Second copies on the fast channel do not count: they belong to links whose round trip is not known, or that
		// have lost much of late.
		if copies := l.Copies - l.Second; k == warm || k > warm && copies < least {
			least = copies
		}
	}
	// The first lines make the tree, and one that comes while the overlay makes a link may cost more.
	if least > r.Living()+r.Living()/20 {
		r.breach(Lean, "lines of peer %d cost %d copies at least, for %d peers", i, least, r.Living()-1)
	}
}

// depth is more than the links from end to end of a room of n.
func depth(n int) (d int) {
	for d = 2; n > 1; n /= 3 {
		d++
	}
	return d
}

// Believers is how many of the others who live believe that peer i is there.
func (r *Room) Believers(i int) (n int) {
	for k := range r.Len() {
		if x := r.participant(k); x != nil && k != i && x.presence != nil {
			if _, ok := x.presence.Lookup(r.ID(i)); ok {
				n++
			}
		}
	}
	return n
}

// Knows is of how many peer i, which lives, knows that they are there, itself included.
func (r *Room) Knows(i int) int { return r.participant(i).presence.Count() }
