package overlay_test

import (
	"strings"
	"testing"
	"time"

	"peerchat/peer/machinetest"
	"peerchat/peer/overlay"
	"peerchat/peer/sim/member"
)

// people makes a lab with the named peers in it, who come one after the other and know one contact each.
func people(names string, tune func(*member.RoomConfig)) *lab {
	cfg := member.RoomConfig{Contacts: 1, Sized: true}
	cfg.Sim.Network = home()
	if tune != nil {
		tune(&cfg)
	}
	l := newLab(7, cfg)
	l.names = strings.Fields(names)
	l.Build(len(l.names), 300*time.Millisecond)
	l.Run(5 * time.Second)
	l.log = new(strings.Builder)
	l.terse = true
	return l
}

// views are views of a fixed size, so that a play needs few peers.
func views(active int) func(*member.RoomConfig) {
	return func(c *member.RoomConfig) { c.Overlay.Active, c.Overlay.Passive = active, 2*active }
}

// comes has one more peer come, who knows the given ones.
func (l *lab) comes(contacts ...int) {
	i := l.Add(wireID(l.Len()))
	cfg := member.Config{Overlay: l.cfg.Overlay, After: l.after}
	cfg.Overlay.Self, cfg.Overlay.Rand, cfg.Overlay.RoomSize = l.ID(i), source(1), l.Living()+1
	for _, k := range contacts {
		cfg.Contacts = append(cfg.Contacts, overlay.Contact{Peer: l.ID(k)})
	}
	l.Start(i, member.New(cfg))
}

func TestPlays(t *testing.T) {
	plays := map[string]func() *lab{
		"three meet": func() *lab {
			l := people("", nil)
			l.names = []string{"ann", "bob", "cyd"}
			for _, name := range l.names {
				l.tell("— %s comes —", name)
				l.Join()
				l.Run(2 * time.Second)
			}
			return l
		},
		"a newcomer pushes somebody out": func() *lab {
			l := people("ann bob cyd dan eve fay", views(3))
			l.tell("— gil comes —")
			l.names = append(l.names, "gil")
			l.Join()
			l.Run(3 * time.Second)
			return l
		},
		"a child is handed on": func() *lab {
			l := people("ann", views(2))
			for _, name := range []string{"bob", "cyd", "dan"} {
				l.tell("— %s comes, who knows ann only —", name)
				l.names = append(l.names, name)
				l.comes(0)
				l.Run(time.Second)
			}
			return l
		},
		"the contact is dead": func() *lab {
			l := people("ann bob cyd", nil)
			l.names = append(l.names, "dan")
			l.tell("— cyd dies, and dan is told of cyd and ann —")
			l.kill(2)
			l.comes(2, 0)
			l.Run(2 * time.Second)
			return l
		},
		"a neighbour dies": func() *lab {
			l := people("ann bob cyd dan eve fay gil", views(3))
			l.tell("— ann dies —")
			l.kill(0)
			l.Run(4500 * time.Millisecond)
			return l
		},
		"most neighbours are silent": func() *lab {
			l := people("ann bob cyd dan eve fay gil hal", views(3))
			l.log = nil
			l.Resize()
			l.Run(5 * time.Second)
			l.log = new(strings.Builder)
			l.tell("— all neighbours of bob but one die, and the broadcast notices that one of them is silent —")
			near := l.Graph().Out[1]
			for _, k := range near[1:] {
				l.kill(k)
			}
			l.Input(1, overlay.Suspect{Peer: l.ID(near[1])})
			l.Run(1500 * time.Millisecond)
			return l
		},
		"a shuffle": func() *lab {
			l := people("ann bob cyd dan eve fay gil", views(3))
			l.terse = false
			l.RunUntil(time.Minute, func() bool { return strings.Contains(l.log.String(), "SHUFFLEREPLY") })
			l.Run(50 * time.Millisecond)
			return l
		},
		"one leaves": func() *lab {
			l := people("ann bob cyd", nil)
			l.tell("— cyd leaves —")
			l.Input(2, overlay.Leave{})
			l.Run(100 * time.Millisecond)
			l.kill(2)
			l.Run(time.Second)
			return l
		},
		"a partition heals": func() *lab {
			l := people("ann bob cyd dan", nil)
			l.tell("— ann and bob are cut off from cyd and dan —")
			l.Partition(func(i int) int { return i / 2 })
			l.Run(4 * time.Second)
			l.tell("— the network is whole again —")
			l.Heal()
			l.Run(15 * time.Second)
			return l
		},
	}
	for name, play := range plays {
		t.Run(name, func(t *testing.T) {
			l := play()
			got := l.log.String()
			if why := l.settle(time.Minute); why != "" {
				t.Errorf("at the end, %s", why)
			}
			machinetest.Transcript(t, name, got)
		})
	}
}
