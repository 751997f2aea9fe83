package tui

import (
	"slices"
	"strings"
	"testing"
)

// status is the status line on a screen that is wide enough for all of it.
func status(m *Model) string {
	var out []string
	for _, s := range m.statusLine(400) {
		out = append(out, s.text)
	}
	return strings.Join(out, " ")
}

// memberSigns is what stands before a member's name.
func memberSigns(m *Model, id string) string {
	sign, _, _, _ := m.memberLine(m.room().members[id], 20)
	return strings.TrimRight(sign, " ")
}

func inVoice(m *Model, room, id, name string, state VoiceState, count int) {
	m.Update(start, VoiceMember{Room: room, Member: Member{ID: id, Name: name}, State: state, Count: count})
}

func TestTheStatusLineSaysWhetherIAmHeard(t *testing.T) {
	m := newTestModel()
	if strings.Contains(status(m), "voice") {
		t.Errorf("there is no voice, but the status line says %s", status(m))
	}
	inVoice(m, "general", "bbbb", "bob", VoiceJoined, 1)
	for _, step := range []struct {
		why  string
		msgs []Msg
		want string
	}{
		{"others are in it", nil, "[voice: 1 in]"},
		{"nothing is heard of the microphone yet", []Msg{Voice{Room: "general"}}, "[voice: on │······]"},
		{"noise", []Msg{MicLevel{Level: -55, Threshold: -45}}, "[voice: on ·│·····]"},
		{"speech", []Msg{MicLevel{Level: -20, Threshold: -45}, Talking{Peer: "aaaa", On: true}}, "[voice: on ▂│▃▄▅·· | TALK]"},
		{"as loud as can be", []Msg{MicLevel{Level: 0, Threshold: -1}, Talking{Peer: "aaaa"}}, "[voice: on ▂▃▄▅▆▇│]"},
		{"a talk key needs no threshold", []Msg{Voice{Room: "general", Mode: VoiceByKey}}, "[voice: on PTT ▂▃▄▅▆▇]"},
		{"always open", []Msg{Voice{Room: "general", Mode: VoiceOpen}}, "[voice: on open ▂▃▄▅▆▇]"},
		{"muted", []Msg{Voice{Room: "general", Mode: VoiceOpen, Muted: true}}, "[voice: on open ▂▃▄▅▆▇ | MUTED]"},
		{"muted and talking", []Msg{MutedTalk{}}, "| MUTED, nobody hears you]"},
		{"deaf", []Msg{Voice{Room: "general", Muted: true, Deaf: true}}, "| DEAF]"},
		{"in another room", []Msg{Voice{Room: "dev", NoOutput: true}}, "[voice: on #dev │······ no speaker]"},
		{"no microphone", []Msg{Voice{Room: "general", NoMic: true}}, "[voice: on no mic]"},
		{"left again", []Msg{Voice{}}, "[voice: 1 in]"},
	} {
		for _, msg := range step.msgs {
			m.Update(start, msg)
		}
		if !strings.Contains(status(m), step.want) {
			t.Errorf("%s: the status line is %s, want %s in it", step.why, status(m), step.want)
		}
	}
	m.Update(start, Voice{Room: "general", Muted: true})
	m.Update(start, MutedTalk{})
	m.Tick(start.Add(cueShows))
	if strings.Contains(status(m), "nobody hears") {
		t.Errorf("the cue goes by itself, but the status line is %s", status(m))
	}
}

func TestMembersShowTheirVoice(t *testing.T) {
	for _, c := range []struct {
		ascii                                    bool
		none, quiet, talks, muted, deaf, unheard string
	}{
		{false, "○", "○♪", "○▶", "○⊘", "○⦸", "○♪"},
		{true, "-", "-v", "->", "-m", "-d", "-v"},
	} {
		m := newTestModel()
		m.cfg.ASCII = c.ascii
		want := func(why, sign string) {
			t.Helper()
			if got := memberSigns(m, "bbbb"); got != sign {
				t.Errorf("%s: bob's sign is %q, want %q", why, got, sign)
			}
		}
		want("not in voice", c.none)
		inVoice(m, "general", "bbbb", "bob", VoiceJoined, 1)
		m.Update(start, Talking{Peer: "bbbb", On: true})
		want("who is not in voice hears nobody", c.unheard)
		m.Update(start, Voice{Room: "general"})
		want("quiet", c.quiet)
		m.Update(start, Talking{Peer: "bbbb", On: true})
		want("talks", c.talks)
		inVoice(m, "general", "bbbb", "bob", VoiceMuted, 1)
		want("muted", c.muted)
		inVoice(m, "general", "bbbb", "bob", VoiceDeafened, 1)
		want("deaf", c.deaf)
		inVoice(m, "general", "bbbb", "bob", VoiceUndeafened, 1)
		inVoice(m, "general", "bbbb", "bob", VoiceUnmuted, 1)
		m.Update(start, Talking{Peer: "bbbb"})
		want("quiet again", c.quiet)
		inVoice(m, "general", "bbbb", "bob", VoiceLeft, 0)
		want("left voice", c.none)
		inVoice(m, "general", "bbbb", "bob", VoiceJoined, 1)
		m.Update(start, MemberLeft{Room: "general", Member: Member{ID: "bbbb"}, Count: 2})
		if len(m.rooms[0].voices) != 0 {
			t.Error("who left the room is still in its voice")
		}
		inVoice(m, "general", "stranger", "x", VoiceJoined, 1)
		inVoice(m, "nowhere", "bbbb", "bob", VoiceJoined, 1)
		if len(m.rooms[0].voices) != 0 {
			t.Error("somebody who is not in the room is in its voice")
		}
	}
}

func TestVoiceIsToldOfInTheTimeline(t *testing.T) {
	m := newTestModel()
	inVoice(m, "general", "bbbb", "bob", VoiceJoined, 1)
	inVoice(m, "general", "aaaa", "alice", VoiceJoined, 2)
	inVoice(m, "general", "bbbb", "bob", VoiceMuted, 2)
	inVoice(m, "general", "bbbb", "bob", VoiceLeft, 1)
	want := "bob joined voice (1 there)|you joined voice (2 there)|bob left voice (1 there)"
	if got := texts(m); got != want {
		t.Errorf("the timeline says %q, want %q", got, want)
	}
	m.joins = "none"
	inVoice(m, "general", "cccc", "carol", VoiceJoined, 2)
	if got := texts(m); got != want {
		t.Errorf("joins are hidden, but the timeline says %q", got)
	}
}

func TestVoiceKeys(t *testing.T) {
	m := newTestModel()
	want := func(why, key string, flash string, actions ...Action) {
		t.Helper()
		if got := press(m, key); !slices.Equal(got, actions) || !strings.Contains(m.flash, flash) {
			t.Errorf("%s: %s does %+v and says %q, want %+v and %q", why, key, got, m.flash, actions, flash)
		}
	}
	want("not in voice", "F2", "/voice join")
	m.Update(start, Voice{Room: "general"})
	want("it opens by itself", "F2", "/ptt on")
	want("open", "F3", "", Mute{})
	want("hearing", "F4", "", Deafen{Mode: "on"})
	m.Update(start, Voice{Room: "general", Mode: VoiceByKey, Muted: true})
	want("muted", "F2", "F3")
	want("muted", "F3", "", Unmute{})
	m.Update(start, Voice{Room: "general", Mode: VoiceByKey, Deaf: true})
	want("deaf", "F2", "F4")
	want("deaf", "F4", "", Deafen{Mode: "off"})
	m.Update(start, Voice{Room: "general", Mode: VoiceByKey})
	want("the talk key", "F2", "", TalkKey{})
	want("and another way to it", "Alt+t", "", TalkKey{})
	press(m, "F1")
	want("over the help", "F2", "", TalkKey{})
	if m.overlay.mode != overlayHelp {
		t.Error("the talk key closed the help")
	}
	press(m, "Esc")
	typeText(m, "half a wo")
	press(m, "F2", "F3")
	if m.input.text != "half a wo" {
		t.Errorf("voice keys changed the input to %q", m.input.text)
	}
}

func TestVolumeKeysInTheMemberList(t *testing.T) {
	m := newTestModel()
	typeText(m, "1+1-1")
	if m.input.text != "1+1-1" {
		t.Errorf("the input takes %q as %q", "1+1-1", m.input.text)
	}
	press(m, "Shift+F6")
	if m.focus != paneMembers {
		t.Fatalf("the focus is on pane %d, not on the members", m.focus)
	}
	m.Key(start, Key{Name: "Down"}) // past alice, who is oneself
	for text, by := range map[string]float64{"+": 3, "-": -3} {
		got := m.Key(start, Key{Text: text}).Actions
		if want := []Action{Volume{Who: "bbbb", DB: by, Relative: true}}; !slices.Equal(got, want) {
			t.Errorf("%s in the member list does %+v, want %+v", text, got, want)
		}
	}
	m.Key(start, Key{Name: "Up"})
	if got := m.Key(start, Key{Text: "+"}).Actions; len(got) != 0 {
		t.Errorf("one's own volume is changed by %+v", got)
	}
}

func TestVoiceIsOnlyJoinedInARoomOneIsIn(t *testing.T) {
	m := newTestModel()
	typeText(m, "/voice join elsewhere")
	if got := press(m, "Enter"); len(got) != 0 || !strings.Contains(texts(m), "not in #elsewhere") {
		t.Errorf("joining voice elsewhere does %+v; the timeline says %q", got, texts(m))
	}
	typeText(m, "/voice join")
	if got := press(m, "Enter"); !slices.Equal(got, []Action{JoinVoice{"general"}}) {
		t.Errorf("joining voice here does %+v", got)
	}
}

// Levels come ten times a second while the screen may stand still: they do not crowd out what matters.
func TestLevelsAreLeftOutFirst(t *testing.T) {
	b := newMailbox()
	b.put(Voice{Room: "general"})
	for range 2 * maxMail {
		b.put(MicLevel{})
	}
	mail, lost := b.take()
	if lost != 0 || len(mail) > maxMail || mail[0] != (Voice{Room: "general"}) {
		t.Errorf("%d messages are kept, %d lines lost, the first is %+v", len(mail), lost, mail[0])
	}
}
