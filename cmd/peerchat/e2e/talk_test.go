//go:build linux

package e2e

import (
	"fmt"
	"syscall"
	"testing"

	"peerchat/cmd/peerchat/e2e/lab"
)

// crowd starts n peers and awaits that each is linked to all others.
func (w *world) crowd(n int) []*peer {
	w.t.Helper()
	var peers []*peer
	for i := range n {
		peers = append(peers, w.join(fmt.Sprintf("p%d", i)))
	}
	w.wantMesh(peers...)
	return peers
}

// wantMesh awaits that each of the peers is ready and linked to all others.
func (w *world) wantMesh(peers ...*peer) {
	w.t.Helper()
	for _, p := range peers {
		p.ready()
	}
	for _, p := range peers {
		if others := len(peers) - 1; others <= 5 {
			p.want(fmt.Sprintf("%s is linked to the %d others", p.Name, others), linked(others))
		} else { // a larger room needs fewer links
			p.want(fmt.Sprintf("%s knows of the %d others", p.Name, others), counts(len(peers)))
			p.want(p.Name+" is linked to some of them", linked(3))
		}
	}
}

// Ten peers say a hundred lines each, all at once. Then one is stopped in mid-talk and another is killed: the others
// miss nothing of each other, and the stopped one gets everything when it goes on.
func TestTenPeersTalk(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it starts ten processes")
	}
	w := newWorld(t)
	w.tracker()
	peers := w.crowd(10)

	first := newTalk("first")
	first.say(100, peers...)
	first.want("every line is everywhere exactly once, in order per author", peers...)

	stopped, killed, living := peers[8], peers[9], peers[:8]
	second := newTalk("second")
	second.say(50, living...)
	last := newTalk("last") // what the killed one says is owed to nobody in full, but in order and once
	last.say(25, killed)
	stopped.signal(syscall.SIGSTOP)
	killed.signal(syscall.SIGKILL)
	second.say(50, living...)
	second.want("a stopped and a killed peer take nothing from the others", living...)
	for _, p := range living {
		p.want(p.Name+" learns that the killed peer left", member("general", killed.Name, "left"))
	}

	stopped.signal(syscall.SIGCONT)
	second.want("the stopped peer gets everything once it goes on", append(living[:8:8], stopped)...)
	second.say(10, stopped)
	second.want("what the stopped peer says afterwards is everywhere", append(living[:8:8], stopped)...)
	for _, p := range append(living[:8:8], stopped) {
		book := last.ledger()
		for _, e := range p.Lines() {
			book.take(e)
		}
		if book.fault != "" {
			t.Errorf("what %s saw of the killed peer: %s", p.Name, book.fault)
		}
	}
}

// The tracker dies and comes back at the same port: nobody who talks notices more than a word about it.
func TestTrackerDiesAndComesBack(t *testing.T) {
	w := newWorld(t)
	tracker := w.tracker()
	peers := w.crowd(3)
	chat := newTalk("chat")
	chat.say(10, peers...)
	chat.want("the chat goes with a tracker", peers...)

	tracker.signal(syscall.SIGKILL)
	for _, p := range peers {
		p.want(p.Name+" is told that the tracker is lost", trackerGone)
	}
	chat.say(10, peers...)
	chat.want("the chat goes on without that tracker", peers...)

	marks := map[*peer]int{}
	for _, p := range peers {
		marks[p] = p.Mark()
	}
	tracker.again().wantHealthy(w.net, address)
	for _, p := range peers {
		p.wantFrom(marks[p], p.Name+" is connected to the tracker again", trackerIs("connected"))
	}
	newcomer := w.join("newcomer")
	everybody := append(peers[:3:3], newcomer)
	w.wantMesh(everybody...)
	chat.say(10, everybody...)
	chat.want("a newcomer talks with the others, and was told what came before", everybody...)
}

// All packets of the links are lost for longer than a link lives: what is said meanwhile arrives when they come
// through again.
func TestLinksAreCutAndHeal(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for links to time out")
	}
	w := newWorld(t)
	w.tracker()
	peers := w.crowd(3)
	chat := newTalk("chat")
	chat.say(5, peers...)
	chat.want("the chat goes before the cut", peers...)

	if err := w.net.Drop(100, "meta l4proto udp"); err != nil {
		t.Fatal(err)
	}
	chat.say(5, peers...)
	for _, p := range peers {
		down := map[string]bool{}
		p.want(p.Name+" sees its links go down", func(e lab.Event) bool {
			if e.Type == "link" && e.State == "down" {
				down[e.Peer] = true
			}
			return len(down) == 2
		})
	}
	chat.say(5, peers...)
	if err := w.net.Heal(); err != nil {
		t.Fatal(err)
	}
	chat.want("what was said during the cut arrives after it, once and in order", peers...)
}

// A fifth of all packets is lost, those to the tracker too: a room still forms, and nothing that is said gets lost.
func TestTalkUnderLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: chance decides how long it takes")
	}
	w := newWorld(t)
	w.tracker()
	if err := w.net.Drop(20, ""); err != nil {
		t.Fatal(err)
	}
	peers := w.crowd(4)
	chat := newTalk("chat")
	chat.say(25, peers...)
	chat.want("nothing is lost for good when a fifth of the packets is", peers...)
}
