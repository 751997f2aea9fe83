package main

import (
	"io"
	"time"
)

// maxUnwritten bounds what waits for a reader of standard output that does not read, in bytes.
const maxUnwritten = 8 << 20

// output carries lines to a writer that may be slow, or stop reading for good: whoever adds lines never waits. What
// exceeds the bound is dropped and counted. It is owned by one goroutine; a second one writes, and is given all that
// waits at once.
type output struct {
	chunks  chan []byte   // to the writing goroutine, at most one at a time
	written chan struct{} // a chunk was written; its error, if any, is in failed
	failed  chan error    // holds the first error
	done    chan struct{} // the writing goroutine has ended

	waiting []byte // not handed over yet
	spare   []byte // memory for the next waiting
	writing []byte // handed over
	dropped int    // lines, since this was last told
	err     error
}

func newOutput(w io.Writer) *output {
	o := &output{
		chunks: make(chan []byte, 1), written: make(chan struct{}, 1), failed: make(chan error, 1), done: make(chan struct{}),
	}
	go func() {
		defer close(o.done)
		for chunk := range o.chunks {
			if _, err := w.Write(chunk); err != nil {
				o.failed <- err
				o.written <- struct{}{}
				return
			}
			o.written <- struct{}{}
		}
	}()
	return o
}

// add appends a line with its end. The bytes are copied.
func (o *output) add(line []byte) {
	if o.err != nil {
		return
	}
	if o.dropped > 0 || len(o.waiting)+len(line) > maxUnwritten {
		o.dropped++
		return
	}
	o.waiting = append(o.waiting, line...)
}

// flush hands over what waits, unless the writer is still busy with the last.
func (o *output) flush() {
	if o.writing != nil || len(o.waiting) == 0 || o.err != nil {
		return
	}
	o.writing, o.waiting = o.waiting, o.spare[:0]
	o.spare = nil
	o.chunks <- o.writing // has room: there is one chunk at a time
}

// drained takes note of a receive from written. It returns how many lines were dropped, when the writer has caught up.
func (o *output) drained() (dropped int) {
	if cap(o.writing) <= 1<<20 { // do not keep the memory of a flood
		o.spare = o.writing[:0]
	}
	o.writing = nil
	select {
	case o.err = <-o.failed:
		o.waiting = nil
		return 0
	default:
	}
	dropped, o.dropped = o.dropped, 0
	return dropped
}

// close writes what waits, but gives the reader no more time than that, and ends.
func (o *output) close(timeout time.Duration) error {
	late := time.NewTimer(timeout)
	defer late.Stop()
	for o.err == nil && (o.writing != nil || len(o.waiting) > 0) {
		o.flush()
		select {
		case <-o.written:
			o.drained()
		case <-late.C:
			close(o.chunks) // the goroutine ends when its Write does, at the latest with the process
			return nil
		}
	}
	close(o.chunks)
	<-o.done
	return o.err
}
