//go:build !race

package peer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// Links that are begun by many names, and never used, leave room for an honest newcomer.
func TestHostileHalfOpenLinksLeaveRoomForANewcomer(t *testing.T) {
	t.Parallel()
	w := honestRoom(40, crowd)
	n := 0
	w.every(50*time.Millisecond, 80*time.Second, func() {
		for _, p := range w.honest() {
			n++
			s := newStranger(5000 + n%200)
			p.step(s.offer(p, uuid.UUID{byte(n), byte(n >> 8), byte(n >> 16), 9}))
		}
	})
	w.run(20 * time.Second)
	w.wantWayIn(t, 40*time.Second)
	w.forgetLate()
	w.chat(100*time.Millisecond, 10*time.Second, 10*time.Second)
	wantTalk(t, w, soon)
	for _, p := range w.honest() {
		t.Logf("%s: %d links, %d with honest; %v", p.name, len(p.core.links), p.honestLinks(), p.core.counters["links.refused"])
	}
}

// A crowd in voice, most of it invented, takes not all links of who is in voice with it.
func TestHostileCrowdInVoiceLeavesLinksForTheRoom(t *testing.T) {
	w := honestRoom(41, crowd)
	p := w.peers[0]
	p.step(JoinVoice{Room: general})
	for i := range 200 {
		s := newStranger(7000 + i)
		p.step(signaling.MemberJoined{Room: general, Member: signaling.Member{Peer: s.id, Name: fmt.Sprint("x", i)}, Count: 20})
		p.core.roster.people[s.id].rumoredVoice = wire.Voice{Room: general}
		var out CoreOutput
		p.core.hearVoice(w.now, s.id, &out)
		p.carryOut(&out)
	}
	w.run(time.Second)
	if n := len(p.core.links); n > MaxLinks-8 {
		t.Errorf("a crowd in voice took %d of %d links", n, MaxLinks)
	}
}

// What others say about who holds a line counts for that line at most, and not for those who say it themselves.
func TestHostileLiesAboutWhoHoldsALine(t *testing.T) {
	w, v := attacked(t, 42, nil)
	p := w.peers[0]
	lie := wire.Holders{Room: general, Author: p.id}
	for _, o := range w.honest()[1:] {
		lie.Holders = append(lie.Holders, wire.Holder{Peer: o.id, Seq: wire.MaxCounter})
	}
	slices.SortFunc(lie.Holders, func(a, b wire.Holder) int { return comparePeers(a.Peer, b.Peer) })
	for range 100 {
		v.inject(p, lie)
		w.run(100 * time.Millisecond)
	}
	v.meddle = w.hoards(func() *simPeer { return v })
	for _, o := range w.honest()[1:] { // nobody gets anything of p any more
		w.cutLink(p.n, o.n, true)
	}
	p.say(general, "does anybody have this?")
	w.run(time.Second)
	for _, ev := range p.events {
		if d, ok := ev.(Delivered); ok && d.Peers > 1 {
			t.Fatalf("a line that nobody can have is told to be held by %d of %d", d.Peers, d.Of)
		}
	}
}
