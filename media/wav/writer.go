package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// File is what a Writer writes to; an *os.File that was not opened for appending is one.
type File interface {
	io.Writer
	io.WriterAt
}

// headerBytes is the size of the header that a Writer writes; the samples follow.
const headerBytes = 44

// maxData is how many bytes of samples fit into the format's 32-bit sizes.
const maxData = 0xffffffff - 64 - headerBytes

// ErrFull says that the file has reached the 4 GiB that its format allows: 37 hours at 16 kHz.
var ErrFull = errors.New("the WAVE file is full: its format ends at 4 GiB")

// Writer writes 16-bit mono samples into a WAVE file. Its header is set right about once a second of sound, so that the
// file plays, up to that second, even if the program is killed. Use one from one goroutine.
type Writer struct {
	f       File
	rate    int
	data    int64 // bytes of samples written
	stated  int64 // … and in the header
	buf     []byte
	failure error
}

// NewWriter writes the header of an empty file; rate is in samples a second. Close does not close f.
func NewWriter(f File, rate int) (*Writer, error) {
	if rate < MinRate || rate > MaxRate {
		return nil, fmt.Errorf("write a WAVE file: %d samples a second are not %d to %d", rate, MinRate, MaxRate)
	}
	w := &Writer{f: f, rate: rate, buf: make([]byte, bufferBytes)}
	h := w.buf[:headerBytes]
	copy(h, "RIFF\x00\x00\x00\x00WAVEfmt ")
	binary.LittleEndian.PutUint32(h[4:], headerBytes-8)
	binary.LittleEndian.PutUint32(h[16:], 16)
	binary.LittleEndian.PutUint16(h[20:], formatPCM)
	binary.LittleEndian.PutUint16(h[22:], 1)
	binary.LittleEndian.PutUint32(h[24:], uint32(rate))
	binary.LittleEndian.PutUint32(h[28:], uint32(2*rate))
	binary.LittleEndian.PutUint16(h[32:], 2)
	binary.LittleEndian.PutUint16(h[34:], 16)
	copy(h[36:], "data\x00\x00\x00\x00")
	if _, err := f.Write(h); err != nil {
		return nil, fmt.Errorf("write a WAVE file: %w", err)
	}
	return w, nil
}

// Write appends samples. After an error every further call returns the same.
func (w *Writer) Write(samples []int16) error {
	for len(samples) > 0 && w.failure == nil {
		part := samples[:min(len(samples), len(w.buf)/2)]
		samples = samples[len(part):]
		if w.data+int64(2*len(part)) > maxData {
			w.failure = ErrFull
			break
		}
		for i, s := range part {
			binary.LittleEndian.PutUint16(w.buf[2*i:], uint16(s))
		}
		if _, err := w.f.Write(w.buf[:2*len(part)]); err != nil {
			w.failure = fmt.Errorf("write a WAVE file: %w", err)
			break
		}
		w.data += int64(2 * len(part))
	}
	if w.failure == nil && w.data-w.stated >= int64(2*w.rate) {
		w.state()
	}
	return w.failure
}

// state sets the sizes in the header right: the samples are there already.
func (w *Writer) state() {
	b := w.buf[:4]
	binary.LittleEndian.PutUint32(b, uint32(w.data+headerBytes-8))
	_, err := w.f.WriteAt(b, 4)
	if err == nil {
		binary.LittleEndian.PutUint32(b, uint32(w.data))
		_, err = w.f.WriteAt(b, headerBytes-4)
	}
	if err != nil {
		w.failure = fmt.Errorf("write a WAVE file: %w", err)
		return
	}
	w.stated = w.data
}

// Close sets the header right for the last time. It does not close the file.
func (w *Writer) Close() error {
	if w.failure == nil && w.stated != w.data {
		w.state()
	}
	return w.failure
}
