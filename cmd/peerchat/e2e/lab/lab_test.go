//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	status, again, err := Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
	if !again {
		status = m.Run()
	}
	os.Exit(status)
}

func newNet(t *testing.T) *Net {
	t.Helper()
	n, err := NewNet()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func shell(t *testing.T, n *Net, script string) *Proc {
	t.Helper()
	p, err := n.Start(Command{Name: "shell", Path: "sh", Args: []string{"-c", script}, Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestProcSpeaksAndListens(t *testing.T) {
	p := shell(t, newNet(t), `while read l; do echo "{\"type\":\"echo\",\"text\":\"$l\"}"; done; echo no json; exit 3`)
	for _, text := range []string{"one", "two"} {
		if err := p.Say(text); err != nil {
			t.Fatal(err)
		}
	}
	e, err := p.Await(0, 10*time.Second, "the second echo", func(e Event) bool { return e.Type == "echo" && e.Text == "two" })
	if err != nil {
		t.Fatal(err)
	}
	if e.At.Before(p.Started) || p.Mark() != 2 {
		t.Errorf("the line came at %v, as number %d, want it after %v as number 2", e.At, p.Mark(), p.Started)
	}
	if err := p.CloseInput(); err != nil {
		t.Fatal(err)
	}
	if status, err := p.AwaitExit(10 * time.Second); err != nil || status != 3 {
		t.Fatalf("it ended with status %d, %v, want 3", status, err)
	}
	if lines := p.Lines(); lines[2].Type != "" || lines[2].Raw != "no json" {
		t.Errorf("the last line is %+v, want raw text", lines[2])
	}
	if _, err := p.Await(0, time.Minute, "what never comes", func(Event) bool { return false }); err == nil ||
		!strings.Contains(err.Error(), "what never comes") || !strings.Contains(err.Error(), "ended before") {
		t.Errorf("awaiting a line of a dead process says %v", err)
	}
}

func TestAwaitHasADeadline(t *testing.T) {
	p := shell(t, newNet(t), "echo last words >&2; echo first word; cat")
	_, err := p.Await(0, 300*time.Millisecond, "b hears a", func(Event) bool { return false })
	if err == nil || !strings.Contains(err.Error(), "b hears a: not within 300ms") {
		t.Fatalf("the deadline says %v", err)
	}
	for _, want := range []string{"first word", "last words"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not show %q: %v", want, err)
		}
	}
}

func TestAlarm(t *testing.T) {
	p := shell(t, newNet(t), "echo 'panic: oh no' >&2; exit 2")
	if _, err := p.AwaitExit(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if p.Alarm() == "" {
		t.Error("a panic raises no alarm")
	}
}

// A process dies with its network, even one that stopped, does not read, or is not read.
func TestEverybodyDiesWithTheNet(t *testing.T) {
	n, err := NewNet()
	if err != nil {
		t.Fatal(err)
	}
	deaf, err := n.Start(Command{Name: "deaf", Path: "yes", Home: t.TempDir(), Deaf: true})
	if err != nil {
		t.Fatal(err)
	}
	stopped := shell(t, n, "exec sleep 1000")
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Proc{deaf, stopped} {
		if status, err := p.AwaitExit(10 * time.Second); err != nil || status != -1 {
			t.Errorf("%s ended with %d, %v, want death by a signal", p.Name, status, err)
		}
	}
}

// The end of a process is seen though a child of it lives on and holds its outputs.
func TestAChildMayStay(t *testing.T) {
	p := shell(t, newNet(t), `sleep 60 & echo {\"type\":\"child\",\"seq\":$!}`)
	child, err := p.Await(0, 10*time.Second, "the child's number", func(e Event) bool { return e.Type == "child" })
	if err != nil {
		t.Fatal(err)
	}
	if status, err := p.AwaitExit(10 * time.Second); err != nil || status != 0 {
		t.Errorf("it ended with status %d, %v, want 0", status, err)
	}
	if err := syscall.Kill(int(child.Seq), syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestDropAndHeal(t *testing.T) {
	n := newNet(t)
	port, err := n.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	var server net.PacketConn
	err = n.Do(func() error { server, err = net.ListenPacket("udp", "127.0.0.1:"+port); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := n.Dial("udp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	arrives := func(packets int) int {
		t.Helper()
		for range packets {
			if _, err := client.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		got := 0
		for b := make([]byte, 8); got < packets; got++ {
			if err := server.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := server.ReadFrom(b); err != nil {
				break // whatever is on loopback is there at once, but this process may not run at once
			}
		}
		return got
	}
	if got := arrives(100); got != 100 {
		t.Errorf("%d of 100 packets arrive without loss", got)
	}
	if err := n.Drop(50, "meta l4proto udp"); err != nil {
		t.Fatal(err)
	}
	if got := arrives(400); got < 100 || got > 300 {
		t.Errorf("%d of 400 packets arrive at 50 %% loss", got)
	}
	if err := n.Drop(100, "meta l4proto udp"); err != nil {
		t.Fatal(err)
	}
	if got := arrives(100); got != 0 {
		t.Errorf("%d of 100 packets arrive through a cut", got)
	}
	if err := n.Heal(); err != nil {
		t.Fatal(err)
	}
	if got := arrives(100); got != 100 {
		t.Errorf("%d of 100 packets arrive after the cut", got)
	}
}

func TestWire(t *testing.T) {
	a, b := newNet(t), newNet(t)
	if err := Wire(a, b, "10.77.0.1/24", "10.77.0.2/24"); err != nil {
		t.Fatal(err)
	}
	l, err := a.Listen("10.77.0.1:4000")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := b.Dial("tcp", "10.77.0.1:4000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.LocalAddr().(*net.TCPAddr).IP.String(); got != "10.77.0.2" {
		t.Errorf("b calls a from %s, want 10.77.0.2", got)
	}
}

// Hosts at a switch reach each other, not across a cut, and not without their cable.
func TestSwitch(t *testing.T) {
	s, err := NewSwitch()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, b := newNet(t), newNet(t)
	if err := errors.Join(s.Plug(a, 0, "10.0.0.1/24"), s.Plug(b, 1, "10.0.0.2/24")); err != nil {
		t.Fatal(err)
	}
	reaches := func() bool {
		var there, here net.PacketConn
		var err error
		if err := b.Do(func() error { there, err = net.ListenPacket("udp", "10.0.0.2:7000"); return err }); err != nil {
			t.Fatal(err)
		}
		defer there.Close()
		if err := a.Do(func() error { here, err = net.ListenPacket("udp", "10.0.0.1:0"); return err }); err != nil {
			t.Fatal(err)
		}
		defer here.Close()
		got := make(chan bool, 1)
		if err := there.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _, err := there.ReadFrom(make([]byte, 10))
			got <- err == nil
		}()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := here.WriteTo([]byte("x"), there.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			select {
			case ok := <-got:
				return ok
			case <-tick.C:
			}
		}
	}
	for _, c := range []struct {
		what string
		do   func() error
		want bool
	}{
		{"at first", func() error { return nil }, true},
		{"after the cut", s.Cut, false},
		{"joined again", s.Join, true},
		{"unplugged", func() error { return s.Unplug(b) }, false},
		{"plugged in again", func() error { return s.Replug(b, 1) }, true},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if got := reaches(); got != c.want {
			t.Errorf("%s: the hosts reach each other: %v, want %v", c.what, got, c.want)
		}
	}
}
