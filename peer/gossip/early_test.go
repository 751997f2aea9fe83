package gossip

import (
	"errors"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// talking is a world of ann, bob and cyd in which ann has said one line, so that her log is known.
func talking(t *testing.T) (w *world, ann, bob, cyd *node) {
	w, ann, bob = linked(t, "cyd")
	w.say(ann, "first")
	w.run(time.Second)
	return w, ann, bob, w.node("cyd")
}

func (n *node) stored(author *node) uint64 {
	heads, _, _ := n.store.Heads(general)
	for _, h := range heads {
		if h.Author == author.id {
			return h.Seq
		}
	}
	return 0
}

func TestALineOfItsAuthorIsDeliveredBeforeItIsStored(t *testing.T) {
	w, ann, bob, _ := talking(t)
	for seq := range uint64(3) {
		w.receive(bob, ann, live(w.forge(ann, seq+2, "line", nil)))
	}
	if len(bob.delivered[ann.id]) != 4 || bob.stored(ann) != 1 {
		t.Errorf("before Flush %d lines were delivered and %d are stored: want 4 and 1", len(bob.delivered[ann.id]), bob.stored(ann))
	}
	if !bob.wake.Equal(w.now) {
		t.Errorf("the machine wants to be woken at %v: want at once, for a caller that does not flush", bob.wake)
	}
	sent := w.sent
	w.step(bob, Flush{})
	if len(bob.delivered[ann.id]) != 4 || bob.stored(ann) != 4 || w.sent != sent {
		t.Errorf("after Flush %d lines were delivered, %d are stored and %d frames were sent: want 4, 4 and none",
			len(bob.delivered[ann.id]), bob.stored(ann), w.sent-sent)
	}
	if w.run(ackCalm); w.sent != sent+1 {
		t.Errorf("%v later %d frames were sent: want an acknowledgement", ackCalm, w.sent-sent)
	}
}

func TestWhatIsAskedForIsProvenFirst(t *testing.T) {
	for what, in := range map[string]func(ann, cyd *node) Input{
		"a question": func(ann, cyd *node) Input {
			return Receive{cyd.id, wire.Want{Room: general, Ranges: []wire.Range{{Author: ann.id, From: 2, To: 2}}}}
		},
		"a digest": func(_, cyd *node) Input { return Receive{cyd.id, wire.Digest{Room: general}} },
		"an own line": func(_, _ *node) Input {
			return Publish{Room: general, Name: "bob", Drafts: []Draft{{Kind: wire.KindText, Body: []byte("I")}}}
		},
		"a lost link":  func(ann, _ *node) Input { return LinkDown{ann.id} },
		"leaving":      func(_, _ *node) Input { return Unsubscribe{general} },
		"time":         func(_, _ *node) Input { return Tick{} },
		"another link": func(_, _ *node) Input { return LinkUp{Peer: wire.PeerID{9}} },
	} {
		t.Run(what, func(t *testing.T) {
			w, ann, bob, cyd := talking(t)
			w.receive(bob, ann, live(w.forge(ann, 2, "line", func(e *wire.Event) { e.Proof.Sig[9]++ })))
			if len(bob.delivered[ann.id]) != 2 || bob.faults["forged"] != 0 {
				t.Fatalf("the line was not delivered early: %v", bob.delivered[ann.id])
			}
			var out Output
			if err := bob.machine.Step(w.now, in(ann, cyd), &out); err != nil {
				t.Fatal(err)
			}
			if len(out.Faults) != 1 || out.Faults[0].Code != "forged" || !out.Faults[0].Drop || out.Faults[0].Peer != ann.id {
				t.Errorf("a line that its author did not sign gave the faults %v", out.Faults)
			}
			if bob.stored(ann) != 1 {
				t.Error("it was stored")
			}
			for _, s := range out.Sends {
				if f, ok := s.Frame.(wire.Events); ok && f.Events[0].Author == ann.id {
					t.Error("it was sent on")
				}
				if f, ok := s.Frame.(wire.Digest); ok {
					for _, h := range f.Heads {
						if h.Author == ann.id && h.Seq > 1 {
							t.Error("it was told of")
						}
					}
				}
				if f, ok := s.Frame.(wire.Have); ok && f.Heads[0].Author == ann.id && f.Heads[0].Seq > 1 {
					t.Error("it was acknowledged or offered")
				}
			}
		})
	}
}

func TestAnEarlyForgeryCostsTheLinkAndTheRestOfItsLog(t *testing.T) {
	w, ann, bob, cyd := talking(t)
	w.receive(bob, ann, live(w.forge(ann, 2, "good", nil)))
	w.receive(bob, ann, live(w.forge(ann, 3, "unsigned", func(e *wire.Event) { e.Proof.Sig[0]++ })))
	w.receive(bob, ann, live(w.forge(ann, 4, "good, but after it", nil)))
	w.step(bob, Flush{})
	if bob.faults["forged"] != 1 || !bob.cut(ann) || bob.stored(ann) != 2 {
		t.Fatalf("faults %v, %d lines stored: want a forgery, no link, and the 2 lines before it", bob.faults, bob.stored(ann))
	}
	// The log goes on by what others have, which is shown if it is not what was shown.
	bob.delivered[ann.id] = bob.delivered[ann.id][:2] // the world would take what follows for a repetition
	w.receive(bob, cyd, wire.Events{Events: []wire.Event{w.forge(ann, 3, "signed", nil), w.forge(ann, 4, "good, but after it", nil)}})
	if bob.stored(ann) != 4 || len(bob.delivered[ann.id]) != 3 {
		t.Errorf("%d lines are stored and %d were delivered anew: want all 4, and the one that was not shown", bob.stored(ann),
			len(bob.delivered[ann.id])-2)
	}
	if n := len(bob.machine.rooms[general].logs[wire.LogID{Author: ann.id}].shown); n != 0 {
		t.Errorf("%d lines are still remembered as shown", n)
	}
}

func TestWhatCouldNotBeStoredIsNotDeliveredAgain(t *testing.T) {
	w, ann, bob, _ := talking(t)
	bob.broken = errors.New("disk is full")
	w.say(ann, "second")
	w.run(10 * time.Millisecond)
	if bob.faults["log"] == 0 || len(bob.delivered[ann.id]) != 2 || bob.stored(ann) != 1 {
		t.Fatalf("faults %v, lines %v, %d stored: want a fault, 2 lines, 1 stored", bob.faults, bob.delivered[ann.id], bob.stored(ann))
	}
	w.say(ann, "third")
	w.run(100 * time.Millisecond)
	bob.broken = nil
	w.run(20 * time.Second)
	w.converged() // and world.deliver has seen nothing twice
}

func TestOnlyWhatIsMerelyShownIsDeliveredEarly(t *testing.T) {
	w, ann, bob, cyd := talking(t)
	topic := func(e *wire.Event) {
		e.Kind = wire.KindTopic
		one := []wire.Event{*e}
		if err := wire.SignBatch(ann.key, one); err != nil {
			t.Fatal(err)
		}
		*e = one[0]
	}
	w.receive(bob, ann, live(w.forge(ann, 2, "a topic", topic)))
	if bob.stored(ann) != 2 {
		t.Error("a topic was not stored when it was delivered")
	}
	w.receive(bob, cyd, wire.Events{Live: true, Hops: 1, Events: []wire.Event{w.forge(ann, 3, "relayed", nil)}})
	if bob.stored(ann) != 3 {
		t.Error("what somebody else sent was not stored when it was delivered")
	}
	w.receive(bob, ann, wire.Events{Events: []wire.Event{w.forge(ann, 4, "fetched", nil)}})
	if bob.stored(ann) != 4 {
		t.Error("what was fetched was not stored when it was delivered")
	}
}
