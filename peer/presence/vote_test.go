package presence

import (
	"testing"
	"time"

	"peerchat/peer/wire"
)

// votes is what a neighbour says of some members as they are known to l.
func (l *lone) votes(here bool, members ...int) *vote {
	v := &vote{here: here}
	for _, i := range members {
		e := l.m.table.find(wire.IDOf(keyFor(i)))
		v.items = append(v.items, offered{e.key, e.rec.gist()})
	}
	return v
}

func (l *lone) shows(i int) bool {
	_, ok := l.m.Lookup(wire.IDOf(keyFor(i)))
	return ok
}

// Two neighbours of five lie about a member; the others, who are asked then, heard of it themselves.
func TestWhomMostNeighboursHeardOfIsHere(t *testing.T) {
	l := alone(t, 2, 3, 4, 5, 6)
	l.hearRecords(2, person(10, 1, 0))
	l.reset()
	l.hear(2, l.votes(false, 10))
	l.hear(3, l.votes(false, 10))
	l.hear(4, l.votes(true, 10)) // nobody asked yet
	l.advance(voteWait)
	asked := map[wire.PeerID]bool{}
	for _, s := range l.sends {
		if m, err := decodeMessage(s.Data, nil); err == nil {
			if w, ok := m.(*want); ok && len(w.items) == 1 && w.items[0].key == keyOf(wire.IDOf(keyFor(10))) {
				asked[s.To] = true
			}
		}
	}
	if len(asked) != 5 {
		t.Errorf("%d neighbours were asked for a member that two say to be gone, want all 5", len(asked))
	}
	l.hear(4, l.votes(true, 10))
	l.hear(5, l.votes(true, 10))
	l.advance(rollWay)
	if !l.shows(10) {
		t.Error("a member is gone by the word of two of four")
	}
	// The same votes count for nothing another time: the liars have to say it again, and everybody is asked again.
	l.hear(2, l.votes(false, 10))
	l.hear(3, l.votes(false, 10))
	l.advance(voteWait)
	l.hear(5, l.votes(true, 10))
	l.advance(rollWay)
	if l.shows(10) {
		t.Error("a member is shown that two neighbours know to be gone and one has heard of")
	}
	// Its next word brings it back.
	l.hearRecords(4, person(10, 1, 1))
	if !l.shows(10) {
		t.Error("a member that said something is not back")
	}
}

// Votes are worth nothing against a link, a newer word, or one's own presence.
func TestVotesAgainstWhatIsKnownBetter(t *testing.T) {
	l := alone(t, 2, 3)
	l.hearRecords(2, person(2, 1, 0), person(10, 1, 0))
	old := l.votes(false, 10)
	said := l.m.said.version
	l.hear(3, l.votes(false, 1, 2), old)
	l.hearRecords(2, person(10, 1, 1))
	l.advance(voteWait + rollWay)
	if !l.shows(2) || !l.shows(10) {
		t.Errorf("shown: the one who is linked %v, the one who has said something since %v; want both", l.shows(2), l.shows(10))
	}
	if l.m.said.compare(said) <= 0 {
		t.Error("one who is said to be gone does not say that it is here")
	}
}

// What a liar makes others do is bounded: each of its votes is looked at, and asked about, at a bounded rate.
func TestVoteLimits(t *testing.T) {
	l := alone(t, 2, 3)
	for i := range 3000 {
		r := invented(i)
		l.m.table.insert(entry{rec: &r, first: l.m.stamp(), heard: l.m.stamp()})
	}
	all := &vote{}
	for e := range l.m.table.all() {
		if e.rec.peer != l.m.self {
			all.items = append(all.items, offered{e.key, e.rec.gist()})
		}
	}
	start, counted := l.now, 0
	for l.now.Sub(start) < time.Minute {
		for i := 0; i+maxWants <= len(all.items); i += maxWants {
			l.hear(2, &vote{items: all.items[i : i+maxWants]})
		}
		l.reset()
		l.advance(voteWait + rollWay)
		for _, s := range l.sends {
			if m, err := decodeMessage(s.Data, nil); err == nil {
				if w, ok := m.(*want); ok {
					counted += len(w.items)
				}
			}
		}
		for e := range l.m.table.all() { // as if they had said something
			if e.state == expired {
				l.m.table.set(e, here)
			}
		}
	}
	if most := votesTaken.burst + 61*int(votesTaken.rate); counted > 2*most {
		t.Errorf("a liar had %d members asked about in a minute, of each of two neighbours: want at most %d", counted, 2*most)
	}
}

// Two neighbours that both know a member to be dead do not tell each other so without end.
func TestTheDeathOfAMemberIsToldOnce(t *testing.T) {
	l := alone(t, 2, 3)
	l.hearRecords(2, person(3, 1, 0), person(10, 1, 0))
	r := person(10, 1, 0)
	d := reported(keyFor(3), down{peer: r.peer, version: r.version})
	l.hear(2, &records{downs: []down{d}})
	l.advance(4 * time.Second)
	if l.shows(10) {
		t.Fatal("a member is shown 4 s after it was said to be dead")
	}
	for _, both := range []bool{false, true} {
		l.reset()
		m := &records{records: []aged{{0, r}}}
		if both {
			m.downs = []down{d}
		}
		l.hear(2, m)
		l.advance(time.Second)
		told := false
		for _, s := range l.sends {
			if m, err := decodeMessage(s.Data, nil); err == nil {
				m, ok := m.(*records)
				told = told || ok && len(m.downs) > 0
			}
		}
		if told == both {
			t.Errorf("a neighbour shows a dead member, and says that it is dead: %v; it is told: %v", both, told)
		}
	}
}

// Nobody is gone by the votes of a neighbour before the others were asked, however many it votes on at once, and
// whenever. What was not asked about in one turn is in the next.
func TestNobodyIsGoneBeforeAllWereAsked(t *testing.T) {
	l := alone(t, 2, 3)
	for i := range voteMost + 1000 {
		r := invented(i)
		l.m.table.insert(entry{rec: &r, first: l.m.stamp(), heard: l.m.stamp()})
	}
	all := &vote{}
	for e := range l.m.table.all() {
		if e.rec.peer != l.m.self {
			all.items = append(all.items, offered{e.key, e.rec.gist()})
		}
	}
	flood := func() {
		for i := 0; i < len(all.items); i += maxWants {
			l.hear(2, &vote{items: all.items[i:min(i+maxWants, len(all.items))]})
		}
	}
	check := func(when string, want int) {
		t.Helper()
		asked := map[uint64]bool{}
		for _, i := range l.wants(3) {
			asked[i.key] = true
		}
		gone, unasked := 0, 0
		for _, c := range l.changes {
			if c.What == Left {
				gone++
				if !asked[keyOf(c.Member.Peer)] {
					unasked++
				}
			}
		}
		if gone != want || unasked > 0 {
			t.Errorf("%s %d are gone, of whom %d nobody else was asked about; want %d and none", when, gone, unasked, want)
		}
	}
	l.hear(2, &vote{items: all.items[:1]})
	l.advance(voteWait)
	flood() // while the others are asked about the first
	l.advance(rollWay)
	check("after the first turn", 1)
	l.advance(rollWay)
	check("after the second", 1+voteMost)
	l.advance(2 * rollWay)
	check("in the end", len(all.items))
	if n := len(l.m.neighbours[0].votes) + len(l.m.neighbours[1].votes); n > 0 {
		t.Errorf("%d votes are kept", n)
	}
}

// The votes of a roll that is called off are worth nothing later: who was there may have been taken for silent by those
// in the other part.
func TestVotesOfARollThatIsCalledOffAreForgotten(t *testing.T) {
	l := alone(t, 2, 3)
	var there []record
	for i := range 8 {
		there = append(there, person(10+i, 1, 0))
	}
	l.hearRecords(2, there...)
	l.m.roll.since = l.m.now - time.Hour // it is no newcomer
	for i := range rollDead {
		l.m.lose(l.m.table.find(there[i].peer), there[i].member(), died, Died, &l.out)
	}
	if l.m.roll.endAt == never {
		t.Fatal("the roll is not called")
	}
	l.hear(2, l.votes(false, 17))
	l.hearRecords(3, person(10, 1, 1), person(11, 1, 1))
	if l.m.roll.endAt != never {
		t.Fatal("the roll is not called off though most of the dead are back")
	}
	for _, n := range l.m.neighbours {
		if len(n.votes) > 0 {
			t.Errorf("%d votes are kept", len(n.votes))
		}
	}
}

// What a busy neighbour is to be told of others is bounded, whatever it asks.
func TestVotesForABusyNeighbourAreBounded(t *testing.T) {
	l := alone(t, 2, 3)
	l.hearRecords(3, person(10, 1, 0))
	e := l.m.table.find(wire.IDOf(keyFor(10)))
	l.m.table.set(e, expired)
	l.step(Busy{Peer: wire.IDOf(keyFor(2)), Busy: true})
	q := &want{items: slicesRepeat(wanted{e.key, e.rec.version}, maxWants)}
	for range 1000 {
		l.hear(2, q)
		l.now = l.now.Add(maxWants * time.Millisecond)
	}
	if len(l.faults) > 0 {
		t.Fatalf("it is blamed: %v", l.faults)
	}
	n := l.m.neighbours[0]
	bytes := (cap(n.gone) + cap(n.here)) * 16
	for _, b := range n.bulk.items {
		bytes += len(b.msg)
	}
	if n.id != wire.IDOf(keyFor(2)) {
		t.Fatal("the other neighbour was looked at")
	}
	if bytes > 256<<10 {
		t.Errorf("%d bytes of votes wait for a busy neighbour", bytes)
	}
}
