package wire

import (
	"bytes"
	"testing"
	"time"
)

func TestLogsPartTheNumbers(t *testing.T) {
	a := PeerID{1}
	const size = 1 << RunBits
	for _, c := range []struct {
		seq uint64
		run uint32
	}{{0, 0}, {1, 0}, {size, 0}, {size + 1, 1}, {2 * size, 1}, {2*size + 1, 2}, {MaxCounter, 1<<32 - 1}, {1 << 63, 1<<32 - 1}} {
		log := LogOf(a, c.seq)
		if log.Run != c.run || log.Author != a {
			t.Errorf("number %d is of %v: want run %d", c.seq, log, c.run)
		}
		if in := c.seq > log.Start() && c.seq <= log.End(); !in && c.seq > 0 && c.seq <= MaxCounter {
			t.Errorf("number %d is of a log from %d to %d", c.seq, log.Start()+1, log.End())
		}
	}
	if LogOf(a, LogID{a, 7}.End()) != (LogID{a, 7}) || LogOf(a, LogID{a, 7}.Start()+1) != (LogID{a, 7}) {
		t.Error("the ends of a log are not in it")
	}
}

func TestRunsAreTimes(t *testing.T) {
	first := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for at, want := range map[time.Time]uint32{
		{}: 0, first: 0, first.Add(250 * time.Millisecond): 1, first.Add(499 * time.Millisecond): 1, first.Add(time.Minute): 240,
		first.AddDate(6, 0, 0): 4 * 86400 * (365*6 + 2), first.AddDate(40, 0, 0): 0,
	} {
		if got := RunAt(at); got != want {
			t.Errorf("the run at %v is %d: want %d", at, got, want)
		}
	}
}

func TestAnAuthorHasAHeadForEachRun(t *testing.T) {
	a, b := PeerID{1}, PeerID{2}
	second := LogID{a, 1}.Start()
	good := []Head{{a, 0, 7}, {a, second, second + 2}, {b, 0, 1}}
	data, err := AppendFrame(nil, Digest{Room: "general", Heads: good})
	if err != nil {
		t.Fatal(err)
	}
	f, err := DecodeFrame(data)
	if err != nil || len(f.(Digest).Heads) != 3 {
		t.Fatalf("it decodes to %v, %v", f, err)
	}
	for what, heads := range map[string][]Head{
		"two of one run": {{a, 0, 7}, {a, 7, 9}}, "the later run first": {good[1], good[0]}, "one twice": {good[1], good[1]},
	} {
		if _, err := AppendFrame(nil, Digest{Room: "general", Heads: heads}); err == nil {
			t.Errorf("heads with %s are encoded", what)
		}
	}
	// The same by hand: the first head's number, 7, becomes one of the second run.
	swapped := bytes.Replace(data, []byte{0, 7}, []byte{0, 0x1a, 0, 0x20, 0, 1}, 1)
	if _, err := DecodeFrame(swapped); err == nil {
		t.Error("two heads of one run are decoded")
	}
}

// Who waits for RunLeft does not get the same run again, and does not wait longer than it has to.
func TestRunLeft(t *testing.T) {
	start := time.Date(2026, 11, 22, 1, 2, 3, 250_000_000, time.UTC)
	run := RunAt(start)
	for after, want := range map[time.Duration]time.Duration{
		-1: 0, 0: 250 * time.Millisecond, 1: 250*time.Millisecond - 1, 249 * time.Millisecond: time.Millisecond, 250 * time.Millisecond: 0, time.Hour: 0,
	} {
		at := start.Add(after)
		left := RunLeft(run, at)
		if left != want {
			t.Errorf("%v after its beginning the run has %v left: want %v", after, left, want)
		}
		if RunAt(at.Add(left)) == run {
			t.Errorf("%v later the run is still the present one", left)
		}
	}
	for _, at := range []time.Time{{}, time.UnixMilli(0), start} {
		if left := RunLeft(0, at); left != 0 {
			t.Errorf("run 0, which no time gives, has %v left at %v", left, at)
		}
	}
}
