//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"peerchat/cmd/peerchat/e2e/lab"
)

// The member that hosts dies. Whoever starts next becomes the tracker at the same place, and the others gather there.
func TestNextPeerHostsAndGathers(t *testing.T) {
	w := newWorld(t)
	a := w.join("a")
	a.want("a hosts the tracker", trackerIs("hosting"))
	b, c := w.join("b", "--no-host"), w.join("c", "--no-host")
	w.wantMesh(a, b, c)
	a.signal(syscall.SIGKILL)
	for _, p := range []*peer{b, c} {
		p.want(p.Name+" is told that the tracker is lost", trackerIs("lost"))
	}
	d := w.join("d")
	d.want("d hosts the tracker now", trackerIs("hosting"))
	d.ready()
	for _, p := range []*peer{b, c} {
		p.want(p.Name+" is linked to d", link("d", "up"))
	}
	chat := newTalk("chat")
	chat.say(5, b, c, d)
	chat.want("b, c and d are one room", b, c, d)
}

// A tracker that freezes is as good as dead: its clients notice, talk on, and come back when it goes on.
func TestTrackerFreezes(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for a silent tracker to be noticed")
	}
	w := newWorld(t)
	tracker := w.tracker()
	a, b := w.join("a", "--no-host"), w.join("b", "--no-host")
	w.wantMesh(a, b)
	tracker.signal(syscall.SIGSTOP)
	chat := newTalk("chat")
	for _, p := range []*peer{a, b} {
		p.want(p.Name+" notices that the tracker is silent", trackerIs("lost"))
	}
	chat.say(5, a, b)
	chat.want("the chat goes on beside a frozen tracker", a, b)
	marks := []int{a.Mark(), b.Mark()}
	tracker.signal(syscall.SIGCONT)
	for i, p := range []*peer{a, b} {
		p.wantFrom(marks[i], p.Name+" is connected to the tracker again", trackerIs("connected"))
	}
	c := w.join("c", "--no-host")
	w.wantMesh(a, b, c)
	chat.say(5, a, b, c)
	chat.want("a newcomer talks with all", a, b, c)
}

// Who reads the output goes away, as in `peerchat join --json | head -1`: the peer leaves, and cleanly.
func TestReaderGoesAway(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a := w.join("a").ready()
	p := w.startCommand(w.net, lab.Command{
		Name: "piped", Path: binary, Deaf: true,
		Args: []string{"join", "--json", "--username", "piped", "--tracker", address, "--no-host"},
	})
	a.want("a is linked to the piped one", link("piped", "up"))
	if err := p.CloseOutput(); err != nil {
		t.Fatal(err)
	}
	a.say("a word that cannot be printed")
	p.wantExit("the peer leaves when nobody reads it", 0, patience)
	a.want("a is told that the piped one left", member("general", "piped", "left"))
}

// The same identity at two places at once: a copied profile. It must not bring down or confuse the others.
func TestCopiedProfile(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a := w.join("a")
	original := w.join("twin")
	w.wantMesh(a, original)
	if err := original.CloseInput(); err != nil {
		t.Fatal(err)
	}
	original.wantExit("the original ends", 0, patience)
	copied := filepath.Join(t.TempDir(), "copy")
	if err := exec.Command("cp", "-a", original.command.Home, copied).Run(); err != nil {
		t.Fatal(err)
	}
	first := original.again()
	first.ready()
	command := original.command
	command.Name, command.Home = "copy", copied
	second := w.startCommand(w.net, command)
	second.want("the copy has a word about the tracker", ofType("tracker"))
	chat := newTalk("chat")
	b := w.join("b")
	a.want("a is linked to b", link("b", "up"))
	b.want("b is linked to a", link("a", "up"))
	for i := range 5 {
		first.say(fmt.Sprintf("first %d", i))
		second.say(fmt.Sprintf("second %d", i))
		chat.say(5, a, b)
	}
	for _, p := range []*peer{a, b} {
		chat.wantAt("a and b talk as ever beside twins with one identity", p)
	}
}

// Thirty peers come into a room at once.
func TestCrowd(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it starts thirty processes")
	}
	w := newWorld(t)
	w.tracker()
	peers := w.crowd(30)
	chat := newTalk("chat")
	chat.say(3, peers...)
	chat.want("thirty peers hear each other", peers...)
}

// What cannot be opened is said so, with its place and what to do, and status 1.
func TestUnusableProfile(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("no directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := w.start(w.net, "a", nil, "join", "--json", "--username", "a", "--tracker", address, "--profile", file)
	p.wantExit("a file is no profile", 1, patience)
	if tail := p.Tail(20); !strings.Contains(tail, file) {
		t.Errorf("the answer does not name %s:\n%s", file, tail)
	}

	// A key that was damaged is not replaced in silence: that would be another person.
	good := filepath.Join(dir, "good")
	args := []string{"join", "--json", "--username", "b", "--tracker", address, "--profile", good}
	b := w.start(w.net, "b", nil, args...).ready()
	if err := b.CloseInput(); err != nil {
		t.Fatal(err)
	}
	b.wantExit("b leaves", 0, patience)
	damaged := 0
	err := filepath.WalkDir(good, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s of a profile has the mode %v, want nothing for others", d.Name(), info.Mode())
		}
		if strings.Contains(d.Name(), "identity") {
			damaged++
			return os.WriteFile(path, []byte("garbage"), 0o600)
		}
		return nil
	})
	if err != nil || damaged != 1 {
		t.Fatalf("damage the key of the profile: %d files named so, %v", damaged, err)
	}
	again := w.start(w.net, "b", nil, args...)
	again.wantExit("a damaged key is refused", 1, patience)
	if tail := again.Tail(20); !strings.Contains(tail, "key") {
		t.Errorf("the answer does not speak of the key:\n%s", tail)
	}
}

// The tracker that the user named comes and goes. A peer that hosts in its absence hands the lead to it when it is
// there, and hosts again when it is not.
func TestNamedTrackerComesAndGoes(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for the named tracker to be looked for again")
	}
	w := newWorld(t)
	const named = "127.0.0.1:6000"
	a := w.start(w.net, "a", nil, "join", "--json", "--username", "a", "--tracker", named, "--listen", address)
	a.want("a hosts, because the named tracker is not there", trackerIs("hosting"))
	b := w.start(w.net, "b", nil, "join", "--json", "--username", "b", "--tracker", named, "--tracker", address, "--no-host")
	w.wantMesh(a, b)
	at := func(state, where string) func(lab.Event) bool {
		return func(e lab.Event) bool {
			return e.Type == "tracker" && e.State == state && strings.Contains(e.URL, where)
		}
	}
	tracker := w.start(w.net, "tracker", nil, "tracker", "--listen", named)
	tracker.wantHealthy(w.net, named)
	for _, p := range []*peer{a, b} {
		p.want(p.Name+" goes to the named tracker when that is there", at("connected", named))
	}
	mark := a.Mark()
	tracker.signal(syscall.SIGKILL)
	a.wantFrom(mark, "a hosts again when the named tracker is gone", trackerIs("hosting"))
	c := w.start(w.net, "c", nil, "join", "--json", "--username", "c", "--tracker", address, "--no-host")
	w.wantMesh(c)
	for _, p := range []*peer{a, b} {
		p.want(p.Name+" is linked to a newcomer at the tracker that a hosts", link("c", "up"))
	}
}

// Two machines on a LAN start at the same moment and both become trackers. They still find each other.
func TestTwoHostsOnALANMeet(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for the LAN to be asked again")
	}
	w := newWorld(t)
	other := w.network()
	if err := lab.Wire(w.net, other, "10.66.0.1/24", "10.66.0.2/24"); err != nil {
		t.Fatal(err)
	}
	lan := []string{"PEERCHAT_LAN=on", "PEERCHAT_INTERFACE="}
	a := w.start(w.net, "a", lan, "join", "--json", "--username", "a")
	b := w.start(other, "b", lan, "join", "--json", "--username", "b")
	w.wantMesh(a, b)
	chat := newTalk("chat")
	chat.say(5, a, b)
	chat.want("a and b talk, though both started alone", a, b)
}
