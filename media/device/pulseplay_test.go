package device

import (
	"testing"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"peerchat/media"
)

func TestTheServerHoldsMoreAfterAGapAndLessWhenItIsCalm(t *testing.T) {
	f := newFill()
	now := time.Unix(1000, 0)
	want := func(what string, periods int) {
		t.Helper()
		if f.target != periods*pulsePeriod {
			t.Errorf("%s: %d periods, want %d", what, f.target/pulsePeriod, periods)
		}
	}
	after := func(d time.Duration) time.Time { now = now.Add(d); return now }
	f.played(after(time.Hour))
	want("to begin with", pulseLeast)
	f.gap(after(time.Second))
	f.gap(after(time.Second))
	want("after two gaps", pulseLeast+2)
	f.played(after(pulseCalm - time.Millisecond))
	want("before it is calm", pulseLeast+2)
	f.played(after(time.Millisecond))
	want("when it is calm", pulseLeast+1)
	f.gap(after(time.Second))
	want("after a gap because of that", pulseLeast+2)
	f.played(after(pulseCalm))
	want("after as long a calm", pulseLeast+2)
	f.played(after(pulseCalm))
	want("after twice the calm", pulseLeast+1)
	for range 100 {
		f.gap(after(time.Second))
	}
	want("after many gaps", pulseMost)
	for range 100 {
		f.played(after(pulseWary))
	}
	want("at the end", pulseLeast)
}

func TestTheRoomOfASpeakerIsWhatLacksToWhatTheServerIsToHold(t *testing.T) {
	s := &pulseSink{wake: make(chan struct{}, 1), done: make(chan struct{}), limit: pulseMost * pulsePeriod, asked: pulseMost * pulsePeriod, fill: newFill()}
	want := func(what string, periods int) {
		t.Helper()
		if got := s.Room(); got != periods*pulsePeriod {
			t.Errorf("%s: room for %d samples, want %d periods", what, got, periods)
		}
	}
	s.err = media.ErrClosed // nothing is written in this test
	want("at first", pulseLeast)
	s.Write(make([]int16, pulseLeast*pulsePeriod))
	want("when it is full", 0)
	s.on(&proto.Request{Length: 2 * pulsePeriod})
	want("when a period was played", 1)
	s.on(&proto.Request{Length: 2 * pulsePeriod})
	s.on(&proto.Underflow{})
	want("when it has run dry", pulseLeast+1)
	s.Write(make([]int16, 2*pulsePeriod))
	s.on(&proto.Request{Length: 1 << 20})
	want("when it asks for more than there is", pulseLeast+1)
	if s.Underruns() != 1 {
		t.Errorf("%d underruns were counted, not 1", s.Underruns())
	}
}
