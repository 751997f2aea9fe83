//go:build !race

package peer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// voices are what p was told of voice since the mark'th event, as lines.
func (p *simPeer) voices(mark int) []string {
	var lines []string
	for _, ev := range p.events[mark:] {
		switch ev := ev.(type) {
		case VoiceChanged:
			who := ev.Person.Name
			if ev.Self {
				who = "I"
			}
			lines = append(lines, fmt.Sprintf("%s %s %s (%d)", who, ev.State, ev.Room, ev.Members))
		case Notice:
			if ev.Code == "voice" {
				lines = append(lines, "notice: "+ev.Text)
			}
		case Failure:
			if ev.Code == "voice" {
				lines = append(lines, "failure: "+ev.Text)
			}
		}
	}
	return lines
}

// hears are the names of those that p exchanges sound with, sorted.
func (p *simPeer) hears(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, id := range p.core.voices.spoken {
		s := p.core.sessions[id]
		if s == nil || !p.core.links[s.peer].up || p.core.links[s.peer].session != id {
			t.Errorf("%s speaks over a session that is not that of a link", p.name)
			continue
		}
		names = append(names, p.w.peer(s.peer).name)
	}
	slices.Sort(names)
	return names
}

func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func TestVoiceIsToldToTheRoomAndSpokenToItsVoice(t *testing.T) {
	w := newWorld(1, 3, general)
	w.run(5 * time.Second)
	a, b, c := w.peers[0], w.peers[1], w.peers[2]
	a.step(JoinVoice{Room: general})
	w.run(time.Second)
	wantLines(t, "a hears of itself", a.voices(0), "I joined #general (1)")
	wantLines(t, "b, in no voice, hears of a", b.voices(0), "p0 joined #general (1)")
	wantLines(t, "a alone speaks to nobody", a.hears(t))

	b.step(SetVoice{Muted: true}, JoinVoice{Room: general}, SetVoice{Muted: true, Deaf: true})
	w.run(time.Second)
	wantLines(t, "a hears that b comes muted and goes deaf", a.voices(0)[1:], "p1 joined #general (2)", "p1 muted #general (2)", "p1 deafened #general (2)")
	wantLines(t, "b hears the same of itself", b.voices(0)[1:], "I joined #general (2)", "I muted #general (2)", "I deafened #general (2)")
	wantLines(t, "a speaks to b", a.hears(t), "p1")
	wantLines(t, "b speaks to a", b.hears(t), "p0")
	wantLines(t, "c is in no voice", c.hears(t))

	mark := len(c.events)
	b.step(SetVoice{})
	b.step(SetVoice{}) // again: no news
	w.run(time.Second)
	wantLines(t, "c hears that b is back", c.voices(mark), "p1 unmuted #general (2)", "p1 undeafened #general (2)")
	for _, info := range c.core.peers() {
		if info.Voice.Room != general {
			t.Errorf("c knows no voice of %s in its list", info.Name)
		}
	}

	mark = len(a.events)
	b.step(LeaveVoice{})
	b.step(LeaveVoice{})
	w.run(time.Second)
	wantLines(t, "a hears that b is gone", a.voices(mark), "p1 left #general (1)")
	wantLines(t, "a speaks to nobody again", a.hears(t))
	if lines := b.voices(0); !strings.HasPrefix(lines[len(lines)-1], "failure: leaving voice: you are in none") {
		t.Errorf("b left voice twice and was told %q", lines)
	}
}

func TestVoiceIsInOneRoomAtATime(t *testing.T) {
	w := newWorld(2, 2, general, "dev")
	w.run(5 * time.Second)
	a, b := w.peers[0], w.peers[1]
	a.step(JoinVoice{Room: general})
	b.step(JoinVoice{Room: "dev"})
	w.run(time.Second)
	wantLines(t, "voices of different rooms do not meet", a.hears(t))
	mark := len(b.events)
	a.step(JoinVoice{Room: "dev"})
	a.step(JoinVoice{Room: "elsewhere"})
	w.run(time.Second)
	wantLines(t, "b hears that a moves", b.voices(mark), "p0 left #general (0)", "p0 joined #dev (2)")
	wantLines(t, "now they meet", a.hears(t), "p1")
	if lines := a.voices(0); !strings.HasPrefix(lines[len(lines)-1], "failure: joining the voice of #elsewhere") {
		t.Errorf("a joined the voice of a room that it is not in, and was told %q", lines)
	}
}

func TestLeavingARoomLeavesItsVoice(t *testing.T) {
	w := newWorld(3, 2, general, "dev")
	w.run(5 * time.Second)
	a, b := w.peers[0], w.peers[1]
	a.step(JoinVoice{Room: "dev"})
	b.step(JoinVoice{Room: "dev"})
	w.run(time.Second)
	mark := len(b.events)
	a.step(LeaveRoom{Room: "dev"})
	w.run(time.Second)
	wantLines(t, "b hears that a left", b.voices(mark), "p0 left #dev (1)")
	wantLines(t, "a hears that itself left", a.voices(0)[2:], "I left #dev (1)")
	wantLines(t, "a speaks to nobody", a.hears(t))
	wantLines(t, "b speaks to nobody", b.hears(t))
	mark = len(a.events)
	b.step(SetVoice{Muted: true})
	w.run(time.Second)
	wantLines(t, "a hears nothing of a room that it left", a.voices(mark))
	a.step(JoinRoom{Room: "dev"})
	w.run(time.Second)
	wantLines(t, "a comes back and hears who is there", a.voices(mark), "p1 joined #dev (1)", "p1 muted #dev (1)")
}

// Who cannot be reached for a while is still in voice, as others say, and is heard again when the link is back.
func TestVoiceReturnsWithTheLink(t *testing.T) {
	w := newWorld(4, 3, general)
	w.run(5 * time.Second)
	for _, p := range w.peers {
		p.step(JoinVoice{Room: general})
	}
	w.run(time.Second)
	a, b := w.peers[0], w.peers[1]
	before := slices.Clone(a.core.voices.spoken)
	mark := len(a.events)
	w.cutLink(0, 1, true)
	w.run(7 * time.Second)
	wantLines(t, "nobody left voice", a.voices(mark))
	wantLines(t, "a speaks to c alone", a.hears(t), "p2")
	w.cutLink(0, 1, false)
	w.run(30 * time.Second)
	wantLines(t, "nobody came into voice", a.voices(mark))
	wantLines(t, "a speaks to both", a.hears(t), "p1", "p2")
	wantLines(t, "b speaks to both", b.hears(t), "p0", "p2")
	if slices.Equal(a.core.voices.spoken, before) {
		t.Error("the link came back with the session that it had lost")
	}
}

func TestVoiceGoesOnWithoutATracker(t *testing.T) {
	w := newWorld(5, 4, general)
	w.run(5 * time.Second)
	for _, p := range w.peers {
		p.step(JoinVoice{Room: general})
	}
	w.run(time.Second)
	before := slices.Clone(w.peers[0].core.voices.spoken)
	mark := len(w.peers[0].events)
	w.setTracker(false)
	w.run(time.Minute)
	w.setTracker(true)
	w.run(time.Minute)
	wantLines(t, "nobody's voice changed", w.peers[0].voices(mark))
	if !slices.Equal(before, w.peers[0].core.voices.spoken) || len(before) != 3 {
		t.Errorf("the %d sessions of voice are others after the tracker was away", len(before))
	}
}

// A peer that is in voice, and goes from one session of its link to another, keeps speaking over the one in use.
func TestVoiceMovesWithTheLink(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(seed, 5, general)
		w.run(w.delay(2000))
		for _, p := range w.peers {
			p.step(JoinVoice{Room: general})
			w.run(w.delay(300))
		}
		for range 5 {
			w.peers[w.rand.IntN(5)].step(Reconnect{})
			a, b := w.rand.IntN(5), w.rand.IntN(5)
			w.cutLink(a, b, true)
			w.run(w.delay(8000))
			w.cutLink(a, b, false)
			w.run(w.delay(3000))
		}
		w.run(time.Minute)
		for _, p := range w.peers {
			if n := len(p.hears(t)); n != 4 {
				t.Errorf("seed %d: %s is in voice with %d others, want 4", seed, p.name, n)
			}
			if n := p.core.inVoice(general); n != 5 {
				t.Errorf("seed %d: %s counts %d people in voice, want 5", seed, p.name, n)
			}
		}
	}
}

func TestACrowdIsToldOnceWhatItCosts(t *testing.T) {
	w := newWorld(6, crowdBegins+1, general)
	w.run(10 * time.Second)
	for _, p := range w.peers[:crowdBegins] {
		p.step(JoinVoice{Room: general})
	}
	w.run(2 * time.Second)
	notices := func(p *simPeer) (texts []string) {
		for _, line := range p.voices(0) {
			if text, ok := strings.CutPrefix(line, "notice: "); ok {
				texts = append(texts, text)
			}
		}
		return texts
	}
	for _, p := range w.peers[:crowdBegins] {
		if texts := notices(p); len(texts) != 1 || !strings.Contains(texts[0], "12 people") || !strings.Contains(texts[0], "11 × 278 = 3058 kbit/s") {
			t.Errorf("%s was told of the crowd %q, want once, with 11 × 278 kbit/s", p.name, texts)
		}
	}
	if texts := notices(w.peers[crowdBegins]); len(texts) > 0 {
		t.Errorf("one who is not in voice was told %q", texts)
	}
	for range 3 { // around the mark: no news
		w.peers[1].step(LeaveVoice{})
		w.run(3 * time.Second)
		w.peers[1].step(JoinVoice{Room: general})
		w.run(3 * time.Second)
	}
	if n := len(notices(w.peers[0])); n != 1 {
		t.Errorf("p0 was told %d times, though one only came and went", n)
	}
	for range 2 {
		for _, p := range w.peers[1:4] {
			p.step(LeaveVoice{})
		}
		w.run(10 * time.Second)
		for _, p := range w.peers[1:4] {
			p.step(JoinVoice{Room: general})
		}
		w.run(10 * time.Second)
	}
	if n := len(notices(w.peers[0])); n != 3 {
		t.Errorf("p0 was told %d times in all, want again each time that there was a crowd again", n)
	}
}

func TestVoiceOfAKilledPeerEnds(t *testing.T) {
	w := newWorld(7, 3, general)
	w.run(5 * time.Second)
	for _, p := range w.peers {
		p.step(JoinVoice{Room: general})
	}
	w.run(time.Second)
	mark := len(w.peers[0].events)
	w.peers[1].kill()
	w.run(20 * time.Second)
	wantLines(t, "its neighbour hears that it left", w.peers[0].voices(mark), "p1 left #general (2)")
	w.peers[1].start(general)
	w.run(20 * time.Second)
	if n := w.peers[0].core.inVoice(general); n != 2 {
		t.Errorf("%d people are in voice, want 2: a new life does not begin in voice", n)
	}
}

func TestSpeakIsPutOutOnlyWhenItChanges(t *testing.T) {
	w := newWorld(8, 2, general)
	w.run(5 * time.Second)
	for _, p := range w.peers {
		p.step(JoinVoice{Room: general})
	}
	w.run(time.Second)
	var out CoreOutput
	c := w.peers[0].core
	for _, in := range []Input{SetVoice{Muted: true}, Say{Room: general, Kind: wire.KindText, Text: "hello"}, Rename{Name: "other"}, Tick{}} {
		c.Step(w.now, in, &out)
		c.Flush(w.now, &out)
	}
	c.Step(w.now, LeaveVoice{}, &out)
	c.Step(w.now, JoinVoice{Room: general}, &out)
	c.Flush(w.now, &out)
	for _, op := range out.Ops {
		if s, ok := op.(opSpeak); ok {
			t.Errorf("the same sessions were put out again: %v", s.sessions)
		}
	}
	out.Reset()
	c.Step(w.now, LeaveVoice{}, &out)
	c.Flush(w.now, &out)
	i := slices.IndexFunc(out.Ops, func(op Op) bool { _, ok := op.(opSpeak); return ok })
	if i < 0 || len(out.Ops[i].(opSpeak).sessions) != 0 {
		t.Errorf("leaving voice does not end speaking: %v", out.Ops)
	}
	if got := c.net().Voice; got != (wire.Voice{Muted: true}) {
		t.Errorf("the own voice is %+v after leaving, want muted and in no room", got)
	}
}
