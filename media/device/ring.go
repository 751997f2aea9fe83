package device

import (
	"sync"

	"peerchat/media"
)

// ring carries samples from one goroutine or audio thread to another. Neither side waits inside it: a full ring forgets
// its oldest samples, because old voice is worth less than new. The lock is held for a copy of a few hundred bytes.
type ring struct {
	wake chan struct{} // has a value when samples came, or the ring was closed
	done chan struct{} // closed by fail

	mu    sync.Mutex // guards what follows
	buf   []int16
	at, n int // the n samples from buf[at], around the end
	lost  uint64
	err   error
	shut  bool // by who owns the device: nothing comes or goes any more
}

func newRing(samples int) *ring {
	return &ring{wake: make(chan struct{}, 1), done: make(chan struct{}), buf: make([]int16, samples)}
}

// put appends samples and forgets the oldest ones that there is no room for.
func (r *ring) put(pcm []int16) {
	r.mu.Lock()
	if r.shut {
		r.mu.Unlock()
		return
	}
	if len(pcm) > len(r.buf) {
		r.lost += uint64(len(pcm) - len(r.buf))
		pcm = pcm[len(pcm)-len(r.buf):]
	}
	if over := r.n + len(pcm) - len(r.buf); over > 0 {
		r.at = (r.at + over) % len(r.buf)
		r.n -= over
		r.lost += uint64(over)
	}
	end := (r.at + r.n) % len(r.buf)
	k := copy(r.buf[end:], pcm)
	copy(r.buf, pcm[k:])
	r.n += len(pcm)
	r.mu.Unlock()
	r.signal()
}

// take moves as many samples as there are into pcm.
func (r *ring) take(pcm []int16) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(pcm), r.n)
	k := copy(pcm[:n], r.buf[r.at:])
	copy(pcm[k:n], r.buf)
	r.at = (r.at + n) % len(r.buf)
	r.n -= n
	return n
}

func (r *ring) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func (r *ring) lostSamples() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// read waits until pcm is full, and gives the samples that are there even after fail, but not after the device was
// closed.
func (r *ring) read(pcm []int16) error {
	for {
		pcm = pcm[r.take(pcm):]
		if len(pcm) == 0 {
			return nil
		}
		select {
		case <-r.wake:
		case <-r.done:
			if r.len() >= len(pcm) {
				continue
			}
			return r.cause()
		}
	}
}

// fail ends the ring; the first error counts. media.ErrClosed forgets what is there: a microphone that was closed is
// not heard any more.
func (r *ring) fail(err error) {
	r.mu.Lock()
	if err == media.ErrClosed {
		r.shut, r.n = true, 0
	}
	if r.err == nil {
		r.err = err
		close(r.done)
	}
	r.mu.Unlock()
	r.signal()
}

func (r *ring) cause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *ring) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// asSamples fills pcm from little-endian bytes, which may be a C library's and are not kept.
func asSamples(pcm []int16, bytes []byte) []int16 {
	n := min(len(pcm), len(bytes)/2)
	for i := range n {
		pcm[i] = int16(uint16(bytes[2*i]) | uint16(bytes[2*i+1])<<8)
	}
	return pcm[:n]
}

// asBytes fills bytes, little-endian.
func asBytes(bytes []byte, pcm []int16) []byte {
	for i, s := range pcm {
		bytes[2*i], bytes[2*i+1] = byte(s), byte(uint16(s)>>8)
	}
	return bytes[:2*len(pcm)]
}

// period is what devices are asked for, in samples: 10 ms.
const period = media.FrameSamples / 2
