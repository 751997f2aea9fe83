//go:build linux

package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// Several rooms at once: a line goes to its room's members and to nobody else, and leaving ends that.
func TestRooms(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a := w.join("a", "--room", "general", "--room", "dev")
	b := w.join("b", "--room", "general", "--room", "dev")
	c := w.join("c", "--room", "general")
	w.wantMesh(a, b, c)

	a.say("/join dev")
	a.say("for developers")
	got := b.wantLine("b sees the line in dev", "for developers")
	if plainRoom(got.Room) != "dev" {
		t.Errorf("b sees a's line in %q, want dev", got.Room)
	}
	a.say("/join general")
	a.say("for everybody")
	for _, p := range []*peer{b, c} {
		e := p.wantLine(p.Name+" sees the line in general", "for everybody")
		if plainRoom(e.Room) != "general" {
			t.Errorf("%s sees a's line in %q, want general", p.Name, e.Room)
		}
	}
	c.wantNothing("c is not in dev and must not see what is said there", message("for developers"))

	c.say("/join dev")
	for _, p := range []*peer{a, b} {
		p.want(p.Name+" sees c come into dev", member("dev", "c", "joined"))
	}
	mark := c.Mark()
	a.say("/join dev")
	a.say("welcome to dev")
	c.wantLine("c sees what is said in dev since it came", "welcome to dev")

	c.say("/leave")
	for _, p := range []*peer{a, b} {
		p.want(p.Name+" sees c leave dev", member("dev", "c", "left"))
	}
	a.say("c is gone")
	b.wantLine("b still sees what is said in dev", "c is gone")
	a.say("/join general")
	a.say("a word to all")
	c.wantLine("c is still in general", "a word to all")
	c.wantNothing("c left dev and must not see what is said there", message("c is gone"))

	c.say("/join dev")
	c.wantLine("back in dev, c is told what it missed", "c is gone")
	n := 0
	for _, e := range c.Lines()[mark:] {
		if e.Type == "message" && e.Text == "welcome to dev" && !e.History {
			n++
		}
	}
	if n != 1 {
		t.Errorf("c saw a live line %d times, want once", n)
	}
}

// wantNothing fails when a line so far matches. It is for after an event that would have come later.
func (p *peer) wantNothing(what string, match func(lab.Event) bool) {
	p.w.t.Helper()
	for _, e := range p.Lines() {
		if match(e) {
			p.w.t.Errorf("%s, but: %s", what, e.Raw)
			return
		}
	}
}

// A peer that comes back with the same profile is the same peer: its numbers go on, what it missed is fetched, and
// nothing is shown twice.
func TestPeerComesBack(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for a dead link to be noticed")
	}
	w := newWorld(t)
	w.tracker()
	a, b := w.join("a"), w.join("b")
	w.wantMesh(a, b)
	chat := newTalk("chat")
	chat.say(10, a, b)
	chat.want("the chat goes before the restart", a, b)

	if err := b.CloseInput(); err != nil {
		t.Fatal(err)
	}
	b.wantExit("b leaves at the end of its input", 0, patience)
	a.want("a is told that b left", member("general", "b", "left"))
	chat.say(10, a)

	back := b.again()
	w.wantMesh(a, back)
	if back.id != b.id {
		t.Errorf("b comes back as %s, want %s again", back.id, b.id)
	}
	chat.say(10, a, back)
	// The restarted process shows all of the talk, the part of before from its store.
	chat.want("b goes on where it was", a, back)

	back.signal(9)
	killed := back
	killed.wantExit("b dies by SIGKILL", -1, patience)
	chat.say(5, a)
	third := back.again()
	w.wantMesh(a, third)
	chat.say(5, a, third)
	chat.want("b goes on where it was even after a hard death", a, third)
}

// A peer that is killed and started again at once finds the others on a link with the killed process, which they take
// for alive for some seconds more. As soon as the new link is up, what is said goes over that one.
func TestPeerIsKilledAndComesBackAtOnce(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a, b := w.join("a"), w.join("b")
	w.wantMesh(a, b)
	for i := range 3 {
		mark := a.Mark()
		b.signal(syscall.SIGKILL)
		b.wantExit("b dies by SIGKILL", -1, patience)
		missed := fmt.Sprint("said while b was dead, ", i)
		a.say(missed)
		b = b.again()
		w.wantMesh(a, b)
		const atOnce = 2 * time.Second // the old link would be taken for alive for 4
		mine, yours := fmt.Sprint("I am back, ", i), fmt.Sprint("welcome back, ", i)
		b.say(mine)
		a.say(yours)
		for _, want := range []struct {
			at   *peer
			text string
		}{{a, mine}, {b, missed}, {b, yours}} {
			if _, err := want.at.Await(0, atOnce, "the new link carries "+want.text, message(want.text)); err != nil {
				t.Fatalf("%v after b came back for the %d. time: %v", atOnce, i+1, err)
			}
		}
		left := 0
		for _, e := range a.Lines()[mark:] {
			if member("general", "b", "left")(e) {
				left++
			}
		}
		if left > 1 {
			t.Errorf("a was told %d times that b left, want once at most", left)
		}
	}
}

// Two processes cannot share a profile: the second says so and ends.
func TestProfileIsLocked(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a := w.join("a").ready()
	second := a.again()
	second.wantExit("a second process with the same profile ends", 1, patience)
	a.say("still here")
	a.wantLine("the first process goes on", "still here")
}

// Two people of the same name are two people.
func TestSameName(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a, b := w.join("bob"), w.join("bob")
	w.wantMesh(a, b)
	if a.id == b.id {
		t.Fatalf("two profiles have the same peer ID %s", a.id)
	}
	a.say("I am Bob")
	e := b.wantLine("b sees the line of the other Bob", "I am Bob")
	if e.Peer != a.id {
		t.Errorf("the line is shown as one of %s, want %s", e.Peer, a.id)
	}
}
