package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
	"peerchat/media"
	"peerchat/media/mediatest"
)

// concealer is a way to fill the frames that were lost. It gets what was said and which frames of it are lost, and
// returns what is heard instead, in time with it.
type concealer struct {
	name string
	fill func(said []int16, lost []bool) ([]int16, error)
}

// frameByFrame is a concealer that is told of each frame as its time comes.
func frameByFrame(name string, begin func() (good, missing func(frame []int16))) concealer {
	return concealer{name, func(said []int16, lost []bool) ([]int16, error) {
		heard := append([]int16(nil), said...)
		good, missing := begin()
		for i, gone := range lost {
			frame := heard[i*media.FrameSamples : (i+1)*media.FrameSamples]
			if gone {
				missing(frame)
			} else {
				good(frame)
			}
		}
		return heard, nil
	}}
}

// voiceConceal is how well speech with lost frames is mended.
func voiceConceal(b *bench) ([]table, error) {
	net, err := b.net()
	if err != nil {
		return nil, err
	}
	s, err := b.sound(net, "unused")
	if err != nil {
		return nil, err
	}
	var said []int16
	voices := []string{"en-us+m3", "en-us+f2", "en-gb+m1"}
	for _, voice := range voices {
		pcm, err := spoken(s, voice, strings.Join(sentences(), " "))
		if err != nil {
			return nil, err
		}
		said = append(said, pcm...)
	}
	said = said[:len(said)/media.FrameSamples*media.FrameSamples]
	ways := []concealer{
		frameByFrame("silence", func() (func([]int16), func([]int16)) {
			return func([]int16) {}, func(f []int16) { clear(f) }
		}),
		frameByFrame("the last frame again", func() (func([]int16), func([]int16)) {
			var last media.Frame
			return func(f []int16) { copy(last[:], f) }, func(f []int16) { copy(f, last[:]) }
		}),
		{"GStreamer's spanplc", func(said []int16, lost []bool) ([]int16, error) { return b.spanPLC(net, said, lost) }},
		frameByFrame("peerchat", func() (func([]int16), func([]int16)) {
			var c media.Concealer
			return c.Good, c.Conceal
		}),
	}
	twice := ways[len(ways)-1]
	ways = append(ways, concealer{"peerchat, each frame sent twice", func(said []int16, lost []bool) ([]int16, error) {
		// A frame is in its own packet and in the next one.
		both := make([]bool, len(lost))
		for i := range both {
			both[i] = lost[i] && i+1 < len(lost) && lost[i+1]
		}
		return twice.fill(said, both)
	}})

	t := table{head: []string{"packets lost at random", "concealment", "STOI", "segmental SNR, dB", "of the lost frames, dB", "log-spectral distance, dB", "aim"}}
	type outcome struct {
		heard []int16
		err   error
	}
	losses := []float64{0.01, 0.05, 0.10, 0.20}
	patterns := make([][]bool, len(losses))
	outcomes := make([][]outcome, len(losses))
	var running sync.WaitGroup
	for k, loss := range losses {
		r := rand.New(rand.NewPCG(uint64(k), 7))
		patterns[k] = make([]bool, len(said)/media.FrameSamples)
		for i := 10; i < len(patterns[k])-10; i++ { // the first and the last tell where it begins and ends
			patterns[k][i] = r.Float64() < loss
		}
		outcomes[k] = make([]outcome, len(ways))
		for i, w := range ways {
			running.Go(func() {
				heard, err := w.fill(said, patterns[k])
				outcomes[k][i] = outcome{heard, err}
			})
		}
	}
	running.Wait()
	for k, loss := range losses {
		for i, w := range ways {
			o := outcomes[k][i]
			first, aim := "", ""
			if i == 0 {
				first = fmt.Sprintf("%.0f %%", 100*loss)
			}
			if w.name == "peerchat" {
				aim = "better than those above"
			} else if loss == 0.20 && i == len(ways)-1 {
				aim = "STOI ≥ 0.90"
			}
			if o.err != nil {
				t.row(first, w.name, "not measured", "–", "–", "–", aim)
				t.note("%s at %.0f %%: %v", w.name, 100*loss, o.err)
				continue
			}
			var gone, madeUp []int16
			for f, lost := range patterns[k] {
				if lost {
					gone = append(gone, said[f*media.FrameSamples:(f+1)*media.FrameSamples]...)
					madeUp = append(madeUp, o.heard[f*media.FrameSamples:(f+1)*media.FrameSamples]...)
				}
			}
			t.row(first, w.name, fmt.Sprintf("%.4f", mediatest.STOI(said, o.heard)), fmt.Sprintf("%.1f", mediatest.SegmentalSNR(said, o.heard)),
				fmt.Sprintf("%.1f", mediatest.SegmentalSNR(gone, madeUp)), fmt.Sprintf("%.2f", mediatest.LogSpectralDistance(said, o.heard)), aim)
		}
	}
	t.note("%d s of speech by %d voices of espeak-ng, packets of 20 ms, the same losses for all. STOI after Taal et al. 2011, 1 is the best; the others are against what was said. "+
		"spanplc is fed by `rtpjitterbuffer do-lost=true` and `rtpL16depay` with RTP in real time.", len(said)/media.SampleRate, len(voices))
	return []table{t}, nil
}

// spanPLC sends what was not lost as RTP to a GStreamer pipeline in the network, and returns what that makes of it.
func (b *bench) spanPLC(n *lab.Net, said []int16, lost []bool) ([]int16, error) {
	program, err := exec.LookPath("gst-launch-1.0")
	if err != nil {
		return nil, fmt.Errorf("%w; install the packages gstreamer1.0-tools, gstreamer1.0-plugins-base, gstreamer1.0-plugins-good and gstreamer1.0-plugins-bad", err)
	}
	port, err := n.FreePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, "spanplc"+port)
	args := []string{"-q", "udpsrc", "address=127.0.0.1", "port=" + port,
		"caps=application/x-rtp,media=audio,clock-rate=16000,encoding-name=L16,channels=1,payload=107",
		"!", "rtpjitterbuffer", "do-lost=true", "latency=300", "!", "rtpL16depay", "!", "audioconvert", "!", "spanplc", "!",
		"filesink", "location=" + file, "buffer-mode=unbuffered"}
	p, err := b.start(n, lab.Command{Name: "spanplc", Path: program, Args: args, Plain: true})
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	c, err := n.Dial("udp", "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	// While nobody listens, the second write says so.
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, _ = c.Write([]byte{0})
		if _, err := c.Write([]byte{0}); err == nil {
			break
		} else if !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			return nil, fmt.Errorf("send to GStreamer: %w\n%s", err, p.Tail(5))
		}
	}
	time.Sleep(500 * time.Millisecond) // the port is there before the pipeline plays
	packet := make([]byte, 12, 12+media.FrameBytes)
	began := time.Now()
	for i, gone := range lost {
		time.Sleep(time.Until(began.Add(time.Duration(i) * media.FrameDuration)))
		if gone {
			continue
		}
		packet[0], packet[1] = 2<<6, 107
		binary.BigEndian.PutUint16(packet[2:], uint16(i))
		binary.BigEndian.PutUint32(packet[4:], uint32(i*media.FrameSamples))
		binary.BigEndian.PutUint32(packet[8:], 1)
		if _, err := c.Write(media.AppendL16(packet, said[i*media.FrameSamples:(i+1)*media.FrameSamples])); err != nil {
			return nil, err
		}
	}
	const slack = 2000 // samples that gaps are short of
	var out []byte
	for deadline, all := time.Now().Add(10*time.Second), 0; time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		if out, err = os.ReadFile(file); err != nil {
			return nil, err
		}
		if len(out) == all && all >= 2*(len(said)-slack) {
			break
		}
		all = len(out)
	}
	pcm := make([]int16, len(out)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(out[2*i:]))
	}
	return inStep(said, pcm, lost)
}

// inStep brings what GStreamer made into step with what was said: it makes its gaps a sample or so too short, because
// it counts in nanoseconds.
func inStep(said, pcm []int16, lost []bool) ([]int16, error) {
	const (
		most = 8                          // samples that a lost frame is short of or too long
		tail = media.FrameSamples * 3 / 4 // from there on a frame behind a gap is as it was
	)
	heard := make([]int16, len(said))
	at := 0
	for i := 0; i < len(lost); {
		gap := 0
		for i+gap < len(lost) && lost[i+gap] {
			gap++
		}
		next := (i + gap) * media.FrameSamples
		long, found := 0, false
		for off := 0; off <= 2*(gap+4)*most; off++ { // behind a gap in a pause it is not known at once how long it was
			d := gap*media.FrameSamples + (off+1)/2*(1-2*(off%2)) // 0, -1, 1, -2, ...
			from := at + d
			if from >= 0 && from+media.FrameSamples <= len(pcm) && slices.Equal(pcm[from+tail:from+media.FrameSamples], said[next+tail:next+media.FrameSamples]) {
				long, found = d, true
				break
			}
		}
		if !found {
			return nil, fmt.Errorf("frame %d is not in what comes out of GStreamer", i+gap)
		}
		if gap > 0 {
			copy(heard[i*media.FrameSamples:next], pcm[at:at+max(long, 0)])
		}
		copy(heard[next:next+media.FrameSamples], pcm[at+long:])
		at += long + media.FrameSamples
		i += gap + 1
	}
	return heard, nil
}
