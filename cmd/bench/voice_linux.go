package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
	"peerchat/media"
	"peerchat/media/mediatest"
	"peerchat/media/wav"
)

// sound starts a PulseAudio daemon for an item.
func (b *bench) sound(n *lab.Net, sinks ...string) (*lab.Sound, error) {
	s, err := lab.NewSound(n, sinks...)
	if err == nil {
		b.nets = append(b.nets, s)
	}
	return s, err
}

// talker starts a peer in voice, in JSON mode, whose microphone hears what is played on the loudspeaker mic, and that
// plays on the loudspeaker ear. The tracker is at an address, and more arguments go behind.
func (b *bench) talker(n *lab.Net, s *lab.Sound, name, mic, ear string, args ...string) (*lab.Proc, error) {
	if mic != "none" {
		mic += ".monitor"
	}
	return b.startInTime(n, lab.Command{Name: name, Path: b.peerchat, Env: []string{"PULSE_SERVER=" + s.Server}, Args: append([]string{
		"join", "--json", "--username", name, "--no-host", "--voice", "--mic", mic, "--speaker", ear}, args...)})
}

// startInTime is start for a process of voice.
func (b *bench) startInTime(n *lab.Net, c lab.Command) (*lab.Proc, error) {
	if b.inTime {
		c = lab.InTime(c)
	}
	return b.start(n, c)
}

// noteInTime says under a table what startInTime did.
func (b *bench) noteInTime(t *table) {
	if b.inTime {
		t.note("The machine was busy with other things; what is measured went before them (`-rt`), but a kernel that is in the midst of something is not interrupted.")
	}
}

// awaitVoice awaits that each of some peers has a microphone and a speaker, and n others with a link in voice.
func awaitVoice(n int, peers ...*lab.Proc) error {
	for _, p := range peers {
		in, devices := map[string]bool{}, map[string]bool{}
		_, err := p.Await(0, patience, p.Name+" is in voice", func(e lab.Event) bool {
			switch {
			case e.Type == "voice" && e.State == "joined" && e.Name != p.Name:
				in[e.Name] = true
			case e.Type == "notice" && e.Code == "device":
				kind, _, _ := strings.Cut(e.Text, ":")
				devices[kind] = true
			}
			return len(in) >= n && devices["microphone"] && devices["speaker"]
		})
		if err != nil {
			return err
		}
		if err := linked(p, n); err != nil {
			return err
		}
	}
	return nil
}

// voiceStats is what /stats says, as far as it is looked at.
type voiceStats struct {
	Sent      uint64 `json:"sent"`
	Skipped   uint64 `json:"skipped"`
	Underruns uint64 `json:"underruns"`
	Peers     []struct {
		Received  uint64  `json:"received"`
		Played    uint64  `json:"played"`
		Lost      uint64  `json:"lost"`
		Late      uint64  `json:"late"`
		Dropped   uint64  `json:"dropped"`
		Concealed float64 `json:"concealed"`
		Buffer    float64 `json:"buffer_ms"`
		Target    float64 `json:"target_ms"`
	} `json:"peers"`
}

// asked asks a peer how its voice is doing.
func asked(p *lab.Proc) (s voiceStats, err error) {
	mark := p.Mark()
	if err := p.Say("/stats"); err != nil {
		return s, err
	}
	e, err := p.Await(mark, patience, p.Name+" says how its voice is doing", func(e lab.Event) bool { return parsed(e).Type == "stats" })
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(e.Raw), &s)
}

// spoken is what espeak-ng says, in our format.
func spoken(s *lab.Sound, voice, text string) ([]int16, error) {
	file, err := s.Speak(voice, text)
	if err != nil {
		return nil, err
	}
	r, err := wav.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	to16k, err := media.NewResampler(r.Rate(), media.SampleRate, 1)
	if err != nil {
		return nil, err
	}
	var pcm []int16
	for buf := make([]int16, 4096); ; {
		n, err := r.Read(buf)
		pcm = to16k.Append(pcm, buf[:n])
		if errors.Is(err, io.EOF) {
			return to16k.Flush(pcm), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// sentences are what the voices of the measurements say: eight of the Harvard sentences (IEEE 297-1969, list 1).
func sentences() []string {
	return []string{
		"The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.", "It's easy to tell the depth of a well.",
		"These days a chicken leg is a rare dish.", "Rice is often served in round bowls.", "The juice of lemons makes fine punch.",
		"The box was thrown beside the parked truck.", "The hogs were fed chopped corn and garbage.",
	}
}

// bursts are short chirps with pauses between them, seconds long in all: where each begins is found again to the
// sample.
type bursts struct {
	chirp []int16
	pcm   []int16
	count int
}

// The pauses between bursts are not a multiple of a frame, so that bursts begin everywhere in frames, and longer than
// the delays that are looked for.
const (
	burstLength = media.SampleRate / 25 // 40 ms
	burstStep   = media.SampleRate*2/5 + 37
	burstLate   = media.SampleRate * 3 / 10 // no burst is looked for further away
)

func newBursts(seconds int) bursts {
	b := bursts{chirp: mediatest.Chirp(burstLength, 400, 3400, 8000), pcm: make([]int16, seconds*media.SampleRate)}
	for at := burstStep; at+burstLength < len(b.pcm); at += burstStep {
		copy(b.pcm[at:], b.chirp)
		b.count++
	}
	return b
}

// find returns where bursts begin in a recording, and how alike each is to what it was.
func (b bursts) find(pcm []int16) (at []int) {
	const alike = 0.5
	energy := mediatest.RMS(b.chirp)
	for i := 0; i+burstLength <= len(pcm); i++ {
		if pcm[i] > -100 && pcm[i] < 100 {
			continue
		}
		// Something is there. The best place within a burst's length is it.
		best, where := 0.0, i
		for k := max(0, i-burstLength/2); k < i+burstLength && k+burstLength <= len(pcm); k++ {
			var dot float64
			for j, c := range b.chirp {
				dot += float64(c) * float64(pcm[k+j])
			}
			if c := dot / (energy * mediatest.RMS(pcm[k:k+burstLength]) * burstLength); c > best {
				best, where = c, k
			}
		}
		if best > alike {
			at = append(at, where)
		}
		i = where + 2*burstLength
	}
	return at
}

// delays pairs the bursts that a mouth spoke with those that an ear heard; lost are those that it did not hear.
func (b bursts) delays(mouth, ear *lab.Recording) (took []float64, lost int) {
	spoke, came := b.find(mouth.Since(0)), b.find(ear.Since(0))
	const late = burstLate * time.Second / media.SampleRate
	next := 0
	for _, s := range spoke {
		at := mouth.When(s)
		for next < len(came) && ear.When(came[next]).Before(at) {
			next++
		}
		if next == len(came) || ear.When(came[next]).Sub(at) > late {
			lost++
			continue
		}
		took = append(took, ms(ear.When(came[next]).Sub(at)))
	}
	return took, lost
}
