//go:build linux

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"peerchat/cmd/peerchat/e2e/lab"
)

// A talk is numbered lines said in one room: "talk:AUTHOR:7". Its rules are what a chat owes its users: every line
// exactly once, in order per author, everywhere.
type talk struct {
	name string
	room string
	said map[string]int // how many lines each author has said
}

func newTalk(name string) *talk { return &talk{name: name, room: "general", said: map[string]int{}} }

// say has each of the peers say n more lines, by turns.
func (t *talk) say(n int, peers ...*peer) {
	for range n {
		for _, p := range peers {
			p.w.t.Helper()
			p.say(t.line(p.Name, t.said[p.Name]))
			t.said[p.Name]++
		}
	}
}

func (t *talk) line(author string, i int) string { return fmt.Sprintf("%s:%s:%d", t.name, author, i) }

// ledger reads what one peer shows of a talk.
type ledger struct {
	talk  *talk
	next  map[string]int    // by author: the number of the next line
	seq   map[string]uint64 // by author: the sequence number of the last line
	ids   map[string]bool
	fault string
}

func (t *talk) ledger() *ledger {
	return &ledger{talk: t, next: map[string]int{}, seq: map[string]uint64{}, ids: map[string]bool{}}
}

// take reads one line of output; a line of the talk that breaks its rules becomes the fault.
func (l *ledger) take(e lab.Event) {
	if e.Type != "message" || l.fault != "" {
		return
	}
	parts := strings.Split(e.Text, ":")
	if len(parts) != 3 || parts[0] != l.talk.name {
		return
	}
	author := parts[1]
	want := l.talk.line(author, l.next[author])
	switch {
	case e.Name != author:
		l.fault = fmt.Sprintf("the line %q is shown as one of %q", e.Text, e.Name)
	case plainRoom(e.Room) != l.talk.room:
		l.fault = fmt.Sprintf("the line %q is shown in %q, want %q", e.Text, e.Room, l.talk.room)
	case e.Text != want:
		l.fault = fmt.Sprintf("%q came where %q was next: lost, doubled or out of order", e.Text, want)
	case l.ids[e.ID] || e.ID == "":
		l.fault = fmt.Sprintf("the line %q has the ID %q, which is empty or was there before", e.Text, e.ID)
	case e.Seq <= l.seq[author]:
		l.fault = fmt.Sprintf("the line %q has the number %d after %d", e.Text, e.Seq, l.seq[author])
	}
	l.next[author]++
	l.seq[author] = e.Seq
	l.ids[e.ID] = true
}

// short says what is still missing, or nothing.
func (l *ledger) short() string {
	var missing []string
	for _, author := range slices.Sorted(maps.Keys(l.talk.said)) {
		if got, want := l.next[author], l.talk.said[author]; got < want {
			missing = append(missing, fmt.Sprintf("%s %d of %d", author, got, want))
		}
	}
	return strings.Join(missing, ", ")
}

// want awaits that each of the peers has shown all of the talk by its rules. Then the first of them says a last word
// and everybody's book is read once more when that has come, so that nothing doubled hides behind the end.
func (t *talk) want(what string, peers ...*peer) {
	for _, p := range peers {
		p.w.t.Helper()
		t.wantAt(what, p)
	}
	end := t.name + " ends: " + what
	peers[0].say(end)
	for _, p := range peers {
		p.wantLine(p.Name+" sees the last word of "+t.name, end)
		book := t.ledger()
		for _, e := range p.Lines() {
			book.take(e)
		}
		if book.fault != "" {
			p.w.t.Fatalf("%s, at %s: %s\n%s", what, p.Name, book.fault, p.Tail(15))
		}
	}
}

func (t *talk) wantAt(what string, p *peer) {
	p.w.t.Helper()
	book := t.ledger()
	_, err := p.Await(0, patience, what, func(e lab.Event) bool {
		book.take(e)
		return book.fault != "" || book.short() == ""
	})
	if book.fault != "" {
		p.w.t.Fatalf("%s, at %s: %s\n%s", what, p.Name, book.fault, p.Tail(15))
	}
	if err != nil {
		p.w.t.Fatalf("%s, at %s: only %s: %v", what, p.Name, book.short(), err)
	}
}
