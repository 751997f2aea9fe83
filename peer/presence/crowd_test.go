package presence

import (
	"crypto/ed25519"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// invented is the record of an identity that costs its inventor nothing; its signature is not good.
func invented(i int) record {
	r := record{version: version{1, 1, 0}, period: MaxPeriod, name: "sybil"}
	x := rand.NewPCG(uint64(i), 99)
	for b := 0; b < len(r.peer); b += 8 {
		binary.BigEndian.PutUint64(r.peer[b:], x.Uint64())
	}
	return r
}

// crowd shows the machine n invented identities by way of a neighbour, at so many a second.
func (l *lone) crowd(from, first, n, rate int) {
	for i := 0; i < n; i += 50 {
		m := &records{}
		for j := i; j < min(i+50, n); j++ {
			m.records = append(m.records, aged{0, invented(first + j)})
		}
		l.hear(from, m)
		l.advance(50 * time.Second / time.Duration(rate))
	}
}

func TestInventedMembersComeSlowly(t *testing.T) {
	l := alone(t, 2, 3)
	l.m.check = func(ed25519.PublicKey, []byte, []byte) bool { return true }
	for i := 4; i < 104; i++ {
		l.hearRecords(3, person(i, 1, 0))
	}
	l.hear(3, &summary{count: 101})
	l.reset()
	start := l.now
	l.crowd(2, 0, 20_000, 2_000)
	l.wantFault(Crowd, false, "20,000 invented members in ten seconds")
	took := l.now.Sub(start).Seconds()
	if n, most := l.m.Count(), 101+256+int(took*20); n > most {
		t.Errorf("a room of 100 took %d members in %.0f s: want at most %d", n, took, most)
	}
	// Who comes by way of another is not kept out by that.
	l.hearRecords(3, person(200, 1, 0))
	if _, ok := l.m.Lookup(wire.IDOf(keyFor(200))); !ok {
		t.Error("an honest newcomer is kept out by the crowd of another neighbour")
	}
	if n := l.m.table.find(wire.IDOf(keyFor(2))); n != nil {
		t.Fatal("the neighbour has said nothing of itself yet")
	}
	l.hearRecords(2, person(2, 1, 0))
	if _, ok := l.m.Lookup(wire.IDOf(keyFor(2))); !ok {
		t.Error("a neighbour's own record is kept out by its crowd")
	}
}

// A neighbour alone cannot be held against anything: if it says that the room is full, it may fill it. When another
// comes and says otherwise, that ends; and those who come by way of others take the places of its crowd.
func TestARoomThatIsFullTakesWhoComesByWayOfOthers(t *testing.T) {
	l := alone(t, 2)
	l.m.check = func(ed25519.PublicKey, []byte, []byte) bool { return true }
	l.hear(2, &summary{count: MaxMembers})
	l.crowd(2, 0, MaxMembers+500, 800)
	if n := l.m.Count(); n != MaxMembers {
		t.Fatalf("a crowd of %d made %d members", MaxMembers+500, n)
	}
	l.wantFault(Full, false, "a room of more than MaxMembers")
	l.step(NeighborUp{Peer: wire.IDOf(keyFor(3))})
	l.hear(3, &summary{count: 3})
	for i := 3; i < 103; i++ {
		l.hearRecords(3, person(i, 1, 0))
		l.advance(100 * time.Millisecond)
	}
	known := 0
	for i := 3; i < 103; i++ {
		if _, ok := l.m.Lookup(wire.IDOf(keyFor(i))); ok {
			known++
		}
	}
	if known != 100 || l.m.Count() > MaxMembers {
		t.Errorf("%d of 100 honest members are known, of %d in all", known, l.m.Count())
	}
	if s := l.m.Stats(); s.Records > MaxMembers+maxGone || len(l.m.intro) > 3 {
		t.Errorf("the machine holds %+v of %d introducers", s, len(l.m.intro))
	}
	for i := range l.m.intro {
		n := 0
		for e := range l.m.table.all() {
			if int(e.by) == i {
				n++
			}
		}
		if i > 0 && n != l.m.intro[i].count {
			t.Errorf("introducer %d counts %d, but has %d", i, l.m.intro[i].count, n)
		}
	}
}

func TestThoseWhoLeftAreForgottenInTheEnd(t *testing.T) {
	l := alone(t, 2)
	l.m.check = func(ed25519.PublicKey, []byte, []byte) bool { return true }
	for i := range 5000 {
		r := invented(i)
		l.hearRecords(2, r)
		r.Seq, r.left = 2, true
		l.hearRecords(2, r)
		l.advance(200 * time.Millisecond)
	}
	if s := l.m.Stats(); s.Gone > leastGone+2*l.m.Count() || s.Gone < leastGone/2 {
		t.Errorf("of 5000 who came and went, %d are remembered: want about %d", s.Gone, leastGone)
	}
	for i := range l.m.intro {
		if l.m.intro[i].count > 2*leastGone {
			t.Errorf("an introducer counts %d", l.m.intro[i].count)
		}
	}
}

func TestSignaturesAreCheckedAtABoundedRate(t *testing.T) {
	l := alone(t, 2, 3, 4, 5)
	l.m.check = func(ed25519.PublicKey, []byte, []byte) bool { return true }
	for _, i := range []int{2, 3, 4, 5} {
		l.hear(i, &summary{count: MaxMembers})
	}
	l.reset()
	before := l.m.Stats().Checks
	n := 0
	for range 1000 { // one second
		for _, i := range []int{2, 3, 4, 5} {
			m := &records{}
			for range 15 {
				m.records = append(m.records, aged{0, invented(n)})
				n++
			}
			l.hear(i, m)
		}
		l.now = l.now.Add(time.Millisecond)
	}
	l.wantFault(Flood, false, "60,000 records in a second")
	if c, most := l.m.Stats().Checks-before, sigsAll.burst+int(sigsAll.rate)+1; c > most {
		t.Errorf("%d signatures were checked in a second: want at most %d", c, most)
	}
}
