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

// What people and programs put into a chat: all that is text arrives as it was said, the rest is refused with a word,
// and nothing else is lost by it.
func TestInput(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a, b := w.join("a"), w.join("b")
	w.wantMesh(a, b)

	long := strings.Repeat("64 KiB! ", 64<<10/8)
	a.say(long)
	b.wantLine("a line of 64 KiB arrives whole", long)

	mark := a.Mark()
	a.say(long + "x")
	a.wantFrom(mark, "a line of 64 KiB and a byte is refused with a word", ofType("error"))
	a.say("after the long line")
	b.wantLine("b sees the line after the refused one", "after the long line")

	b.wantNothing("the refused line must not arrive, nor a part of it", func(e lab.Event) bool {
		return e.Type == "message" && e.Text != long && strings.HasPrefix(e.Text, "64 KiB!")
	})

	a.say(strings.Repeat("w", 400))
	b.wantLine("a word of 400 characters arrives", strings.Repeat("w", 400))

	a.say("same")
	a.say("same")
	n := 0
	b.want("the same text twice shows twice", func(e lab.Event) bool {
		if message("same")(e) {
			n++
		}
		return n == 2
	})

	for _, bad := range []string{"invalid \xff\xfe UTF-8", "NUL \x00 byte", "escape \x1b[2J\x1b]0;title\x07", "bidi \u202Etxet"} {
		a.say(bad)
		a.say("after " + strings.ToValidUTF8(bad, "?")[:4])
		b.wantLine("the line after a bad one arrives", "after "+bad[:4])
	}
	for _, e := range b.Lines() {
		if strings.ContainsAny(e.Raw, "\x00\x1b\x07") {
			t.Errorf("b's output holds a raw control character: %q", e.Raw)
		}
	}

	a.say("//not a command")
	b.wantLine("two slashes say one", "/not a command")
	mark = a.Mark()
	a.say("/nosuchcommand secret")
	a.wantFrom(mark, "an unknown command is refused with a word", ofType("error"))
	a.say("the end")
	b.wantLine("b sees the last line", "the end")
	b.wantNothing("an unknown command is never said to the room", func(e lab.Event) bool {
		return e.Type == "message" && strings.Contains(e.Text, "secret")
	})
}

// Somebody whose output nobody reads stalls nobody but itself.
func TestDeafConsumer(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a, b := w.join("a"), w.join("b")
	w.wantMesh(a, b)
	w.startCommand(w.net, lab.Command{
		Name: "deaf", Path: binary, Deaf: true,
		Args: []string{"join", "--json", "--username", "deaf", "--tracker", address, "--no-host"},
	})
	for _, p := range []*peer{a, b} {
		p.want(p.Name+" is linked to the deaf one", link("deaf", "up"))
	}
	chat := newTalk("chat")
	filler := strings.Repeat("much text ", 300)
	for range 10 {
		for range 20 { // in sum far more than a pipe holds
			a.say(filler)
		}
		chat.say(10, a, b)
		chat.wantAt("b gets everything beside the deaf one", b)
	}
	chat.want("nobody waits for the one that is not read", a, b)
}

// The end of the input, SIGTERM and SIGINT are ways to leave: the others are told at once.
func TestLeaving(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a := w.join("a").ready()
	for _, way := range []struct {
		name  string
		leave func(p *peer)
	}{
		{"eof", func(p *peer) {
			if err := p.CloseInput(); err != nil {
				t.Fatal(err)
			}
		}},
		{"sigterm", func(p *peer) { p.signal(syscall.SIGTERM) }},
		{"sigint", func(p *peer) { p.signal(syscall.SIGINT) }},
		{"exit", func(p *peer) { p.say("exit") }},
		{"quit", func(p *peer) { p.say("/quit") }},
	} {
		quick(t, way.name+" ends the peer, and a is told so at once", 2*time.Second, func(try int) time.Duration {
			name := fmt.Sprint(way.name, try)
			p := w.join(name)
			p.ready()
			a.want("a is linked to "+name, link(name, "up"))
			p.want(name+" is linked to a", linked(1))
			p.say("bye from " + name)
			a.wantLine("a sees the last word of "+name, "bye from "+name)
			start := time.Now()
			way.leave(p)
			p.wantExit(way.name+" ends the peer", 0, patience)
			ended := time.Since(start)
			left := a.want("a is told that "+name+" left", member("general", name, "left"))
			return max(ended, left.At.Sub(start))
		})
	}
}

// What is piped in before the end of the input is said before the peer leaves.
func TestPipedLinesAreSaid(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a := w.join("a").ready()
	p := w.join("pipe")
	chat := newTalk("chat")
	chat.say(20, p)
	if err := p.CloseInput(); err != nil {
		t.Fatal(err)
	}
	p.wantExit("the peer leaves at the end of its input", 0, patience)
	chat.wantAt("every piped line arrives, though its author left at once", a)
}

// Wrong usage is answered with status 2 and a hint, failure with status 1.
func TestWrongUsage(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name   string
		status int
		hint   string
		args   []string
	}{
		{"an unknown flag", 2, "--username", []string{"join", "--usernam", "bob"}},
		{"an unknown command", 2, "join", []string{"joim"}},
		{"an empty username", 2, "username", []string{"join", "--json", "--username", ""}},
		{"a username too long", 2, "32", []string{"join", "--json", "--username", strings.Repeat("n", 33)}},
		{"a username with a control character", 2, "username", []string{"join", "--json", "--username", "a\x1bb"}},
		{"a wrong tracker address", 2, "tracker", []string{"join", "--json", "--username", "a", "--tracker", "a:b:c"}},
		{"a wrong port", 2, "70000", []string{"join", "--json", "--username", "a", "--tracker", "127.0.0.1:70000"}},
		{"a wrong room", 2, "room", []string{"join", "--json", "--username", "a", "--room", "a b"}},
		{"json and plain at once", 2, "plain", []string{"join", "--json", "--plain", "--username", "a"}},
	} {
		p := w.start(w.net, c.name, nil, c.args...)
		p.wantExit(c.name+" is wrong usage", c.status, patience)
		if tail := p.Tail(50); !strings.Contains(tail, c.hint) {
			t.Errorf("%s: the answer does not speak of %q:\n%s", c.name, c.hint, tail)
		}
	}
	first := w.tracker()
	second := w.start(w.net, "second tracker", nil, "tracker", "--listen", address)
	second.wantExit("a tracker whose port is taken fails", 1, patience)
	if tail := second.Tail(50); !strings.Contains(tail, "5000") {
		t.Errorf("a tracker whose port is taken does not say which:\n%s", tail)
	}
	first.wantHealthy(w.net, address)
}
