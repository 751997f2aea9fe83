package presence

import (
	"strings"
	"testing"
	"time"

	"peerchat/peer/machinetest"
)

// people makes and runs members. The links are given as words of two of their names, parted by a dash.
func people(w *world, names, links string) map[string]*node {
	p := map[string]*node{}
	for _, name := range strings.Fields(names) {
		p[name] = w.add(name)
		p[name].run()
	}
	for _, l := range strings.Fields(links) {
		a, b, _ := strings.Cut(l, "-")
		w.link(p[a], p[b])
	}
	return p
}

// begin starts the transcript, with a room that has come to rest.
func (w *world) begin() {
	w.advance(5 * time.Second)
	w.log = new(strings.Builder)
	w.start = w.now
}

func TestPlays(t *testing.T) {
	plays := map[string]func(w *world){
		"three meet": func(w *world) {
			w.log = new(strings.Builder)
			people(w, "ann bob cyd", "ann-bob bob-cyd")
			w.advance(4 * time.Second)
		},
		"somebody leaves": func(w *world) {
			p := people(w, "ann bob cyd dan", "ann-bob bob-cyd cyd-dan")
			w.begin()
			w.quit(p["ann"])
			w.advance(2 * time.Second)
		},
		"somebody is renamed and joins voice": func(w *world) {
			p := people(w, "ann bob cyd", "ann-bob bob-cyd")
			w.begin()
			p["ann"].wish = Self{Name: "Ann", Voice: Voice{In: true, Muted: true}}
			p["ann"].step(p["ann"].wish)
			w.advance(time.Second)
		},
		"somebody dies": func(w *world) {
			p := people(w, "ann bob cyd dan", "ann-bob bob-cyd cyd-dan dan-bob")
			w.begin()
			w.kill(p["ann"])
			w.advance(9 * time.Second)
		},
		"somebody is only said to be dead": func(w *world) {
			p := people(w, "ann bob cyd", "ann-bob bob-cyd cyd-ann")
			w.begin()
			w.say("the link between ann and bob breaks")
			w.cut(p["ann"], p["ann"].linkTo(p["bob"]))
			w.advance(9 * time.Second)
		},
		"alone and back": func(w *world) {
			p := people(w, "ann bob cyd", "ann-bob bob-cyd")
			w.begin()
			w.say("ann's machine loses its network")
			w.cut(p["ann"], p["ann"].linkTo(p["bob"]))
			w.advance(12 * time.Second)
			w.link(p["ann"], p["cyd"])
			w.advance(4 * time.Second)
		},
		"a partition heals": func(w *world) {
			p := people(w, "ann bob cyd dan", "ann-bob bob-cyd cyd-dan")
			w.begin()
			w.say("the link between bob and cyd breaks")
			w.cut(p["bob"], p["bob"].linkTo(p["cyd"]))
			w.advance(12 * time.Second)
			w.quit(p["dan"])
			w.advance(time.Second)
			w.link(p["ann"], p["cyd"])
			w.advance(4 * time.Second)
		},
		"started again with the clock set back": func(w *world) {
			p := people(w, "ann bob cyd", "ann-bob bob-cyd")
			w.begin()
			w.kill(p["ann"])
			w.advance(time.Second)
			p["ann"].skew = -time.Hour
			p["ann"].wish.Name = "Ann"
			p["ann"].run()
			w.link(p["ann"], p["cyd"])
			w.advance(8 * time.Second)
		},
	}
	for name, play := range plays {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 7)
			play(w)
			if why := w.wrong(); why != "" {
				t.Errorf("at the end, %s", why)
			}
			if len(w.faults) > 0 {
				t.Errorf("faults were reported: %v", w.faults)
			}
			machinetest.Transcript(t, name, w.log.String())
		})
	}
}
