package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode"

	"peerchat/media"
	"peerchat/media/device"
	"peerchat/peer"
	"peerchat/peer/profile"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// allVoiceNews has news of each type, with hostile text where somebody else chooses it.
func allVoiceNews() []voiceNews {
	evil := someone(9, "evil\x1b[2J\u202e")
	in := state{room: "general", hears: "built-in", plays: "evil\x07"}
	muted, deaf, key, open, set := in, in, in, in, in
	set.settings = voiceSettings{redundant: true, ducking: true}
	muted.muted, deaf.deaf, key.mode, open.mode = true, true, tui.VoiceByKey, tui.VoiceOpen
	people := []voicePerson{
		{room: "general", who: evil, voiceOf: voiceOf{muted: true, deaf: true}, volume: profile.Volume{DB: -6.5, Muted: true}},
		{room: "dev", who: me(), self: true},
	}
	devices := []device.Device{
		{Number: 1, ID: "a\x1b", Name: "built-in", Default: true, Backend: "pulse"}, {Number: 2, ID: "b", Name: "evil\x1b[2J", Backend: "pulse"},
		{Number: 3, ID: "c\u202e", Name: "evil\x1b[2J", Monitor: true, Backend: "pulse"},
	}
	talker := talkerAnswer{who: evil, rtt: 1500 * time.Microsecond, linked: true, TalkerStats: media.TalkerStats{Peer: evil.Peer, Talking: true, GainDB: -6.5,
		Quiet: time.Second, Stats: media.Stats{Delay: 41 * time.Millisecond, DriftPPM: -12.34, JitterStats: media.JitterStats{Received: 99, Played: 95, Lost: 4, Late: 1,
			Concealed: 321, Target: 40 * time.Millisecond}}}}
	return []voiceNews{
		stateNews{muted}, levelNews{Level: media.Level{RMS: -30}, Threshold: -45}, mutedNews{},
		talkNews{room: "general", who: evil, on: true}, talkNews{room: "general", who: me(), self: true},
		noteNews{code: "device", text: "note\x1b"}, noteNews{code: "device", text: "failure\x1b", failed: true},
		voiceAnswer{}, voiceAnswer{people: people}, voiceAnswer{state: set, gate: "opens when you speak", people: people[:1]},
		voiceAnswer{state: muted}, voiceAnswer{state: deaf}, voiceAnswer{state: key}, voiceAnswer{state: open, gate: "is always open"},
		devicesAnswer{}, devicesAnswer{microphones: devices, speakers: devices[:1], state: in}, devicesAnswer{speakers: devices[1:]},
		statsAnswer{}, statsAnswer{room: "general"},
		statsAnswer{room: "general", VoiceStats: media.VoiceStats{Input: "evil\x1b", Output: "built-in", Captured: 100, Sent: 90, Foreign: 2},
			talkers: []talkerAnswer{talker, {who: me(), TalkerStats: media.TalkerStats{Stats: media.Stats{DriftPPM: math.NaN()}}}}},
	}
}

func TestPlainVoice(t *testing.T) {
	p := newPlainPrinter(func() time.Time { return noon }, true)
	var out []byte
	for _, n := range allVoiceNews() {
		out = p.voice(out, n)
	}
	for line := range strings.Lines(string(out)) {
		if i := strings.IndexFunc(strings.TrimSuffix(line, "\n"), unicode.IsControl); i >= 0 || strings.ContainsRune(line, 0x202e) {
			t.Errorf("a line can restyle a terminal: %q", line)
		}
	}
	golden(t, "testdata/voice.golden", string(out))
}

func TestJSONVoice(t *testing.T) {
	p := &jsonPrinter{now: func() time.Time { return noon }}
	want := map[string][]string{
		"voice":       {"room", "peer", "name", "state", "self"},
		"voice_peers": {"room", "muted", "deaf", "mode", "redundant", "ducking", "input", "output", "peers"},
		"devices":     {"microphones", "speakers", "input", "output"},
		"stats":       {"room", "talking", "input", "output", "captured", "sent", "underruns", "peers"},
		"notice":      {"code", "text"}, "error": {"code", "text"},
	}
	seen := map[string]bool{}
	for _, n := range allVoiceNews() {
		line := string(p.voice(nil, n))
		if line == "" {
			continue // it is for screens
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || strings.Count(line, "\n") != 1 {
			t.Errorf("not a line of JSON (%v): %s", err, line)
			continue
		}
		kind, _ := fields["type"].(string)
		seen[kind] = true
		for _, name := range want[kind] {
			if _, ok := fields[name]; !ok {
				t.Errorf("a %s line has no %s: %s", kind, name, line)
			}
		}
		if i := strings.IndexFunc(strings.TrimSuffix(line, "\n"), unicode.IsControl); i >= 0 {
			t.Errorf("a control character stands raw in %q", line)
		}
	}
	for kind := range want {
		if !seen[kind] {
			t.Errorf("no news make a line of type %s", kind)
		}
	}
	stats := allVoiceNews()
	var got struct {
		Peers []struct {
			Loss      float64
			Concealed uint64
			Buffer    float64 `json:"buffer_ms"`
			Target    float64 `json:"target_ms"`
			RTT       float64 `json:"rtt_ms"`
		}
	}
	if err := json.Unmarshal(p.voice(nil, stats[len(stats)-1]), &got); err != nil {
		t.Fatal(err)
	}
	if s := got.Peers[0]; s.Loss != 0.05 || s.Concealed != 2 || s.Buffer != 41 || s.Target != 40 || s.RTT != 1.5 {
		t.Errorf("the statistics are %+v", s)
	}
}

// The screen shows all news of voice.
func TestVoiceReachesTheScreen(t *testing.T) {
	for _, n := range allVoiceNews() {
		msg := voiceMsg(n)
		if a, ok := msg.(tui.Answer); ok && a.Title == "" {
			t.Errorf("%#v is shown without a word", n)
		}
	}
	n := stateNews{state{room: "general", muted: true, deaf: true, mode: tui.VoiceByKey, noMic: true, noSpeaker: true}}
	if got, want := voiceMsg(n), (tui.Voice{Room: "general", Muted: true, Deaf: true, Mode: tui.VoiceByKey, NoMic: true, NoOutput: true}); got != want {
		t.Errorf("the state is shown as %+v, want %+v", got, want)
	}
	for _, msg := range toMsgs(peer.Notice{Room: "general", Code: "voice", Text: "12 people are in the voice of #general"}, wire.PeerID{}) {
		if n, ok := msg.(tui.Notice); !ok || !strings.Contains(n.Text, "12 people") {
			t.Errorf("what a crowd costs is shown as %#v", msg)
		}
	}
}
