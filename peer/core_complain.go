package peer

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// This file is what people are told of peers that misbehave, and how often: whoever can cause a complaint can do so
// again and again.

const (
	// tellAgain is how long one kind of misdeed of one peer is no news, after it was told.
	tellAgain = 10 * time.Minute
	// tellOwnAgain is the same for what goes wrong here, such as a full disk, at each try.
	tellOwnAgain = time.Minute
)

var (
	complaintsShown  = limit{1. / 30, 10} // of one kind
	complaintsCaused = limit{1. / 60, 5}  // of them by what one neighbour sent of others, who may be invented
)

// misdeed is what one of the machines says of a neighbour that did what it should not.
type misdeed struct {
	peer  wire.PeerID // the neighbour; zero or the own one: it is nobody's
	about wire.PeerID // whose event or record it is about; zero: the neighbour's own
	room  wire.Room
	code  string
	text  string
	drop  bool // the link is to go for it
}

// misbehaved has a neighbour's misdeed told, and ends the link if it must.
func (c *Core) misbehaved(now time.Time, m misdeed, out *CoreOutput) {
	c.counters["fault."+m.code]++
	if m.about.IsZero() {
		m.about = m.peer
	}
	text, who, news := c.sentence(m), m.about, false
	switch m.code {
	case "clock", "sequence", "runs", "claims", "silent", "crowd", "full", "slander", "talk":
		news = true
	case "forged":
		who = m.peer
	}
	switch l := c.links[m.peer]; {
	case m.drop && l != nil:
		c.offend(now, l, m.room, m.code, text, out)
	case news:
		c.complain(now, m.peer, who, Notice{Room: m.room, Code: m.code, Text: text}, out)
	default:
		c.complain(now, m.peer, who, Failure{Room: m.room, Code: m.code, Text: text}, out)
	}
}

// sentence says in a user's words who did what, and what comes of it. The machines' own words are for those who know
// the protocols.
func (c *Core) sentence(m misdeed) string {
	who, whose := c.called(m.peer), c.called(m.about)
	switch {
	case m.peer.IsZero() || m.peer == c.self:
		return m.text
	case m.code == "forged" && m.about == c.self:
		return fmt.Sprintf("%s sent what you never signed: it counts for nothing", who)
	case m.code == "equivocation" && m.about == c.self:
		return "two different lines of yours have one number: another peerchat uses a copy of this profile, or an old copy of it was put back; " +
			"the first that came is kept, others may be shown the second"
	case m.code == "forged":
		return fmt.Sprintf("%s sent what %s never signed: it counts for nothing", who, whose)
	case m.code == "protocol", m.code == "malformed":
		return fmt.Sprintf("%s sent what cannot be read (%s)", who, strings.TrimPrefix(m.text, m.peer.Tag()+": "))
	case m.code == "flood" && m.drop:
		return fmt.Sprintf("%s sends far more than anybody can use", who)
	case m.code == "equivocation":
		return fmt.Sprintf("%s signed two different lines as one: you keep the first that came, others may be shown the second; "+
			"ask them if it matters", whose)
	case m.code == "sequence":
		return fmt.Sprintf("%s numbers a line as if a million had gone before it: it is not shown before they have come, or are given up", whose)
	case m.code == "runs":
		return fmt.Sprintf("%s has lost its history, and begun anew, more often than is followed: its oldest lines are given up here", whose)
	case m.code == "clock":
		return whose + ": " + m.text
	case m.code == "claims":
		return fmt.Sprintf("%s offers lines that it does not send: others are asked for them first", who)
	case m.code == "silent":
		return fmt.Sprintf("%s passes nothing on of what others say: it comes to you by other ways", who)
	case m.code == "crowd":
		return fmt.Sprintf("%s tells of more newcomers than can be true: they are let in slowly", who)
	case m.code == "talk":
		return fmt.Sprintf("%s says more than anybody can read: it is kept like all else, and the history will hold the less of what was said before", who)
	case m.code == "slander":
		return fmt.Sprintf("%s says of those who are here that they died: it is not believed for a while", whose)
	}
	return m.text
}

// ending says in a user's words why a link was ended for what its peer did, and for how long none is made.
func ending(code string, wait time.Duration) string {
	why := code
	switch code {
	case "forged":
		why = "it sent what is forged"
	case "protocol", "malformed":
		why = "it sent what cannot be read"
	case "flood":
		why = "it sends far more than anybody can use"
	case "version":
		why = "it is of another version"
	}
	return fmt.Sprintf("%s; none for %v", why, wait)
}

// called is how people are told whom a complaint is about. Names can be chosen, so the tag goes with it.
func (c *Core) called(id wire.PeerID) string {
	if id == c.self {
		return c.roster.self.Name + "#" + id.Tag()
	}
	if p := c.roster.people[id]; p != nil && p.Name != "" {
		return p.Name + "#" + id.Tag()
	}
	return "#" + id.Tag()
}

// complaint is how often a kind of failure or notice was told.
type complaint struct {
	shown *rate.Limiter
	kept  uint64    // not told since the last one that was
	own   time.Time // when the last was told that is about this peer
}

// cause is what complaints are limited by: those that neighbours cause leave room for those that nobody with a link
// does, such as forged offers by way of the tracker, and the other way round.
type cause struct {
	code      string
	neighbour bool
}

// complain tells a Notice or Failure that others can cause as often as they like, and so not each time. By is the
// neighbour that caused it, who is whom it is about; zero: nobody.
func (c *Core) complain(now time.Time, by, who wire.PeerID, ev Event, out *CoreOutput) {
	var code string
	var text *string
	notice, _ := ev.(Notice)
	failure, failed := ev.(Failure)
	if code, text = notice.Code, &notice.Text; failed {
		code, text = failure.Code, &failure.Text
	}
	kind := cause{code, !by.IsZero() && by != c.self}
	k := c.complaints[kind]
	if k == nil {
		k = &complaint{shown: complaintsShown.limiter()}
		c.complaints[kind] = k
	}
	if !c.mayComplain(now, k, kind, by, who) {
		k.kept++
		return
	}
	if k.kept > 0 {
		*text = fmt.Sprintf("%s (and %d more of this kind before)", *text, k.kept)
		k.kept = 0
	}
	if failed {
		out.Events = append(out.Events, failure)
	} else {
		out.Events = append(out.Events, notice)
	}
}

// mayComplain decides whether a complaint is told: about one peer each kind once in a while, by what one neighbour sent
// of others a few, and of all together some more. What is not told counts for none of these.
func (c *Core) mayComplain(now time.Time, k *complaint, kind cause, by, who wire.PeerID) bool {
	var caused *rate.Limiter
	if kind.neighbour && by != who {
		caused = c.conductOf(now, by).causes(kind.code)
		if caused.TokensAt(now) < 1 {
			return false // before the conduct of whoever was invented makes others forgotten
		}
	}
	var about *conduct
	switch {
	case who == c.self:
		if now.Sub(k.own) < tellOwnAgain {
			return false
		}
	case !who.IsZero():
		about = c.conductOf(now, who)
		if at, told := about.told[kind.code]; told && now.Sub(at) < tellAgain {
			return false
		}
	}
	if !k.shown.AllowN(now, 1) {
		return false
	}
	if caused != nil {
		caused.AllowN(now, 1)
	}
	if who == c.self {
		k.own = now
	}
	if about != nil {
		about.tell(now, kind.code)
	}
	return true
}

// tell notes that a kind of misdeed of a peer is told now. There are as many kinds as the machines have words.
func (r *conduct) tell(now time.Time, code string) {
	if r.told == nil {
		r.told = map[string]time.Time{}
	}
	r.told[code] = now
}

// causes limits the complaints of a kind that are caused by what a neighbour sends of others.
func (r *conduct) causes(code string) *rate.Limiter {
	l := r.caused[code]
	if l == nil {
		if r.caused == nil {
			r.caused = map[string]*rate.Limiter{}
		}
		l = complaintsCaused.limiter()
		r.caused[code] = l
	}
	return l
}
