package tui

import (
	"strings"
	"testing"
)

// BenchmarkUpdate is one line taken in, of a room that is not at rest.
func BenchmarkUpdate(b *testing.B) {
	m := newTestModel()
	text := strings.Repeat("some words of a line ", 4)
	for i := range b.N {
		l := says("general", "bob", text, uint64(i+1))
		m.Update(start, l)
	}
}

// BenchmarkView is the layout of one frame of 120 by 40, of short lines and of one that is as long as can be.
func BenchmarkView(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"short", "some words of a line"}, {"wide", strings.Repeat("日本語の", 30)}, {"longest", strings.Repeat("word ", MaxText/5)},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := newTestModel()
			m.Resize(120, 40)
			for i := range 200 {
				m.Update(start, says("general", "bob", c.text, uint64(i+1)))
			}
			for b.Loop() {
				_, w := m.columns()
				m.viewRows(m.room(), w, m.layout.timeline.h)
			}
		})
	}
}
