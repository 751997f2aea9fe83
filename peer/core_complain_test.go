package peer

import (
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// What one neighbour sends of many who may be invented does not hide what others do, nor what is done later.
func TestComplaintsLeaveRoomForOthers(t *testing.T) {
	w := newWorld(60, 3, general)
	w.run(5 * time.Second)
	p, mallory, bob := w.peers[0], w.peers[1], w.peers[2]
	invented := func(i int) wire.PeerID { return wire.PeerID{0xEE, byte(i >> 8), byte(i)} }
	blame := func(by, about wire.PeerID) []Event {
		var out CoreOutput
		p.core.misbehaved(w.now, misdeed{peer: by, about: about, room: general, code: "equivocation"}, &out)
		return out.Events
	}
	told := 0
	for i := range 1000 {
		told += len(blame(mallory.id, invented(i)))
	}
	if told < 1 || told > complaintsCaused.burst {
		t.Errorf("of a thousand who are invented, all by one neighbour, %d are told: want 1 to %d", told, complaintsCaused.burst)
	}
	if n := len(p.core.conduct); n > 100 {
		t.Errorf("the conduct of %d is remembered because of them", n)
	}
	carol := invented(5000)
	if got := blame(bob.id, carol); len(got) != 1 || !strings.Contains(got[0].(Failure).Text, "(and 995 more of this kind before)") {
		t.Errorf("then what another neighbour brings is told as %+v, want it told, and how many were not", got)
	}
	if got := blame(bob.id, carol); len(got) != 0 {
		t.Errorf("a moment later it is told again: %+v", got)
	}
	if got := blame(bob.id, bob.id); len(got) != 1 {
		t.Errorf("what the other neighbour does itself is told as %+v", got)
	}
	// Who was not told of then is told of when there is room again.
	w.now = w.now.Add(3 * time.Minute)
	if got := blame(mallory.id, invented(999)); len(got) != 1 {
		t.Errorf("three minutes later one of those who were not told of is told as %+v", got)
	}
	// Nor does it hide what is forged by those without a link, and all of them together tell no more than can be read.
	told = 0
	for i := range 1000 {
		var out CoreOutput
		p.core.complain(w.now, wire.PeerID{}, wire.PeerID{}, Failure{Code: "equivocation", Text: "by nobody"}, &out)
		told += len(out.Events) + len(blame(invented(i), invented(i)))
	}
	if most := 2 * complaintsShown.burst; told < 2 || told > most {
		t.Errorf("of two thousand by a thousand who come one after the other %d are told: want 2 to %d", told, most)
	}
}

// What goes wrong with this peer's own disk is told once a minute, whatever a neighbour sends.
func TestComplaintsOfOwn(t *testing.T) {
	w := newWorld(61, 2, general)
	w.run(5 * time.Second)
	p, mallory := w.peers[0], w.peers[1]
	told := 0
	for range 300 {
		var out CoreOutput
		p.core.misbehaved(w.now, misdeed{peer: p.id, room: general, code: "log", text: "the disk is full"}, &out)
		told += len(out.Events)
		p.core.misbehaved(w.now, misdeed{peer: mallory.id, about: mallory.id, room: general, code: "log", text: "what?"}, &CoreOutput{})
		w.now = w.now.Add(time.Second)
	}
	if told != 5 {
		t.Errorf("in five minutes it is told %d times that the own disk is full, want 5", told)
	}
}
