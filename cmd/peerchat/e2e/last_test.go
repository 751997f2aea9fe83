//go:build linux

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What only one is left to give, or to find: the two wait most of the time, so they do it together.
func TestTheLastOnesLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for links to time out")
	}
	t.Run("who has the lines", testTheLastWhoHasThem)
	t.Run("who is alone", testTheLastOfItsNeighbours)
}

// Of the lines that an author said while c was away, those in the middle are held by b alone, and the author is dead. C
// goes on past the hole with those that d has, keeps it in mind when it is killed, too, and fills it when b is back.
func testTheLastWhoHasThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tracker()
	a, b, c := w.join("a", "--no-host"), w.join("b", "--no-host"), w.join("c", "--no-host")
	w.wantMesh(a, b, c)
	const lines, newest = 200, 20
	said := func(from, to int) {
		for i := from; i < to; i++ {
			a.say(fmt.Sprintf("line %d", i))
		}
	}
	first, last := message("line 9"), message(fmt.Sprintf("line %d", lines-1))
	said(0, 10)
	c.want("c has the beginning", first)
	c.signal(syscall.SIGKILL)
	c.wantExit("c is killed", -1, patience)
	said(10, lines)
	b.want("b has all of it", last)
	d := w.join("d", "--no-host", "--history-window-events", fmt.Sprint(newest))
	d.want("d has the end", last)
	for _, p := range []*peer{a, b} {
		p.signal(syscall.SIGKILL)
		p.wantExit(p.Name+" is killed", -1, patience)
	}

	c = c.again()
	c.want("c has the end, too", last)
	if n := countLines(c); n != 10+newest {
		t.Errorf("c has %d lines, want the %d of the beginning and the end", n, 10+newest)
	}
	c.signal(syscall.SIGKILL)
	c.wantExit("c is killed again", -1, patience)
	c = c.again()
	c.want("c is linked with d", link("d", "up"))
	b.again()
	w.poll("c has every line, once b is back", patience, func() error {
		if n := countLines(c); n != lines {
			return fmt.Errorf("it has %d of %d", n, lines)
		}
		return nil
	})
}

// countLines is how many lines a peer has shown, of those that begin so, each counted once.
func countLines(p *peer) int {
	ids := map[string]bool{}
	for _, e := range p.Lines() {
		if e.Type == "message" && strings.HasPrefix(e.Text, "line ") {
			ids[e.ID] = true
		}
	}
	return len(ids)
}

// In a room of twelve the tracker dies, and all the neighbours of one peer, at the same moment. Nobody who lives has a
// link with it, and nobody can carry its offers. It is back by itself when the tracker is, with what it said meanwhile.
func testTheLastOfItsNeighbours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tracker := w.tracker()
	var peers []*peer
	for i := range 12 {
		peers = append(peers, w.join(fmt.Sprintf("p%d", i), "--no-host"))
	}
	w.wantMesh(peers...)
	var lonely *peer
	var near map[string]bool
	w.poll("somebody has few links", patience, func() error { // while a room comes to be there are more than it needs
		for _, p := range peers {
			if up := linksNow(p); lonely == nil || len(up) < len(near) {
				lonely, near = p, up
			}
		}
		if len(near) > 6 {
			return fmt.Errorf("%s has %d", lonely.Name, len(near))
		}
		return nil
	})
	tracker.signal(syscall.SIGKILL)
	w.poll("the lonely one has no links any more", patience, func() error {
		near := linksNow(lonely) // one may have come up meanwhile
		for _, p := range peers {
			if near[p.Name] && !p.Exited() {
				p.signal(syscall.SIGKILL)
				p.wantExit(p.Name+" is killed", -1, patience)
			}
		}
		if len(near) > 0 {
			return fmt.Errorf("it has %v", near)
		}
		return nil
	})
	living := slices.DeleteFunc(slices.Clone(peers), func(p *peer) bool { return p == lonely || p.Exited() })
	if len(living) == 0 {
		t.Fatal("everybody had a link with the lonely one")
	}
	lonely.say("can anybody hear me?")
	living[0].say("who is missing?")
	lonely.wantLine("the lonely one says it all the same", "can anybody hear me?")
	for _, p := range living {
		p.wantNothing("nobody hears the lonely one", message("can anybody hear me?"))
	}
	tracker.again().wantHealthy(w.net, address)
	for _, p := range living {
		p.wantLine(p.Name+" hears the lonely one when the tracker is back", "can anybody hear me?")
	}
	lonely.wantLine("the lonely one hears the others", "who is missing?")
}

// linksNow are the names of those that a peer has links with.
func linksNow(p *peer) map[string]bool {
	up := map[string]bool{}
	for _, e := range p.Lines() {
		if e.Type == "link" {
			up[e.Name] = e.State == "up"
		}
	}
	maps.DeleteFunc(up, func(_ string, is bool) bool { return !is })
	return up
}
