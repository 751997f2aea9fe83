//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// trackerNow is the last word of a peer about its tracker.
func (p *peer) trackerNow() lab.Event {
	var last lab.Event
	for _, e := range p.Lines() {
		if e.Type == "tracker" {
			last = e
		}
	}
	return last
}

// wantLeader awaits that all of the peers are at one tracker with a term above a given one, and that one of them is it.
// It returns that one and the term.
func (w *world) wantLeader(what string, above uint64, peers ...*peer) (leader *peer, term uint64) {
	w.t.Helper()
	w.poll(what, patience, func() error {
		leader, term = nil, 0
		for _, p := range peers {
			now := p.trackerNow()
			switch {
			case now.State == "hosting" && leader != nil:
				return fmt.Errorf("%s and %s both host", leader.Name, p.Name)
			case now.State == "hosting":
				leader = p
			case now.State != "connected":
				return fmt.Errorf("%s says %q", p.Name, now.State)
			}
			if now.Term <= above || term != 0 && now.Term != term {
				return fmt.Errorf("%s is at term %d: want all at one above %d", p.Name, now.Term, above)
			}
			term = now.Term
		}
		if leader == nil {
			return errors.New("nobody hosts")
		}
		for _, p := range peers {
			if now := p.trackerNow(); p != leader && now.Leader != leader.id {
				return fmt.Errorf("%s follows %q, not %s", p.Name, now.Leader, leader.Name)
			}
		}
		return nil
	})
	return leader, term
}

// wantHome awaits that all of the peers are at the stand-alone tracker, with a term of at least a given one.
func (w *world) wantHome(what string, least uint64, peers ...*peer) {
	w.t.Helper()
	w.poll(what, patience, func() error {
		for _, p := range peers {
			if now := p.trackerNow(); now.State != "connected" || now.Leader != "" || now.Term < least {
				return fmt.Errorf("%s says %q, leader %q, term %d", p.Name, now.State, now.Leader, now.Term)
			}
		}
		return nil
	})
}

// wantLinksUnbroken checks that no peer lost the link with another of them, since its mark if it has one.
func (w *world) wantLinksUnbroken(what string, marks map[*peer]int, peers ...*peer) {
	w.t.Helper()
	for _, p := range peers {
		for _, e := range p.Lines()[marks[p]:] {
			for _, o := range peers {
				if link(o.Name, "down")(e) {
					w.t.Errorf("%s: the link from %s to %s went down: %s", what, p.Name, o.Name, e.Raw)
				}
			}
		}
	}
}

// kills is how often the tracker is killed in a row: 20 times, or as PEERCHAT_E2E_KILLS says.
func kills(t *testing.T) int {
	if s := os.Getenv("PEERCHAT_E2E_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1000 {
			t.Fatalf("PEERCHAT_E2E_KILLS=%q: want a number from 1 to 1000", s)
		}
		return n
	}
	return 20
}

// The tracker is killed, and whoever replaces it, again and again, while peers talk. Each time there is a new one, each
// time a newcomer that knows only the first tracker's address gets in, and in the end no line is missing or doubled.
func TestTheTrackerIsKilledAgainAndAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it kills twenty trackers")
	}
	w := newWorld(t)
	tracker := w.tracker()
	peers := w.crowd(5)
	victim, term := tracker, uint64(0)
	for kill := range kills(t) {
		chat := newTalk(fmt.Sprint("kill", kill))
		var living []*peer
		for _, p := range peers {
			if p != victim {
				living = append(living, p)
			}
		}
		chat.say(2, living...)
		marks := map[*peer]int{}
		for _, p := range living {
			marks[p] = p.Mark()
		}
		victim.signal(syscall.SIGKILL)
		chat.say(2, living...)
		var leader *peer
		leader, term = w.wantLeader(fmt.Sprintf("kill %d, of %s: there is a new tracker for all", kill, victim.Name), term, living...)
		chat.say(2, living...)
		everybody := living
		if victim != tracker {
			newcomer := victim.again()
			everybody = append(living[:len(living):len(living)], newcomer)
			for i, p := range peers {
				if p == victim {
					peers[i] = newcomer
				}
			}
			newcomer.ready()
			newcomer.want(fmt.Sprintf("after kill %d the newcomer is linked with all", kill), linked(len(living)))
		}
		chat.say(2, everybody...)
		chat.want(fmt.Sprintf("kill %d takes no line from anybody", kill), everybody...)
		w.wantLinksUnbroken(fmt.Sprint("kill ", kill), marks, living...)
		victim = leader
	}
}

// The leader leaves with /quit: it hands over first, and nobody notices a gap.
func TestALeaderThatQuitsHandsOver(t *testing.T) {
	w := newWorld(t)
	a := w.join("a")
	a.want("a hosts the tracker", trackerIs("hosting"))
	b, c := w.join("b"), w.join("c")
	w.wantMesh(a, b, c)
	leader, term := w.wantLeader("there is a leader", 0, a, b, c)
	var others []*peer
	for _, p := range []*peer{a, b, c} {
		if p != leader {
			others = append(others, p)
		}
	}
	w.poll("the others are known as candidates", patience, func() error { return w.candidates(leader, 3) })
	leader.say("/quit")
	leader.wantExit("the leader ends", 0, patience)
	_, after := w.wantLeader("another leads", term, others...)
	if after <= term {
		t.Errorf("the successor has term %d, want one above %d", after, term)
	}
	for _, p := range others {
		for _, e := range p.Lines() {
			if trackerIs("electing")(e) {
				t.Errorf("%s held an election, though the leader handed over", p.Name)
			}
		}
	}
	d := w.join("d")
	w.wantMesh(append(others, d)...)
}

// candidates asks a peer for /net and checks how many candidates it lists.
func (w *world) candidates(p *peer, want int) error {
	mark := p.Mark()
	p.say("/net")
	e := p.wantFrom(mark, p.Name+" answers /net", ofType("net"))
	if n := strings.Count(e.Raw, `"rank"`); n != want {
		return fmt.Errorf("%s lists %d candidates, want %d: %s", p.Name, n, want, e.Raw)
	}
	return nil
}

// The home tracker is killed, and started again: it takes over again, at a term above, and links do not blink. The
// elected peer had its port in the meantime.
func TestTheHomeTrackerComesBack(t *testing.T) {
	w := newWorld(t)
	tracker := w.tracker()
	peers := w.crowd(4)
	tracker.signal(syscall.SIGKILL)
	_, term := w.wantLeader("the peers have a tracker of their own", 0, peers...)
	chat := newTalk("chat")
	chat.say(3, peers...)
	again := tracker.again()
	again.wantHealthy(w.net, address)
	w.wantHome("the home tracker has taken over", term+1, peers...)
	w.poll("the home tracker, which came back empty, has all members and the term", patience, func() error {
		page, err := w.get("http://" + address + "/healthz")
		if err != nil || !strings.Contains(page, `"peers":4`) || strings.Contains(page, `"term":0`) {
			return fmt.Errorf("it says %s (%v)", page, err)
		}
		return nil
	})
	e := w.join("e")
	w.wantMesh(append(peers[:4:4], e)...)
	chat.say(3, append(peers[:4:4], e)...)
	chat.want("the talk goes on", append(peers[:4:4], e)...)
	w.wantLinksUnbroken("the way out and back", nil, peers...)
}

// A tracker that accepts connections and answers nothing is replaced, and takes over again when it goes on.
func TestAHungTrackerIsReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for a silent tracker to be noticed")
	}
	w := newWorld(t)
	tracker := w.tracker()
	peers := w.crowd(3)
	tracker.signal(syscall.SIGSTOP)
	_, term := w.wantLeader("the silent tracker is replaced", 0, peers...)
	tracker.signal(syscall.SIGCONT)
	w.wantHome("it takes over again", term+1, peers...)
	w.wantLinksUnbroken("a hung tracker", nil, peers...)
}

// hosts is a network of hosts at a switch of two segments, with a peerchat on each.
type hosts struct {
	w    *world
	lan  *lab.Switch
	nets []*lab.Net
}

func newHosts(t testing.TB, segments ...int) *hosts {
	t.Helper()
	w := newWorld(t)
	s, err := lab.NewSwitch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &hosts{w: w, lan: s}
	for i, segment := range segments {
		n := w.network()
		if err := s.Plug(n, segment, fmt.Sprintf("10.77.0.%d/24", i+1)); err != nil {
			t.Fatal(err)
		}
		h.nets = append(h.nets, n)
	}
	return h
}

// onLAN lets a process find trackers by multicast DNS.
var onLAN = []string{"PEERCHAT_LAN=on", "PEERCHAT_INTERFACE="}

func (h *hosts) join(host int, name string, args ...string) *peer {
	h.w.t.Helper()
	return h.w.start(h.nets[host], name, onLAN, append([]string{"join", "--json", "--username", name}, args...)...)
}

// trackerAt is the address of a tracker on the first machine of a LAN.
const trackerAt = "10.77.0.1:5000"

// startTracker starts a tracker on the first machine, and returns the flags by which peers of others find it.
func (h *hosts) startTracker(env []string) (flags []string) {
	h.w.t.Helper()
	h.w.start(h.nets[0], "tracker", env, "tracker").wantHealthy(h.nets[1], trackerAt)
	return []string{"--tracker", trackerAt}
}

// The cable of the tracker's machine is pulled: no socket is closed, nobody is told. The others replace it; a newcomer
// who knows nothing but the dead tracker's address gets in; when the cable is back the home tracker takes over again.
func TestTheTrackersHostIsUnplugged(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for a silent tracker to be noticed")
	}
	h := newHosts(t, 0, 0, 0, 0)
	w := h.w
	home := h.startTracker(onLAN)
	peers := []*peer{h.join(1, "a", home...), h.join(2, "b", home...), h.join(3, "c", home...)}
	w.wantMesh(peers...)
	if err := h.lan.Unplug(h.nets[0]); err != nil {
		t.Fatal(err)
	}
	chat := newTalk("chat")
	chat.say(3, peers...)
	_, term := w.wantLeader("the unplugged tracker is replaced", 0, peers...)
	d := h.join(1, "d", home...)
	everybody := append(peers[:3:3], d)
	w.wantMesh(everybody...)
	chat.say(3, everybody...)
	chat.want("nothing is lost", everybody...)
	if err := h.lan.Replug(h.nets[0], 0); err != nil {
		t.Fatal(err)
	}
	w.wantHome("the home tracker is back in office", term+1, everybody...)
	w.wantLinksUnbroken("the way out and back", nil, peers...)
}

// Half of the hosts are cut off: each half has a tracker, and takes in newcomers. Joined again they are one.
func TestHalvesOfANetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for links to time out")
	}
	h := newHosts(t, 0, 0, 1, 1)
	w := h.w
	a := h.join(0, "a")
	a.want("a hosts the tracker", trackerIs("hosting"))
	b, c, d := h.join(1, "b"), h.join(2, "c"), h.join(3, "d")
	w.wantMesh(a, b, c, d)
	_, term := w.wantLeader("there is one leader", 0, a, b, c, d)
	if err := h.lan.Cut(); err != nil {
		t.Fatal(err)
	}
	chat := newTalk("chat")
	chat.say(3, a, b, c, d)
	left := []*peer{a, b}
	right := []*peer{c, d}
	w.poll("each half has a leader", patience, func() error {
		for _, half := range [][]*peer{left, right} {
			x, y := half[0].trackerNow(), half[1].trackerNow()
			if (x.State != "hosting" || y.State != "connected") && (x.State != "connected" || y.State != "hosting") || x.Term != y.Term {
				return fmt.Errorf("%s says %q (term %d), %s says %q (term %d)", half[0].Name, x.State, x.Term, half[1].Name, y.State, y.Term)
			}
		}
		return nil
	})
	e := h.join(3, "e")
	e.ready()
	e.want("the newcomer is linked with its half", linked(2))
	chat.say(3, a, b, c, d, e)
	if err := h.lan.Join(); err != nil {
		t.Fatal(err)
	}
	w.wantLeader("the halves have one leader again", term, a, b, c, d, e)
	chat.want("what was said in the halves is everywhere", a, b, c, d, e)
}

// One peer alone cannot reach the tracker. The others vouch for it: there is no election, and the peer keeps its links.
func TestOnePeerAloneLosesTheTracker(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for a silent tracker to be noticed")
	}
	h := newHosts(t, 0, 0, 0, 0)
	w := h.w
	home := h.startTracker(nil)
	a, b, c := h.join(1, "a", home...), h.join(2, "b", home...), h.join(3, "c", home...)
	w.wantMesh(a, b, c)
	if err := h.nets[3].Drop(100, "ip saddr 10.77.0.1"); err != nil {
		t.Fatal(err)
	}
	c.want("c notices", trackerIs("lost"))
	chat := newTalk("chat")
	chat.say(3, a, b, c)
	chat.want("the talk goes on", a, b, c)
	// The worst that may happen happens within three rounds of asking, of 1 to 2 s each.
	quiet := time.NewTimer(8 * time.Second)
	defer quiet.Stop()
	<-quiet.C
	for _, p := range []*peer{a, b} {
		for _, e := range p.Lines() {
			if e.Type == "tracker" && e.State != "connected" && e.State != "searching" {
				t.Errorf("%s was drawn into an election: %s", p.Name, e.Raw)
			}
		}
	}
	mark := c.Mark()
	if err := h.nets[3].Heal(); err != nil {
		t.Fatal(err)
	}
	c.wantFrom(mark, "c is back at the tracker", trackerIs("connected"))
	w.wantLinksUnbroken("one peer without the tracker", nil, a, b, c)
}
