package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"peerchat/media"
	"peerchat/media/device"
	"peerchat/peer"
	"peerchat/peer/profile"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// voiceNews is what voice tells a front end: one of the types below.
type voiceNews interface{ voiceNews() }

type (
	// stateNews is how the own voice stands, at each change.
	stateNews struct{ state }
	// talkNews says that somebody begins or ceases to be heard.
	talkNews struct {
		room wire.Room
		who  peer.Person
		on   bool
		self bool
	}
	// levelNews is the microphone's level. mutedNews says that the user talks into a muted one.
	levelNews media.InputLevel
	mutedNews struct{}
	// noteNews is information for people, or a problem.
	noteNews struct {
		code, text string
		failed     bool
	}
	// voiceAnswer says who is in voice: in that of the own room, or in those of all rooms when in none.
	voiceAnswer struct {
		state
		gate   string // what opens the microphone, for people
		people []voicePerson
	}
	// devicesAnswer lists what the sound system has: nothing where there is no sound.
	devicesAnswer struct {
		state
		microphones, speakers []device.Device
	}
	// statsAnswer is how well voice gets through; room is empty while not in voice.
	statsAnswer struct {
		room wire.Room
		media.VoiceStats
		talkers []talkerAnswer // in place of Talkers
	}
)

// talkerAnswer is somebody's line of a statsAnswer.
type talkerAnswer struct {
	media.TalkerStats
	who    peer.Person
	rtt    time.Duration // of the link; zero where that is not known yet
	linked bool
}

// voicePerson is one line of a voiceAnswer.
type voicePerson struct {
	room wire.Room
	who  peer.Person
	voiceOf
	self   bool
	volume profile.Volume
}

func (stateNews) voiceNews()     {}
func (talkNews) voiceNews()      {}
func (levelNews) voiceNews()     {}
func (mutedNews) voiceNews()     {}
func (noteNews) voiceNews()      {}
func (voiceAnswer) voiceNews()   {}
func (devicesAnswer) voiceNews() {}
func (statsAnswer) voiceNews()   {}

// voiceMsg says what news of voice mean to the screen.
func voiceMsg(n voiceNews) tui.Msg {
	switch n := n.(type) {
	case stateNews:
		return tui.Voice{Room: string(n.room), Muted: n.muted, Deaf: n.deaf, Mode: n.mode, NoMic: n.noMic, NoOutput: n.noSpeaker}
	case talkNews:
		return tui.Talking{Peer: n.who.Peer.String(), On: n.on}
	case levelNews:
		return tui.MicLevel{Level: n.Level.RMS, Threshold: n.Threshold}
	case mutedNews:
		return tui.MutedTalk{}
	case noteNews:
		if n.failed {
			return tui.Failure{Text: n.text}
		}
		return tui.Notice{Text: n.text}
	}
	title, lines := voiceLines(n)
	return tui.Answer{Title: title, Lines: lines}
}

// voiceLines writes an answer for people.
func voiceLines(n voiceNews) (title string, lines []string) {
	switch n := n.(type) {
	case voiceAnswer:
		return n.lines()
	case devicesAnswer:
		return "sound devices", deviceLines(n.microphones, n.speakers, n.hears, n.plays)
	case statsAnswer:
		if n.room == "" {
			return "there is nothing to measure: you are not in voice; /voice join", nil
		}
		return "voice in " + n.room.String(), n.lines()
	}
	return "", nil
}

func (a voiceAnswer) lines() (title string, lines []string) {
	for _, p := range a.people {
		l := fmt.Sprintf("%-20s", personText(p.who))
		if a.room == "" {
			l = fmt.Sprintf("%-12s ", p.room) + l
		}
		var how []string
		for _, sign := range []struct {
			is   bool
			text string
		}{{p.self, "you"}, {p.muted, "muted"}, {p.deaf, "deaf"}, {p.volume.Muted, "silenced by you"}} {
			if sign.is {
				how = append(how, sign.text)
			}
		}
		if p.volume.DB != 0 {
			how = append(how, fmt.Sprintf("%+g dB", p.volume.DB))
		}
		lines = append(lines, strings.TrimRight(l+" "+strings.Join(how, ", "), " "))
	}
	switch {
	case a.room == "" && len(lines) == 0:
		return "nobody is in voice; /voice join begins it", nil
	case a.room == "":
		return "you are not in voice; these are:", lines
	}
	mic := "your microphone " + a.gate
	switch {
	case a.deaf:
		mic = "you are deaf, and nobody hears you"
	case a.muted:
		mic = "your microphone is muted"
	case a.mode == tui.VoiceByKey:
		mic = "your microphone is open while you hold F2, or have tapped it"
	}
	if a.settings.redundant {
		mic += "; " + a.settings.text("redundant")
	}
	if a.settings.ducking {
		mic += "; " + a.settings.text("ducking")
	}
	return fmt.Sprintf("you are in the voice of %s; %s", a.room, mic), lines
}

func (s statsAnswer) lines() []string {
	name := func(n string) string {
		if n == "" {
			return "(there is none)"
		}
		return tui.SanitizeLine(n)
	}
	lines := []string{
		fmt.Sprintf("microphone %s: frames %d, sent %d, skipped %d", name(s.Input), s.Captured, s.Sent, s.Skipped),
		fmt.Sprintf("speaker    %s: underruns %d", name(s.Output), s.Underruns),
	}
	if n := s.Overflow + s.Foreign + s.Crowd; n > 0 {
		lines = append(lines, fmt.Sprintf("packets thrown away: too many %d, no sound %d, of too many talkers %d", s.Overflow, s.Foreign, s.Crowd))
	}
	if len(s.talkers) == 0 {
		return append(lines, "nobody has talked yet")
	}
	lines = append(lines, fmt.Sprintf("%-16s %6s %5s %5s %9s %6s %6s", "peer", "loss", "late", "made", "buffer", "rtt", "drift"))
	for _, t := range s.talkers {
		rtt := "?"
		if t.rtt > 0 {
			rtt = fmt.Sprintf("%.1f", milliseconds(t.rtt))
		}
		lines = append(lines, fmt.Sprintf("%-16s %5.1f%% %5d %5d %9s %6s %6.0f", personText(t.who), 100*lossOf(t.Stats), t.Late,
			framesOf(t.Concealed), fmt.Sprintf("%.0f/%.0f", milliseconds(t.Delay), milliseconds(t.Target)), rtt, finite(t.DriftPPM)))
	}
	return append(lines, "late and made in frames of 20 ms, buffer (now/wanted) and rtt in ms, drift in ppm")
}

// lossOf is which share of a talker's packets did not come, or came too late.
func lossOf(s media.Stats) float64 {
	missed := float64(s.Lost + s.Late)
	return missed / max(missed+float64(s.Played), 1)
}

// framesOf is how many frames of 20 ms, begun ones too, samples are.
func framesOf(samples uint64) uint64 { return (samples + media.FrameSamples - 1) / media.FrameSamples }

// voice prints news of voice. Who talks at the moment would be too many lines for people.
func (p *plainPrinter) voice(b []byte, n voiceNews) []byte {
	switch n := n.(type) {
	case noteNews:
		if n.failed {
			return p.problem(b, n.code, n.text)
		}
		return p.notice(b, n.code, n.text)
	case mutedNews:
		return line(b, p.now(), "-!- [voice:muted] you talk, but nobody hears you")
	case voiceAnswer, devicesAnswer, statsAnswer:
		title, lines := voiceLines(n)
		for _, l := range append([]string{title}, lines...) {
			b = line(b, p.now(), "-!- "+l)
		}
	}
	return b
}

// voiceChanged tells of somebody who comes into voice, goes, or changes there.
func (p *plainPrinter) voiceChanged(ev peer.VoiceChanged) string {
	who := p.name(ev.Person)
	if !ev.Self {
		switch ev.State {
		case peer.VoiceJoined:
			return fmt.Sprintf("--> %s joined the voice of %s (%d there)", who, ev.Room, ev.Members)
		case peer.VoiceLeft:
			return fmt.Sprintf("<-- %s left the voice of %s (%d there)", who, ev.Room, ev.Members)
		}
		return fmt.Sprintf("-!- %s is %s in the voice of %s", who, ev.State, ev.Room)
	}
	switch ev.State {
	case peer.VoiceJoined:
		return fmt.Sprintf("-!- [voice:on] you joined the voice of %s (%d there)", ev.Room, ev.Members)
	case peer.VoiceLeft:
		return fmt.Sprintf("-!- [voice:off] you left the voice of %s", ev.Room)
	case peer.VoiceMuted:
		return "-!- [voice:muted] nobody hears you"
	case peer.VoiceDeafened:
		return "-!- [voice:deaf] you hear nobody, and nobody hears you"
	case peer.VoiceUndeafened:
		if ev.Muted {
			return "-!- [voice:muted] you hear the others again"
		}
		return "-!- [voice:on] you hear the others again, and they hear you"
	}
	if ev.Deaf {
		return "-!- [voice:deaf] your microphone is open when you are not deaf any more"
	}
	return "-!- [voice:on] the others hear you"
}

// voice prints news of voice as objects. Levels are for screens.
func (p *jsonPrinter) voice(b []byte, n voiceNews) []byte {
	switch n := n.(type) {
	case talkNews:
		state := "silent"
		if n.on {
			state = "talking"
		}
		return p.begin(b, "voice").str("room", string(n.room)).person(n.who).str("state", state).bool("self", n.self).end()
	case mutedNews:
		return p.notice(b, "muted", "you talk, but your microphone is muted")
	case noteNews:
		if n.failed {
			return p.problem(b, n.code, n.text)
		}
		return p.notice(b, n.code, n.text)
	case voiceAnswer:
		return p.voicePeers(b, n)
	case devicesAnswer:
		return jsonDevices(p.begin(b, "devices"), n.microphones, n.speakers).str("input", n.hears).str("output", n.plays).end()
	case statsAnswer:
		return p.voiceStats(b, n)
	}
	return b
}

func (p *jsonPrinter) voiceChanged(b []byte, ev peer.VoiceChanged) []byte {
	return p.begin(b, "voice").str("room", string(ev.Room)).person(ev.Person).str("state", string(ev.State)).int("members", ev.Members).
		bool("muted", ev.Muted).bool("deaf", ev.Deaf).bool("self", ev.Self).end()
}

func (p *jsonPrinter) voicePeers(b []byte, a voiceAnswer) []byte {
	type jsonPerson struct {
		Room     wire.Room `json:"room"`
		Peer     string    `json:"peer"`
		Name     string    `json:"name"`
		Muted    bool      `json:"muted"`
		Deaf     bool      `json:"deaf"`
		Self     bool      `json:"self"`
		Volume   float64   `json:"volume_db"`
		Silenced bool      `json:"silenced"` // by this user, for itself
	}
	people := make([]jsonPerson, 0, len(a.people))
	for _, w := range a.people {
		people = append(people, jsonPerson{Room: w.room, Peer: idString(w.who.Peer), Name: w.who.Name, Muted: w.muted, Deaf: w.deaf, Self: w.self,
			Volume: w.volume.DB, Silenced: w.volume.Muted})
	}
	mode := string(a.mode)
	if mode == "" {
		mode = "level"
	}
	return p.begin(b, "voice_peers").str("room", string(a.room)).bool("muted", a.muted).bool("deaf", a.deaf).str("mode", mode).
		bool("redundant", a.settings.redundant).bool("ducking", a.settings.ducking).str("input", a.hears).str("output", a.plays).any("peers", people).end()
}

// finite is x, or 0 where JSON has no word for x.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}

func (p *jsonPrinter) voiceStats(b []byte, s statsAnswer) []byte {
	type jsonTalker struct {
		Peer      string  `json:"peer"`
		Name      string  `json:"name"`
		Talking   bool    `json:"talking"`
		Received  uint64  `json:"received"` // packets, as are the next six
		Played    uint64  `json:"played"`
		Lost      uint64  `json:"lost"`
		Late      uint64  `json:"late"`
		Duplicate uint64  `json:"duplicate"`
		Refused   uint64  `json:"refused"`
		Dropped   uint64  `json:"dropped"`
		Filled    uint64  `json:"filled"`    // frames of lost packets that came with the next one
		Loss      float64 `json:"loss"`      // share of the packets, 0 to 1
		Concealed uint64  `json:"concealed"` // frames of 20 ms that were made up
		Buffer    float64 `json:"buffer_ms"` // from a packet's arrival to the speaker
		Target    float64 `json:"target_ms"` // that the buffer aims at: it follows the jitter
		RTT       float64 `json:"rtt_ms"`    // of the link; 0: not known
		Drift     float64 `json:"drift_ppm"` // how much faster its clock is
		Quiet     float64 `json:"quiet_ms"`  // since the last packet
		Volume    float64 `json:"volume_db"` // that this user set
		Silenced  bool    `json:"silenced"`  // by this user
		Linked    bool    `json:"linked"`
	}
	talkers := make([]jsonTalker, 0, len(s.talkers))
	for _, t := range s.talkers {
		talkers = append(talkers, jsonTalker{Peer: idString(t.Peer), Name: t.who.Name, Talking: t.Talking, Received: t.Received, Played: t.Played,
			Lost: t.Lost, Late: t.Late, Duplicate: t.Duplicate, Refused: t.Refused, Dropped: t.Dropped, Filled: t.Filled, Loss: lossOf(t.Stats),
			Concealed: framesOf(t.Concealed), Buffer: milliseconds(t.Delay), Target: milliseconds(t.Target), RTT: milliseconds(t.rtt),
			Drift: finite(t.DriftPPM), Quiet: milliseconds(t.Quiet), Volume: t.GainDB, Silenced: t.Muted, Linked: t.linked})
	}
	return p.begin(b, "stats").str("room", string(s.room)).bool("talking", s.Talking).bool("ducked", s.Ducked).
		str("input", s.Input).str("output", s.Output).uint("captured", s.Captured).uint("sent", s.Sent).uint("skipped", s.Skipped).
		uint("input_lost", s.InputLost).uint("underruns", s.Underruns).
		uint("overflow", s.Overflow).uint("foreign", s.Foreign).uint("crowd", s.Crowd).any("peers", talkers).end()
}
