package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// await serves an output until it is idle.
func await(t *testing.T, o *output) (dropped int) {
	t.Helper()
	o.flush()
	for o.writing != nil {
		select {
		case <-o.written:
			dropped += o.drained()
		case <-time.After(10 * time.Second):
			t.Fatal("the writer did not take what it was given within 10 s")
		}
		o.flush()
	}
	return dropped
}

func TestOutputKeepsOrder(t *testing.T) {
	var got bytes.Buffer
	o := newOutput(&got)
	var want strings.Builder
	for i := range 10_000 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		o.add([]byte(line))
		o.flush()
		select {
		case <-o.written:
			o.drained()
		default:
		}
	}
	await(t, o)
	if err := o.close(time.Second); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Errorf("%d bytes came out of %d, or in another order", got.Len(), want.Len())
	}
}

// A reader that stops costs bounded memory, never waiting, and is told how much it missed.
func TestOutputDropsForADeafReader(t *testing.T) {
	r, w := io.Pipe()
	o := newOutput(w)
	line := bytes.Repeat([]byte("x"), 1023)
	line = append(line, '\n')
	const lines = 3 * maxUnwritten / 1024
	for range lines {
		o.add(line)
		o.flush()
	}
	if n := len(o.waiting); n > maxUnwritten {
		t.Errorf("%d bytes wait, more than %d", n, maxUnwritten)
	}
	read := make(chan int)
	go func() {
		n, _ := io.Copy(io.Discard, r)
		read <- int(n)
	}()
	dropped := await(t, o)
	if err := o.close(time.Second); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-read/1024 + dropped; got != lines || dropped == 0 {
		t.Errorf("%d lines were read or counted as dropped (%d), want %d", got, dropped, lines)
	}
}

func TestOutputEndsWithItsReader(t *testing.T) {
	r, w := io.Pipe()
	if err := r.CloseWithError(errors.New("gone")); err != nil {
		t.Fatal(err)
	}
	o := newOutput(w)
	o.add([]byte("a\n"))
	o.flush()
	<-o.written
	o.drained()
	if o.err == nil {
		t.Error("the reader is gone, but the output has no error")
	}
	o.add([]byte("b\n")) // does nothing
	if err := o.close(time.Second); err == nil || err.Error() != "gone" {
		t.Errorf("close says %v, want the reader's error", err)
	}
}

func TestOutputDoesNotWaitForAReaderAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w := io.Pipe()
		o := newOutput(w)
		o.add([]byte("a\n"))
		const patience = 20 * time.Millisecond
		start := time.Now()
		if err := o.close(patience); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != patience {
			t.Errorf("close took %v, want %v", d, patience)
		}
		if err := w.Close(); err != nil { // lets the writing goroutine end
			t.Fatal(err)
		}
		<-o.done
	})
}
