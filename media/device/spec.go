package device

import (
	"fmt"
	"strconv"
	"strings"

	"peerchat/media"
)

// Kind says what a Spec names.
type Kind uint8

// Kinds.
const (
	Default Kind = iota // the system's default device, or silence where there is none
	None                // silence
	Real                // a device by name or number
	WAV                 // a WAVE file
	Tone                // a sine
)

// Spec is a SOURCE or a SINK of the command line, parsed.
type Spec struct {
	Kind Kind
	Name string  // of a device: its number in the list, its name, its ID, or a part of its name that no other has
	File string  // of a WAVE file
	Loop bool    // play it again and again
	Hz   float64 // of a tone
}

// Bounds of a tone, in hertz. The upper one leaves room below half the sample rate.
const (
	MinTone = 20
	MaxTone = media.SampleRate/2 - 500
)

// maxSpec bounds a SOURCE or SINK, in bytes.
const maxSpec = 4096

// ParseSource parses a SOURCE: "" or "default", "none", "wav:FILE", "wav:FILE?loop", "tone:HZ", or a device.
func ParseSource(source string) (Spec, error) {
	if hz, ok := strings.CutPrefix(source, "tone:"); ok {
		f, err := strconv.ParseFloat(hz, 64)
		if err != nil || !(f >= MinTone && f <= MaxTone) {
			return Spec{}, fmt.Errorf("read the microphone setting %q: the tone is not a number of hertz from %d to %d; an example is tone:440", source, MinTone, MaxTone)
		}
		return Spec{Kind: Tone, Hz: f}, nil
	}
	return parse(source, "microphone", true)
}

// ParseSink parses a SINK: "" or "default", "none", "wav:FILE", or a device.
func ParseSink(sink string) (Spec, error) {
	if strings.HasPrefix(sink, "tone:") {
		return Spec{}, fmt.Errorf("read the speaker setting %q: a tone can be a microphone only", sink)
	}
	return parse(sink, "speaker", false)
}

func parse(s, what string, mayLoop bool) (Spec, error) {
	if len(s) > maxSpec || strings.ContainsRune(s, 0) {
		return Spec{}, fmt.Errorf("read the %s setting: it is longer than %d bytes or has a zero byte in it", what, maxSpec)
	}
	switch s {
	case "", "default":
		return Spec{Kind: Default}, nil
	case "none":
		return Spec{Kind: None}, nil
	}
	if file, ok := strings.CutPrefix(s, "wav:"); ok {
		loop := false
		if mayLoop {
			file, loop = strings.CutSuffix(file, "?loop")
		}
		if file == "" {
			return Spec{}, fmt.Errorf("read the %s setting %q: it names no file; an example is wav:voice.wav", what, s)
		}
		return Spec{Kind: WAV, File: file, Loop: loop}, nil
	}
	return Spec{Kind: Real, Name: s}, nil
}

// String is the setting that parses to s.
func (s Spec) String() string {
	switch s.Kind {
	case None:
		return "none"
	case Real:
		return s.Name
	case WAV:
		if s.Loop {
			return "wav:" + s.File + "?loop"
		}
		return "wav:" + s.File
	case Tone:
		return "tone:" + strconv.FormatFloat(s.Hz, 'f', -1, 64)
	default:
		return "default"
	}
}

// Device is a microphone or a loudspeaker of the machine.
type Device struct {
	Number  int    // 1 for the first of its list; it changes when devices come and go
	ID      string // of the backend, which keeps it
	Name    string // for people
	Default bool   // the system's default
	Monitor bool   // a microphone that hears what a loudspeaker plays
	Backend string // "pulse" or "malgo"
}

// find returns the device that name means: its number, its ID, its name in any case, or a part of one name only.
func find(name, what string, devices []Device) (Device, error) {
	var parts []Device
	for _, same := range []func(Device) bool{
		func(d Device) bool { return d.ID == name },
		func(d Device) bool { return d.Name == name },
		func(d Device) bool { return strings.EqualFold(d.Name, name) },
		func(d Device) bool { return strconv.Itoa(d.Number) == name },
	} {
		for _, d := range devices {
			if same(d) {
				return d, nil
			}
		}
	}
	for _, d := range devices {
		if strings.Contains(strings.ToLower(d.Name), strings.ToLower(name)) {
			parts = append(parts, d)
		}
	}
	switch {
	case len(parts) == 1:
		return parts[0], nil
	case len(parts) > 1:
		return Device{}, fmt.Errorf("open the %s %q: it could be %s; name one of them in full or by number", what, name, names(parts))
	case len(devices) == 0:
		return Device{}, fmt.Errorf("open the %s %q: %w", what, name, media.ErrNoSound)
	}
	return Device{}, fmt.Errorf("open the %s %q: there is none of that name, only %s", what, name, names(devices))
}

func names(devices []Device) string {
	var b strings.Builder
	for i, d := range devices {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == 8 {
			fmt.Fprintf(&b, "and %d more", len(devices)-i)
			break
		}
		fmt.Fprintf(&b, "%d %q", d.Number, d.Name)
	}
	return b.String()
}
