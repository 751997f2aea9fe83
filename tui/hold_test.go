package tui

import "testing"

// marks are the delivery marks of the messages in view, in order.
func marks(m *Model) (out []string) {
	_, w := m.columns()
	for _, row := range m.viewRows(m.room(), w, m.layout.timeline.h) {
		if row.first && row.item.isMessage() {
			out = append(out, row.mark)
		}
	}
	return out
}

func wantMarks(t *testing.T, m *Model, why string, want ...string) {
	t.Helper()
	got := marks(m)
	if len(got) != len(want) {
		t.Fatalf("%s: %d marks %q, want %q", why, len(got), got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: marks %q, want %q", why, got, want)
			return
		}
	}
}

func TestOwnLinesThatWereReadBackAreMarkedWhenItIsKnownWhoHasThem(t *testing.T) {
	m := newTestModel()
	own := func(seq uint64, history bool) Line {
		l := says("general", "alice", "mine", 10+seq)
		l.Seq, l.History = seq, history
		return l
	}
	delivered := func(l Line, peers int) {
		m.Update(start, Delivered{Room: "general", ID: l.ID, Seq: l.Seq, Peers: peers, Of: 2})
	}
	m.Update(start, own(1, true))
	m.Update(start, own(2, true))
	wantMarks(t, m, "of an earlier run, nobody has told", "", "")
	delivered(own(2, true), 1)
	wantMarks(t, m, "one of two holds the last", "", "1/2")
	delivered(own(2, true), 2)
	wantMarks(t, m, "who holds the last holds those before it", "✓", "✓")
	m.Update(start, own(3, false))
	wantMarks(t, m, "a new one", "✓", "✓", "…")
	m.act(Clear{})
	for _, l := range []Line{own(2, true), own(3, true)} {
		m.Update(start, l)
	}
	wantMarks(t, m, "what was known is still known when lines are read back", "✓", "")
	delivered(own(3, true), 2)
	wantMarks(t, m, "and goes on", "✓", "✓")
	m.Update(start, says("general", "bob", "yours", 30))
	wantMarks(t, m, "others' lines have none", "✓", "✓", "")
}
