package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"unicode/utf8"

	"peerchat/peer/wire"
)

// Bounds of the input of line mode.
const (
	// maxLine is the longest line, in bytes: a message of wire.MaxText and the longest command before it.
	maxLine = wire.MaxText + 64
	// A batch of lines ends when it has this many, in lines and in bytes.
	batchLines = 256
	batchBytes = 256 << 10
)

// inputLine is a line that was read, without its end, or why there is none.
type inputLine struct {
	text string
	err  error
}

// errInputEnd is the last inputLine: everything has been read.
var errInputEnd = errors.New("end of input")

// codedError is an error with the word that scripts know it by.
type codedError struct{ code, text string }

func (e *codedError) Error() string { return e.text }

// readLines reads lines from r and sends them in batches, until r ends or ctx does. The last line sent has errInputEnd,
// or what reading failed with. A line that is too long or is not UTF-8 is sent as an error, and the lines after it are
// read as ever. It never reads further ahead than one batch, so who does not take makes the writer of r wait.
func readLines(ctx context.Context, r io.Reader, to chan<- []inputLine) {
	in := bufio.NewReaderSize(r, 64<<10)
	var batch []inputLine
	size := 0
	flush := func() bool {
		if len(batch) == 0 {
			return true
		}
		select {
		case to <- batch:
			batch, size = nil, 0
			// The next read blocks a thread, and what was made ready here would wait until another one takes over.
			runtime.Gosched()
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			err = errInputEnd
		}
		batch = append(batch, inputLine{text: line, err: err})
		size += len(line)
		var coded *codedError
		if err != nil && !errors.As(err, &coded) {
			flush()
			return
		}
		if more := in.Buffered() > 0; !more || len(batch) >= batchLines || size >= batchBytes {
			if !flush() {
				return
			}
		}
	}
}

// readLine reads one line. A *codedError says what was wrong with it, another error that there are no more.
func readLine(in *bufio.Reader) (string, error) {
	var line []byte
	dropped := 0 // bytes beyond maxLine
	for {
		part, err := in.ReadSlice('\n')
		if room := maxLine + 2 - len(line); len(part) > room {
			dropped += len(part) - room
			part = part[:room]
		}
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)):
			return "", err // an unfinished last line is still a line
		}
		break
	}
	if dropped == 0 {
		line = bytes.TrimSuffix(line, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
	}
	if n := len(line) + dropped; n > maxLine {
		return "", &codedError{"too-long", fmt.Sprintf("not said: a line of %d bytes was read, at most %d fit a message; say it in parts",
			n, wire.MaxText)}
	}
	if !utf8.Valid(line) {
		return "", &codedError{"encoding", "not said: the line is not valid UTF-8; convert it first, for example with iconv"}
	}
	return string(line), nil
}
