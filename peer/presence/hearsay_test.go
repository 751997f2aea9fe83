package presence

import (
	"testing"
	"time"

	"peerchat/peer/wire"
)

// A report by somebody who is not known is the word of whoever shows it: all neighbours are asked, and their votes
// decide.
func TestAReportByAStrangerIsAVote(t *testing.T) {
	for _, c := range []struct {
		name        string
		shown, here []int // who shows the report, and who has heard of the member
		want        bool
	}{
		{"one of three against two", []int{2}, []int{3, 4}, true},
		{"one of three against one", []int{2}, []int{3}, true},
		{"two of three against one", []int{2, 4}, []int{3}, false},
		{"all", []int{2, 3, 4}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := alone(t, 2, 3, 4)
			l.hearRecords(2, person(10, 1, 0))
			l.reset()
			report := &records{downs: []down{reported(keyFor(9), down{peer: wire.IDOf(keyFor(10)), version: person(10, 1, 0).version})}}
			for _, i := range c.shown {
				l.hear(i, report)
			}
			if l.m.Stats().Suspect > 0 {
				t.Error("a report by somebody who is not known makes others suspect a member")
			}
			l.advance(voteWait)
			for _, i := range []int{2, 3, 4} {
				if len(l.wants(i)) != 1 {
					t.Errorf("neighbour %d is asked for %d members, want 1", i, len(l.wants(i)))
				}
			}
			for _, i := range c.here {
				l.hear(i, l.votes(true, 10))
			}
			l.advance(rollWay - time.Millisecond)
			if !l.shows(10) {
				t.Error("a member is gone before all neighbours had the time to answer")
			}
			l.advance(time.Millisecond)
			if l.shows(10) != c.want {
				t.Errorf("the member is shown: %v, want %v", l.shows(10), c.want)
			}
		})
	}
}

// Who was this peer in an earlier life it cannot know, so its own word is no better than another's.
func TestAReportOfAnEarlierLifeIsAVote(t *testing.T) {
	l := alone(t, 2, 3)
	l.hearRecords(2, person(10, 1, 0))
	report := &records{downs: []down{reported(keyFor(1), down{peer: wire.IDOf(keyFor(10)), version: person(10, 1, 0).version})}}
	l.hear(2, report)
	l.hear(3, report)
	l.advance(voteWait + rollWay)
	if l.shows(10) {
		t.Error("a member is shown that both neighbours know to be dead, by what this peer said before it was started again")
	}
}

// Reporters that are held to nothing any more give way to others, however seldom all of them are looked at.
func TestReportersGiveWay(t *testing.T) {
	l := alone(t, 2)
	l.hearRecords(2, person(10, 1, 0))
	for i := range maxReporters {
		r := &reporter{rate: reports.limiter()}
		l.m.allows(r.rate, 1)
		l.m.reporters[invented(i).peer] = r
	}
	report := &records{downs: []down{reported(keyFor(2), down{peer: wire.IDOf(keyFor(10)), version: person(10, 1, 0).version})}}
	l.hearRecords(2, person(2, 1, 0))
	l.hear(2, report)
	if n := l.m.Stats().Suspect; n > 0 || len(l.m.reporters) > maxReporters {
		t.Errorf("%d are suspected by one more of %d reporters", n, len(l.m.reporters))
	}
	l.now = l.now.Add(2 * time.Second) // in a large room this is long before the next look at all of them
	l.m.scanAt = never
	l.hear(2, report)
	if n := l.m.Stats().Suspect; n != 1 {
		t.Errorf("%d are suspected when the others have reported nothing for 2 s, want 1", n)
	}
}

// Who is not known, and shown together with a report of its death, is not shown to the user; if it is there, it
// contradicts.
func TestTheDeadAreNotIntroduced(t *testing.T) {
	l := alone(t, 2, 3)
	l.hearRecords(2, person(2, 1, 0))
	r := person(10, 1, 0)
	l.reset()
	l.hear(2, &records{records: []aged{{0, r}}, downs: []down{reported(keyFor(2), down{peer: r.peer, version: r.version})}})
	l.wantQuiet("a member that is not known, with a report of its death")
	l.hearRecords(3, person(10, 1, 1))
	if !l.shows(10) {
		t.Error("a member that has said something since is not shown")
	}
	// A report of an older word is none.
	next := person(11, 2, 0)
	l.hear(2, &records{records: []aged{{0, next}}, downs: []down{reported(keyFor(2), down{peer: next.peer, version: person(11, 1, 0).version})}})
	if !l.shows(11) {
		t.Error("a member is not shown because of a report of what it said before")
	}
}

// While a hundredth of a room comes and goes each second, all hear of it in time, and newcomers, too: they meet reports
// by those who went before they came, or are not known to them yet.
func TestMembersComeAndGo(t *testing.T) {
	for seed := range uint64(2) {
		t.Logf("seed %d", seed)
		const n = 300
		w := newWorld(t, seed)
		crowdOf(w, n)
		w.mesh(5, nil)
		w.advance(30 * time.Second)
		w.lean = true // what is told is held to the truth by the ledger
		l := newLedger(w)
		l.churn(20*time.Second, n)
		l.settle(15 * time.Second)
		l.judge(t, 0)
		if len(w.faults) > 0 {
			t.Errorf("faults were reported: %.5q", w.faults)
		}
	}
}

// Whom this peer has let go since by the votes of its neighbours it does not introduce to those that were still to be
// told that it is here.
func TestWhoIsLetGoIsNotIntroduced(t *testing.T) {
	for _, gone := range []bool{false, true} {
		l := alone(t, 2, 3)
		l.step(Busy{Peer: wire.IDOf(keyFor(3)), Busy: true})
		l.hearRecords(2, person(10, 1, 0))
		if gone {
			l.hear(2, l.votes(false, 10))
			l.advance(voteWait + rollWay)
			if l.shows(10) {
				t.Fatal("a member is shown that all neighbours which answer say to be gone")
			}
		}
		l.reset()
		l.step(Busy{Peer: wire.IDOf(keyFor(3)), Busy: false})
		l.advance(time.Second)
		told := false
		for _, s := range l.sends {
			if m, err := decodeMessage(s.Data, nil); err == nil && s.To == wire.IDOf(keyFor(3)) {
				r, ok := m.(*records)
				told = told || ok && len(r.records) > 0 && r.records[0].peer == wire.IDOf(keyFor(10))
			}
		}
		if told == gone {
			t.Errorf("a member was let go before a neighbour was told of it: %v; it is told: %v", gone, told)
		}
	}
}
