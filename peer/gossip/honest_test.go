package gossip

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// A machine counts what a neighbour leaves unanswered, and remarks on it (claims, silent) when it was too much. Among
// honest peers that is true of a link on which something was lost, late or held back at the time; of any other link it
// is false. So each count is looked at when it is made, as few of them ever become a remark.

const (
	inTime     = 75 * time.Millisecond // a frame on the way for longer is late: two of these are firstTimeout
	excuseAsk  = askTimeout + 500*time.Millisecond
	excuseShow = digestMax + 500*time.Millisecond // what it is asked for it has until the next round
)

// troubled notes that something goes wrong on a link until then.
func (l *wireLink) troubled(until time.Time) {
	if until.After(l.trouble) {
		l.trouble = until
	}
}

// blame is what a machine has against a neighbour, and the time of the oldest question that it has not answered.
type blame struct {
	unkept, unshown int
	since           time.Time
}

// blames is what a machine has against each neighbour.
func (n *node) blames() map[wire.PeerID]blame {
	all := make(map[wire.PeerID]blame, len(n.machine.links))
	for id, l := range n.machine.links {
		b := blame{unkept: l.unkept}
		for _, s := range l.shares {
			b.unshown += s.unshown
			for _, a := range s.room.behind {
				if a.ask != nil && a.ask.to == l && (b.since.IsZero() || a.ask.since.Before(b.since)) {
					b.since = a.ask.since
				}
			}
		}
		all[id] = b
	}
	return all
}

// wantExcuse fails if a machine has counted something since before against a neighbour that could answer.
func (w *world) wantExcuse(n *node, before map[wire.PeerID]blame) {
	w.t.Helper()
	for peer, l := range n.links {
		is, was := n.blames()[peer.id], before[peer.id]
		back := peer.links[n]
		if back == nil || peer.silent || is.unkept <= was.unkept && is.unshown <= was.unshown {
			continue
		}
		quiet := min(w.now.Sub(epoch), w.now.Sub(l.trouble))
		if d := w.now.Sub(back.trouble); d < quiet {
			quiet = d
		}
		asked := time.Duration(0) // a question waits longer while others are answered, and what went wrong with it is as old as it is
		if !was.since.IsZero() {
			asked = w.now.Add(n.off).Sub(was.since)
		}
		if is.unkept > was.unkept && quiet > max(excuseAsk, asked) {
			w.t.Fatalf("%s takes %s for one that does not send what it offers, though for %v nothing was lost, late or held back between them", n.name, peer.name, quiet)
		}
		if is.unshown > was.unshown && quiet > excuseShow {
			w.t.Fatalf("%s takes %s for one that passes nothing on, though for %v nothing was lost, late or held back between them", n.name, peer.name, quiet)
		}
	}
}

// noFaults fails if anybody reports anything but those remarks, which were looked at.
func (w *world) noFaults() {
	w.t.Helper()
	for _, n := range w.nodes {
		for code, count := range n.faults {
			if code != "claims" && code != "silent" && !(code == "log" && n.fitful) {
				w.t.Fatalf("%s reports %d faults %q among honest peers", n.name, count, code)
			}
		}
	}
}

// complaints takes down what would be failures.
type complaints []string

func (c *complaints) Helper()                        {}
func (c *complaints) Fatalf(format string, a ...any) { *c = append(*c, fmt.Sprintf(format, a...)) }

// The look is worth something only if it notices: a machine that overlooks what it is answered blames who answered.
func TestFalseBlameIsNoticed(t *testing.T) {
	var noticed complaints
	w := newWorld(&noticed, 1, "ann", "bob", "cyd")
	ann, bob, cyd := w.nodes[0], w.nodes[1], w.nodes[2]
	w.link(ann, bob)
	w.link(bob, cyd)
	w.say(ann, "cyd has this")
	w.run(3 * time.Second)
	w.honest = true
	w.drop = func(_, to *node, f wire.Frame) bool {
		_, is := f.(wire.Events)
		return is && to == cyd
	}
	for i := range 90 {
		w.say(ann, fmt.Sprint(i))
		w.run(2 * time.Second)
	}
	all := strings.Join(noticed, "\n")
	for _, want := range []string{"does not send what it offers", "passes nothing on"} {
		if !strings.Contains(all, "cyd takes bob for one that "+want) {
			t.Errorf("cyd overlooks what bob sends, and nobody notices that cyd says of bob that it %s: %s", want, all)
		}
	}
	if cyd.faults["claims"] == 0 || cyd.faults["silent"] == 0 {
		t.Errorf("cyd reports %v: want both", cyd.faults)
	}
}
