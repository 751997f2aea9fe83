package overlay_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/sim"
	"peerchat/peer/sim/member"
	"peerchat/peer/wire"
)

// lab is a room whose members are watched at every step.
type lab struct {
	*member.Room
	cfg   member.RoomConfig
	minds map[*member.Member]*mind
	names []string
	log   *strings.Builder
	terse bool   // no shuffles in the log
	wrong string // the first invariant that did not hold
	sent  int    // messages
	bug   *bug
	// churned tells that somebody began a life during a partition, so that the two sides may not remember each other.
	parted, churned bool
}

// mind is what the caller of a machine must think of it, from what it put out.
type mind struct {
	active, held map[wire.PeerID]bool
	most         int // neighbours wanted at any time so far
}

// bug is a mistake that is planted into the members. It may change what goes in and what comes out, and the machine
// itself.
type bug struct {
	name   string
	before func(*member.Member, overlay.Input) overlay.Input
	after  func(*member.Member, overlay.Input, *overlay.Output)
	born   func(*overlay.Machine)
}

func newLab(seed uint64, cfg member.RoomConfig) *lab {
	l := &lab{minds: map[*member.Member]*mind{}}
	cfg.Sim.Seed = seed
	cfg.Tune = func(i int, c *member.Config) {
		c.Before = l.before
		c.After = l.after
	}
	l.cfg = cfg
	l.Room = member.NewRoom(cfg)
	return l
}

// home is a network of some milliseconds, in which the end of a socket shows at once and silence after 2 seconds.
func home() sim.Network {
	return sim.Network{Delay: 2 * time.Millisecond, Spread: 20 * time.Millisecond, Jitter: 3 * time.Millisecond, RoundTrips: 2,
		Fail: 200 * time.Millisecond, Detect: 2 * time.Second, Retransmit: time.Second}
}

func (l *lab) fail(format string, args ...any) {
	if l.wrong == "" {
		l.wrong = fmt.Sprintf("after %v, ", l.Elapsed().Round(time.Millisecond)) + fmt.Sprintf(format, args...)
	}
}

func (l *lab) before(m *member.Member, in overlay.Input) overlay.Input {
	if l.bug != nil && l.bug.before != nil {
		return l.bug.before(m, in)
	}
	return in
}

// after looks at a machine after each step.
func (l *lab) after(m *member.Member, in overlay.Input, out *overlay.Output) {
	if l.bug != nil && l.bug.after != nil {
		l.bug.after(m, in, out)
	}
	x := l.minds[m]
	if x == nil {
		if l.bug != nil && l.bug.born != nil {
			l.bug.born(m.Overlay())
		}
		x = &mind{active: map[wire.PeerID]bool{}, held: map[wire.PeerID]bool{}}
		l.minds[m] = x
	}
	told := l.Len()
	if size, ok := in.(overlay.RoomSize); ok {
		told = max(told, size.N)
	}
	want, _ := overlay.Sizes(told)
	if l.cfg.Overlay.Active > 0 {
		want = l.cfg.Overlay.Active
	}
	x.most = max(x.most, want)
	if err := m.Overlay().Check(); err != nil {
		l.fail("%v", err)
	}
	for _, a := range out.Actions {
		switch a := a.(type) {
		case overlay.Connect:
			if x.held[a.Peer] {
				l.fail("a link that is held was asked for")
			}
			x.held[a.Peer] = true
		case overlay.Release:
			if !x.held[a.Peer] || x.active[a.Peer] {
				l.fail("a link was released that is held: %v, and a neighbour's: %v", x.held[a.Peer], x.active[a.Peer])
			}
			delete(x.held, a.Peer)
		case overlay.NeighborUp:
			if x.active[a.Peer] {
				l.fail("a neighbour came twice")
			}
			x.active[a.Peer] = true
		case overlay.NeighborDown:
			if !x.active[a.Peer] {
				l.fail("somebody went who was no neighbour")
			}
			delete(x.active, a.Peer)
		}
		l.tellAction(m, a)
	}
	l.sent += len(out.Sends)
	for _, s := range out.Sends {
		l.tellSend(m, s)
		if sh, ok := s.Message.(overlay.Shuffle); ok && slices.Contains(sh.Sample, s.To) && m.Overlay().Self() == sh.Origin {
			l.fail("a shuffle tells somebody of himself")
		}
	}
	active := m.Overlay().Active()
	if len(active) != len(x.active) {
		l.fail("a machine has %d neighbours, and has told of %d", len(active), len(x.active))
	}
	for _, id := range active {
		if !x.active[id] || !x.held[id] {
			l.fail("a neighbour was told: %v, its link held: %v", x.active[id], x.held[id])
		}
	}
	if n := m.Overlay().Sound(); n > x.most || len(active) > 2*x.most {
		l.fail("a machine has %d neighbours, %d of them suspected, and wants %d", len(active), len(active)-n, x.most)
	}
	if len(m.Faults) > 0 {
		l.fail("an honest peer was blamed: %s", m.Faults[0].Text)
	}
}

// settle waits for calm, and says what is wrong then.
func (l *lab) settle(d time.Duration) string {
	if l.cfg.Sized {
		l.Resize()
	}
	l.Run(d - time.Minute)
	l.sent = 0
	l.Run(time.Minute)
	if n := l.sent / 60; n > 3*l.Living() {
		return fmt.Sprintf("a calm room of %d sends %d messages a second", l.Living(), n)
	}
	if l.wrong != "" {
		return l.wrong
	}
	if why := l.together(); why != "" {
		if !l.churned {
			return why
		}
		// The two sides may never have heard of each other. Who sees in the tracker's list somebody that the room is
		// silent about says so.
		for range 4 {
			for _, group := range l.Graph().Components()[1:] {
				for _, c := range l.Sample(group[0]) {
					l.Input(group[0], overlay.Contacts{Peers: []overlay.Contact{c}, Apart: true})
				}
			}
			l.Run(time.Minute)
		}
		if why := l.together(); why != "" {
			return why
		}
	}
	quiet := func() bool {
		for i := range l.Len() {
			if l.Alive(i) && !l.Member(i).Overlay().Quiet() {
				return false
			}
		}
		return true
	}
	for range 100 {
		if !l.RunUntil(5*time.Minute, quiet) {
			break
		}
		l.Run(200 * time.Millisecond) // what was said last arrives
		if quiet() {
			return l.calm()
		}
	}
	return "something is always under way"
}

// together tells what keeps the room from being one.
func (l *lab) together() string {
	if c := l.Graph().Components(); len(c) > 1 {
		return fmt.Sprintf("the room of %d is in %d parts, of %d and %d and so on", l.Living(), len(c), len(c[0]), len(c[1]))
	}
	return ""
}

// calm says what is wrong in a room where nothing is under way.
func (l *lab) calm() string {
	g := l.Graph()
	if s := g.Symmetric(); s != 1 {
		return fmt.Sprintf("%.1f %% of the views are mutual", 100*s)
	}
	if why := l.together(); why != "" {
		return why
	}
	for i := range l.Len() {
		if !l.Alive(i) {
			continue
		}
		m := l.Member(i)
		if most, _ := m.Overlay().Sizes(); l.Living() <= most+1 && len(g.Out[i]) != l.Living()-1 {
			return fmt.Sprintf("peer %d has %d neighbours in a room of %d", i, len(g.Out[i]), l.Living())
		}
		links := l.Links(i)
		if len(links) > len(g.Out[i]) && m.Overlay().Quiet() {
			return fmt.Sprintf("peer %d has links with %v and the neighbours %v", i, links, g.Out[i])
		}
	}
	return l.wrong
}

// name is what a play calls a peer.
func (l *lab) name(id wire.PeerID) string {
	if i, ok := l.Index(id); ok && i < len(l.names) {
		return l.names[i]
	} else if ok {
		return fmt.Sprintf("p%d", i)
	}
	return "a stranger"
}

func (l *lab) who(m *member.Member) string {
	for i := range l.Len() {
		if l.Member(i) == m {
			return l.name(l.ID(i))
		}
	}
	return "?"
}

func (l *lab) tell(format string, args ...any) {
	if l.log != nil {
		fmt.Fprintf(l.log, "%9.1f ms  %s\n", float64(l.Elapsed())/1e6, fmt.Sprintf(format, args...))
	}
}

func (l *lab) tellAction(m *member.Member, a overlay.Action) {
	if l.log == nil {
		return
	}
	switch a := a.(type) {
	case overlay.Connect:
		i, _ := l.Index(m.Overlay().Self())
		k, _ := l.Index(a.Peer)
		if slices.Contains(l.Links(i), k) {
			l.tell("%s needs the link with %s", l.who(m), l.name(a.Peer))
		} else {
			l.tell("%s asks for a link with %s", l.who(m), l.name(a.Peer))
		}
	case overlay.Release:
		l.tell("%s needs no link with %s", l.who(m), l.name(a.Peer))
	case overlay.NeighborUp:
		l.tell("%s has %s as a neighbour", l.who(m), l.name(a.Peer))
	case overlay.NeighborDown:
		l.tell("%s has lost %s as a neighbour", l.who(m), l.name(a.Peer))
	}
}

func (l *lab) tellSend(m *member.Member, s overlay.Send) {
	_, shuffle := s.Message.(overlay.Shuffle)
	_, reply := s.Message.(overlay.ShuffleReply)
	if l.log == nil || l.terse && (shuffle || reply) {
		return
	}
	what := ""
	names := func(list []wire.PeerID) string {
		var s []string
		for _, id := range list {
			s = append(s, l.name(id))
		}
		slices.Sort(s)
		return strings.Join(s, " ")
	}
	switch msg := s.Message.(type) {
	case overlay.Join:
		what = "JOIN"
	case overlay.ForwardJoin:
		what = fmt.Sprintf("FORWARDJOIN %s, %d to go", l.name(msg.Peer), msg.TTL)
	case overlay.Neighbor:
		what = "NEIGHBOR?"
		if msg.High {
			what = "NEIGHBOR!"
		}
	case overlay.NeighborAnswer:
		what = "no"
		if msg.Accepted {
			what = "yes"
		}
	case overlay.Disconnect:
		what = "DISCONNECT"
		if msg.Leaving {
			what = "DISCONNECT, leaves the room"
		}
		if !msg.Instead.IsZero() {
			what += ", " + l.name(msg.Instead) + " has the place"
		}
	case overlay.Shuffle:
		what = fmt.Sprintf("SHUFFLE of %s, %d to go: %s", l.name(msg.Origin), msg.TTL, names(msg.Sample))
	case overlay.ShuffleReply:
		what = "SHUFFLEREPLY: " + names(msg.Sample)
	case overlay.Ping:
		what = "PING"
		if msg.Alarm {
			what = "PING, mine are silent"
		}
	case overlay.Pong:
		what = "PONG"
	}
	l.tell("%s → %s  %s", l.who(m), l.name(s.To), what)
}
