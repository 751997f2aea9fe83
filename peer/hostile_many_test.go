//go:build !race

package peer

import (
	"testing"
	"time"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// Four villains, each with a vice of its own, while a room that was in two parts becomes one again.
func TestHostileVillainsWhileARoomHeals(t *testing.T) {
	t.Parallel()
	w := honestRoom(50, crowd)
	var hoarder, liar, forger, flooder *simPeer
	hoarder = w.villain("hoarder", w.hoards(func() *simPeer { return hoarder }))
	liar, forger, flooder = w.villain("liar", nil), w.villain("forger", nil), w.villain("flooder", nil)
	w.run(20 * time.Second)
	apart := func(yes bool) {
		for i := range crowd / 2 {
			for j := crowd / 2; j < crowd; j++ {
				w.cutLink(i, j, yes)
			}
		}
	}
	n := uint64(0)
	w.every(500*time.Millisecond, 2*siege, func() {
		n++
		f := wire.Have{Room: general}
		for i := range 64 {
			f.Heads = append(f.Heads, wire.Head{Author: wire.PeerID{byte(n >> 8), byte(n), byte(i), 2}, Seq: 3})
		}
		liar.injectAll(f)
		lie := forger.signed(1000+n, 1, nil)
		lie[0].Author, lie[0].Name = w.peers[int(n)%crowd].id, w.peers[int(n)%crowd].name
		forger.injectAll(liveFrame(lie...))
		for range 2000 {
			flooder.injectAll(wire.Prune{Room: general, Authors: []wire.PeerID{w.peers[0].id}})
		}
	})
	apart(true)
	w.chat(200*time.Millisecond, siege*2/3, 5*time.Second)
	apart(false)
	w.run(siege * 2 / 3)
	w.forgetLate()
	w.chat(200*time.Millisecond, siege/3, 20*time.Second)
	wantTalk(t, w, time.Minute) // what was said in the other part comes late
	w.wantTold(t, "forged", forger, 2)
	w.wantTold(t, "flood", flooder, 2)
	w.wantTold(t, "claims", liar, 2)
}

// A tracker that is a member, and means ill, passes on no offer, tells newcomers of its friends alone, and says that
// all others have left. Whoever is linked stays so, and talks on; the room goes on making links by itself.
func TestHostileTrackersHost(t *testing.T) {
	t.Parallel()
	w := newWorld(51, crowd, general)
	w.hosts = true
	w.setTracker(false)
	w.run(time.Minute)
	var host *simPeer
	for _, p := range w.peers {
		if p.own.up {
			host = p
		}
	}
	if host == nil {
		t.Fatal("nobody is the tracker")
	}
	host.evil = true
	host.meddle = w.hoards(func() *simPeer { return host })
	for _, p := range w.honest() {
		for _, other := range w.honest() {
			if other != p {
				p.hear(20, signaling.MemberLeft{Room: general, Peer: other.id, Count: 2})
			}
		}
	}
	w.run(30 * time.Second)
	w.forgetLate()
	w.chat(200*time.Millisecond, 20*time.Second, 20*time.Second)
	wantTalk(t, w, surrounded)
	w.wantLinked(t, 2)
	for _, p := range w.honest() {
		if n := len(p.core.roster.members(general)); n != crowd-1 {
			t.Errorf("%s knows of %d others, want %d, whatever the tracker says", p.name, n, crowd-1)
		}
	}
	for _, p := range w.honest()[:2] { // links have to be made anew, without the tracker's help
		p.kill()
	}
	w.run(time.Minute)
	w.forgetLate()
	w.chat(200*time.Millisecond, 20*time.Second, 20*time.Second)
	wantTalk(t, w, surrounded)
	w.wantLinked(t, 2)
}

// Digests of as many logs as fit, for as many authors as can be thought of, from several neighbours: what is kept of
// them is bounded, and an author who was silent until then is heard by who comes later.
func TestHostileHugeDigests(t *testing.T) {
	w := honestRoom(52, crowd)
	quiet := w.peers[3]
	quiet.say(general, "the only line that I ever say")
	w.run(5 * time.Second)
	var evil []*simPeer
	for i := range 4 {
		evil = append(evil, w.villain([]string{"a", "b", "c", "d"}[i], nil))
	}
	w.run(20 * time.Second)
	before := heapInUse()
	newcomer := w.addPeer()
	newcomer.start(general)
	n := 0
	w.every(250*time.Millisecond, siege, func() {
		for _, v := range evil {
			v.core.needlessly(w.now, newcomer.id)
			n++
			f := wire.Digest{Room: general}
			for i := range wire.MaxHeads {
				f.Heads = append(f.Heads, wire.Head{Author: wire.PeerID{byte(n >> 8), byte(n), byte(i >> 8), byte(i), 3}, Seq: 1 << 50})
			}
			v.injectAll(f)
		}
	})
	w.run(5 * time.Second)
	w.forgetLate()
	w.chat(200*time.Millisecond, siege-10*time.Second, 20*time.Second)
	grown := (heapInUse() - before) >> 20
	t.Logf("the heap of %d peers grew by %d MiB", len(w.peers), grown)
	if grown > 16*int64(len(w.peers)) {
		t.Errorf("the heap of %d peers grew by %d MiB, want 16 each at most", len(w.peers), grown)
	}
	wantTalk(t, w, time.Minute)
	w.wantTold(t, "claims", nil, 4)
}
