package tui

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is said about loudness: a volume in dB, and a threshold in dBFS.
const (
	minVolume, maxVolume       = -96.0, 18.0
	minThreshold, maxThreshold = -90.0, -1.0
)

// maxDevice bounds a SOURCE, a SINK or a file's name, in bytes.
const maxDevice = 4096

// voiceWords are what /voice takes.
func voiceWords() []string { return []string{"join", "leave", "mute", "unmute", "peers"} }

// voiceSetting is something that /voice set sets.
type voiceSetting struct {
	name, help string
	words      []string // its values
}

func voiceSettings() []voiceSetting {
	return []voiceSetting{
		{"redundant", "send each 20 ms twice, for a line that loses packets; you send twice as much", []string{"on", "off"}},
		{"ducking", "shut your microphone while others are heard, for speakers that it hears", []string{"on", "off"}},
	}
}

// voiceCommands are the part of the table that is about voice.
func voiceCommands() []command {
	onOff := []string{"on", "off"}
	return []command{
		{name: "voice", aliases: []string{"v"}, usage: "[join [ROOM] | leave | set NAME VALUE]", help: "talk in a room, or stop; alone: who is in voice, and how",
			arg: argWord, words: append(voiceWords(), "set"), parse: parseVoice},
		{name: "mute", usage: "[NAME]", help: "shut your microphone (F3), or silence somebody for you", arg: argText,
			parse: func(in request) (Action, error) { return Mute{Who: in.name()}, nil }},
		{name: "unmute", usage: "[NAME]", help: "open it again, or hear them again", arg: argText,
			parse: func(in request) (Action, error) { return Unmute{Who: in.name()}, nil }},
		{name: "deaf", aliases: []string{"deafen"}, usage: "[on|off]", help: "hear nobody and be heard by nobody (F4)", arg: argWord, words: onOff,
			parse: func(in request) (Action, error) { w, err := in.word(); return Deafen{Mode: w}, err }},
		{name: "ptt", usage: "[on|off]", help: "talk only while F2 is held, or latched by a tap", arg: argWord, words: onOff,
			parse: func(in request) (Action, error) { w, err := in.word(); return PTT{Mode: w}, err }},
		{name: "vad", usage: "LEVEL | auto | off", help: "the level in dBFS that opens the microphone, as -45; off: it is always open", arg: argWord,
			words: []string{"auto", "off"}, parse: parseVAD},
		{name: "devices", help: "show microphones and speakers", parse: in0(ListDevices{})},
		{name: "input", aliases: []string{"mic"}, usage: "DEVICE", help: "use a microphone: number, name, default, none, wav:FILE, tone:HZ", arg: argText,
			parse: func(in request) (Action, error) { d, err := in.device(); return Input{Device: d}, err }},
		{name: "output", aliases: []string{"speaker"}, usage: "DEVICE", help: "use a speaker: number, name, default, none, wav:FILE", arg: argText,
			parse: func(in request) (Action, error) { d, err := in.device(); return Output{Device: d}, err }},
		{name: "vol", aliases: []string{"volume"}, usage: "NAME 50% | -6dB", help: "how loud somebody is for you; it is remembered", arg: argText,
			parse: parseVolume},
		{name: "audio", usage: "test", help: "record for three seconds and play it back", arg: argWord, words: []string{"test"}, parse: parseAudio},
		{name: "record", usage: "[FILE | stop]", help: "write what you hear and say into a WAVE file; the room is told", arg: argText, parse: parseRecord},
		{name: "stats", help: "show how well voice gets through: loss, jitter, delay", parse: in0(Stats{})},
	}
}

func parseVoice(in request) (Action, error) {
	words := strings.Fields(in.arg)
	if len(words) == 0 {
		return AskVoice{}, nil
	}
	word := strings.ToLower(words[0])
	switch {
	case word == "join" && len(words) <= 2:
		in.arg = strings.Join(words[1:], "")
		room, err := in.roomOrHere()
		return JoinVoice{Room: room}, err
	case word == "set":
		return parseVoiceSet(in, words[1:])
	case len(words) > 1:
		return nil, in.usageError(fmt.Sprintf("%q is one word too many", clip(in.arg)))
	case word == "leave":
		return LeaveVoice{}, nil
	case word == "mute":
		return Mute{}, nil
	case word == "unmute":
		return Unmute{}, nil
	case word == "peers":
		return AskVoice{}, nil
	}
	return nil, in.usageError(fmt.Sprintf("%q is none of %s", clip(in.arg), strings.Join(voiceWords(), ", ")))
}

func parseVoiceSet(in request, words []string) (Action, error) {
	var known []string
	for _, s := range voiceSettings() {
		if len(words) == 2 && strings.EqualFold(words[0], s.name) {
			if value := strings.ToLower(words[1]); slices.Contains(s.words, value) {
				return VoiceSet{Name: s.name, Value: value}, nil
			}
		}
		known = append(known, fmt.Sprintf("%s %s (%s)", s.name, strings.Join(s.words, "|"), s.help))
	}
	return nil, fmt.Errorf("/voice set: what can be set is %s; it lasts until you quit", strings.Join(known, "; "))
}

// name is an argument that names somebody, as completion leaves it.
func (in request) name() string { return strings.TrimSpace(strings.TrimPrefix(in.arg, "@")) }

func (in request) device() (string, error) {
	switch {
	case in.arg == "":
		return "", in.usageError("which one? /devices shows them")
	case len(in.arg) > maxDevice:
		return "", in.usageError(fmt.Sprintf("%d bytes are no device's name", len(in.arg)))
	}
	return in.arg, nil
}

func parseVAD(in request) (Action, error) {
	switch word := strings.ToLower(in.arg); word {
	case "":
		return nil, in.usageError("which level?")
	case "auto", "off":
		return VAD{Mode: word}, nil
	}
	dB, err := strconv.ParseFloat(strings.TrimSuffix(strings.ToLower(in.arg), "db"), 64)
	if err != nil || !(dB >= minThreshold && dB <= maxThreshold) {
		return nil, in.usageError(fmt.Sprintf("%q is not a level from %.0f to %.0f dBFS", clip(in.arg), minThreshold, maxThreshold))
	}
	return VAD{Mode: "level", DB: dB}, nil
}

// parseVolume reads "NAME 50%", "NAME -6dB" and "NAME -6". Percent are of the amplitude.
func parseVolume(in request) (Action, error) {
	cut := strings.LastIndexByte(in.name(), ' ')
	if cut < 0 {
		return nil, in.usageError("who, and how loud?")
	}
	who, loud := strings.TrimSpace(in.name()[:cut]), strings.ToLower(in.name()[cut+1:])
	bad := in.usageError(fmt.Sprintf("%q is not a loudness: want 0%% to 794%%, or %.0fdB to +%.0fdB", clip(loud), minVolume, maxVolume))
	percent, isPercent := strings.CutSuffix(loud, "%")
	number := strings.TrimSuffix(percent, "db")
	dB, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || math.IsNaN(dB):
		return nil, bad
	case isPercent && dB == 0:
		dB = minVolume
	case isPercent:
		dB = 20 * math.Log10(dB/100) // less than 0 % is not a number, which no bound holds for
	case number == loud && !strings.ContainsAny(loud[:1], "+-") && dB != 0:
		return nil, in.usageError(fmt.Sprintf("%s of what? Say %s%% or %sdB", clip(loud), clip(loud), clip(loud)))
	}
	if isPercent && dB < minVolume {
		dB = minVolume
	}
	if !(dB >= minVolume && dB <= maxVolume) || who == "" {
		return nil, bad
	}
	return Volume{Who: who, DB: math.Round(10*dB) / 10}, nil
}

func parseAudio(in request) (Action, error) {
	if w, err := in.word(); err != nil || w != "test" {
		return nil, in.usageError("test is what it can do")
	}
	return TestAudio{}, nil
}

func parseRecord(in request) (Action, error) {
	if len(in.arg) > maxDevice {
		return nil, in.usageError(fmt.Sprintf("%d bytes are no file's name", len(in.arg)))
	}
	if slices.Contains([]string{"stop", "off"}, strings.ToLower(in.arg)) {
		return Record{Stop: true}, nil
	}
	return Record{File: in.arg}, nil
}
