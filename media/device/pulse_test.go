package device

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"peerchat/media"
)

// pulseServer is a PulseAudio server without hardware: the loudspeaker "mic" whose monitor serves as microphone, and
// the loudspeaker "ear". It is killed when the test ends.
type pulseServer struct {
	t       testing.TB
	address string
	process *os.Process
}

func startPulse(t testing.TB) *pulseServer {
	t.Helper()
	program, err := exec.LookPath("pulseaudio")
	if err != nil {
		missing(t, "pulseaudio", "pulseaudio")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "native")
	t.Setenv("HOME", dir)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("PULSE_SERVER", "unix:"+socket)
	var log bytes.Buffer
	cmd := exec.Command(program, "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes", "--realtime=no", "--high-priority=no",
		"-L", "module-null-sink sink_name=mic rate=16000 channels=1 sink_properties=device.description=Headset",
		"-L", "module-null-sink sink_name=ear rate=16000 channels=1 sink_properties=device.description=Loudspeaker",
		"-L", "module-native-protocol-unix socket="+socket+" auth-anonymous=1")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("pulseaudio said: %s", log.String())
		}
	})
	s := &pulseServer{t, "unix:" + socket, cmd.Process}
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		system := s.system("pulse")
		_, _, err := system.List(context.Background())
		system.Close()
		if err == nil {
			return s
		}
		select {
		case <-retry.C:
		case <-exited:
			t.Fatalf("pulseaudio ended: %s", log.String())
		case <-deadline.C:
			t.Fatalf("pulseaudio does not answer: %v", err)
		}
	}
}

// missing skips a test that needs a program. In CI, which installs what .ci/deps lists, it fails: a test that is
// skipped there is run by nobody.
func missing(t testing.TB, program, debian string) {
	t.Helper()
	why := program + " is not installed; install the package " + debian
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func (s *pulseServer) system(backend string) *System {
	return New(Config{Backends: []string{backend}})
}

func (s *pulseServer) pactl(args ...string) string {
	s.t.Helper()
	program, err := exec.LookPath("pactl")
	if err != nil {
		missing(s.t, "pactl", "pulseaudio-utils")
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("pactl %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// kill ends the server at once, as a crash would.
func (s *pulseServer) kill() { _ = s.process.Signal(syscall.SIGKILL) }

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// eachBackend runs a test with PulseAudio through both backends.
func eachBackend(t *testing.T, do func(t *testing.T, server *pulseServer, system *System)) {
	for _, backend := range []string{"pulse", "malgo"} {
		t.Run(backend, func(t *testing.T) {
			if backend == "malgo" && newMalgo(Config{}) == nil {
				t.Skip("this build has no cgo")
			}
			server := startPulse(t)
			system := server.system(backend)
			defer system.Close()
			do(t, server, system)
		})
	}
}

func TestDevicesHaveHumanNamesAndADefault(t *testing.T) {
	eachBackend(t, func(t *testing.T, server *pulseServer, system *System) {
		microphones, speakers, err := system.List(within(t, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for what, list := range map[string][]Device{"microphones": microphones, "speakers": speakers} {
			defaults := 0
			for i, d := range list {
				if d.Number != i+1 || d.Name == "" || d.ID == "" {
					t.Errorf("%s: %+v", what, d)
				}
				if d.Default {
					defaults++
				}
			}
			if len(list) != 2 || defaults != 1 {
				t.Errorf("%s: %d of which %d are the default: %+v", what, len(list), defaults, list)
			}
		}
		if _, err := find("loudspeaker", "speaker", speakers); err != nil {
			t.Error(err)
		}
	})
}

// speak plays a tone until the test ends.
func speak(t *testing.T, sink media.Sink, hz float64) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	fill := tone(hz)
	go func() {
		defer close(stopped)
		pcm := make([]int16, sink.Period())
		for {
			for sink.Room() >= len(pcm) {
				_ = fill(pcm)
				sink.Write(pcm)
			}
			select {
			case <-sink.Wake():
			case <-sink.Done():
				return
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped; sink.Close() })
}

// goertzel is the share of hz in the energy of pcm, 0 to 1.
func goertzel(pcm []int16, hz float64) float64 {
	w := 2 * math.Pi * hz / media.SampleRate
	var re, im, sum float64
	for i, s := range pcm {
		re += float64(s) * math.Cos(w*float64(i))
		im += float64(s) * math.Sin(w*float64(i))
		sum += float64(s) * float64(s)
	}
	if sum == 0 {
		return 0
	}
	return 2 * (re*re + im*im) / (float64(len(pcm)) * sum)
}

// hear reads until two frames of sound in a row are the tone. A longer part would have gaps in it on a busy machine.
func hear(t *testing.T, source media.Source, hz float64) {
	t.Helper()
	pcm := make([]int16, 2*media.FrameSamples)
	best := 0.0
	for range 1000 {
		for at := 0; at < len(pcm); at += media.FrameSamples {
			if err := source.Read(pcm[at : at+media.FrameSamples]); err != nil {
				t.Fatal(err)
			}
		}
		best = max(best, goertzel(pcm, hz))
		if best > 0.9 {
			return
		}
	}
	t.Errorf("%v Hz is only %.2f of what was heard", hz, best)
}

func TestWhatASpeakerPlaysItsMonitorHears(t *testing.T) {
	eachBackend(t, func(t *testing.T, server *pulseServer, system *System) {
		ctx := within(t, 20*time.Second)
		sink, err := system.OpenSink(ctx, "Headset")
		if err != nil {
			t.Fatal(err)
		}
		if sink.Name() != "Headset" {
			t.Errorf("it is called %q", sink.Name())
		}
		speak(t, sink, 440)
		source, err := system.OpenSource(ctx, "Monitor of Headset")
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		hear(t, source, 440)
	})
}

func TestTheDefaultDeviceOpens(t *testing.T) {
	eachBackend(t, func(t *testing.T, server *pulseServer, system *System) {
		ctx := within(t, 20*time.Second)
		source, err := system.OpenSource(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := source.Read(make([]int16, media.FrameSamples)); err != nil {
			t.Error(err)
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
		if err := source.Read(make([]int16, media.FrameSamples)); err == nil {
			t.Error("a closed microphone can be read")
		}
		if _, err := system.OpenSource(ctx, "no such device"); err == nil || !strings.Contains(err.Error(), "Headset") {
			t.Errorf("the error for an unknown name does not say which there are: %v", err)
		}
	})
}

func TestAServerThatDiesTakesItsDevicesWithIt(t *testing.T) {
	eachBackend(t, func(t *testing.T, server *pulseServer, system *System) {
		ctx := within(t, 20*time.Second)
		source, err := system.OpenSource(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		sink, err := system.OpenSink(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		server.kill()
		frame := make([]int16, media.FrameSamples)
		for {
			if err := source.Read(frame); err != nil {
				if errors.Is(err, media.ErrClosed) {
					t.Errorf("the microphone says that we closed it: %v", err)
				}
				break
			}
		}
		select {
		case <-sink.Done():
		case <-ctx.Done():
			t.Fatal("the speaker is still there")
		}
		if err := sink.Err(); err == nil || errors.Is(err, media.ErrClosed) {
			t.Errorf("the speaker says: %v", err)
		}
	})
}

func TestClosingWakesAReader(t *testing.T) {
	eachBackend(t, func(t *testing.T, server *pulseServer, system *System) {
		source, err := system.OpenSource(within(t, 20*time.Second), "")
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error)
		go func() {
			frame := make([]int16, media.FrameSamples)
			for {
				if err := source.Read(frame); err != nil {
					failed <- err
					return
				}
			}
		}()
		for range 3 {
			if err := source.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-failed; !errors.Is(err, media.ErrClosed) {
			t.Error(err)
		}
	})
}

// unplug takes a sink away, and its monitor.
func (s *pulseServer) unplug(sink string) {
	s.t.Helper()
	for _, line := range strings.Split(s.pactl("list", "short", "modules"), "\n") {
		if strings.Contains(line, "sink_name="+sink) {
			s.pactl("unload-module", strings.Fields(line)[0])
			return
		}
	}
	s.t.Fatalf("there is no sink %s", sink)
}

func TestADeviceThatIsUnpluggedIsReplacedOrTold(t *testing.T) {
	server := startPulse(t)
	system := server.system("pulse")
	defer system.Close()
	ctx := within(t, 2*time.Minute) // hear may take some of it
	sink, err := system.OpenSink(ctx, "Loudspeaker")
	if err != nil {
		t.Fatal(err)
	}
	speak(t, sink, 440)
	source, err := system.OpenSource(ctx, "Monitor of Loudspeaker")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	server.unplug("ear") // the server moves both to what is left
	hear(t, source, 440)
	server.unplug("mic") // nothing is left
	select {
	case <-sink.Done():
	case <-ctx.Done():
		t.Fatal("the speaker is still there")
	}
	frame := make([]int16, media.FrameSamples)
	for source.Read(frame) == nil {
		if ctx.Err() != nil {
			t.Fatal("the microphone is still there")
		}
	}
	if _, err := system.OpenSink(ctx, ""); !errors.Is(err, media.ErrNoSound) {
		t.Errorf("a server without speakers says: %v", err)
	}
	if _, err := system.OpenSource(ctx, ""); !errors.Is(err, media.ErrNoSound) {
		t.Errorf("a server without microphones says: %v", err)
	}
}
