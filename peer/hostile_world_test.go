package peer

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// This file puts villains among the peers of a world: each has a Core of its own, so that it joins, links and is
// believed like anybody, and beside it says whatever a test wants, and keeps to itself what a test wants.

// honestRoom is a room of honest peers that have had a minute to find each other.
func honestRoom(seed uint64, n int) *world {
	w := newWorld(seed, n, general)
	w.run(time.Minute)
	return w
}

// villain adds one that is linked with some of the others, unless meddle keeps it from that.
func (w *world) villain(name string, meddle func(opSend) bool) *simPeer {
	v := w.addPeer()
	v.name, v.evil, v.meddle = name, true, meddle
	v.start(general)
	return v
}

// inject sends frames as they are over v's link with to, if there is one.
func (v *simPeer) inject(to *simPeer, frames ...wire.Frame) bool {
	l := v.core.links[to.id]
	if l == nil || !l.up {
		return false
	}
	for _, f := range frames {
		data, err := wire.AppendFrame(nil, f)
		if err != nil {
			panic(err)
		}
		v.w.send(v, opSend{session: l.session, frame: data})
	}
	return true
}

// injectAll does it to everybody that v has a link with.
func (v *simPeer) injectAll(frames ...wire.Frame) {
	for _, id := range v.core.linkIDs() {
		v.inject(v.w.peer(id), frames...)
	}
}

// every does something again and again, for so long.
func (w *world) every(d, long time.Duration, do func()) {
	if long <= 0 {
		return
	}
	w.after(d, func() {
		do()
		w.every(d, long-d, do)
	})
}

// honest are the living of whom that is true.
func (w *world) honest() (list []*simPeer) {
	for _, p := range w.peers {
		if !p.evil && !p.dead {
			list = append(list, p)
		}
	}
	return list
}

// chat has the honest talk, by turns, a line each so often; then time passes in which all is to arrive.
func (w *world) chat(every, long, settle time.Duration) {
	n := 0
	w.every(every, long, func() {
		list := w.honest()
		p := list[n%len(list)]
		n++
		p.say(general, fmt.Sprintf("%s says line %d", p.name, len(p.said[general])+1))
	})
	w.run(long + settle)
}

// signed are events of v, each of a batch of its own, whatever change makes of them before they are signed.
func (v *simPeer) signed(first uint64, n int, change func(*wire.Event)) []wire.Event {
	var list []wire.Event
	for i := range n {
		e := []wire.Event{{Room: general, Author: v.id, Seq: first + uint64(i), Name: v.name, ID: v.newID(), Lamport: 1 + first + uint64(i),
			Time: v.w.now.UTC().Truncate(time.Millisecond), Kind: wire.KindText, Body: []byte(fmt.Sprint(v.name, " says ", first+uint64(i)))}}
		if change != nil {
			change(&e[0])
		}
		if err := wire.SignBatch(v.key, e); err != nil {
			panic(err)
		}
		list = append(list, e[0])
	}
	return list
}

func liveFrame(events ...wire.Event) wire.Events { return wire.Events{Live: true, Events: events} }

// trouble are the texts of the notices and failures with a code that p was shown.
func (p *simPeer) trouble(code string) (texts []string) {
	for _, ev := range p.events {
		switch ev := ev.(type) {
		case Notice:
			if ev.Code == code {
				texts = append(texts, ev.Text)
			}
		case Failure:
			if ev.Code == code {
				texts = append(texts, ev.Text)
			}
		}
	}
	return texts
}

// wantTold checks that some of the honest were told of trouble with a code: whose trouble it is, and each at most so
// often.
func (w *world) wantTold(t *testing.T, code string, who *simPeer, atMost int) {
	t.Helper()
	if w.told(t, code, who, atMost) == 0 {
		t.Errorf("nobody was told of %q; the troubles were %v", code, w.troubles())
	}
}

// told counts who was told of a trouble, and holds each to being told rightly, and not too often.
func (w *world) told(t *testing.T, code string, who *simPeer, atMost int) (told int) {
	t.Helper()
	for _, p := range w.honest() {
		texts := p.trouble(code)
		if len(texts) == 0 {
			continue
		}
		told++
		if len(texts) > atMost {
			t.Errorf("%s was told of %q %d times, want at most %d: %q", p.name, code, len(texts), atMost, texts[:atMost+1])
		}
		for _, text := range texts {
			if who != nil && !strings.Contains(text, who.name+"#"+who.id.Tag()) {
				t.Errorf("%s was told %q, which does not name %s#%s", p.name, text, who.name, who.id.Tag())
				return told
			}
			if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%s was told %q, with a control character in it", p.name, text)
			}
		}
	}
	return told
}

// troubles counts what the honest were told, by code.
func (w *world) troubles() map[string]int {
	n := map[string]int{}
	for _, p := range w.honest() {
		for _, ev := range p.events {
			switch ev := ev.(type) {
			case Notice:
				n[ev.Code]++
			case Failure:
				n[ev.Code]++
			}
		}
	}
	return n
}

// wantNoBlame checks that no honest peer broke the link with another for something that it did.
func (w *world) wantNoBlame(t *testing.T) {
	t.Helper()
	for _, p := range w.honest() {
		for id, c := range p.core.conduct {
			if other := w.peer(id); other != nil && !other.evil && c.offences > 0 {
				t.Errorf("%s blames %s, who did nothing wrong: %v", p.name, other.name, p.events[max(0, len(p.events)-3):])
			}
		}
	}
}

// wantMarks checks that every honest peer was told of its last line that all the honest have it, whatever villains say
// they have.
func (w *world) wantMarks(t *testing.T) {
	t.Helper()
	for _, p := range w.honest() {
		n := uint64(len(p.said[general]))
		last := Delivered{}
		for _, ev := range p.events {
			if d, ok := ev.(Delivered); ok && d.Seq == n {
				last = d
			}
		}
		if least, of := len(w.honest())-1, len(w.living())-1; last.Peers < least || last.Of != of {
			t.Errorf("%s was told that %d of %d have its line %d, want %d of %d at least", p.name, last.Peers, last.Of, n, least, of)
		}
	}
}

func (w *world) living() (list []*simPeer) {
	for _, p := range w.peers {
		if !p.dead {
			list = append(list, p)
		}
	}
	return list
}

// wantLinked checks how many of the honest everybody honest has links with, at least.
func (w *world) wantLinked(t *testing.T, least int) {
	t.Helper()
	for _, p := range w.honest() {
		if n := p.honestLinks(); n < least {
			t.Errorf("%s has links with %d honest peers, want %d at least", p.name, n, least)
		}
	}
}

// wantWayIn has a newcomer come, and checks that it has links with honest peers after a while.
func (w *world) wantWayIn(t *testing.T, after time.Duration) *simPeer {
	t.Helper()
	n := w.addPeer()
	n.start(general)
	w.run(after)
	if links := n.honestLinks(); links < 2 {
		t.Errorf("a newcomer has links with %d honest peers after %v, want 2 at least", links, after)
	}
	return n
}

func (p *simPeer) honestLinks() (n int) {
	for id, l := range p.core.links {
		if o := p.w.peer(id); l.up && o != nil && !o.evil {
			n++
		}
	}
	return n
}

// wantBounded checks what a Core keeps of others.
func (w *world) wantBounded(t *testing.T) {
	t.Helper()
	for _, p := range w.honest() {
		c := p.core
		if len(c.links) > MaxLinks || len(c.sessions) > 4*MaxLinks || len(c.conduct) > maxConduct || len(c.roster.people) > maxPeople {
			t.Errorf("%s keeps %d links, %d sessions, %d conducts, %d people", p.name, len(c.links), len(c.sessions), len(c.conduct), len(c.roster.people))
		}
	}
}

// heapInUse is what is in use after a collection, in bytes.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// forgetLate begins anew to measure how long lines take.
func (w *world) forgetLate() {
	for _, p := range w.peers {
		p.late = 0
	}
}

// wantSoon checks that no line of an honest peer took longer to another since forgetLate.
func (w *world) wantSoon(t *testing.T, most time.Duration) {
	t.Helper()
	for _, p := range w.honest() {
		if p.late > most {
			t.Errorf("%s was shown a line %v after it was said, want %v at most", p.name, p.late, most)
		}
	}
}
