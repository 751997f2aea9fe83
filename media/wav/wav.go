// Package wav reads and writes RIFF WAVE files as streams ("Multimedia Programming Interface and Data Specifications
// 1.0", IBM and Microsoft, 1991, and Microsoft's WAVEFORMATEXTENSIBLE). A file is hostile input: a Reader allocates the
// same few kilobytes whatever the header says, and looks at a bounded part of what comes before the samples.
//
// Its types belong to one goroutine each. It imports nothing of ours: resampling is package media's.
package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Bounds of what a Reader accepts.
const (
	MinRate     = 4000    // samples a second
	MaxRate     = 384000  // … samples a second
	MaxChannels = 32      // channels, which are averaged into one
	maxChunks   = 256     // chunks before the samples
	maxSkip     = 8 << 20 // bytes in them: cover art and the like
	bufferBytes = 8 << 10
)

const (
	formatPCM        = 1
	formatFloat      = 3
	formatExtensible = 0xfffe
)

// ErrFormat is wrapped by the errors that say that a file is not one that a Reader can read.
var ErrFormat = errors.New("not a WAVE file of a kind that can be read")

// subFormatTail is what follows the two bytes of the format in a GUID of WAVEFORMATEXTENSIBLE.
const subFormatTail = "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"

// Reader reads the samples of a WAVE file: 8, 16, 24 or 32-bit integers or 32 or 64-bit floats, at any rate, its
// channels averaged into one. Use one from one goroutine.
type Reader struct {
	r         io.Reader
	seeker    io.Seeker // nil where r has none
	rate      int
	channels  int
	bytes     int // of one sample of one channel
	float     bool
	start     int64  // where the samples begin, from where r was
	origin    int64  // where r was
	size      int64  // bytes of samples by the header; -1: as many as there are
	remaining int64  // of size
	buf       []byte // bytes read and not given out yet are buf[at:end]
	at, end   int
	err       error // of r, once buf is used up
}

// NewReader reads the header of a WAVE file. The error wraps ErrFormat where the file is of another kind or lies about
// itself; else it is r's.
func NewReader(r io.Reader) (*Reader, error) {
	w := &Reader{r: r, buf: make([]byte, bufferBytes)}
	if s, ok := r.(io.Seeker); ok {
		if origin, err := s.Seek(0, io.SeekCurrent); err == nil { // a pipe has the method, but fails
			w.seeker, w.origin = s, origin
		}
	}
	if err := w.header(); err != nil {
		return nil, err
	}
	return w, nil
}

// Rate is how many samples a second the file has.
func (w *Reader) Rate() int { return w.rate }

// Samples is how many samples of each channel the header promises; -1 if it does not say. The file may hold fewer.
func (w *Reader) Samples() int64 {
	if w.size < 0 {
		return -1
	}
	return w.size / int64(w.channels*w.bytes)
}

func (w *Reader) full(b []byte) error {
	n, err := io.ReadFull(w.r, b)
	w.start += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the file ends inside its header: %w", ErrFormat)
	}
	return err
}

// skip leaves out n bytes of the header, of which budget bytes may be left out in all.
func (w *Reader) skip(n int64, budget *int64) error {
	if n > *budget {
		return fmt.Errorf("more than %d bytes come before the samples: %w", maxSkip, ErrFormat)
	}
	*budget -= n
	for n > 0 {
		part := min(n, int64(len(w.buf)))
		if err := w.full(w.buf[:part]); err != nil {
			return err
		}
		n -= part
	}
	return nil
}

func (w *Reader) header() error {
	b := w.buf
	if err := w.full(b[:12]); err != nil {
		return err
	}
	if string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return fmt.Errorf("it does not begin with RIFF and WAVE: %w", ErrFormat)
	}
	budget := int64(maxSkip)
	for range maxChunks {
		if err := w.full(b[:8]); err != nil {
			return err
		}
		id, size := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:8]))
		switch {
		case id == "fmt " && w.rate == 0:
			if size < 16 {
				return fmt.Errorf("its format takes %d B, less than 16: %w", size, ErrFormat)
			}
			kept := min(size, 40)
			if err := w.full(b[:kept]); err != nil {
				return err
			}
			if err := w.format(b[:kept]); err != nil {
				return err
			}
			if err := w.skip(size-kept+size&1, &budget); err != nil {
				return err
			}
		case id == "data" && w.rate == 0:
			return fmt.Errorf("its samples come before their format: %w", ErrFormat)
		case id == "data":
			// A program that was killed, or wrote into a pipe, leaves 0 or the largest number here.
			if w.size = size; size == 0 || size >= 0xffffffff-64 {
				w.size = -1
			}
			w.remaining = w.size
			return nil
		default:
			if err := w.skip(size+size&1, &budget); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("there are no samples among its first %d parts: %w", maxChunks, ErrFormat)
}

// format takes the fields of the chunk "fmt ", of which b holds 16 to 40 bytes.
func (w *Reader) format(b []byte) error {
	tag := binary.LittleEndian.Uint16(b[0:])
	channels := int(binary.LittleEndian.Uint16(b[2:]))
	rate := binary.LittleEndian.Uint32(b[4:])
	align := int(binary.LittleEndian.Uint16(b[12:]))
	bits := int(binary.LittleEndian.Uint16(b[14:]))
	if tag == formatExtensible {
		if len(b) < 40 || string(b[26:40]) != subFormatTail {
			return fmt.Errorf("its format is an extension that is not known: %w", ErrFormat)
		}
		tag = binary.LittleEndian.Uint16(b[24:])
	}
	switch {
	case tag == formatPCM && (bits == 8 || bits == 16 || bits == 24 || bits == 32):
	case tag == formatFloat && (bits == 32 || bits == 64):
		w.float = true
	default:
		return fmt.Errorf("its samples have format %d with %d bits; use PCM of 8, 16, 24 or 32 bits, or float: %w", tag, bits, ErrFormat)
	}
	if channels < 1 || channels > MaxChannels {
		return fmt.Errorf("it has %d channels, not 1 to %d: %w", channels, MaxChannels, ErrFormat)
	}
	if rate < MinRate || rate > MaxRate {
		return fmt.Errorf("it has %d samples a second, not %d to %d: %w", rate, MinRate, MaxRate, ErrFormat)
	}
	if align != channels*bits/8 {
		return fmt.Errorf("a frame of %d × %d bits does not take %d B: %w", channels, bits, align, ErrFormat)
	}
	w.channels, w.rate, w.bytes = channels, int(rate), bits/8
	return nil
}

// Read fills samples, as far as the file goes, and returns how many it filled. The error is io.EOF after the last one,
// and never comes with samples. Half a sample at the end of a file that was cut off is left out.
func (w *Reader) Read(samples []int16) (int, error) {
	width := w.channels * w.bytes
	n := 0
	for n < len(samples) {
		if w.end-w.at < width {
			if !w.fill() {
				break
			}
			continue
		}
		samples[n] = w.sample(w.buf[w.at : w.at+width])
		w.at += width
		n++
	}
	if n == 0 && len(samples) > 0 {
		return 0, w.err
	}
	return n, nil
}

// fill reads more bytes behind those that are left; false: there are none, and err says why.
func (w *Reader) fill() bool {
	if w.err != nil {
		return false
	}
	if w.remaining == 0 {
		w.err = io.EOF
		return false
	}
	copy(w.buf, w.buf[w.at:w.end])
	w.end -= w.at
	w.at = 0
	room := w.buf[w.end:]
	if w.remaining >= 0 && int64(len(room)) > w.remaining {
		room = room[:w.remaining]
	}
	n, err := w.r.Read(room)
	w.end += n
	if w.remaining >= 0 {
		w.remaining -= int64(n)
	}
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	w.err = err
	return n > 0
}

// sample is the mean of one sample of each channel.
func (w *Reader) sample(b []byte) int16 {
	if w.float {
		var sum float64
		for ; len(b) > 0; b = b[w.bytes:] {
			v := float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
			if w.bytes == 8 {
				v = math.Float64frombits(binary.LittleEndian.Uint64(b))
			}
			if !math.IsNaN(v) {
				sum += max(-1, min(v, 1))
			}
		}
		return int16(min(math.Round(sum/float64(w.channels)*32768), 32767))
	}
	var sum int64 // of the 16 highest bits of each
	for ; len(b) > 0; b = b[w.bytes:] {
		switch w.bytes {
		case 1:
			sum += (int64(b[0]) - 128) << 8
		case 2:
			sum += int64(int16(binary.LittleEndian.Uint16(b)))
		case 3:
			sum += int64(int16(binary.LittleEndian.Uint16(b[1:])))
		case 4:
			sum += int64(int16(binary.LittleEndian.Uint16(b[2:])))
		}
	}
	return int16(sum / int64(w.channels))
}

// Rewind goes back to the first sample. It fails where the file cannot seek.
func (w *Reader) Rewind() error {
	if w.seeker == nil {
		return errors.New("play a WAVE file again: it is not a file that can be rewound")
	}
	if _, err := w.seeker.Seek(w.origin+w.start, io.SeekStart); err != nil {
		return fmt.Errorf("play a WAVE file again: %w", err)
	}
	w.at, w.end, w.err, w.remaining = 0, 0, nil, w.size
	return nil
}
