package peer

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// A full disk is one error for each line that is said in vain, with the line, and one for all that others say.
func TestAFullDiskIsToldOnce(t *testing.T) {
	w := newWorld(41, 2, general)
	w.run(5 * time.Second)
	p, other := w.peers[0], w.peers[1]
	p.full = errors.New("database or disk is full: free some space on the disk")
	p.events = nil
	said := Say{Room: general, Kind: wire.KindText, Text: "in vain"}
	p.step(said)
	w.run(time.Second)
	var failures []Failure
	for _, ev := range p.events {
		switch ev := ev.(type) {
		case Failure:
			failures = append(failures, ev)
		case Notice, Message:
			t.Errorf("it is told %+v", ev)
		}
	}
	const want = "not said: it is stored before it is sent, and that failed: database or disk is full: free some space on the disk; then say it again"
	if len(failures) != 1 || failures[0].Text != want || !slices.Equal(failures[0].Said, []Say{said}) {
		t.Fatalf("it is told %+v, want one failure, %q, with what was said", failures, want)
	}
	other.say(general, "somebody else")
	w.run(30 * time.Second) // what others send is asked for again for as long
	if told := p.trouble("log"); len(told) != 2 || !strings.Contains(told[1], "what was received cannot be stored") {
		t.Errorf("of what others say it is told %q, want one failure more", told)
	}
	p.full = nil
	p.say(general, "with space again")
	w.run(30 * time.Second)
	if n := len(other.messages(general)[p.id]); n != 1 || len(p.messages(general)[other.id]) != 1 {
		t.Errorf("with space again the other has %d of its lines, and it %d of the other's: want 1 and 1", n, len(p.messages(general)[other.id]))
	}
}
