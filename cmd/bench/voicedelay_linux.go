package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
	"peerchat/media"
	"peerchat/media/device"
)

// How long a round of measuring the delay is, and what is said before it, so that buffers have settled.
const (
	delayRound  = 60 // seconds
	delayWarmUp = 15
)

// way is something that brings sound from a microphone to a loudspeaker.
type way struct {
	name, mic, ear string
	talk, listen   *lab.Proc // peers, whose counters are looked at; or nil
	p50, p95, p99  []float64 // ms, a round each
	all            []float64
	lost, said     int
	underruns      uint64
	skipped        uint64
}

// play plays a sound on the microphones of some ways at the same time, and returns what their two ends hear.
func play(s *lab.Sound, pcm []int16, ways ...*way) (mouths, ears []*lab.Recording, err error) {
	defer func() {
		for _, r := range append(mouths, ears...) {
			r.Stop()
		}
	}()
	for _, w := range ways {
		mouth, err := s.RecordFinely(w.mic)
		if err != nil {
			return nil, nil, err
		}
		mouths = append(mouths, mouth)
		ear, err := s.RecordFinely(w.ear)
		if err != nil {
			return nil, nil, err
		}
		ears = append(ears, ear)
	}
	// Recording may change the latency of the sound card. What is there before is not looked at.
	if _, err := mouths[0].Seconds(0, 0.5); err != nil {
		return nil, nil, err
	}
	var players []*lab.Proc
	for _, w := range ways {
		p, err := s.Play(w.mic, pcm)
		if err != nil {
			return nil, nil, err
		}
		players = append(players, p)
	}
	for _, p := range players {
		if _, err := p.AwaitExit(time.Duration(len(pcm))*time.Second/media.SampleRate + patience); err != nil {
			return nil, nil, err
		}
	}
	time.Sleep(burstLate * time.Second / media.SampleRate) // the last of it is on its way
	return mouths, ears, nil
}

// count takes a way's counters.
func (w *way) count() (underruns, skipped uint64, err error) {
	if w.talk == nil {
		return 0, 0, nil
	}
	talk, err := asked(w.talk)
	if err != nil {
		return 0, 0, err
	}
	listen, err := asked(w.listen)
	return listen.Underruns, talk.Skipped, err
}

// measure plays bursts on all ways at the same time, and adds what they took to their figures.
func measure(s *lab.Sound, seconds int, ways ...*way) error {
	b := newBursts(seconds)
	before := make([][2]uint64, len(ways))
	var err error
	for i, w := range ways {
		if before[i][0], before[i][1], err = w.count(); err != nil {
			return err
		}
	}
	mouths, ears, err := play(s, b.pcm, ways...)
	if err != nil {
		return err
	}
	for i, w := range ways {
		underruns, skipped, err := w.count()
		if err != nil {
			return err
		}
		took, lost := b.delays(mouths[i], ears[i])
		if len(took) == 0 {
			return fmt.Errorf("%s: nothing of what was said was heard", w.name)
		}
		w.p50, w.p95, w.p99 = append(w.p50, quantile(took, 0.5)), append(w.p95, quantile(took, 0.95)), append(w.p99, quantile(took, 0.99))
		w.all = append(w.all, took...)
		w.lost += lost
		w.said += len(took) + lost
		w.underruns += underruns - before[i][0]
		w.skipped += skipped - before[i][1]
	}
	return nil
}

func voiceDelay(b *bench) ([]table, error) {
	net, err := b.net()
	if err != nil {
		return nil, err
	}
	ours := &way{name: "peerchat", mic: "annmic", ear: "bobear"}
	loop := &way{name: "bare device loop", mic: "loopmic", ear: "loopear"}
	theirs := &way{name: "Mumble 1.3, lowest settings", mic: "mumblemic", ear: "mumbleear"}
	s, err := b.sound(net, ours.mic, ours.ear, loop.mic, loop.ear, theirs.mic, theirs.ear, "unused")
	if err != nil {
		return nil, err
	}
	if _, err := b.tracker(net); err != nil {
		return nil, err
	}
	if ours.talk, err = b.talker(net, s, "ann", ours.mic, "none", "--tracker", trackerAddress); err != nil {
		return nil, err
	}
	if ours.listen, err = b.talker(net, s, "bob", "none", ours.ear, "--tracker", trackerAddress); err != nil {
		return nil, err
	}
	if err := awaitVoice(1, ours.talk, ours.listen); err != nil {
		return nil, err
	}
	if err := ours.talk.Say("/vad off"); err != nil {
		return nil, err
	}
	if _, err := b.startInTime(net, lab.Command{Name: "loop", Path: b.self, Args: []string{"voice-loop", "-mic", loop.mic + ".monitor", "-ear", loop.ear},
		Env: []string{"PULSE_SERVER=" + s.Server}, Plain: true}); err != nil {
		return nil, err
	}
	ways := []*way{ours, loop}
	noMumble := b.mumble(net, s, theirs, "unused")
	if noMumble == nil {
		ways = append(ways, theirs)
	}
	if _, _, err := play(s, newBursts(delayWarmUp).pcm, ways...); err != nil {
		return nil, err
	}
	for range b.rounds {
		if err := measure(s, delayRound, ways...); err != nil {
			return nil, err
		}
	}
	t := table{head: []string{"mouth to ear, ms", "p50", "p95", "p99", "bursts", "not heard", "underruns", "aim for p95"}}
	for _, w := range ways {
		aim, underruns := "", "–"
		if w == ours {
			aim, underruns = "≤ 40", count(int(w.underruns))
		}
		t.row(w.name, spread(w.p50), spread(w.p95), figure(quantile(w.all, 0.99)), count(w.said), count(w.lost), underruns, aim)
	}
	t.row("peerchat, more than the loop", spread(differences(ours.p50, loop.p50)), spread(differences(ours.p95, loop.p95)), "", "", "", "", "")
	if noMumble == nil {
		t.row("peerchat / Mumble", spread(ratios(ours.p50, theirs.p50)), spread(ratios(ours.p95, theirs.p95)), "", "", "", "", "")
		t.note("Mumble's two clients run under Xvfb and talk through a server of their own: continuous transmission, packets of 10 ms, the shortest jitter buffer and output " +
			"delay, no noise suppression.")
	} else {
		t.note("Mumble was not measured: %v", noMumble)
	}
	stats, err := asked(ours.listen)
	if err != nil {
		return nil, err
	}
	if len(stats.Peers) == 1 {
		t.note("Of peerchat's delay, %s ms are from a packet's arrival to its playing, on average: the jitter buffer.", figure(stats.Peers[0].Buffer))
	}
	t.note("%d rounds of %d s; all ways are measured at the same time, on a PulseAudio daemon of their own.", b.rounds, delayRound)
	b.noteInTime(&t)
	return []table{t}, nil
}

// differences subtracts two series round by round.
func differences(ours, baseline []float64) []float64 {
	var out []float64
	for i := range min(len(ours), len(baseline)) {
		out = append(out, ours[i]-baseline[i])
	}
	return out
}

// voiceLoop plays what a microphone hears, and does nothing else: the delay of the devices. It runs until it is killed.
func voiceLoop(mic, ear string) error {
	system := device.New(device.Config{})
	defer system.Close()
	ctx := context.Background()
	source, err := system.OpenSource(ctx, mic)
	if err != nil {
		return err
	}
	defer source.Close()
	sink, err := system.OpenSink(ctx, ear)
	if err != nil {
		return err
	}
	defer sink.Close()
	pcm := make([]int16, sink.Period())
	for {
		if err := source.Read(pcm); errors.Is(err, os.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		sink.Write(pcm)
	}
}
