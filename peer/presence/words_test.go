package presence

import (
	"fmt"
	"strings"

	"peerchat/peer/wire"
)

// This file is the world's transcript: what happens, in words.

func (w *world) who(id wire.PeerID) string {
	if n := w.byID[id]; n != nil {
		return n.name
	}
	return id.Tag()
}

// named puts names for tags.
func (w *world) named(s string) string {
	for _, n := range w.nodes {
		s = strings.ReplaceAll(s, n.id.Tag(), n.name)
	}
	return s
}

func (w *world) say(format string, args ...any) {
	if w.log != nil {
		fmt.Fprintf(w.log, "%9.1f ms  %s\n", float64(w.now.Sub(w.start))/1e6, fmt.Sprintf(format, args...))
	}
}

// put says a message in words.
func (w *world) put(m message) string {
	var b strings.Builder
	switch m := m.(type) {
	case *records:
		if m.answer {
			b.WriteString("answer ")
		}
		for _, r := range m.records {
			verb := "is here"
			if r.left {
				verb = "has left"
			}
			fmt.Fprintf(&b, "[%s %s, %d.%d, %d s] ", w.who(r.peer), verb, r.Seq, r.Beat, r.period)
		}
		for _, t := range m.beats {
			fmt.Fprintf(&b, "[%s still, .%d] ", w.keyed(t.key), t.beat)
		}
		for _, d := range m.downs {
			fmt.Fprintf(&b, "[%s is DOWN after %d.%d, says %s] ", w.who(d.peer), d.Seq, d.Beat, w.who(d.by))
		}
	case *summary:
		fmt.Fprintf(&b, "summary of %d", m.count)
		if m.reply {
			b.WriteString(", in reply")
		}
	case *compare:
		fmt.Fprintf(&b, "compare chunk %d, %v", m.chunk, m.counts)
	case *list:
		fmt.Fprintf(&b, "list of chunk %d:", m.chunk)
		for _, p := range m.parts {
			fmt.Fprintf(&b, " (")
			for i, l := range p.items {
				if i > 0 {
					b.WriteString(" ")
				}
				fmt.Fprintf(&b, "%s %d", w.keyed(l.key), l.seq)
				if l.doubted {
					b.WriteString("?")
				}
			}
			b.WriteString(")")
		}
	case *done:
		fmt.Fprintf(&b, "done with chunk %d", m.chunk)
	case *branch:
		b.WriteString([...]string{"tell me no news", "tell me news", "be my parent"}[m.share])
	case *have:
		b.WriteString("have news of")
		for _, i := range m.items {
			b.WriteString(" " + w.keyed(i.key))
		}
	case *vote:
		b.WriteString(map[bool]string{true: "here are", false: "gone are"}[m.here])
		for _, i := range m.items {
			b.WriteString(" " + w.keyed(i.key))
		}
	case *want:
		b.WriteString("want")
		for _, i := range m.items {
			fmt.Fprintf(&b, " %s after %d.%d", w.keyed(i.key), i.Seq, i.Beat)
		}
	}
	return strings.TrimSpace(b.String())
}

func (w *world) keyed(key uint64) string {
	for _, n := range w.nodes {
		if keyOf(n.id) == key {
			return n.name
		}
	}
	return fmt.Sprintf("%x", key)
}
