package peer

import (
	"slices"
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

// Whose fault the end of a link is, and for how long there is none, is told each time, on both sides: what was done is
// told as a complaint only once in a while.
func TestWhoEndedALinkAndWhyIsToldOnBothSides(t *testing.T) {
	w := newWorld(62, 2, general)
	w.run(3 * time.Second)
	ann, bob := w.peers[0], w.peers[1]
	reasons := func(p *simPeer) (list []string) {
		for _, ev := range p.events {
			if l, ok := ev.(LinkChanged); ok && !l.Up {
				list = append(list, l.Reason)
			}
		}
		return list
	}
	for range 2 {
		ann.step(Received{Session: ann.core.links[bob.id].session, Data: []byte("nonsense")})
		w.run(time.Minute)
	}
	if got, want := reasons(ann), []string{"it sent what cannot be read; none for 2s", "it sent what cannot be read; none for 4s"}; !slices.Equal(got, want) {
		t.Errorf("who got nonsense is told that the links ended for %q: want %q", got, want)
	}
	// The end of a session may overtake the word of why, but does not when nothing else is on the way.
	if got, want := reasons(bob), "the other side ended it (protocol)"; len(got) == 0 || got[0] != want {
		t.Errorf("who sent it is told that the links ended for %q: want %q first", got, want)
	}
}

// Complaints about what has one's own name on it say so.
func TestComplaintsAboutOneselfSayYou(t *testing.T) {
	w := newWorld(63, 2, general)
	w.run(3 * time.Second)
	p, mallory := w.peers[0], w.peers[1]
	for code, want := range map[string]string{"forged": "what you never signed", "equivocation": "two different lines of yours", "clock": p.name + "#" + p.id.Tag()} {
		text := p.core.sentence(misdeed{peer: mallory.id, about: p.id, room: general, code: code, text: "its clock is off"})
		if !strings.Contains(text, want) {
			t.Errorf("of %q with the own name on it one is told %q: want %q in it", code, text, want)
		}
	}
}
