package history

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"peerchat/peer/wire"
)

// Format is how Export writes events.
type Format int

// The formats. Both are UTF-8 and end every line with "\n".
//
// FormatText is for people, a line an event, more lines of it indented, so that nothing that was said looks like a line
// of somebody else's. What could do something to a terminal is replaced by U+FFFD:
//
//	2026-11-21T16:15:50Z #general bob#k3fd: hello
//	2026-11-21T16:15:51Z #general * bob#k3fd waves
//	2026-11-21T16:15:52Z #general bob#k3fd sets the topic: all about tea
//	2026-11-21T16:15:53Z #general (3 lines of bob#k3fd are missing here)
//
// FormatJSON is for programs, an object a line, with the fields that `peerchat join --json` gives to a message, as they
// were sent. An event of a kind that this version does not know has its number as kind, and body in base64 instead of
// text.
const (
	FormatText Format = iota
	FormatJSON
)

// ParseFormat reads "text" or "json".
func ParseFormat(s string) (Format, error) {
	switch s {
	case "text":
		return FormatText, nil
	case "json":
		return FormatJSON, nil
	}
	return 0, fmt.Errorf("format %q: want text or json", s)
}

// missing is how many events are known to be missing just before one in its log.
type missing func(*wire.Event) (uint64, error)

// export writes rooms; each calls a function for the events of one, in display order.
func export(w io.Writer, rooms []wire.Room, format Format, before missing, each func(wire.Room, func(*wire.Event) error) error) error {
	b := bufio.NewWriterSize(w, 64<<10)
	put := putText
	if format == FormatJSON {
		put = putJSON
	}
	for _, room := range rooms {
		last := map[wire.LogID]uint64{}
		if err := each(room, func(e *wire.Event) error {
			follows := last[logOf(e)] == e.Seq-1
			last[logOf(e)] = e.Seq
			if follows {
				return put(b, e, 0)
			}
			n, err := before(e)
			if err != nil {
				return err
			}
			return put(b, e, n)
		}); err != nil {
			return fmt.Errorf("export %s: %w", room, err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func putText(b *bufio.Writer, e *wire.Event, missing uint64) error {
	who := harmless(e.Name, " ")
	if who == "" {
		who = "?"
	}
	who += "#" + e.Author.Tag()
	line := func(format string, args ...any) error {
		_, err := fmt.Fprintf(b, "%s %s "+format+"\n",
			append([]any{e.Time.UTC().Format(time.RFC3339), harmless(e.Room.String(), " ")}, args...)...)
		return err
	}
	switch {
	case missing == 1:
		if err := line("(1 line of %s is missing here)", who); err != nil {
			return err
		}
	case missing > 0:
		if err := line("(%d lines of %s are missing here)", missing, who); err != nil {
			return err
		}
	}
	text := harmless(string(e.Body), "\n    ")
	switch e.Kind {
	case wire.KindText:
		return line("%s: %s", who, text)
	case wire.KindAction:
		return line("* %s %s", who, text)
	case wire.KindTopic:
		return line("%s sets the topic: %s", who, text)
	}
	return line("%s: (of a kind that this version does not know: %d, %d B)", who, e.Kind, len(e.Body))
}

// harmless is remote text for a terminal, with lines joined by newline.
func harmless(s, newline string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(newline)
		case r == '\t':
			b.WriteByte(' ')
		case r == '\u200c', r == '\u200d': // joiners, which emoji and some scripts need
			b.WriteRune(r)
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp):
			b.WriteRune(unicode.ReplacementChar)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// exported is an event in JSON.
type exported struct {
	Type    string      `json:"type"`
	Room    wire.Room   `json:"room"`
	Peer    wire.PeerID `json:"peer"`
	Name    string      `json:"name"`
	ID      string      `json:"id"`
	Seq     uint64      `json:"seq"`
	Kind    string      `json:"kind"`
	Text    *string     `json:"text,omitempty"`
	Body    string      `json:"body,omitempty"`
	Sent    string      `json:"sent"`
	Lamport uint64      `json:"lamport"`
	Missing uint64      `json:"missing_before,omitempty"`
}

func putJSON(b *bufio.Writer, e *wire.Event, missing uint64) error {
	x := exported{Type: "message", Room: e.Room, Peer: e.Author, Name: e.Name, ID: e.ID.String(), Seq: e.Seq, Lamport: e.Lamport, Missing: missing,
		Sent: e.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00")}
	text := strings.ToValidUTF8(string(e.Body), "\uFFFD")
	x.Text = &text
	switch e.Kind {
	case wire.KindText:
		x.Kind = "text"
	case wire.KindAction:
		x.Kind = "action"
	case wire.KindTopic:
		x.Kind = "topic"
	default:
		x.Kind, x.Text, x.Body = fmt.Sprint(e.Kind), nil, base64.StdEncoding.EncodeToString(e.Body)
	}
	enc := json.NewEncoder(b) // ends the line
	enc.SetEscapeHTML(false)
	return enc.Encode(&x)
}
