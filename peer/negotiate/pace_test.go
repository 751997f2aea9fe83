package negotiate

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

func TestThePaceIsThatOfTheQuickest(t *testing.T) {
	var p Pace
	for range 3 {
		p.answered(2 * time.Second)
		p.opened(2 * time.Second)
	}
	if a, o := p.signalTimeout(), p.openTimeout(); a != SignalTimeout || o != OpenTimeout {
		t.Errorf("after three slow negotiations the time-outs are %v and %v, want %v and %v: that may be chance", a, o, SignalTimeout, OpenTimeout)
	}
	p.answered(2 * time.Second)
	p.opened(time.Hour)
	if a, o := p.signalTimeout(), p.openTimeout(); a != 4*time.Second || o != 4*time.Second {
		t.Errorf("after four slow negotiations the time-outs are %v and %v, want 4 s", a, o)
	}
	for range 4 {
		p.answered(time.Hour)
	}
	if a := p.signalTimeout(); a != paceMost {
		t.Errorf("those who answer after an hour make us wait %v, want %v", a, paceMost)
	}
	p.answered(time.Millisecond)
	p.opened(time.Millisecond)
	if a, o := p.signalTimeout(), p.openTimeout(); a != SignalTimeout || o != OpenTimeout {
		t.Errorf("after a quick negotiation the time-outs are %v and %v, want %v and %v", a, o, SignalTimeout, OpenTimeout)
	}
}

// Where every answer takes two seconds the first pairs begin attempts beside each other, and later ones do not.
func TestPairsLearnFromEachOther(t *testing.T) {
	var pace Pace
	for pair := range 8 {
		m := New(Config{Self: wire.PeerID{1}, Remote: wire.PeerID{2}, NewID: uuid.New, Pace: &pace})
		now := time.Unix(1e9, 0)
		began := now
		var first uuid.UUID
		offers := 0
		in := Input(Want{Eager: true})
		for {
			var out Output
			m.Step(now, in, &out)
			for _, a := range out.Actions {
				if o, ok := a.(Offer); ok {
					if offers++; offers == 1 {
						first = o.Session
					}
					m.Step(now, Described{Session: o.Session}, &out)
				}
			}
			if out.Wake.IsZero() || out.Wake.Sub(began) > 2*time.Second {
				break
			}
			now, in = out.Wake, Tick{}
		}
		var out Output
		m.Step(began.Add(2*time.Second), Remote{Message{Kind: KindAnswer, Session: first}}, &out)
		m.Step(began.Add(2*time.Second), Opened{first}, &out)
		if _, up := m.Link(); !up {
			t.Fatalf("pair %d has no link", pair)
		}
		if beside := offers > 1; beside != (pair < len(pace.answers.times)) {
			t.Errorf("pair %d made %d offers, want several of the first %d pairs, and one of the others", pair, offers, len(pace.answers.times))
		}
	}
}

// A machine that stood still while it made a description does not wait for a multiple of that.
func TestOneSlowDescriptionIsNotWaitedForLong(t *testing.T) {
	m := New(Config{Self: wire.PeerID{1}, Remote: wire.PeerID{2}, NewID: uuid.New})
	now := time.Unix(1e9, 0)
	var out Output
	m.Step(now, Want{Eager: true}, &out)
	now = now.Add(AttemptLife - time.Second)
	m.Step(now, Described{Session: out.Actions[0].(Offer).Session}, &out)
	m.Step(now.Add(time.Second), Tick{}, &out) // its life is over
	if wait, want := out.Wake.Sub(now), SignalTimeout+paceMost; wait != want {
		t.Errorf("the next attempt is %v after the description, want %v", wait, want)
	}
}
