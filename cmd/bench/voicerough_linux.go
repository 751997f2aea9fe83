package main

import (
	"fmt"
	"strings"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
	"peerchat/media"
	"peerchat/media/mediatest"
)

// voiceRough is voice over a bad network: the delay, and how much of speech is understood.
func voiceRough(b *bench) ([]table, error) {
	w := &way{name: "peerchat", mic: "annmic", ear: "bobear"}
	first, err := b.net()
	if err != nil {
		return nil, err
	}
	s, err := b.sound(first, w.mic, w.ear)
	if err != nil {
		return nil, err
	}
	var cable *lab.Rough
	join := func(x, y *lab.Net, addressX, addressY string) (err error) {
		if cable, err = lab.NewRough(x, y, addressX, addressY, 1); err == nil {
			b.nets = append(b.nets, cable)
		}
		return err
	}
	_, peers, err := b.apart(join, []string{"--mic", w.mic + ".monitor", "--speaker", "none"}, []string{"--mic", "none", "--speaker", w.ear},
		"PULSE_SERVER="+s.Server)
	if err != nil {
		return nil, err
	}
	w.talk, w.listen = peers[0], peers[1]
	if err := w.talk.Say("/vad off"); err != nil {
		return nil, err
	}
	var said []int16
	for i, voice := range []string{"en-us+m3", "en-us+f2"} {
		pcm, err := spoken(s, voice, strings.Join(sentences()[4*i:4*i+4], " "))
		if err != nil {
			return nil, err
		}
		said = append(said, pcm...)
	}
	rough := lab.Roughness{Jitter: 30 * time.Millisecond, Loss: 0.05}
	t := table{head: []string{"the network", "mouth to ear, ms: p50", "p95", "aim for p95", "not heard of 40 ms bursts", "STOI", "aim", "frames made up, %"}}
	for _, c := range []struct {
		name, aim, stoi string
		rough           lab.Roughness
		redundant       string
	}{
		{"30 ms of jitter, 5 % loss", "≤ 90", "≥ 0.95", rough, "off"},
		{"the same, each 20 ms sent twice", "", "", rough, "on"},
		{"neither", "", "", lab.Roughness{}, "off"},
	} {
		cable.Set(c.rough)
		if err := w.talk.Say("/voice set redundant " + c.redundant); err != nil {
			return nil, err
		}
		if _, _, err := play(s, newBursts(delayWarmUp).pcm, w); err != nil {
			return nil, err
		}
		w.p50, w.p95, w.p99, w.all, w.lost, w.said = nil, nil, nil, nil, 0, 0
		var understood, madeUp []float64
		for range b.rounds {
			before, err := asked(w.listen)
			if err != nil {
				return nil, err
			}
			began := time.Now()
			if err := measure(s, delayRound/2, w); err != nil {
				return nil, err
			}
			_, ears, err := play(s, said, w)
			if err != nil {
				return nil, err
			}
			after, err := asked(w.listen)
			if err != nil {
				return nil, err
			}
			if len(before.Peers) == 1 && len(after.Peers) == 1 {
				frames := time.Since(began).Seconds() * media.SampleRate / media.FrameSamples
				madeUp = append(madeUp, 100*(after.Peers[0].Concealed-before.Peers[0].Concealed)/frames)
			}
			understood = append(understood, mediatest.STOI(said, mediatest.Straighten(said, ears[0].Since(0))))
		}
		t.row(c.name, spread(w.p50), spread(w.p95), c.aim, fmt.Sprintf("%d of %d", w.lost, w.said), spread(understood), c.stoi, spread(madeUp))
	}
	t.note("Jitter is uniform, so that packets come out of order, and both are on a cable between two network namespaces (`lab.Rough`). %d rounds of %d s of bursts and %d s "+
		"of speech by espeak-ng. STOI is against what was said, with changes of delay taken out; without loss it is not 1, because the microphone is levelled.",
		b.rounds, delayRound/2, len(said)/media.SampleRate)
	b.noteInTime(&t)
	return []table{t}, nil
}
