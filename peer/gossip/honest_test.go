package gossip

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// A machine counts what a neighbour leaves unanswered, and remarks on it (claims, silent) when it was too much. Among honest peers that
// is true of a link on which something was lost, late or held back at the time; of any other link it is false. So each count is looked
// at when it is made, as few of them ever become a remark.

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

// counts is what a machine has against each neighbour.
func (n *node) counts() map[wire.PeerID][2]int {
	all := make(map[wire.PeerID][2]int, len(n.machine.links))
	for id, l := range n.machine.links {
		c := [2]int{l.unkept, 0}
		for _, s := range l.shares {
			c[1] += s.unshown
		}
		all[id] = c
	}
	return all
}

// wantExcuse fails if a machine has counted something since before against a neighbour that could answer.
func (w *world) wantExcuse(n *node, before map[wire.PeerID][2]int) {
	w.t.Helper()
	for peer, l := range n.links {
		is, was := n.counts()[peer.id], before[peer.id]
		back := peer.links[n]
		if back == nil || is[0] <= was[0] && is[1] <= was[1] {
			continue
		}
		quiet := min(w.now.Sub(epoch), w.now.Sub(l.trouble))
		if d := w.now.Sub(back.trouble); d < quiet {
			quiet = d
		}
		if is[0] > was[0] && quiet > excuseAsk {
			w.t.Fatalf("%s takes %s for one that does not send what it offers, though for %v nothing was lost, late or held back between them", n.name, peer.name, quiet)
		}
		if is[1] > was[1] && quiet > excuseShow {
			w.t.Fatalf("%s takes %s for one that passes nothing on, though for %v nothing was lost, late or held back between them", n.name, peer.name, quiet)
		}
	}
}

// noFaults fails if anybody reports anything but those remarks, which were looked at.
func (w *world) noFaults() {
	w.t.Helper()
	for _, n := range w.nodes {
		for code, count := range n.faults {
			if code != "claims" && code != "silent" {
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
