package peer

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"peerchat/peer/election"
	"peerchat/peer/wire"
	"peerchat/signaling"
)

// This file is the Core's part in the election of the tracker: what happens on links and at the tracker goes into its
// machine, and what that wants becomes Ops. docs/election.md is the protocol.

const (
	// maxPlaces bounds the addresses of trackers that were seen and may be back; placeKept is how long they are
	// remembered.
	maxPlaces = 24
	placeKept = time.Hour
	// failedRounds is how many rounds of dialling the tracker have to fail before it counts as lost.
	failedRounds = 3
	// meshGrace is how long a new leader may be without a proof that it can be dialled until that is told.
	meshGrace = 3 * time.Second
	// moveGrace is how long the way to another tracker that is known may take until the last one is told to be lost.
	moveGrace = 2 * time.Second
	// jitterEach is by how much each further member spreads those who move to a new tracker, jitterMost at most.
	jitterEach = time.Millisecond
	jitterMost = 2 * time.Second
)

// ElectionConfig is what a Core needs to take part in elections of the tracker.
type ElectionConfig struct {
	Host     bool  // this peer may be the tracker
	Priority int16 // the user's wish; the higher is the better
	Term     uint64
	Timing   election.Timing // zero fields get their defaults
}

// elections is what a Core knows of the tracker.
type elections struct {
	machine *election.Machine
	out     election.Output
	state   election.State
	wake    time.Time

	offer    election.Offer
	client   signaling.StateChanged // the last that the client reported
	ever     bool                   // it was connected once
	serving  bool                   // the own tracker serves
	meshAt   time.Time              // when to tell that the leader is not dialable; zero: it is
	meshTold bool
	movedAt  time.Time // when to tell that the tracker is lost, though another is known; zero: none is, or it was told
	own      signaling.Leading
	last     []string                   // addresses of the last tracker that was not this peer's
	leader   wire.PeerID                // of it
	home     []string                   // addresses of the last stand-alone tracker
	places   map[wire.PeerID]placesSeen // of candidates, who may be back
	scouted  []string                   // what the scout was told
}

type placesSeen struct {
	urls []string
	at   time.Time
}

func newElections(cfg CoreConfig, rand interface{ Uint64() uint64 }) elections {
	offer := election.Offer{Priority: cfg.Election.Priority} // a candidate from when there is an address
	return elections{
		machine: election.New(election.Config{Key: cfg.Key, Offer: offer, Term: cfg.Election.Term, Rand: rand,
			Timing: cfg.Election.Timing}),
		offer: offer, places: map[wire.PeerID]placesSeen{}, state: election.State{Phase: election.PhaseNone, Place: -1},
	}
}

// elect gives the election an input and does what it puts out.
func (c *Core) elect(now time.Time, in election.Input, out *CoreOutput) {
	e := &c.elections
	e.out.Reset()
	e.machine.Step(now, in, &e.out)
	e.wake = e.out.Wake
	if e.out.Persist > 0 {
		out.Ops = append(out.Ops, opPersist{term: e.out.Persist})
	}
	for _, s := range e.out.Sends {
		if l := c.links[s.To]; l != nil && l.up {
			c.counters["election.sent"]++
			c.send(l, wire.Election{Data: s.Data}, false, out)
		}
	}
	changed := e.out.Changed != nil // what follows may come back here
	if changed {
		e.state = *e.out.Changed
	}
	for _, a := range e.out.Actions {
		c.govern(now, a, out)
	}
	for _, f := range slices.Clone(e.out.Faults) {
		c.electionFault(now, f, out)
	}
	if changed {
		c.tellTracker(now, out)
		c.scout(now, out)
	}
}

// usable are those of a peer's addresses at which a tracker can be. A peer's own tracker is always at
// ws://HOST:PORT/ws, and nobody shall have others send requests elsewhere; the home tracker may be behind a proxy, with
// another path.
func usable(addresses []string, home bool) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(a string) bool {
		u, err := signaling.ParseAddr(a)
		if err != nil || home {
			return err != nil
		}
		place, peers := strings.CutPrefix(u, "ws://")
		return !peers || strings.IndexByte(place, '/') != len(place)-len("/ws") || !strings.HasSuffix(place, "/ws")
	})
}

// govern does what the election wants of the tracker client and of the own tracker.
func (c *Core) govern(now time.Time, a election.Action, out *CoreOutput) {
	e := &c.elections
	switch a := a.(type) {
	case election.Become:
		lead := signaling.Lead{Term: a.Term, Leader: c.self, Proof: e.machine.Proof(), Solo: a.Solo}
		if !a.Solo && !e.serving {
			lead.Members, lead.Replaces = c.restored(), append(slices.Clone(e.home), e.last...)
		}
		out.Ops = append(out.Ops, opLead{lead})
	case election.StepDown:
		e.serving = false
		out.Ops = append(out.Ops, opStepDown{signaling.Target{Leader: a.Leader, Term: a.Term, URLs: usable(a.Addresses, a.Home)}})
	case election.Follow:
		if urls := usable(a.Addresses, a.Home); len(urls) > 0 && !c.stopping {
			out.Ops = append(out.Ops, opFollow{signaling.Target{Leader: a.Leader, Term: a.Term, URLs: urls, Jitter: c.jitter()}})
		}
	case election.Reconnect:
		if !c.stopping {
			out.Ops = append(out.Ops, opRedial{})
		}
	case election.Probe:
		out.Ops = append(out.Ops, opPing{})
	case election.TellHome:
		out.Ops = append(out.Ops, opTellHome{term: a.Term, urls: a.Addresses})
	}
}

// jitter is over how long this peer's rooms spread their move to a new tracker.
func (c *Core) jitter() time.Duration {
	if n := len(c.roster.people); n > 8 {
		return min(time.Duration(n)*jitterEach, jitterMost)
	}
	return 0
}

// restored is who was in which room, for the own tracker to begin with.
func (c *Core) restored() []signaling.Restored {
	var list []signaling.Restored
	for _, id := range c.roster.ids() {
		p := c.roster.people[id]
		if rooms := p.rooms(); len(rooms) > 0 && id != c.elections.leader && len(list) < signaling.MaxRestored {
			list = append(list, signaling.Restored{Peer: id, Name: p.Name, Rooms: rooms})
		}
	}
	return list
}

func (c *Core) electionFault(now time.Time, f election.Fault, out *CoreOutput) {
	c.counters["election."+f.Code]++
	c.misbehaved(now, misdeed{peer: f.From, code: f.Code, text: f.Text, drop: f.Drop}, out)
}

// attend takes what the client and the own tracker report, as far as it concerns the election.
func (c *Core) attend(now time.Time, ev signaling.ClientEvent, out *CoreOutput) {
	e := &c.elections
	switch ev := ev.(type) {
	case signaling.StateChanged:
		c.attached(now, ev, out)
	case signaling.Pong:
		if e.client.Leader == e.state.Leader { // else it is from the tracker before
			c.elect(now, election.Heard{}, out)
		}
	case signaling.Offered:
		if c.cfg.Election.Host {
			e.offer = election.Offer{Candidate: ev.Candidate, Dialable: ev.Dialable, Priority: c.cfg.Election.Priority,
				Port: ev.Port, Addresses: ev.Addresses}
			c.elect(now, e.offer, out)
		}
	case signaling.NoneFound:
		if c.cfg.Election.Host && e.state.Phase == election.PhaseNone && !c.stopping {
			e.offer.Candidate = true
			c.elect(now, e.offer, out)
			c.elect(now, election.Host{}, out)
		}
	case signaling.Leading:
		e.own, e.serving = ev, e.state.Phase == election.PhaseHosting
		c.tellTracker(now, out)
	case signaling.LeadFailed:
		e.serving = false
		if ev.Elsewhere {
			c.elect(now, election.Withdraw{}, out)
			return
		}
		if ev.Err != nil {
			c.complain(now, wire.PeerID{}, wire.PeerID{}, Failure{Code: "tracker", Text: "this peer cannot be the tracker: " + ev.Err.Error()}, out)
		}
		c.elect(now, election.HostFailed{}, out)
	case signaling.Met:
		c.met(now, ev, out)
	case signaling.HomeGone:
		c.elect(now, election.HomeGone{}, out)
	}
}

// attached follows the client's connection.
func (c *Core) attached(now time.Time, ev signaling.StateChanged, out *CoreOutput) {
	e := &c.elections
	was := e.client
	e.client = ev
	if ev.State == signaling.Connected {
		e.ever = true
		if ev.Hosting {
			return
		}
		e.last, e.leader = slices.Clone(ev.Addresses), ev.Leader
		if ev.Leader.IsZero() {
			e.home = e.last
		}
		if len(ev.Proof) > 0 {
			c.elect(now, election.Learn{Data: ev.Proof}, out)
		}
		c.elect(now, election.Connected{Leader: ev.Leader, Term: ev.Term, Addresses: ev.Addresses}, out)
		return
	}
	if c.stopping || was.Hosting && was.State == signaling.Connected {
		return
	}
	switch {
	case ev.Replaced: // the tracker lives; another process of this identity is there
	case ev.State == signaling.Lost && was.State == signaling.Connected:
		if !ev.Moved {
			c.suspect(now, ev.Closed, out)
		}
	case ev.Failed > was.Failed && ev.Failed%failedRounds == 0 && e.ever && !(e.state.InMesh && c.noneDialable() && c.linked()):
		c.suspect(now, false, out)
	}
}

// noneDialable reports whether nobody but the leader is known that could be dialled: then one that some do not reach is
// as good as any.
func (c *Core) noneDialable() bool {
	e := &c.elections
	return !slices.ContainsFunc(e.machine.Standings(), func(s election.Standing) bool {
		return s.Offer.Dialable && s.Peer != e.state.Leader
	})
}

// linked reports whether there is a link: who has none, and reaches no tracker either, is out of the room whoever
// leads.
func (c *Core) linked() bool {
	for _, l := range c.links {
		if l.up {
			return true
		}
	}
	return false
}

func (c *Core) suspect(now time.Time, closed bool, out *CoreOutput) {
	c.notePlaces(now)
	c.elect(now, election.Suspect{Closed: closed}, out)
}

// met takes the sight of another tracker: the home tracker that is back, or the leader of others.
func (c *Core) met(now time.Time, ev signaling.Met, out *CoreOutput) {
	e := &c.elections
	switch {
	case c.stopping:
	case len(ev.Proof) > 0: // who leads is in it
		c.elect(now, election.Learn{Data: ev.Proof}, out)
	case ev.Leader.IsZero() && len(ev.URLs) > 0:
		e.home = ev.URLs
		c.elect(now, election.HomeBack{Addresses: ev.URLs}, out)
	}
}

// notePlaces remembers where candidates would be found.
func (c *Core) notePlaces(now time.Time) {
	e := &c.elections
	for _, s := range e.machine.Standings() {
		if urls := usable(s.Offer.Addresses, false); !s.Self && len(urls) > 0 {
			e.places[s.Peer] = placesSeen{urls, now}
		}
	}
	for len(e.places) > maxPlaces {
		var oldest wire.PeerID
		for id, p := range e.places {
			if o, ok := e.places[oldest]; !ok || p.at.Before(o.at) || p.at.Equal(o.at) && id.Less(oldest) {
				oldest = id
			}
		}
		delete(e.places, oldest)
	}
}

// scout says where it is worth looking for other trackers: the home tracker, the last one, candidates without a link,
// who may be in another part of a broken network.
func (c *Core) scout(now time.Time, out *CoreOutput) {
	e := &c.elections
	var urls []string
	add := func(list []string) {
		for _, u := range list {
			if !slices.Contains(urls, u) && !slices.Contains(e.own.URLs, u) && u != e.own.URL && len(urls) < maxScouted {
				urls = append(urls, u)
			}
		}
	}
	if e.state.Phase == election.PhaseHosting || !e.state.Home {
		add(e.home)
	}
	if e.state.Phase == election.PhaseHosting {
		add(e.last)
		for _, id := range slices.SortedFunc(maps.Keys(e.places), comparePeers) {
			p := e.places[id]
			if l := c.links[id]; l != nil && l.up {
				continue
			}
			if now.Sub(p.at) > placeKept {
				delete(e.places, id)
				continue
			}
			add(p.urls[:min(len(p.urls), 2)])
		}
	}
	if !slices.Equal(urls, e.scouted) {
		e.scouted = urls
		out.Ops = append(out.Ops, opScout{urls: urls})
	}
}

// maxScouted bounds what the scout is told.
const maxScouted = 32

// tellTracker tells the user how things stand with the tracker, if that is other than it was told last.
func (c *Core) tellTracker(now time.Time, out *CoreOutput) {
	e := &c.elections
	inMesh := false // the first who gets through to a new leader proves the contrary
	if !e.state.InMesh {
		e.meshAt = time.Time{}
	} else if e.meshAt.IsZero() {
		e.meshAt = now.Add(meshGrace)
	} else {
		inMesh = !now.Before(e.meshAt)
	}
	e.meshTold = inMesh
	t := TrackerChanged{URL: e.client.URL, Term: e.client.Term, Leader: e.client.Leader, Trying: e.client.Trying, Err: e.client.Err}
	connected := e.client.State == signaling.Connected
	if connected {
		e.movedAt = time.Time{}
	}
	switch {
	case e.state.Phase == election.PhaseHosting && e.serving:
		t = TrackerChanged{State: TrackerHosting, URL: cmp.Or(first(e.own.URLs), e.own.URL), Term: e.state.Term, Leader: c.self, Self: true,
			Solo: e.state.Solo && len(c.neighbourIDs()) == 0, InMesh: inMesh && !e.state.Solo}
	case e.state.Phase == election.PhaseHosting && e.ever && !e.serving:
		return // what it says next is that it serves, or cannot
	case e.state.Phase == election.PhaseElecting:
		t.State, t.Leader = TrackerElecting, wire.PeerID{}
	case connected && !e.client.Hosting:
		t.State, t.InMesh = TrackerConnected, inMesh
	case !e.ever:
		t.State = TrackerSearching
	case c.moving(now):
		return
	case c.stopping:
		return // it is given up, not lost
	default:
		t.State, t.Leader = TrackerLost, wire.PeerID{}
		if e.state.Phase == election.PhaseFollowing {
			t.Leader, t.Term = e.state.Leader, e.state.Term
		}
	}
	if t.State == TrackerElecting || t.State == TrackerLost {
		t.Term = max(t.Term, e.state.Term)
	}
	if p := c.roster.people[t.Leader]; p != nil && t.Leader != c.self {
		t.Name = p.Name
	}
	if sameTracker(t, c.tracker) {
		return
	}
	c.tracker = t
	out.Events = append(out.Events, t)
}

// moving reports whether this peer is on its way from one tracker to another, and has not been for long.
func (c *Core) moving(now time.Time) bool {
	e := &c.elections
	known := e.client.Moved || e.state.Phase == election.PhaseFollowing && e.state.Leader != e.leader
	if !known || c.tracker.State == TrackerLost {
		e.movedAt = time.Time{}
		return false
	}
	if e.movedAt.IsZero() {
		e.movedAt = now.Add(moveGrace)
	}
	return now.Before(e.movedAt)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func sameTracker(a, b TrackerChanged) bool {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	ea, eb := text(a.Err), text(b.Err)
	a.Err, b.Err = nil, nil
	return a == b && ea == eb
}

// connected reports whether there is a tracker that this peer is in touch with, its own included.
func (c *Core) connected() bool { return c.elections.client.State == signaling.Connected }

func (c *Core) neighbourIDs() []wire.PeerID {
	var ids []wire.PeerID
	for id, l := range c.links {
		if l.up {
			ids = append(ids, id)
		}
	}
	return ids
}

// Resigning reports whether this peer leads and is to hand over before it goes.
func (c *Core) Resigning() bool { return c.elections.state.Phase == election.PhaseHosting }

// candidates lists who could be the tracker.
func (c *Core) candidates() []CandidateInfo {
	var list []CandidateInfo
	for i, s := range c.elections.machine.Standings() {
		info := CandidateInfo{Person: c.roster.person(s.Peer), Place: i + 1, Dialable: s.Offer.Dialable, Priority: s.Offer.Priority,
			Port: s.Offer.Port, Addresses: slices.Clone(s.Offer.Addresses), Self: s.Self, Age: s.Age}
		info.Leader = s.Peer == c.elections.state.Leader || s.Self && c.elections.state.Phase == election.PhaseHosting
		list = append(list, info)
	}
	return list
}

// invitation is where others would find a room of this peer: at the tracker, or at those who could replace it.
func (c *Core) invitation(room wire.Room) InviteAnswer {
	e := &c.elections
	a := InviteAnswer{Room: room}
	add := func(urls []string, most int) {
		for _, u := range urls[:min(len(urls), most)] {
			if !slices.Contains(a.Addresses, u) && len(a.Addresses) < signaling.MaxAddresses {
				a.Addresses = append(a.Addresses, u)
			}
		}
	}
	if e.state.Phase == election.PhaseHosting {
		add(e.own.URLs, 2)
	} else {
		add(e.last, 2)
		if e.client.URL != "" {
			add([]string{e.client.URL}, 1)
		}
	}
	for _, s := range e.machine.Standings() {
		if s.Offer.Dialable {
			add(usable(s.Offer.Addresses, false), 1)
		}
	}
	return a
}
