package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"peerchat/media"
	"peerchat/media/mediatest"
)

// The parts of voice that know no clock are measured in virtual time, as packages of ours.

const (
	mixTalkers = 24
	mixPeriod  = media.FrameSamples / 4 // samples that a loudspeaker takes at a time
	mixSeconds = 60                     // of sound, a round
)

// line is a talker, a network and a listener's sound card, in virtual time.
type line struct {
	stream *media.Stream
	ppm    float64                        // the talker's clock against the listener's
	delay  func(packet int) time.Duration // on the way; less than 0: lost
	frame  func(packet int) []int16
	period int // samples that the sound card takes at a time
	packet int // samples
}

// run lets time pass. Heard is called with what is played, each period.
func (l *line) run(long time.Duration, heard func(at time.Duration, out []int16, state media.State)) {
	type flying struct {
		at time.Duration
		p  media.Packet
	}
	var air []flying
	begin := time.Unix(1_700_000_000, 0)
	out := make([]int16, l.period)
	step := time.Duration(l.period) * time.Second / media.SampleRate
	interval := float64(l.packet) * float64(time.Second) / media.SampleRate / (1 + l.ppm/1e6)
	sent := 0
	for at := time.Duration(0); at < long; at += step {
		for ; time.Duration(float64(sent)*interval) <= at; sent++ {
			d := l.delay(sent)
			if d < 0 {
				continue
			}
			air = append(air, flying{time.Duration(float64(sent)*interval) + d, media.Packet{SSRC: 1, Seq: uint16(sent),
				Timestamp: uint32(sent * l.packet), Marker: sent == 0, PCM: l.frame(sent)}})
			for i := len(air) - 1; i > 0 && air[i-1].at > air[i].at; i-- {
				air[i], air[i-1] = air[i-1], air[i]
			}
		}
		n := 0
		for n < len(air) && air[n].at <= at {
			l.stream.Push(begin.Add(air[n].at), air[n].p)
			n++
		}
		air = air[:copy(air, air[n:])]
		heard(at, out, l.stream.Read(begin.Add(at), out))
	}
}

// framesOf gives out a sound packet by packet, again and again.
func framesOf(pcm []int16, packet int) func(int) []int16 {
	return func(i int) []int16 {
		at := i * packet % (len(pcm) - packet)
		return pcm[at : at+packet]
	}
}

// voiceMix is what hearing 24 people at once costs: their packets decoded, buffered, brought to the sound card's clock
// and mixed.
func voiceMix(b *bench) ([]table, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var share, p99, late, allocs []float64
	for r := range b.rounds {
		streams := make([]*media.Stream, mixTalkers)
		voices := make([]func(int) []int16, mixTalkers)
		for i := range streams {
			streams[i] = media.NewStream(media.JitterConfig{})
			voices[i] = framesOf(mediatest.Speech(5*media.SampleRate, uint64(100*r+i)), media.FrameSamples)
		}
		var mixer media.Mixer
		var pcm [media.MaxPacketSamples]int16
		payload := make([]byte, 0, 2*media.FrameSamples)
		out := make([]int16, mixPeriod)
		const periods = mixSeconds * media.SampleRate / mixPeriod
		took, waited := make([]float64, 0, periods), make([]float64, 0, periods)
		random := rand.New(rand.NewPCG(uint64(r), 1))
		now := time.Unix(1_700_000_000, 0)
		var busy time.Duration
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for period := range periods {
			// The packets of a frame come spread over its 20 ms, and 5 % of them do not come.
			for i, s := range streams {
				if (period+i)%(media.FrameSamples/mixPeriod) != 0 {
					continue
				}
				k := (period + i) * mixPeriod / media.FrameSamples
				payload = media.AppendL16(payload[:0], voices[i](k))
				if random.IntN(20) == 0 {
					continue
				}
				began := threadTime()
				n, err := media.ParseL16(pcm[:], payload)
				if err != nil {
					return nil, err
				}
				s.Push(now, media.Packet{SSRC: 1, Seq: uint16(k), Timestamp: uint32(k * media.FrameSamples), PCM: pcm[:n]})
				busy += threadTime() - began
			}
			began, at := threadTime(), time.Now()
			mixer.Begin(len(out))
			for _, s := range streams {
				s.Read(now, pcm[:len(out)])
				mixer.Add(pcm[:len(out)], media.Unity, media.Unity)
			}
			mixer.End(out)
			d := threadTime() - began
			busy += d
			took, waited = append(took, ms(d)), append(waited, ms(time.Since(at)))
			now = now.Add(mixPeriod * time.Second / media.SampleRate)
		}
		runtime.ReadMemStats(&after)
		share = append(share, 100*busy.Seconds()/mixSeconds)
		p99 = append(p99, quantile(took, 0.99))
		late = append(late, quantile(waited, 0.99))
		allocs = append(allocs, float64(after.Mallocs-before.Mallocs)/float64(len(took)))
	}
	t := table{head: []string{fmt.Sprintf("hearing %d talkers", mixTalkers), "figure", "aim"}}
	t.row("processor time, % of a core", spread(share), "≤ 8")
	t.row("processor time of a period of 5 ms for the sound card, p99, ms", spread(p99), "< 1")
	t.row("the same on the clock, which runs on when the machine does something else, p99, ms", spread(late), "< 1")
	t.row("allocations a period", spread(allocs), "0")
	t.note("Decoding, jitter buffer, concealment of 5 %% losses, drift correction and mixing of %d synthetic voices that never pause, %d s of sound in each of %d rounds. "+
		"WebRTC is not in it: SRTP and UDP take 13 µs a packet more.", mixTalkers, mixSeconds, b.rounds)
	return []table{t}, nil
}

// threadTime is the processor time that the calling thread has used.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // the kernel has had this clock since 2.6.12
	}
	return time.Duration(t.Nano())
}

// voiceDrift plays a day of sound from a sender whose clock is wrong.
func voiceDrift(*bench) ([]table, error) {
	const long = 24 * time.Hour
	t := table{head: []string{"24 h, the sender's clock off by", "underruns", "delay, ms: lowest", "highest", "drift as estimated, ppm", "aim"}}
	silence := make([]int16, media.MaxPacketSamples) // the longest packets and periods there are, so that a day is soon over
	for _, ppm := range []float64{-200, 200} {
		l := line{stream: media.NewStream(media.JitterConfig{}), ppm: ppm, period: len(silence), packet: len(silence),
			frame: func(int) []int16 { return silence },
			delay: func(i int) time.Duration { return time.Duration(i*7919%5) * time.Millisecond }}
		var least, most time.Duration = time.Hour, 0
		gaps := 0
		l.run(long, func(at time.Duration, _ []int16, state media.State) {
			switch {
			case at < time.Second:
			case state != media.Playing:
				gaps++
			case at > 2*time.Minute && at%time.Second == 0:
				d := l.stream.Stats().Delay
				least, most = min(least, d), max(most, d)
			}
		})
		t.row(fmt.Sprintf("%+.0f ppm", ppm), count(gaps), figure(ms(least)), figure(ms(most)), figure(l.stream.Stats().DriftPPM), "0 underruns, within 10 ms")
	}
	t.note("In virtual time, with packets and periods of %d ms and jitter of up to 4 ms; the delay is from a packet's arrival to its playing, looked at "+
		"each second from the third minute on.", len(silence)*1000/media.SampleRate)
	return []table{t}, nil
}

// voiceJitter is the jitter buffer's delay against the loss that it causes.
func voiceJitter(*bench) ([]table, error) {
	const long = 5 * time.Minute
	losses := []float64{0.001, 0.003, 0.01, 0.03, 0.1, 0.3}
	t := table{head: []string{"jitter"}}
	for _, loss := range losses {
		name := fmt.Sprintf("%g %% may be late", 100*loss)
		if loss == 0.01 {
			name += " (default)"
		}
		t.head = append(t.head, name)
	}
	voice := mediatest.Speech(30*media.SampleRate, 2)
	type kind struct {
		name string
		of   func(r *rand.Rand) float64 // ms
	}
	kinds := []kind{{"none", func(*rand.Rand) float64 { return 0 }}}
	for _, jitter := range []float64{10, 30, 60} {
		kinds = append(kinds,
			kind{fmt.Sprintf("%g ms, uniform", jitter), func(r *rand.Rand) float64 { return jitter * r.Float64() }},
			kind{fmt.Sprintf("%g ms, exponential", jitter), func(r *rand.Rand) float64 { return jitter / 3 * r.ExpFloat64() }})
	}
	for _, k := range kinds {
		cells := []string{k.name}
		for _, loss := range losses {
			r := rand.New(rand.NewPCG(1, 2))
			l := line{stream: media.NewStream(media.JitterConfig{Loss: loss}), frame: framesOf(voice, media.FrameSamples), period: mixPeriod,
				packet: media.FrameSamples, delay: func(int) time.Duration { return time.Duration(k.of(r) * float64(time.Millisecond)) }}
			var sum float64
			n := 0
			l.run(long, func(at time.Duration, _ []int16, _ media.State) {
				if at > 30*time.Second && at%time.Second == 0 {
					sum += ms(l.stream.Stats().Delay)
					n++
				}
			})
			s := l.stream.Stats()
			cells = append(cells, fmt.Sprintf("%s ms, %s %%", figure(sum/float64(n)), figure(100*float64(s.Late+s.Dropped)/float64(s.Received))))
		}
		t.row(cells...)
	}
	t.note("The delay from a packet's arrival to its playing, and the share of packets that came too late or were dropped: %v of sound in virtual time, "+
		"packets of 20 ms, a sound card that takes 5 ms at a time. Exponential jitter is longer than what it is named by in 5 %% of packets. Packets with more than 20 ms of jitter come out of order.", long)
	return []table{t}, nil
}
