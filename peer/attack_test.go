package peer

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/negotiate"
	"peerchat/peer/wire"
	"peerchat/signaling"
)

// stranger is an identity without a Core behind it, which says to a simPeer whatever a test wants.
type stranger struct {
	key ed25519.PrivateKey
	id  wire.PeerID
}

func newStranger(n int) stranger {
	key := ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%032d", 1000+n)))
	return stranger{key, wire.IDOf(key)}
}

// offer is an offer of s for p, as the tracker relays it.
func (s stranger) offer(p *simPeer, session uuid.UUID) signaling.Signaled {
	m := negotiate.Message{Kind: negotiate.KindOffer, Session: session, SDP: "offer", Fingerprint: fingerprint(p)}
	m.Sign(s.key, p.id)
	data, err := m.Append(nil)
	if err != nil {
		panic(err)
	}
	return signaling.Signaled{From: s.id, Name: "stranger", Data: data}
}

func (s stranger) hello(session uuid.UUID, rooms ...wire.Room) Received {
	return encoded(session, wire.Hello{Version: wire.Version, Peer: s.id, Session: session,
		Presence: wire.Presence{Name: "stranger", Rooms: rooms}})
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
