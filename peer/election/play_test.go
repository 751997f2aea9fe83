package election

import (
	"strings"
	"testing"
	"time"

	"peerchat/peer/machinetest"
)

// people makes and runs peers of falling priority: the first named is the best candidate. A name in brackets is no
// candidate. All are linked with each other.
func people(w *world, names string) []*node {
	for i, name := range strings.Fields(names) {
		bare := strings.Trim(name, "()")
		w.add(bare, Offer{Candidate: bare == name, Dialable: true, Priority: int16(50 - i), Port: DefaultPort}).run()
	}
	w.mesh()
	return w.nodes
}

// hosted lets n found the network as its first tracker.
func hosted(w *world, n *node) {
	n.step(Host{})
	for _, o := range w.nodes {
		if o != n && o.alive {
			o.follow(n.i)
		}
	}
	w.run(2 * time.Second)
}

func atHome(w *world) {
	w.home.up = true
	for _, o := range w.nodes {
		o.knows = true
		o.follow(homeTarget)
	}
	w.run(2 * time.Second)
}

func TestPlays(t *testing.T) {
	plays := map[string]func(w *world){
		"the leader is killed": func(w *world) {
			p := people(w, "ann bob cyd dan")
			hosted(w, p[0])
			w.begin()
			w.kill(p[0])
			w.run(500 * time.Millisecond)
		},
		"the best candidate died too": func(w *world) {
			p := people(w, "ann bob cyd dan")
			hosted(w, p[0])
			w.begin()
			w.kill(p[1])
			w.kill(p[0])
			w.run(500 * time.Millisecond)
		},
		"a lower one speaks first": func(w *world) {
			p := people(w, "ann bob cyd dan")
			hosted(w, p[0])
			w.begin()
			w.note("ann's tracker hangs; cyd is the first to notice")
			p[0].track.hung = true
			p[0].alive = false
			p[2].joined = false
			p[2].step(Suspect{})
			w.run(2 * time.Second)
		},
		"only one cannot reach the tracker": func(w *world) {
			p := people(w, "ann bob (cyd) dan")
			atHome(w)
			w.begin()
			w.note("the socket of bob is closed")
			delete(w.home.clients, p[1].i)
			p[1].joined = false
			p[1].step(Suspect{Closed: true})
			w.run(500 * time.Millisecond)
		},
		"home dies and comes back": func(w *world) {
			people(w, "ann bob cyd")
			atHome(w)
			w.begin()
			w.killHome()
			w.run(2 * time.Second)
			w.startHome()
			w.run(5 * time.Second)
		},
		"partition and heal": func(w *world) {
			w.timing.Settle = 2 * time.Second
			p := people(w, "ann bob cyd dan")
			hosted(w, p[0])
			w.begin()
			w.note("cyd and dan are cut off")
			w.split(p[2], p[3])
			w.run(8 * time.Second)
			w.heal([][2]int{{0, 2}, {0, 3}, {1, 2}, {1, 3}})
			w.run(5 * time.Second)
		},
		"the leader leaves": func(w *world) {
			p := people(w, "ann bob cyd")
			hosted(w, p[0])
			w.begin()
			w.note("ann quits")
			p[0].step(Resign{})
			w.run(20 * time.Millisecond)
			w.kill(p[0])
			w.run(500 * time.Millisecond)
		},
		"alone and back": func(w *world) {
			p := people(w, "ann bob cyd")
			hosted(w, p[0])
			w.begin()
			w.note("bob's machine loses its network")
			w.split(p[1])
			w.run(8 * time.Second)
			w.heal([][2]int{{0, 1}, {1, 2}})
			w.run(2 * time.Second)
		},
		"two that started alone meet": func(w *world) {
			a := w.add("ann", Offer{Candidate: true, Priority: 1})
			b := w.add("bob", Offer{Candidate: true, Dialable: true})
			a.run()
			b.run()
			w.begin()
			a.step(Host{})
			b.step(Host{})
			w.run(time.Second)
			w.note("they are linked")
			w.link(a, b)
			w.run(time.Second)
		},
		"a better one comes": func(w *world) {
			w.timing.Settle = time.Second
			p := people(w, "ann bob cyd")
			hosted(w, p[1])
			w.begin()
			w.run(3 * time.Second)
		},
		"a newcomer knows a higher term": func(w *world) {
			p := people(w, "ann bob")
			hosted(w, p[0])
			c := w.add("cyd", Offer{Candidate: true})
			c.term = 57
			c.run()
			w.begin()
			c.follow(0)
			w.run(10 * time.Millisecond)
			w.link(c, p[1])
			w.run(time.Second)
		},
	}
	for name, play := range plays {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 7)
			play(w)
			if why := w.agreed(); why != "" {
				t.Errorf("at the end, %s", why)
			}
			if len(w.faults) > 0 {
				t.Errorf("faults were reported: %v", w.faults)
			}
			machinetest.Transcript(t, name, w.log.String())
		})
	}
}

// begin starts the transcript.
func (w *world) begin() {
	w.log = new(strings.Builder)
	w.quiet = true
	w.start = w.now
	clear(w.sent)
	for _, n := range w.nodes {
		if n.m.leading {
			w.note("%s leads term %d", n.name, n.m.reign.Term)
		}
	}
}
