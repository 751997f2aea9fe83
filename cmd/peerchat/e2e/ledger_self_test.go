//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"peerchat/cmd/peerchat/e2e/lab"
)

// The judge is judged: a ledger accepts what is right, and nothing that is lost, doubled, out of order, or somebody
// else's.
func TestLedgerFindsFaults(t *testing.T) {
	line := func(author string, i int, seq uint64) lab.Event {
		return lab.Event{Type: "message", Name: author, Room: "#general", Seq: seq, ID: fmt.Sprintf("%s-%d", author, seq),
			Text: fmt.Sprintf("t:%s:%d", author, i)}
	}
	with := func(e lab.Event, f func(*lab.Event)) lab.Event { f(&e); return e }
	for _, c := range []struct {
		name  string
		lines []lab.Event
		fault string
		short string
	}{
		{"all is right", []lab.Event{line("a", 0, 1), line("b", 0, 5), line("a", 1, 2)}, "", ""},
		{"other talk is ignored", []lab.Event{line("a", 0, 1), {Type: "message", Text: "hi"}, line("b", 0, 1), line("a", 1, 4)}, "", ""},
		{"not all is there yet", []lab.Event{line("a", 0, 1)}, "", "a 1 of 2, b 0 of 1"},
		{"a line is lost", []lab.Event{line("a", 1, 2)}, "lost, doubled or out of order", ""},
		{"a line is doubled", []lab.Event{line("a", 0, 1), line("a", 0, 1)}, "lost, doubled or out of order", ""},
		{"an ID comes twice", []lab.Event{line("a", 0, 1), with(line("a", 1, 2), func(e *lab.Event) { e.ID = "a-1" })}, "the ID", ""},
		{"a number comes twice", []lab.Event{line("a", 0, 1), with(line("a", 1, 1), func(e *lab.Event) { e.ID = "x" })}, "number", ""},
		{"in a foreign room", []lab.Event{with(line("a", 0, 1), func(e *lab.Event) { e.Room = "dev" })}, `want "general"`, ""},
		{"under a foreign name", []lab.Event{with(line("a", 0, 1), func(e *lab.Event) { e.Name = "b" })}, `as one of "b"`, ""},
	} {
		talk := newTalk("t")
		talk.said = map[string]int{"a": 2, "b": 1}
		book := talk.ledger()
		for _, e := range c.lines {
			book.take(e)
		}
		switch {
		case c.fault == "" && book.fault != "":
			t.Errorf("%s: the ledger finds %q", c.name, book.fault)
		case !strings.Contains(book.fault, c.fault):
			t.Errorf("%s: the ledger finds %q, want something of %q", c.name, book.fault, c.fault)
		case c.fault == "" && book.short() != c.short:
			t.Errorf("%s: the ledger misses %q, want %q", c.name, book.short(), c.short)
		}
	}
}
