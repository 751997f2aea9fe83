//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// A frozen peer takes nothing from the others, however much is said: no queue towards it grows until somebody falls
// over it.
func TestFrozenPeerUnderMuchTalk(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it moves 30 MB")
	}
	w := newWorld(t)
	w.tracker()
	a, b, c := w.join("a"), w.join("b"), w.join("c")
	w.wantMesh(a, b, c)
	c.signal(syscall.SIGSTOP)
	chat := newTalk("chat")
	filler := strings.Repeat("much text ", 5000)
	for i := range 20 {
		for range 10 {
			a.say(filler)
		}
		chat.say(1, a, b)
		mark := fmt.Sprintf("part %d", i)
		a.say(mark)
		b.wantLine("b gets everything while c is frozen", mark)
	}
	chat.want("a and b talk on while c is frozen", a, b)
	c.signal(syscall.SIGCONT)
	chat.want("c gets all of it when it goes on", a, b, c)
	n := 0
	for _, e := range c.Lines() {
		if e.Type == "message" && e.Text == filler {
			n++
		}
	}
	if n != 200 {
		t.Errorf("c got %d of the 200 long lines that were said while it was frozen", n)
	}
}

// A flood of lines from one peer arrives whole, in order, at two others.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it is long")
	}
	w := newWorld(t)
	w.tracker()
	peers := w.crowd(3)
	chat := newTalk("flood")
	chat.say(5000, peers[0])
	chat.want("a flood of 5,000 lines arrives whole", peers...)
}

// With --no-host and no tracker a peer waits; when one comes up it is found.
func TestTrackerComesLater(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", "--no-host"), w.join("b", "--no-host")
	for _, p := range []*peer{a, b} {
		p.want(p.Name+" says what it tries", trackerIs("searching"))
		p.wantNothing(p.Name+" must not be ready without a tracker", ofType("ready"))
	}
	w.tracker()
	w.wantMesh(a, b)
	a.say("at last")
	b.wantLine("b sees the line of a", "at last")
}

// Without a tracker, the links still carry the news of who leaves, who changes a name, and who enters a room.
func TestMembersWithoutTracker(t *testing.T) {
	w := newWorld(t)
	tracker := w.tracker()
	a, b, c := w.join("p0", "--no-host"), w.join("p1", "--no-host"), w.join("p2", "--no-host")
	peers := []*peer{a, b, c}
	w.wantMesh(peers...)
	tracker.signal(syscall.SIGKILL)
	for _, p := range peers {
		p.want(p.Name+" is told that the tracker is lost", trackerIs("lost"))
	}
	c.say("/nick carol")
	for _, p := range []*peer{a, b} {
		p.want(p.Name+" sees the new name of c", member("general", "carol", "renamed"))
	}
	a.say("/join dev")
	b.say("/join dev")
	a.want("a sees b enter dev", member("dev", b.Name, "joined"))
	a.say("a word in dev")
	e := b.wantLine("b sees the line in dev", "a word in dev")
	if plainRoom(e.Room) != "dev" {
		t.Errorf("b sees the line in %q, want dev", e.Room)
	}
	start := time.Now()
	c.say("/quit")
	for _, p := range []*peer{a, b} {
		left := p.want(p.Name+" is told that c left", member("general", "carol", "left"))
		if d := left.At.Sub(start); d > 2*time.Second {
			t.Errorf("%s learned after %v that c left, want at once", p.Name, d)
		}
	}
}

// A peer without a network for a while comes back by itself: to the tracker, and to the others.
func TestPeerLosesEverything(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for connections to time out")
	}
	w := newWorld(t)
	other := w.network()
	if err := lab.Wire(w.net, other, "10.66.0.1/24", "10.66.0.2/24"); err != nil {
		t.Fatal(err)
	}
	n := []string{"PEERCHAT_INTERFACE=eth"}
	tracker := w.start(w.net, "tracker", nil, "tracker", "--listen", "10.66.0.1:5000")
	tracker.wantHealthy(w.net, "10.66.0.1:5000")
	args := func(name string) []string {
		return []string{"join", "--json", "--username", name, "--tracker", "10.66.0.1", "--no-host"}
	}
	a := w.start(w.net, "a", n, args("a")...)
	b := w.start(other, "b", n, args("b")...)
	w.wantMesh(a, b)
	if err := other.Drop(100, "meta iifname eth"); err != nil {
		t.Fatal(err)
	}
	chat := newTalk("chat")
	chat.say(5, a, b)
	b.want("b notices that the tracker does not answer", trackerIs("lost"))
	b.want("b notices that a does not answer", link("a", "down"))
	a.want("a is told that b is gone", member("general", "b", "left"))
	chat.say(5, a, b)
	mark := b.Mark()
	if err := other.Heal(); err != nil {
		t.Fatal(err)
	}
	b.wantFrom(mark, "b is connected to the tracker again", trackerIs("connected"))
	chat.want("what was said meanwhile on both sides arrives", a, b)
}
