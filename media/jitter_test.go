//go:build !race

package media_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/media"
)

func epoch() time.Time { return time.Unix(1_700_000_000, 0) }

func ms(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// numbered is packet i of a sender, which says its number.
func numbered(i int, seq uint16, ts uint32) media.Packet {
	pcm := make([]int16, media.FrameSamples)
	pcm[0], pcm[1] = int16(i), int16(i>>15)
	return media.Packet{SSRC: 1, Seq: seq + uint16(i), Timestamp: ts + uint32(i*media.FrameSamples), PCM: pcm}
}

// arrival is a packet with the time of its arrival.
type arrival struct {
	at time.Duration
	p  media.Packet
}

// heardPacket is what came out of the buffer.
type heardPacket struct {
	i    int
	at   time.Duration
	wait time.Duration
}

// play pulls 10 ms at a time, as a sound card does, for so long, and returns which packets were played, and how much
// was concealed.
func play(j *media.Jitter, arrivals []arrival, long time.Duration) (heard []heardPacket, concealed int) {
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return int(a.at - b.at) })
	left := 0 // samples of the packet that is being played
	for at := time.Duration(0); at < long; at += 10 * time.Millisecond {
		for len(arrivals) > 0 && arrivals[0].at <= at {
			j.Push(epoch().Add(arrivals[0].at), arrivals[0].p)
			arrivals = arrivals[1:]
		}
		for left < 160 {
			p := j.Pull(epoch().Add(at), 160-left, left)
			switch p.State {
			case media.Playing:
				heard = append(heard, heardPacket{int(p.PCM[0]) | int(p.PCM[1])<<15, at, p.Wait})
			case media.Concealed:
				concealed += p.N
			}
			left += p.N
		}
		left -= 160
	}
	return heard, concealed
}

// stream is n packets from the time at, each as late as delay says; less than 0: lost.
func stream(n int, seq uint16, ts uint32, delay func(i int) time.Duration) (out []arrival) {
	for i := range n {
		if d := delay(i); d >= 0 {
			out = append(out, arrival{time.Duration(i)*media.FrameDuration + d, numbered(i, seq, ts)})
		}
	}
	return out
}

func TestJitterPlaysAllOfAGoodStreamAfterOneFrame(t *testing.T) {
	// Sequence numbers and time stamps wrap around on the way.
	j := media.NewJitter(media.JitterConfig{})
	heard, concealed := play(j, stream(500, 65400, 1<<32-50000, func(int) time.Duration { return ms(3) }), 11*time.Second)
	if len(heard) != 500 {
		t.Fatalf("%d of 500 packets are played", len(heard))
	}
	for i, h := range heard {
		if h.i != i || h.wait > ms(30) {
			t.Fatalf("packet %d is played as number %d after waiting %v", h.i, i, h.wait)
		}
	}
	if concealed > 60*16 { // the end, which nobody announced
		t.Errorf("%d samples are concealed", concealed)
	}
	if s := j.Stats(); s.Lost+s.Late+s.Duplicate+s.Refused+s.Dropped+s.Restarts != 0 || s.Received != 500 || s.Played != 500 {
		t.Errorf("the counters are %+v", s)
	}
}

func TestJitterGoesOnAfterALoss(t *testing.T) {
	j := media.NewJitter(media.JitterConfig{})
	heard, concealed := play(j, stream(300, 0, 0, func(i int) time.Duration {
		if i == 100 || i >= 200 && i < 203 {
			return -1
		}
		return 0
	}), 7*time.Second)
	if len(heard) != 296 {
		t.Fatalf("%d of 296 packets are played", len(heard))
	}
	if s := j.Stats(); s.Lost != 4 || concealed < 3*320 {
		t.Errorf("4 packets are lost, %d are counted; %d samples are concealed", s.Lost, concealed)
	}
}

func TestJitterGrowsWithLatenessAndShrinksAfterwards(t *testing.T) {
	j := media.NewJitter(media.JitterConfig{})
	rough := func(i int) time.Duration { return time.Duration(i*7919%61) * time.Millisecond }
	arrivals := stream(3000, 0, 0, func(i int) time.Duration {
		if i >= 1000 && i < 2000 {
			return rough(i)
		}
		return 0
	})
	// Pauses, in which the buffer may change its delay, every two seconds.
	arrivals = slices.DeleteFunc(arrivals, func(a arrival) bool { return a.at/(20*time.Millisecond)%100 >= 80 && a.p.PCM[1] == -1 })
	heard, _ := play(j, arrivals, 62*time.Second)
	late := 0
	seen := map[int]bool{}
	for _, h := range heard {
		seen[h.i] = true
		if h.i > 1100 && h.i < 2000 && h.wait > ms(120) {
			t.Fatalf("packet %d waits %v for a jitter of 60 ms", h.i, h.wait)
		}
	}
	for i := 1100; i < 2000; i++ {
		if !seen[i] {
			late++
		}
	}
	if late > 30 {
		t.Errorf("%d of 900 packets are late at a jitter of 60 ms", late)
	}
}

func TestJitterTellsAPauseFromALoss(t *testing.T) {
	j := media.NewJitter(media.JitterConfig{})
	var arrivals []arrival
	at := 0
	for spurt := range 20 {
		for k := range 50 {
			p := numbered(spurt*50+k, 7, 9)
			p.Timestamp = 9 + uint32(at*media.FrameSamples)
			p.Marker = k == 0
			arrivals = append(arrivals, arrival{time.Duration(at) * media.FrameDuration, p})
			at++
		}
		at += 40
	}
	heard, concealed := play(j, arrivals, time.Duration(at)*media.FrameDuration)
	if len(heard) != 1000 {
		t.Fatalf("%d of 1000 packets are played", len(heard))
	}
	if concealed > 20*70*16 {
		t.Errorf("%d ms are concealed after 20 talk-spurts, at most 60 each are wanted", concealed/16)
	}
	if s := j.Stats(); s.Lost != 0 || s.Late != 0 {
		t.Errorf("pauses count as %d lost and %d late", s.Lost, s.Late)
	}
}

func TestJitterFollowsASenderThatBeginsAnew(t *testing.T) {
	for name, change := range map[string]func(p *media.Packet){
		"another source":     func(p *media.Packet) { p.SSRC = 2; p.Seq += 3000; p.Timestamp -= 1e6 },
		"a jump in time":     func(p *media.Packet) { p.Timestamp += 1e6; p.Seq += 1000 },
		"a jump back":        func(p *media.Packet) { p.Timestamp -= 1e6 },
		"a jump of sequence": func(p *media.Packet) { p.Seq -= 1000 },
	} {
		arrivals := stream(200, 100, 1<<31-5, func(int) time.Duration { return 0 })
		for i := 100; i < 200; i++ {
			change(&arrivals[i].p)
		}
		j := media.NewJitter(media.JitterConfig{})
		heard, _ := play(j, arrivals, 6*time.Second)
		if n := len(heard); n < 195 || heard[n-1].i != 199 {
			t.Errorf("after %s, %d of 200 packets are played", name, n)
		}
		if r := j.Stats().Restarts; r != 1 {
			t.Errorf("after %s, %d restarts are counted", name, r)
		}
	}
}

func TestJitterIsNotMovedByOneStrayPacket(t *testing.T) {
	arrivals := stream(200, 0, 0, func(int) time.Duration { return 0 })
	for i := 20; i < 180; i += 10 {
		stray := numbered(31000, uint16(i*331), uint32(i)*123456789)
		stray.SSRC = uint32(1)
		arrivals = append(arrivals, arrival{time.Duration(i) * media.FrameDuration, stray})
	}
	heard, _ := play(media.NewJitter(media.JitterConfig{}), arrivals, 5*time.Second)
	good := 0
	for _, h := range heard {
		if h.i < 200 {
			good++
		}
	}
	if good < 200 {
		t.Errorf("%d of 200 packets are played among strays", good)
	}
}

func TestJitterCountsDuplicates(t *testing.T) {
	arrivals := stream(300, 65500, 0, func(int) time.Duration { return 0 })
	for i, a := range arrivals {
		arrivals = append(arrivals, arrival{a.at + time.Duration(i%90)*time.Millisecond, a.p})
	}
	j := media.NewJitter(media.JitterConfig{})
	heard, _ := play(j, arrivals, 7*time.Second)
	if s := j.Stats(); len(heard) != 300 || s.Duplicate != 300 || s.Late != 0 {
		t.Errorf("of 300 packets, each sent twice, %d are played: %+v", len(heard), s)
	}
}

func TestJitterPlaysNoTimeTwice(t *testing.T) {
	// Packet 50 is lost. In its place comes the sound of another time.
	for of, at := range map[int]int{40: 63, 50: 63, 60: 63, 61: 63, 62: 63, 63: 63, 98: 102, 99: 102} {
		arrivals := stream(100, 7, 9, func(i int) time.Duration {
			if i == 50 {
				return -1
			}
			return 0
		})
		forged := numbered(50, 7, 9)
		forged.Timestamp = 9 + uint32(of*media.FrameSamples)
		arrivals = append(arrivals, arrival{time.Duration(at)*media.FrameDuration + time.Millisecond, forged})
		j := media.NewJitter(media.JitterConfig{})
		heard, _ := play(j, arrivals, 3*time.Second)
		if s := j.Stats(); len(heard) != 99 || s.Late+s.Duplicate != 1 {
			t.Errorf("%d of 99 packets are played, after one with the time of packet %d: %+v", len(heard), of, s)
		}
	}
}

func TestJitterKeepsOnWhenALinkMoves(t *testing.T) {
	arrivals := stream(200, 65500, 1<<32-1000, func(i int) time.Duration { return time.Duration(i*7919%30) * time.Millisecond })
	for i := range arrivals[100:] {
		arrivals[100+i].p.SSRC = 2
	}
	j := media.NewJitter(media.JitterConfig{})
	heard, _ := play(j, arrivals, 5*time.Second)
	if s := j.Stats(); len(heard) != 200 || s.Restarts != 0 {
		t.Errorf("%d of 200 packets are played: %+v", len(heard), s)
	}
}

func TestJitterKeepsWordsThatAStallHeldUp(t *testing.T) {
	// 150 ms without packets, then all at once.
	j := media.NewJitter(media.JitterConfig{})
	heard, _ := play(j, stream(200, 0, 0, func(i int) time.Duration {
		if i >= 100 && i < 108 {
			return time.Duration(108-i) * media.FrameDuration
		}
		return 0
	}), 6*time.Second)
	if len(heard) < 190 {
		t.Errorf("%d of 200 packets are played", len(heard))
	}
}

// Whatever is pushed, in whatever order, it stays bounded, and gives out what is asked for.
func TestJitterBearsAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := media.NewJitter(media.JitterConfig{})
		now := epoch()
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(ms(float64(rapid.IntRange(-5, 40).Draw(t, "time"))))
			if rapid.Bool().Draw(t, "push") {
				j.Push(now, media.Packet{
					SSRC:      uint32(rapid.IntRange(1, 2).Draw(t, "ssrc")),
					Seq:       rapid.Custom(func(t *rapid.T) uint16 { return uint16(rapid.IntRange(-130, 130).Draw(t, "seq")) }).Draw(t, "seq"),
					Timestamp: uint32(rapid.IntRange(-30000, 30000).Draw(t, "ts")),
					Marker:    rapid.Bool().Draw(t, "marker"),
					PCM:       make([]int16, rapid.IntRange(0, media.MaxPacketSamples+1).Draw(t, "samples")),
				})
				continue
			}
			want := rapid.IntRange(1, media.MaxPacketSamples).Draw(t, "want")
			p := j.Pull(now, want, rapid.IntRange(0, 640).Draw(t, "lead"))
			switch {
			case p.N <= 0:
				t.Fatal("nothing is given out: playback would stand still")
			case p.State == media.Playing && p.N != len(p.PCM), p.State != media.Playing && p.N > want:
				t.Fatalf("%d samples are asked for, %d given out", want, p.N)
			case p.State == media.Playing && p.Wait > 3*time.Second:
				t.Fatalf("a packet waited %v", p.Wait)
			}
			j.Adjust(rapid.IntRange(-100, 100).Draw(t, "adjust"))
		}
	})
}
