package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"peerchat/peer/wire"
)

// readAll reads everything that readLines makes of r.
func readAll(t *testing.T, r io.Reader) []inputLine {
	t.Helper()
	to := make(chan []inputLine)
	go func() {
		defer close(to)
		readLines(context.Background(), r, to)
	}()
	var all []inputLine
	for batch := range to {
		if len(batch) > batchLines {
			t.Errorf("a batch has %d lines, at most %d fit", len(batch), batchLines)
		}
		all = append(all, batch...)
	}
	if len(all) == 0 || all[len(all)-1].err == nil {
		t.Fatal("the last line does not say that the input ended")
	}
	return all
}

func TestLinesAreRead(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, tt := range []struct {
		name, in string
		want     []string // "!code" for a refused line
	}{
		{"nothing", "", nil},
		{"one line", "a\n", []string{"a"}},
		{"an unfinished last line counts", "a\nb", []string{"a", "b"}},
		{"CR LF", "a\r\nb\r\n", []string{"a", "b"}},
		{"empty lines", "\n\na\n", []string{"", "", "a"}},
		{"the longest line", long + "\nb\n", []string{long, "b"}},
		{"the longest line with CR LF", long + "\r\nb\n", []string{long, "b"}},
		{"a byte too long", long + "x\nb\n", []string{"!too-long", "b"}},
		{"far too long", strings.Repeat("y", 1<<20) + "\nb\n", []string{"!too-long", "b"}},
		{"too long and unfinished", strings.Repeat("y", 1<<20), []string{"!too-long"}},
		{"not UTF-8", "a\xffb\nc\n", []string{"!encoding", "c"}},
		{"NUL is for others to judge", "a\x00b\n", []string{"a\x00b"}},
	} {
		for way, r := range map[string]io.Reader{
			"at once": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
		} {
			if way == "byte by byte" && len(tt.in) > 100_000 {
				r = iotest.HalfReader(strings.NewReader(tt.in))
			}
			var got []string
			for _, l := range readAll(t, r) {
				var coded *codedError
				switch {
				case errors.Is(l.err, errInputEnd):
				case errors.As(l.err, &coded):
					got = append(got, "!"+coded.code)
				case l.err != nil:
					t.Errorf("%s, %s: %v", tt.name, way, l.err)
				default:
					got = append(got, l.text)
				}
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") || len(got) != len(tt.want) {
				t.Errorf("%s, %s: read %.60q, want %.60q", tt.name, way, got, tt.want)
			}
		}
	}
}

func TestReadingFailureIsTold(t *testing.T) {
	broken := errors.New("broken")
	lines := readAll(t, io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)))
	if lines[0].text != "a" || !errors.Is(lines[len(lines)-1].err, broken) {
		t.Errorf("read %v, want line a and then the failure", lines)
	}
}

func TestReadingStopsWhenNobodyTakes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		readLines(ctx, strings.NewReader("a\nb\n"), make(chan []inputLine))
	}()
	cancel()
	<-done
}

// Whatever is typed, each line is read once, is valid UTF-8 and short enough, or is refused; and none swallows the
// next.
func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a\nb\r\n\xff\nc"))
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		for _, l := range readAll(t, bytes.NewReader(in)) {
			if errors.Is(l.err, errInputEnd) {
				continue
			}
			n++
			if l.err == nil && (len(l.text) > wire.MaxText+64 || !utf8.ValidString(l.text)) {
				t.Errorf("the line %.60q was let through", l.text)
			}
		}
		want := bytes.Count(in, []byte("\n"))
		if len(in) > 0 && in[len(in)-1] != '\n' {
			want++
		}
		if n != want {
			t.Errorf("%d lines came out of %d", n, want)
		}
	})
}
