//go:build !race

package peer

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/negotiate"
	"peerchat/peer/wire"
	"peerchat/signaling"
)

// stranger is an identity without a Core behind it, which says to a simPeer whatever a test wants.
type stranger struct {
	key      ed25519.PrivateKey
	id       wire.PeerID
	instance uuid.UUID
}

func newStranger(n int) stranger {
	key := ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%032d", 1000+n)))
	return stranger{key, wire.IDOf(key), uuid.UUID{1}}
}

// offer is an offer of s for p, as the tracker relays it.
func (s stranger) offer(p *simPeer, session uuid.UUID) signaling.Signaled {
	m := negotiate.Message{Kind: negotiate.KindOffer, Session: session, Instance: s.instance, SDP: "offer", Fingerprint: fingerprint(p)}
	m.Sign(s.key, p.id)
	data, err := m.Append(nil)
	if err != nil {
		panic(err)
	}
	return signaling.Signaled{From: s.id, Name: "stranger", Data: data}
}

func (s stranger) hello(session uuid.UUID, rooms ...wire.Room) Received {
	return encoded(session, wire.Hello{Version: wire.Version, Peer: s.id, Session: session,
		Presence: wire.Presence{Seq: 1, Name: "stranger", Rooms: rooms}})
}

func encoded(session uuid.UUID, f wire.Frame) Received {
	data, err := wire.AppendFrame(nil, f)
	if err != nil {
		panic(err)
	}
	return Received{Session: session, Data: data}
}

// connect brings up a link of s with p.
func (s stranger) connect(p *simPeer, session uuid.UUID, rooms ...wire.Room) {
	p.step(s.offer(p, session))
	p.step(Described{Session: session, Description: Description{SDP: "answer", Fingerprint: fingerprint(p)}})
	p.step(Opened{Session: session})
	p.step(s.hello(session, rooms...))
}

// told counts the events of p, since the first so many, for which f holds.
func (p *simPeer) told(since int, f func(Event) bool) int {
	n := 0
	for _, ev := range p.events[since:] {
		if f(ev) {
			n++
		}
	}
	return n
}

func isFailure(ev Event) bool { _, ok := ev.(Failure); return ok }

func isComing(ev Event) bool {
	switch ev.(type) {
	case MemberJoined, MemberLeft, MemberRenamed, LinkChanged:
		return true
	}
	return false
}

func TestAnOfferWithTheSessionOfAnotherTakesNothingOver(t *testing.T) {
	w := newWorld(1, 2, general)
	w.run(3 * time.Second)
	p := w.peers[0]
	victim := p.core.links[w.peers[1].id].session
	p.step(newStranger(1).offer(p, victim)) // the tracker knows it, and may tell it to a friend
	if got := p.core.sessions[victim].peer; got != w.peers[1].id {
		t.Errorf("a stranger's offer took over the session of a link: it is %s's now", got.Tag())
	}
	w.peers[1].say(general, "am I heard?")
	w.run(2 * time.Second)
	wantSame(t, w, general, 1)
}

func TestAHelloOnASessionThatIsOverMakesNoGhost(t *testing.T) {
	w := newWorld(1, 1, general)
	w.run(time.Second)
	p, s := w.peers[0], newStranger(1)
	id := uuid.UUID{1}
	p.step(s.offer(p, id))
	p.step(Described{Session: id, Description: Description{SDP: "answer", Fingerprint: fingerprint(p)}})
	w.run(negotiate.AttemptLife + time.Second) // the pair gives it up; its transport has not yet told that it is closed
	p.step(Opened{Session: id})
	p.step(s.hello(id, general))
	p.step(Closed{Session: id})
	w.run(2 * strangerGrace)
	if n := len(p.core.roster.members(general)); n != 0 {
		t.Errorf("%d others are shown in the room: want nobody, for there never was a link", n)
	}
}

// TestManyRoomsAtOnceAreTold joins as many rooms as a script may, one command after the other.
func TestManyRoomsAtOnceAreTold(t *testing.T) {
	w := newWorld(1, 2, general)
	w.run(3 * time.Second)
	for i := range 50 {
		for _, p := range w.peers {
			p.step(JoinRoom{Room: wire.Room(fmt.Sprint("room", i))})
		}
	}
	w.run(time.Minute)
	for _, p := range w.peers {
		for i := range 50 {
			room := wire.Room(fmt.Sprint("room", i))
			p.say(room, "hello "+string(room))
		}
	}
	w.run(5 * time.Second)
	for i := range 50 {
		wantSame(t, w, wire.Room(fmt.Sprint("room", i)), 1)
	}
}

func TestANeighbourThatTalksNonsenseIsAvoidedMoreAndMore(t *testing.T) {
	w := newWorld(1, 2, general)
	w.run(time.Second)
	p, s := w.peers[0], newStranger(1)
	before, accepted := len(p.events), 0
	for i := range 3600 {
		id := uuid.UUID{byte(i), byte(i >> 8), 1}
		s.connect(p, id, general)
		if l := p.core.links[s.id]; l != nil && l.up {
			accepted++
			p.step(Received{Session: id, Data: []byte("nonsense")})
		}
		p.step(Closed{Session: id})
		w.run(time.Second)
	}
	if accepted < 2 || accepted > 20 {
		t.Errorf("in an hour a peer that sends nonsense was let in %d times: want a few times, fewer and fewer", accepted)
	}
	if n := p.told(before, isFailure); n < 1 || n > 20 {
		t.Errorf("%d failures were shown in an hour: want a few", n)
	}
	w.peers[1].say(general, "the others talk on")
	w.run(time.Second)
	wantSame(t, w, general, 1)
}

func TestWhoTalkedNonsenseOnceIsLetInAgain(t *testing.T) {
	w := newWorld(1, 2, general)
	w.run(3 * time.Second)
	p := w.peers[0]
	p.step(Received{Session: p.core.links[w.peers[1].id].session, Data: []byte("bad luck")})
	w.peers[1].say(general, "one")
	w.run(15 * time.Second)
	w.peers[1].say(general, "two")
	w.run(time.Second)
	wantSame(t, w, general, 1)
	if n := p.core.net().Linked; n != 1 {
		t.Error("after one bad frame the link does not come back")
	}
}

func TestFaultsAreShownAtARate(t *testing.T) {
	w := newWorld(1, 1, general)
	w.run(time.Second)
	p := w.peers[0]
	shown := func(d time.Duration) int {
		before := len(p.events)
		for i := range 1000 {
			bad := newStranger(i%50).offer(p, uuid.UUID{1})
			bad.From = newStranger(51).id
			p.step(bad)
			w.run(d / 1000)
		}
		return p.told(before, isFailure)
	}
	if n := shown(time.Second); n < 1 || n > 20 {
		t.Errorf("of 1,000 forged offers in a second %d were shown: want a few", n)
	}
	w.run(time.Hour)
	if n := shown(time.Second); n < 1 || n > 20 {
		t.Errorf("of 1,000 forged offers an hour later %d were shown: want a few again", n)
	}
}

func TestComingAndGoingIsShownAtARate(t *testing.T) {
	w := newWorld(1, 1, general)
	w.run(time.Second)
	p, s := w.peers[0], newStranger(1)
	before := len(p.events)
	for i := range 1000 {
		id := uuid.UUID{byte(i), byte(i >> 8), 1}
		s.connect(p, id, general)
		p.step(encoded(id, wire.Bye{Leaving: true, Reason: "back at once"}))
		p.step(Closed{Session: id})
		w.run(10 * time.Millisecond)
	}
	if n := p.told(before, isComing); n > 200 {
		t.Errorf("who comes and goes 100 times a second for 10 s made %d lines: want at most 200", n)
	}
	w.run(time.Minute)
	s.connect(p, uuid.UUID{5, 5, 5}, general)
	if l := p.core.links[s.id]; l == nil || !l.up {
		t.Error("who came and went too often is not let in a minute later")
	}
}

func TestWhatIsRememberedOfOthersIsBounded(t *testing.T) {
	w := newWorld(1, 1, general)
	w.run(time.Second)
	p := w.peers[0]
	for i := range 3000 {
		s, id := newStranger(i), uuid.UUID{byte(i), byte(i >> 8), 1}
		s.connect(p, id, general)
		p.step(encoded(id, wire.Have{Room: general, Heads: []wire.Head{{Author: p.id, Seq: 1}}}))
		if i == 0 {
			p.say(general, "something to acknowledge")
		}
		if i%2 == 0 {
			p.step(encoded(id, wire.Bye{Leaving: true}))
		} else {
			p.step(Received{Session: id, Data: []byte("nonsense")})
		}
		p.step(Closed{Session: id})
		w.run(100 * time.Millisecond)
	}
	c := p.core
	for what, n := range map[string]int{"people": len(c.roster.people), "links": len(c.links), "sessions": len(c.sessions),
		"holders": len(c.rooms[general].held), "records of conduct": len(c.conduct)} {
		if n > 1100 {
			t.Errorf("after 3,000 identities %d %s are remembered", n, what)
		}
	}
}

func TestARoomThatTheTrackerCallsFullGetsFewLinks(t *testing.T) {
	w := newWorld(1, 1, general)
	w.run(time.Second)
	p := w.peers[0]
	for i := range MaxLinks + 1 {
		p.step(signaling.MemberJoined{Room: general, Member: signaling.Member{Peer: newStranger(i).id, Name: "x"}, Count: i + 2})
	}
	if n := len(p.core.links); n > 12 {
		t.Errorf("of %d members that answer nothing %d are dialled at once, want a few", MaxLinks+1, n)
	}
	dialled := map[wire.PeerID]bool{}
	for range 60 {
		w.run(time.Second)
		for id := range p.core.links {
			dialled[id] = true
		}
	}
	if len(dialled) < 10 {
		t.Errorf("within a minute only %d of %d members that answer nothing were tried", len(dialled), MaxLinks+1)
	}
}

func TestARoomThatWasLeftIsForgotten(t *testing.T) {
	w := newWorld(1, 1, general, "other")
	w.run(time.Second)
	p, s := w.peers[0], newStranger(1)
	p.step(signaling.MemberJoined{Room: general, Member: signaling.Member{Peer: s.id, Name: "x"}, Count: 2})
	p.step(LeaveRoom{Room: general})
	before := len(p.events)
	p.step(JoinRoom{Room: general})
	for _, ev := range p.events[before:] {
		if j, ok := ev.(RoomJoined); ok && slices.ContainsFunc(j.Members, func(m Person) bool { return m.Peer == s.id }) {
			t.Error("the tracker's word from before the room was left is taken for true")
		}
	}
}

func TestATrackerCannotFloodTheScreenWithOnePeer(t *testing.T) {
	w := newWorld(1, 1, general)
	w.run(time.Second)
	p, s := w.peers[0], newStranger(1)
	before := len(p.events)
	for i := range 1000 {
		m := signaling.Member{Peer: s.id, Name: fmt.Sprint("x", i)}
		p.step(signaling.MemberJoined{Room: general, Member: m, Count: 2})
		p.step(signaling.MemberRenamed{Member: signaling.Member{Peer: s.id, Name: fmt.Sprint("y", i)}})
		p.step(signaling.MemberLeft{Room: general, Peer: s.id, Count: 1})
	}
	if n := p.told(before, isComing); n < 100 || n > 300 {
		t.Errorf("of one peer's 3,000 changes in a moment %d were shown: want 100 to 300", n)
	}
	s.connect(p, uuid.UUID{7}, general)
	if n := len(p.core.roster.members(general)); n != 1 {
		t.Errorf("its own word over a link does not count any more: %d links, %v", len(p.core.links), p.core.counters)
	}
}

// TestAListOfManyRoomsIsQuick has as many people and rooms as a hostile tracker and hostile neighbours can make up.
func TestAListOfManyRoomsIsQuick(t *testing.T) {
	w := newWorld(1, 1, general)
	w.run(time.Second)
	c := w.peers[0].core
	var events []Event
	for i := range maxPeople {
		m := signaling.Member{Peer: wire.PeerID{byte(i), byte(i >> 8), 1}, Name: "x"}
		c.roster.trackerJoined(w.now, general, m, func(wire.Room) bool { return false }, &events)
	}
	var rooms []signaling.Room
	for i := range 64 * wire.MaxRooms {
		rooms = append(rooms, signaling.Room{Room: wire.Room(fmt.Sprint("room", i)), Members: 1})
	}
	least := time.Hour
	for range 10 { // the machine may stand still meanwhile, but not each time
		began := time.Now()
		a := c.knownRooms(rooms)
		if len(a.Rooms) != len(rooms)+1 || a.Rooms[0].Members != maxPeople+1 {
			t.Fatalf("of %d rooms %d are listed, and #general has %d members", len(rooms)+1, len(a.Rooms), a.Rooms[0].Members)
		}
		if least = min(least, time.Since(began)); least < time.Second {
			return
		}
	}
	t.Errorf("a list of %d rooms takes %v at least", len(rooms), least)
}
