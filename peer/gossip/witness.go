package gossip

import (
	"time"

	"peerchat/peer/wire"
)

// An author that signs two events with one number, and gives one to some neighbours and the other to the rest, splits
// its room: each part has a log that looks whole, and as the numbers agree nobody ever asks for the other's events. So
// now and then a peer asks a neighbour for an event that it has, and compares. Who finds two tells its neighbours both,
// which each of them can check, and so in the end the whole room knows whom not to trust. Everybody keeps the event
// that came first.

const (
	// spotQuiet is how long a log has been quiet when its last event is asked for; or it has gone on by spotEvents.
	spotQuiet  = 20 * time.Second
	spotEvents = 64
)

// spotRounds is how many rounds of anti-entropy, of about 5 s, are between two such questions of one peer in a room.
// That is seldom, because each of them costs a copy; but all peers of the room ask.
const spotRounds = 128

// spot is an event that was asked for though it is here.
type spot struct {
	author wire.PeerID
	seq    uint64
}

// spotted tells whether an event that came from s was asked for to be compared, and forgets that.
func (s *share) spotted(e *wire.Event) bool {
	if s.spot != (spot{e.Author, e.Seq}) {
		return false
	}
	s.spot = spot{}
	return true
}

// compare asks for the last event of a log, which is here, and which the neighbour says to hold.
func (s *share) compare(a *authorLog, out *Output) {
	s.spot = spot{a.author, a.head}
	out.Sends = append(out.Sends, Send{To: s.link.peer,
		Frame: wire.Want{Room: s.room.name, Ranges: []wire.Range{{Author: a.author, From: a.head, To: a.head}}}})
}

// comparable tells whether a neighbour says to hold the last event of a log that is neither's own.
func (s *share) comparable(a *authorLog) bool {
	k := s.known[a.id]
	return a != s.room.own && a.author != s.link.peer && a.head > a.base && k.seq >= a.head && k.base < a.head
}

// examine looks at neighbours that did not pass on what they should have (see strike), in each round of anti-entropy.
// They may be slow, or may have had nothing to pass on. So each is asked for something that it says to hold; one from
// which nothing of others comes until it was asked three times keeps all to itself.
func (m *Machine) examine(r *room, out *Output) {
	for _, l := range m.linkList {
		s := l.share(r)
		if s == nil || !s.doubted || l.busy || l.cut {
			continue
		}
		if s.spot != (spot{}) {
			s.spot = spot{}
			if s.unshown++; s.unshown == maxStrikes {
				s.doubted, s.unshown = false, 0
				m.fault(l, r.name, wire.PeerID{}, "silent", false, out, "it passes on nothing of others, and does not give it out when it is asked")
				continue
			}
		}
		first := r.rounds * 7919 % len(r.sorted)
		for i := range r.sorted {
			if a := r.sorted[(first+i)%len(r.sorted)]; s.comparable(a) {
				s.compare(a, out)
				break
			}
		}
	}
}

// compareOne asks a neighbour for the last event of a log that has gone on since it was compared last. Logs that never
// were go first.
func (m *Machine) compareOne(now time.Time, s *share, out *Output) {
	r := s.room
	if (r.rounds+int(m.self[0]))%spotRounds != 0 || s.doubted {
		return
	}
	first := r.rounds * 7919 % len(r.sorted) // another one each time, without a draw from the chance that all else depends on
	var chosen *authorLog
	for i := range r.sorted {
		a := r.sorted[(first+i)%len(r.sorted)]
		quiet := a.head >= a.compared+spotEvents || now.Sub(a.liveAt) >= spotQuiet
		if !quiet || !s.comparable(a) || a.warnedDouble || a.head <= a.compared {
			continue
		}
		if chosen == nil || a.compared == 0 && chosen.compared > 0 {
			chosen = a
		}
	}
	if a := chosen; a != nil {
		a.compared = a.head
		s.compare(a, out)
	}
}

// testify sends both events that an author gave one number to all neighbours but the one that the second came from. It
// is done once for each author.
func (m *Machine) testify(from *link, r *room, a *authorLog, second *wire.Event, out *Output) {
	first, err := m.cfg.Log.Range(r.name, a.author, second.Seq, second.Seq, 1)
	if err != nil || len(first) == 0 {
		return // it is held back behind a gap, or was pruned
	}
	for _, l := range m.linkList {
		if s := l.share(r); s != nil && l != from && !l.busy && !l.cut {
			m.sendEvents(l, []wire.Event{first[0], *second}, false, wire.MaxHops, out)
		}
	}
}

// unkept notes that what a neighbour offered did not come when it was asked for. A second that it was silent in counts
// once, however much was to come. It may be slow, or have lost it; but one of which nothing comes again and again is
// asked after all others, may claim little, and is told.
func (m *Machine) unkept(now time.Time, r *room, l *link, out *Output) {
	if l.busy || now.Sub(l.unkeptAt) < time.Second {
		return
	}
	l.unkept, l.unkeptAt = l.unkept+1, now
	if s := l.share(r); s != nil {
		s.doubted = true
	}
	if l.unkept == maxUnkept {
		m.fault(l, r.name, wire.PeerID{}, "claims", false, out, "it offers events, and does not send them when it is asked")
	}
}

// lies tells whether what a neighbour offered did not come so often that it is not believed.
func (l *link) lies() bool { return l.unkept >= maxStrikes }
