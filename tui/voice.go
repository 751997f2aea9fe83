package tui

import (
	"strings"
	"time"
)

// The meter of the microphone: its cells, and the range of levels that they show, in dBFS.
const (
	meterCells = 6
	meterFrom  = -60.0
	meterTo    = -6.0
)

// cueShows is how long the status line says that somebody talks into a muted microphone.
const cueShows = 4 * time.Second

// volumeStep is what one stroke changes a member's volume by, in dB.
const volumeStep = 3

// voiceView is what the screen knows of voice.
type voiceView struct {
	own     Voice
	mic     MicLevel
	talking map[string]bool // peers that are heard, oneself included
	cuedAt  time.Time       // when somebody last talked into the muted microphone
}

// voiceMark is somebody's state in the voice of a room.
type voiceMark struct{ muted, deaf bool }

func (m *Model) updateVoice(v Voice) {
	v.Room = SanitizeLine(v.Room)
	if v.Room != m.voice.own.Room || v.NoMic {
		m.voice.mic = MicLevel{Level: meterFrom, Threshold: meterFrom}
	}
	if v.Room != m.voice.own.Room {
		clear(m.voice.talking)
	}
	m.voice.own = v
}

func (m *Model) updateVoiceMember(msg VoiceMember) {
	r := m.find(msg.Room)
	if r == nil {
		return
	}
	mem := Member{ID: SanitizeLine(msg.Member.ID), Name: SanitizeLine(msg.Member.Name)}
	mark, in := r.voices[mem.ID]
	switch msg.State {
	case VoiceJoined:
		mark = voiceMark{}
	case VoiceLeft:
		delete(r.voices, mem.ID)
		delete(m.voice.talking, mem.ID)
		if in {
			m.noteVoice(r, mem, "left voice", msg.Count)
		}
		return
	case VoiceMuted, VoiceUnmuted:
		mark.muted = msg.State == VoiceMuted
	case VoiceDeafened, VoiceUndeafened:
		mark.deaf = msg.State == VoiceDeafened
	default:
		return
	}
	if _, known := r.members[mem.ID]; known || mem.ID == m.self.ID { // what a room holds is bounded by its members
		r.voices[mem.ID] = mark
	}
	if !in {
		m.noteVoice(r, mem, "joined voice", msg.Count)
	}
}

// noteVoice tells of somebody who comes into voice or goes.
func (m *Model) noteVoice(r *room, mem Member, did string, count int) {
	switch {
	case mem.ID == m.self.ID:
		m.note(r, itemNotice, "you "+did+" ("+itoa(count)+" there)")
	case m.joins != "none":
		m.note(r, itemNotice, m.shownName(r, mem.ID, mem.Name)+" "+did+" ("+itoa(count)+" there)")
	}
}

func (m *Model) updateTalking(msg Talking) {
	id := SanitizeLine(msg.Peer)
	if !msg.On {
		delete(m.voice.talking, id)
	} else if len(m.voice.talking) < maxPeople {
		m.voice.talking[id] = true
	}
}

// voiceSign is how somebody is in voice, in one cell.
func (m *Model) voiceSign(r *room, id string) string {
	mark, in := r.voices[id]
	switch {
	case !in:
		return " "
	case mark.deaf:
		return m.sign("⦸", "d")
	case mark.muted:
		return m.sign("⊘", "m")
	case m.voice.talking[id] && m.voice.own.Room == r.name:
		return m.sign("▶", ">")
	}
	return m.sign("♪", "v")
}

func (m *Model) voiceSigns() string { return m.sign("▶  ♪  ⊘  ⦸", ">  v  m  d") }

// voiceSegment is the own voice in the status line, or who is in the voice of the room in view.
func (m *Model) voiceSegment(r *room) (segment, bool) {
	v := m.voice.own
	if v.Room == "" {
		if len(r.voices) == 0 {
			return segment{}, false
		}
		n := itoa(len(r.voices))
		return segment{text: "voice: " + n + " in", short: "voice " + n, role: roleDim}, true
	}
	s := segment{}
	long, short := []string{"voice: on"}, []string{"voice"}
	both := func(text string) { long, short = append(long, text), append(short, text) }
	if v.Room != r.name {
		long = append(long, "#"+truncate(v.Room, 16, m.sign("…", "~")))
	}
	switch v.Mode {
	case VoiceByKey:
		both("PTT")
	case VoiceOpen:
		long = append(long, "open")
	}
	if v.NoMic {
		both("no mic")
		s.role = roleAlert
	} else {
		both(m.meter())
	}
	if v.NoOutput {
		both("no speaker")
		s.role = roleAlert
	}
	state := ""
	switch {
	case v.Deaf:
		state, s.role = "DEAF", roleAlert
	case v.Muted && !m.voice.cuedAt.IsZero() && m.now.Sub(m.voice.cuedAt) < cueShows:
		state, s.role = "MUTED, nobody hears you", roleAlert
	case v.Muted:
		state, s.role = "MUTED", roleAlert
	case m.voice.talking[m.self.ID]:
		state, s.role = "TALK", roleUnread
	}
	if state != "" {
		both("|")
		both(state)
	}
	s.text, s.short = strings.Join(long, " "), strings.Join(short, " ")
	return s, true
}

// meter shows the microphone's level, and, where it opens by voice, the level from which it does.
func (m *Model) meter() string {
	cell := func(dB float64) int {
		return max(0, min(meterCells, int((dB-meterFrom)/(meterTo-meterFrom)*meterCells)))
	}
	lit, mark := cell(m.voice.mic.Level), -1
	if m.voice.own.Mode == VoiceByLevel {
		mark = cell(m.voice.mic.Threshold)
	}
	on, off := []rune("▂▃▄▅▆▇"), "·"
	if m.cfg.ASCII {
		on, off = []rune("######"), "."
	}
	var b strings.Builder
	for i := range meterCells {
		if i == mark {
			b.WriteString(m.sign("│", "|"))
		}
		if i < lit {
			b.WriteRune(on[i])
		} else {
			b.WriteString(off)
		}
	}
	if mark == meterCells {
		b.WriteString(m.sign("│", "|"))
	}
	return b.String()
}

// voiceKey is the key to talk, to mute or to deafen. It works wherever the focus is.
func (m *Model) voiceKey(op string) {
	v := m.voice.own
	act := func(a Action) { m.out.Actions = append(m.out.Actions, a) }
	switch {
	case op == "mute" && v.Muted:
		act(Unmute{})
	case op == "mute":
		act(Mute{})
	case op == "deafen" && v.Deaf:
		act(Deafen{Mode: "off"})
	case op == "deafen":
		act(Deafen{Mode: "on"})
	case v.Room == "":
		m.flash = "you are not in voice: /voice join"
	case v.Mode != VoiceByKey:
		m.flash = "your microphone opens without a key; /ptt on makes this the talk key"
	case v.Deaf:
		m.flash = "nobody hears you while you are deaf: F4 or /deaf ends that"
	case v.Muted:
		m.flash = "your microphone is muted: F3 or /unmute opens it"
	default:
		act(TalkKey{})
	}
}

// volumeKey makes the member that is chosen louder or softer.
func (m *Model) volumeKey(k Key) bool {
	by := 0.0
	switch k.Text {
	case "+", "=":
		by = volumeStep
	case "-":
		by = -volumeStep
	default:
		return false
	}
	if people := m.room().people(); m.cursor < len(people) && people[m.cursor].ID != m.self.ID {
		m.out.Actions = append(m.out.Actions, Volume{Who: people[m.cursor].ID, DB: by, Relative: true})
	}
	return true
}
