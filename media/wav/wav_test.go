package wav

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// chunk is one part of a RIFF file.
func chunk(id string, body []byte) []byte {
	b := append([]byte(id), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(body)))
	b = append(b, body...)
	if len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func format(tag, channels, rate, bits int) []byte {
	b := make([]byte, 16)
	binary.LittleEndian.PutUint16(b[0:], uint16(tag))
	binary.LittleEndian.PutUint16(b[2:], uint16(channels))
	binary.LittleEndian.PutUint32(b[4:], uint32(rate))
	binary.LittleEndian.PutUint32(b[8:], uint32(rate*channels*bits/8))
	binary.LittleEndian.PutUint16(b[12:], uint16(channels*bits/8))
	binary.LittleEndian.PutUint16(b[14:], uint16(bits))
	return b
}

func riff(chunks ...[]byte) []byte {
	return append([]byte("RIFF\xff\xff\xff\xffWAVE"), slices.Concat(chunks...)...)
}

func all(t *testing.T, w *Reader, step int) []int16 {
	t.Helper()
	var got []int16
	buf := make([]int16, step)
	for {
		n, err := w.Read(buf)
		got = append(got, buf[:n]...)
		if err == io.EOF {
			return got
		}
		if err != nil || n == 0 {
			t.Fatalf("after %d samples: %d, %v", len(got), n, err)
		}
	}
}

func TestReadsEachKindOfSample(t *testing.T) {
	f32 := func(values ...float32) (b []byte) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		return b
	}
	f64 := func(values ...float64) (b []byte) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		return b
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	extensible := append(format(formatExtensible, 1, 8000, 16), 22, 0, 16, 0, 4, 0, 0, 0, 1, 0)
	extensible = append(extensible, subFormatTail...)
	for name, c := range map[string]struct {
		format, data []byte
		want         []int16
	}{
		"8 bits are unsigned":           {format(1, 1, 8000, 8), []byte{128, 255, 0, 129}, []int16{0, 127 << 8, -32768, 256}},
		"16 bits":                       {format(1, 1, 8000, 16), []byte{0x34, 0x12, 0xff, 0xff}, []int16{0x1234, -1}},
		"24 bits lose the lowest 8":     {format(1, 1, 8000, 24), []byte{9, 0x34, 0x12, 0xff, 0xff, 0xff}, []int16{0x1234, -1}},
		"32 bits lose the lowest 16":    {format(1, 1, 8000, 32), []byte{9, 9, 0x34, 0x12}, []int16{0x1234}},
		"floats are clipped":            {format(3, 1, 8000, 32), f32(0, 0.5, 1, -1, 7, -7), []int16{0, 16384, 32767, -32768, 32767, -32768}},
		"floats that are none":          {format(3, 1, 8000, 32), f32(nan, inf, -inf), []int16{0, 32767, -32768}},
		"doubles":                       {format(3, 1, 8000, 64), f64(0.5, math.NaN()), []int16{16384, 0}},
		"channels are averaged":         {format(1, 2, 8000, 16), []byte{10, 0, 20, 0, 0xff, 0x7f, 0xff, 0x7f}, []int16{15, 32767}},
		"the extension of 16 bits":      {extensible, []byte{1, 0}, []int16{1}},
		"half a sample at the end":      {format(1, 2, 8000, 16), []byte{10, 0, 20, 0, 5}, []int16{15}},
		"no samples":                    {format(1, 1, 8000, 16), nil, nil},
		"a format with an odd addition": {append(format(1, 1, 8000, 16), 0, 0, 0), []byte{1, 0}, []int16{1}},
	} {
		file := riff(chunk("LIST", []byte("odd")), chunk("fmt ", c.format), chunk("fact", make([]byte, 4)), chunk("data", c.data))
		for _, r := range []io.Reader{bytes.NewReader(file), iotest.OneByteReader(bytes.NewReader(file)), iotest.DataErrReader(bytes.NewReader(file))} {
			w, err := NewReader(r)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := all(t, w, 3); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	}
}

func TestRefusesWhatItCannotRead(t *testing.T) {
	ok := chunk("fmt ", format(1, 1, 8000, 16))
	data := chunk("data", []byte{1, 0})
	var many [][]byte
	for range maxChunks + 1 {
		many = append(many, chunk("junk", nil))
	}
	badAlign := format(1, 2, 8000, 16)
	badAlign[12] = 2
	huge := append([]byte("junk"), 0xff, 0xff, 0xff, 0xff)
	for name, file := range map[string][]byte{
		"nothing":                nil,
		"text":                   []byte("this is no sound file at all"),
		"no WAVE":                []byte("RIFF\x00\x00\x00\x00AVI LIST"),
		"only a header":          riff(),
		"no samples":             riff(ok),
		"samples first":          riff(data, ok),
		"a short format":         riff(chunk("fmt ", make([]byte, 15)), data),
		"A-law":                  riff(chunk("fmt ", format(6, 1, 8000, 8)), data),
		"12 bits":                riff(chunk("fmt ", format(1, 1, 8000, 12)), data),
		"no bits":                riff(chunk("fmt ", format(1, 1, 8000, 0)), data),
		"no channels":            riff(chunk("fmt ", format(1, 0, 8000, 16)), data),
		"65535 channels":         riff(chunk("fmt ", format(1, 65535, 8000, 16)), data),
		"no rate":                riff(chunk("fmt ", format(1, 1, 0, 16)), data),
		"a rate of gigahertz":    riff(chunk("fmt ", format(1, 1, 1<<31, 16)), data),
		"a width that is wrong":  riff(chunk("fmt ", badAlign), data),
		"an unknown extension":   riff(chunk("fmt ", append(format(formatExtensible, 1, 8000, 16), make([]byte, 24)...)), data),
		"a short extension":      riff(chunk("fmt ", format(formatExtensible, 1, 8000, 16)), data),
		"parts without end":      riff(slices.Concat(many...), ok, data),
		"a part of 4 GiB":        riff(huge, ok, data),
		"a part that is cut off": riff(chunk("junk", make([]byte, 100)))[:40],
	} {
		if _, err := NewReader(bytes.NewReader(file)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadsOnWhereTheHeaderWasNeverSetRight(t *testing.T) {
	for _, size := range []uint32{0, 0xffffffff} {
		file := riff(chunk("fmt ", format(1, 1, 8000, 16)), chunk("data", []byte{1, 0, 2, 0}))
		binary.LittleEndian.PutUint32(file[len(file)-8:], size)
		w, err := NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if w.Samples() != -1 {
			t.Errorf("size %#x promises %d samples", size, w.Samples())
		}
		if got := all(t, w, 10); !slices.Equal(got, []int16{1, 2}) {
			t.Errorf("size %#x: %v", size, got)
		}
	}
}

func TestWhatFollowsTheSamplesIsNoSound(t *testing.T) {
	file := riff(chunk("fmt ", format(1, 1, 8000, 16)), chunk("data", []byte{1, 0, 2, 0}), chunk("LIST", []byte("about")))
	w, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := all(t, w, 10); !slices.Equal(got, []int16{1, 2}) {
			t.Fatalf("%v", got)
		}
		if err := w.Rewind(); err != nil {
			t.Fatal(err)
		}
	}
	w, err = NewReader(bytes.NewBuffer(file))
	if err != nil {
		t.Fatal(err)
	}
	if w.Rewind() == nil {
		t.Error("a stream that cannot seek was rewound")
	}
}

func TestWhatIsWrittenReadsBack(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.IntRange(MinRate, 48000).Draw(rt, "rate")
		parts := rapid.SliceOfN(rapid.SliceOfN(rapid.Int16(), 0, 9000), 0, 4).Draw(rt, "parts")
		path := filepath.Join(dir, "x.wav")
		f, err := os.Create(path)
		if err != nil {
			rt.Fatal(err)
		}
		defer f.Close()
		w, err := NewWriter(f, rate)
		if err != nil {
			rt.Fatal(err)
		}
		for _, p := range parts {
			if err := w.Write(p); err != nil {
				rt.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			rt.Fatal(err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			rt.Fatal(err)
		}
		r, err := NewReader(f)
		if err != nil {
			rt.Fatal(err)
		}
		want := slices.Concat(parts...)
		if got := all(t, r, 4096); r.Rate() != rate || !slices.Equal(got, want) {
			rt.Fatalf("%d samples at %d came back of %d at %d", len(got), r.Rate(), len(want), rate)
		}
	})
}

// memory is a File without a disk.
type memory struct {
	b    []byte
	full bool
}

func (m *memory) Write(p []byte) (int, error) {
	if m.full {
		return 0, errors.New("disk full")
	}
	m.b = append(m.b, p...)
	return len(p), nil
}

func (m *memory) WriteAt(p []byte, at int64) (int, error) { return copy(m.b[at:], p), nil }

func TestAKilledWriterLeavesAFileThatPlays(t *testing.T) {
	m := &memory{}
	w, err := NewWriter(m, 16000)
	if err != nil {
		t.Fatal(err)
	}
	second := make([]int16, 16000)
	for i := 1; i <= 3; i++ {
		if err := w.Write(second); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(second[:100]); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(m.b)) // as it is on the disk now
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Samples(); got < int64(16000*i) {
			t.Errorf("after %d s the header knows of %d samples", i, got)
		}
	}
	m.full = true
	if err := w.Write(second); err == nil {
		t.Error("a full disk is no error")
	}
	if err := w.Close(); err == nil {
		t.Error("the error was forgotten")
	}
}

func TestAFileEndsBeforeItsSizesOverflow(t *testing.T) {
	m := &memory{}
	w, err := NewWriter(m, 16000)
	if err != nil {
		t.Fatal(err)
	}
	w.data, w.stated = maxData-4, maxData-4
	if err := w.Write(make([]int16, 2)); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(make([]int16, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	m := &memory{b: make([]byte, 0, 1<<20)}
	w, err := NewWriter(m, 16000)
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]int16, 320)
	if n := testing.AllocsPerRun(100, func() { _ = w.Write(frame) }); n != 0 {
		t.Errorf("%v allocations to write a frame", n)
	}
	r, err := NewReader(bytes.NewReader(m.b))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(50, func() { _, _ = r.Read(frame) }); n != 0 {
		t.Errorf("%v allocations to read a frame", n)
	}
}

// FuzzReader checks that no file makes a Reader panic, hang or give out more samples than the file has room for.
func FuzzReader(f *testing.F) {
	f.Add(riff(chunk("fmt ", format(1, 1, 8000, 16)), chunk("data", []byte{1, 0, 2, 0})))
	f.Add(riff(chunk("LIST", []byte("odd")), chunk("fmt ", format(3, 2, 48000, 32)), chunk("data", make([]byte, 64))))
	f.Add(riff(chunk("fmt ", append(format(formatExtensible, 1, 8000, 16), append([]byte{22, 0, 16, 0, 4, 0, 0, 0, 1, 0}, subFormatTail...)...)), chunk("data", []byte{1, 0})))
	f.Fuzz(func(t *testing.T, file []byte) {
		w, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		var first []int16
		for round := range 2 {
			got := all(t, w, 1000)
			if len(got) > len(file) || w.Samples() >= 0 && int64(len(got)) > w.Samples() {
				t.Fatalf("%d samples out of %d bytes that promise %d", len(got), len(file), w.Samples())
			}
			if round == 1 && !slices.Equal(got, first) {
				t.Fatal("the second time sounds different")
			}
			first = got
			if err := w.Rewind(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
