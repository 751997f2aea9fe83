package gossip

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"peerchat/peer/machinetest"
	"peerchat/peer/wire"
)

// forge makes an event as author n would, then lets change spoil it.
func (w *world) forge(n *node, seq uint64, text string, change func(*wire.Event)) wire.Event {
	e := []wire.Event{{Room: general, Author: n.id, Seq: seq, Lamport: seq, Time: w.now, Name: n.name, Kind: wire.KindText,
		Body: []byte(text)}}
	if err := wire.SignBatch(n.key, e); err != nil {
		w.t.Fatalf("sign: %v", err)
	}
	if change != nil {
		change(&e[0])
	}
	return e[0]
}

func TestPlays(t *testing.T) {
	plays := map[string]struct {
		names string
		play  func(w *world)
	}{
		"first message": {"ann bob", func(w *world) {
			a, b := w.node("ann"), w.node("bob")
			w.link(a, b)
			w.run(time.Second)
			w.say(a, "hello")
			w.run(time.Second)
			w.say(b, "hello ann", "how are you?")
			w.run(time.Second)
		}},
		"three in a row": {"ann bob cyd", func(w *world) {
			w.link(w.node("ann"), w.node("bob"))
			w.link(w.node("bob"), w.node("cyd"))
			w.run(time.Second)
			w.say(w.node("ann"), "can cyd hear me?")
			w.run(200 * time.Millisecond)
			w.say(w.node("cyd"), "yes")
			w.run(200 * time.Millisecond)
		}},
		"gap and repair": {"ann bob", func(w *world) {
			a, b := w.node("ann"), w.node("bob")
			w.link(a, b)
			w.say(a, "one")
			w.run(time.Second)
			w.logf("— what ann sends now is lost on its way —")
			links := a.links[b].era
			w.say(a, "two")
			w.queue = nil
			w.run(10 * time.Millisecond)
			a.links[b].era = links
			w.say(a, "three")
			w.run(time.Second)
		}},
		"lossy link": {"ann bob", func(w *world) {
			a, b := w.node("ann"), w.node("bob")
			w.link(a, b)
			w.run(time.Second)
			w.loss = 1
			w.say(a, "hello?")
			w.run(30 * time.Millisecond)
			w.loss = 0
			w.run(2 * time.Second)
		}},
		"link heals": {"ann bob", func(w *world) {
			a, b := w.node("ann"), w.node("bob")
			w.link(a, b)
			w.say(a, "one")
			w.run(time.Second)
			w.unlink(a, b)
			w.say(a, "two", "three")
			w.say(b, "are you there?")
			w.run(time.Second)
			w.link(a, b)
			w.run(time.Second)
		}},
		"silent neighbour": {"ann bob cyd", func(w *world) {
			a, b := w.node("ann"), w.node("bob")
			w.mesh()
			w.run(time.Second)
			w.say(a, "one")
			w.run(time.Second)
			w.logf("— nothing gets through to bob —")
			w.drop = func(_, to *node, _ wire.Frame) bool { return to == b }
			w.say(a, "two")
			w.run(400 * time.Millisecond)
			w.logf("— now it does again —")
			w.drop = nil
			w.run(600 * time.Millisecond)
		}},
		"slow neighbour": {"ann bob", func(w *world) {
			a, b := w.node("ann"), w.node("bob")
			w.link(a, b)
			w.run(100 * time.Millisecond)
			w.logf("— ann's queue to bob is full —")
			w.step(a, LinkBusy{b.id, true})
			w.say(a, "one")
			w.say(a, "two")
			w.run(100 * time.Millisecond)
			w.logf("— it has room again —")
			w.step(a, LinkBusy{b.id, false})
			w.say(a, "three")
			w.run(100 * time.Millisecond)
			w.say(a, "four")
			w.run(100 * time.Millisecond)
		}},
		"newcomer": {"ann bob", func(w *world) {
			a, b := w.node("ann"), w.node("bob")
			w.unlogged(func() {
				w.link(a, b)
				w.talk(40, 10*time.Millisecond, b)
				w.talk(90, 10*time.Millisecond, a)
				w.run(liveFor)
			})
			w.logf("ann has said 90 lines, and bob 40 before that; cyd comes, who wants the last 100 of them")
			c := w.add("cyd", 3)
			c.window.Events = 100
			w.start(c)
			w.link(b, c)
			w.run(time.Second)
			w.logf("cyd scrolls up")
			w.step(c, FetchOlder{general, 20})
			w.run(time.Second)
		}},
		"a hole": {"ann bob cyd", func(w *world) {
			a, b, c := w.node("ann"), w.node("bob"), w.node("cyd")
			w.unlogged(func() {
				w.mesh()
				w.talk(3, 10*time.Millisecond, a)
				w.unlink(a, b)
				w.unlink(c, b)
				w.talk(3, 10*time.Millisecond, a)
				w.unlink(a, c)
				w.lose(a, func(h wire.Head) uint64 { return h.Seq - 1 })
				w.recall(a)
				w.start(a)
			})
			w.logf("bob was away, and ann has lost what she said before her last line")
			w.link(a, b)
			w.run(3 * time.Second)
			w.link(b, c)
			w.run(time.Second)
		}},
		"a lost log": {"ann bob cyd", func(w *world) {
			a, b, c := w.node("ann"), w.node("bob"), w.node("cyd")
			w.unlogged(func() {
				w.link(a, b)
				w.say(a, "one", "two")
				w.run(time.Second)
				w.forgets(a)
			})
			w.logf("— ann, who said 1 and 2, was killed, lost its log and started again —")
			w.say(a, "where was I?")
			w.link(a, b)
			w.run(time.Second)
			w.say(a, "ah")
			w.run(100 * time.Millisecond)
			w.link(c, b)
			w.run(time.Second)
		}},
		"equivocation": {"ann bob cyd", func(w *world) {
			a, b := w.node("ann"), w.node("bob")
			w.link(a, b)
			w.run(time.Second)
			w.logf("ann signs two events with the number 1")
			for _, text := range []string{"yes", "no", "no"} {
				w.step(b, Receive{a.id, wire.Events{Live: true, Events: []wire.Event{w.forge(a, 1, text, nil)}}})
			}
			w.run(100 * time.Millisecond)
		}},
		"forged": {"ann bob cyd", func(w *world) {
			a, b, c := w.node("ann"), w.node("bob"), w.node("cyd")
			w.link(b, c)
			w.run(time.Second)
			w.logf("cyd relays an event of ann with a changed body")
			e := w.forge(a, 1, "I like cyd", func(e *wire.Event) { e.Body = []byte("I love cyd") })
			w.step(b, Receive{c.id, wire.Events{Live: true, Hops: 1, Events: []wire.Event{e}}})
			w.run(100 * time.Millisecond)
		}},
		"store fails": {"ann bob", func(w *world) {
			a, b := w.node("ann"), w.node("bob")
			w.link(a, b)
			w.run(time.Second)
			a.broken = errors.New("disk is full")
			w.say(a, "nobody hears this")
			a.broken = nil
			w.say(a, "but this")
			b.broken = errors.New("disk is full")
			w.run(100 * time.Millisecond)
			b.broken = nil
			w.run(10 * time.Second)
		}},
	}
	for name, p := range plays {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 7, strings.Fields(p.names)...)
			w.log = new(strings.Builder)
			p.play(w)
			machinetest.Transcript(t, name, w.log.String())
		})
	}
}

func TestNewWantsAWholeConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a machine was made from nothing")
	}
	if _, err := New(Config{Key: make(ed25519.PrivateKey, 64)}); err == nil {
		t.Error("a machine was made without a log")
	}
}
