package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of sound.
const (
	soundRate     = 16000             // samples a second, everywhere
	soundMost     = 15 * 60           // seconds that a Recording keeps
	soundStart    = 20 * time.Second  // for the daemon to answer
	soundLate     = 20                // milliseconds that players and recorders ask for
	soundFine     = 2                 // the same, of a recorder that measures
	soundPriority = 3                 // of the daemon in SCHED_RR: before those who use it
	soundNoBus    = "unix:path=/none" // so that the daemon finds no bus, neither of the system nor of a desktop
)

// Sound is a PulseAudio daemon of its own without hardware. It has loudspeakers that nobody hears (null sinks), and the
// monitor of each, a microphone that hears what it plays. A program that takes NAME.monitor for its microphone hears
// what Play plays on NAME; Record hears what it plays. All is 16 kHz, one channel, 16 bits.
//
// It asks no bus, opens no hardware, and keeps its files in a directory of its own.
type Sound struct {
	Server string // for PULSE_SERVER of those who use it

	net    *Net
	dir    string
	sinks  []string
	daemon *Proc
	procs  []*Proc // players and recorders
}

// NewSound starts a daemon with these loudspeakers and awaits that it answers. The first one and its monitor are the
// defaults.
func NewSound(n *Net, sinks ...string) (*Sound, error) {
	dir, err := os.MkdirTemp("", "sound") // short: the address of a socket has 107 bytes at most
	if err != nil {
		return nil, err
	}
	s := &Sound{Server: "unix:" + filepath.Join(dir, "native"), net: n, dir: dir, sinks: sinks}
	if err := s.Start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Start starts the daemon, again after Kill, and awaits that it answers.
func (s *Sound) Start() error {
	socket := strings.TrimPrefix(s.Server, "unix:")
	args := []string{"-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes",
		"--realtime=yes", "--high-priority=yes", "--log-target=stderr"} // as on a desktop; where that is not allowed it goes on without
	for _, sink := range s.sinks {
		// Without norewinds a sink that nobody has used plays two seconds ahead, and its monitor is silent for as long.
		args = append(args, "-L", fmt.Sprintf("module-null-sink sink_name=%s rate=%d channels=1 norewinds=1 sink_properties=device.description=%s",
			sink, soundRate, sink))
	}
	args = append(args, "-L", "module-native-protocol-unix auth-anonymous=1 socket="+socket)
	daemon, err := s.net.Start(Command{Name: "pulseaudio", Path: "pulseaudio", Args: args, Home: s.dir, Plain: true, Env: s.env()})
	if err != nil {
		return fmt.Errorf("%w; install the package pulseaudio", err)
	}
	s.daemon = daemon
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(soundStart); ; <-tick.C {
		c, err := net.Dial("unix", socket)
		if err == nil {
			// It hands every packet of sound over in a thread for which it asks no priority. Where this may not be
			// given it goes on without.
			_ = s.net.Run("chrt", "--rr", "--pid", strconv.Itoa(soundPriority), strconv.Itoa(daemon.Pid()))
			return c.Close()
		}
		if daemon.Exited() || time.Now().After(deadline) {
			return fmt.Errorf("start pulseaudio: %w\n%s", err, daemon.Tail(10))
		}
	}
}

func (s *Sound) env() []string {
	return []string{"PULSE_SERVER=" + s.Server, "PULSE_COOKIE=" + filepath.Join(s.dir, "cookie"),
		"DBUS_SYSTEM_BUS_ADDRESS=" + soundNoBus, "DBUS_SESSION_BUS_ADDRESS=" + soundNoBus}
}

// Kill ends the daemon as a crash would.
func (s *Sound) Kill() { s.daemon.Kill() }

// Close ends the daemon and everybody who plays or records, and removes their files.
func (s *Sound) Close() error {
	for _, p := range s.procs {
		p.Kill()
	}
	if s.daemon != nil {
		s.daemon.Kill()
	}
	return os.RemoveAll(s.dir)
}

// InTime lets a command go before all others that want a processor, where this process may: sound that comes late is
// not heard, and what else the machine does is not what is tested.
func InTime(c Command) Command {
	if exec.Command("chrt", "--rr", "1", "true").Run() == nil {
		c.Path, c.Args = "chrt", append([]string{"--rr", "1", c.Path}, c.Args...)
	}
	return c
}

// client starts a program of pulseaudio-utils that asks for a latency in milliseconds.
func (s *Sound) client(c Command, latency int) (*Proc, error) {
	c.Args = append(c.Args, "--raw", "--format=s16le", fmt.Sprintf("--rate=%d", soundRate), "--channels=1", fmt.Sprintf("--latency-msec=%d", latency))
	c.Home, c.Env = s.dir, s.env()
	p, err := s.net.Start(InTime(c))
	if err != nil {
		return nil, fmt.Errorf("%w; install the package pulseaudio-utils", err)
	}
	s.procs = append(s.procs, p)
	return p, nil
}

// Play begins to play sound on a loudspeaker, once; the process ends when all has been played.
func (s *Sound) Play(sink string, pcm []int16) (*Proc, error) {
	f, err := os.CreateTemp(s.dir, "play")
	if err != nil {
		return nil, err
	}
	if err = errors.Join(binary.Write(f, binary.LittleEndian, pcm), f.Close()); err != nil {
		return nil, fmt.Errorf("write the sound to play: %w", err)
	}
	return s.client(Command{Name: "play on " + sink, Path: "pacat", Args: []string{"--playback", "--device=" + sink, f.Name()}, Plain: true}, soundLate)
}

// Recording is what a loudspeaker plays.
type Recording struct {
	proc *Proc
	done chan struct{} // closed when no more comes

	mu      sync.Mutex
	pcm     []int16
	came    []arrival
	changed chan struct{} // closed and replaced when there is more
}

// arrival is when a recording had n samples.
type arrival struct {
	n  int
	at time.Time
}

// Record records what a loudspeaker plays, silence too, from about now on, until Stop or Close.
func (s *Sound) Record(sink string) (*Recording, error) { return s.record(sink, soundLate) }

// RecordFinely is Record for measuring delays: the sound card works in steps of 2 ms while it goes on. So When is late
// by no more than that, and by as much on each loudspeaker, whatever those who use it ask for.
func (s *Sound) RecordFinely(sink string) (*Recording, error) { return s.record(sink, soundFine) }

func (s *Sound) record(sink string, latency int) (*Recording, error) {
	p, err := s.client(Command{Name: "record " + sink, Path: "pacat", Args: []string{"--record", "--device=" + sink + ".monitor"}, Deaf: true}, latency)
	if err != nil {
		return nil, err
	}
	r := &Recording{proc: p, done: make(chan struct{}), changed: make(chan struct{})}
	go r.read(p.stdout)
	return r, nil
}

func (r *Recording) read(from io.Reader) {
	defer close(r.done)
	buf := make([]byte, 4096)
	odd := 0
	for {
		n, err := from.Read(buf[odd:])
		n += odd
		odd = n % 2
		r.mu.Lock()
		for i := 0; i+1 < n; i += 2 {
			r.pcm = append(r.pcm, int16(binary.LittleEndian.Uint16(buf[i:])))
		}
		r.came = append(r.came, arrival{len(r.pcm), time.Now()})
		full := len(r.pcm) > soundMost*soundRate
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
		if odd == 1 {
			buf[0] = buf[n-1]
		}
		if err != nil || full {
			return
		}
	}
}

// Len is how many samples were recorded so far: a mark to ask for what comes after it.
func (r *Recording) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pcm)
}

// Since is what was recorded from a mark on, so far.
func (r *Recording) Since(mark int) []int16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pcm[min(mark, len(r.pcm)):len(r.pcm):len(r.pcm)]
}

// Await waits until match is pleased with what was recorded from a mark on, and returns it. It is shown all of it each
// time that there is more.
func (r *Recording) Await(mark int, within time.Duration, what string, match func(pcm []int16) bool) ([]int16, error) {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		pcm := r.Since(mark)
		if match(pcm) {
			return pcm, nil
		}
		select {
		case <-changed:
		case <-r.done:
			return pcm, fmt.Errorf("%s: the recording ended before that, after %d samples\n%s", what, len(pcm), r.proc.Tail(5))
		case <-deadline.C:
			return pcm, fmt.Errorf("%s: not within %v and %d samples", what, within, len(pcm))
		}
	}
}

// Seconds awaits a length of sound from a mark on.
func (r *Recording) Seconds(mark int, length float64) ([]int16, error) {
	n := int(length * soundRate)
	pcm, err := r.Await(mark, time.Duration(3*length*float64(time.Second))+soundStart, fmt.Sprintf("%.1f s of sound", length),
		func(pcm []int16) bool { return len(pcm) >= n })
	if err != nil {
		return nil, err
	}
	return pcm[:n], nil
}

// When is the time at which a sample was recorded: its number at the sound card's rate, from the moments at which sound
// arrived that was least delayed, within half a second of it.
func (r *Recording) When(sample int) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, _ := slices.BinarySearchFunc(r.came, sample-soundRate/2, func(a arrival, n int) int { return a.n - n })
	var best time.Time
	for _, a := range r.came[first:] {
		if a.n > sample+soundRate/2 {
			break
		}
		if t := a.at.Add(time.Duration(sample-a.n) * time.Second / soundRate); best.IsZero() || t.Before(best) {
			best = t
		}
	}
	return best
}

// Stop ends the recording.
func (r *Recording) Stop() { r.proc.Kill() }

// Speak returns what espeak-ng says in a voice such as "en-us+m3", 22,050 samples a second as WAVE.
func (s *Sound) Speak(voice, text string) ([]byte, error) {
	file := filepath.Join(s.dir, "speech.wav")
	if err := s.net.Run("espeak-ng", "-v", voice, "-w", file, "--", text); err != nil {
		return nil, fmt.Errorf("%w; install the package espeak-ng", err)
	}
	return os.ReadFile(file)
}
