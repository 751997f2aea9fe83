//go:build linux

package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// Where no tracker answers, the first peer becomes one, and the next ones find it.
func TestFirstPeerHosts(t *testing.T) {
	w := newWorld(t)
	a := w.join("a")
	a.want("a hosts the tracker, because nobody does", trackerIs("hosting"))
	a.ready()
	b := w.join("b", "--no-host")
	b.want("b is connected to a's tracker", trackerIs("connected"))
	w.wantMesh(a, b)
	chat := newTalk("chat")
	chat.say(3, a, b)
	chat.want("a and b talk", a, b)
}

// A peer finds the hosted tracker at its default place, 127.0.0.1:5000, without being told any.
func TestTrackerAtTheDefaultAddress(t *testing.T) {
	w := newWorld(t)
	a := w.start(w.net, "a", nil, "join", "--json", "--username", "a", "--listen", "127.0.0.1:5000")
	a.want("a hosts the tracker", trackerIs("hosting"))
	b := w.start(w.net, "b", nil, "join", "--json", "--username", "b", "--no-host")
	w.wantMesh(a, b)
	b.say("found you")
	a.wantLine("a sees the line of b", "found you")
}

// Five peers start at once where nobody hosts. They end up at one tracker.
func TestRacingStartsEndWithOneTracker(t *testing.T) {
	w := newWorld(t)
	var peers []*peer
	for i := range 5 {
		peers = append(peers, w.join(fmt.Sprintf("p%d", i)))
	}
	w.wantMesh(peers...)
	chat := newTalk("chat")
	chat.say(3, peers...)
	chat.want("all five talk with each other", peers...)
	// One who lost the race may have hosted for a moment; where everybody stands in the end counts.
	w.poll("exactly one of the five hosts the tracker, and the others are connected to it", patience, func() error {
		hosts := 0
		states := ""
		for _, p := range peers {
			state := ""
			for _, e := range p.Lines() {
				if e.Type == "tracker" {
					state = e.State
				}
			}
			if state == "hosting" {
				hosts++
			} else if state != "connected" {
				hosts = -99
			}
			states += p.Name + " " + state + ", "
		}
		if hosts != 1 {
			return fmt.Errorf("the last states: %s", states)
		}
		return nil
	})
}

// A member that hosts leaves: the others are told that the tracker is lost and go on talking.
func TestHostLeaves(t *testing.T) {
	w := newWorld(t)
	a := w.join("a").ready()
	b, c := w.join("b", "--no-host"), w.join("c", "--no-host")
	w.wantMesh(a, b, c)
	a.say("/quit")
	a.wantExit("/quit ends the peer that hosts", 0, patience)
	for _, p := range []*peer{b, c} {
		p.want(p.Name+" sees that a left", member("general", "a", "left"))
	}
	chat := newTalk("chat")
	chat.say(5, b, c)
	chat.want("the others go on without a tracker", b, c)
}

// SIGTERM ends a tracker in under a second, and its clients are told rather than left to find out.
func TestTrackerStopsQuickly(t *testing.T) {
	quick(t, "the tracker ends, and its clients are told so at once", 2*time.Second, func(int) time.Duration {
		w := newWorld(t)
		tracker := w.tracker()
		a, b := w.join("a", "--no-host"), w.join("b", "--no-host")
		w.wantMesh(a, b)
		start := time.Now()
		tracker.signal(syscall.SIGTERM)
		tracker.wantExit("the tracker ends on SIGTERM", 0, patience)
		took := time.Since(start)
		for _, p := range []*peer{a, b} {
			lost := p.want(p.Name+" is told that the tracker went", trackerIs("lost"))
			took = max(took, lost.At.Sub(start))
		}
		return took
	})
}

// Two machines on one LAN: the second finds the tracker that the first hosts by multicast DNS, and nothing else.
func TestLANDiscovery(t *testing.T) {
	w := newWorld(t)
	other := w.network()
	if err := lab.Wire(w.net, other, "10.66.0.1/24", "10.66.0.2/24"); err != nil {
		t.Fatal(err)
	}
	lan := []string{"PEERCHAT_LAN=on", "PEERCHAT_INTERFACE="}
	a := w.start(w.net, "a", lan, "join", "--json", "--username", "a")
	a.want("a hosts the tracker", trackerIs("hosting"))
	b := w.start(other, "b", lan, "join", "--json", "--username", "b", "--no-host")
	found := b.want("b finds a's tracker on the LAN", trackerIs("connected"))
	if want := "ws://10.66.0.1:5000"; len(found.URL) < len(want) || found.URL[:len(want)] != want {
		t.Errorf("b is connected to %q, want a's address %s", found.URL, want)
	}
	w.wantMesh(a, b)
	chat := newTalk("chat")
	chat.say(5, a, b)
	chat.want("a and b talk from machine to machine", a, b)
	up := b.want("b's link to a", link("a", "up"))
	if up.Path != "host" {
		t.Errorf("the path between two machines of a LAN is %q, want host", up.Path)
	}
}
