//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// What can happen to a host of a chaos.
const (
	killed    = "is killed"    // SIGKILL; started again when the trouble is over
	frozen    = "freezes"      // SIGSTOP, SIGCONT
	cutOff    = "is cut off"   // packets from all others are dropped
	unplugged = "is unplugged" // its interface is down
	parted    = "are parted"   // packets between these hosts and the rest are dropped
)

// trouble is what happens to some hosts for a while.
type trouble struct {
	what        string
	hosts       []int // 0 is the tracker's; one, or several that are parted from the rest
	from, until time.Duration
}

func (t trouble) String() string {
	return fmt.Sprintf("%v %s from %v to %v", t.hosts, t.what, t.from.Round(time.Millisecond), t.until.Round(time.Millisecond))
}

// troubles are all that happens to a tracker and so many peers within a time, in the order in which it begins: about
// one trouble a second and a half for twenty peers, and now and then half of all are killed at once. A host has one
// trouble of its own at a time, and may be parted from others at the same time.
func troubles(seed uint64, peers int, within time.Duration) []trouble {
	r := rand.New(rand.NewPCG(seed, 20))
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(r.Int64N(int64(most-least)))
	}
	pace := 30 * time.Second / time.Duration(peers)
	busy := make([]time.Duration, peers+1) // until when a host has a trouble
	var all []trouble
	for at := between(0, 2*pace); at < within; at += between(0, 2*pace) {
		if r.IntN(30) == 0 {
			for host := 1; host <= peers; host++ {
				if at >= busy[host] && r.IntN(2) == 0 {
					busy[host] = at + between(100*time.Millisecond, 8*time.Second)
					all = append(all, trouble{what: killed, hosts: []int{host}, from: at, until: busy[host]})
				}
			}
			continue
		}
		host := 1 + r.IntN(peers)
		if r.IntN(12) == 0 {
			host = 0
		}
		if at < busy[host] {
			continue
		}
		t := trouble{hosts: []int{host}, from: at}
		switch n := r.IntN(20); {
		case n < 8:
			t.what, t.until = killed, at+between(100*time.Millisecond, 8*time.Second)
		case n < 13:
			t.what, t.until = frozen, at+between(time.Second, 15*time.Second)
		case n < 17:
			t.what, t.until = cutOff, at+between(time.Second, 20*time.Second)
		default:
			t.what, t.until = unplugged, at+between(time.Second, 10*time.Second)
		}
		busy[host] = t.until
		all = append(all, t)
	}
	for at := between(0, 20*time.Second); at < within; {
		t := trouble{what: parted, from: at, until: at + between(3*time.Second, 25*time.Second)}
		for host := range peers + 1 {
			if r.IntN(3) == 0 {
				t.hosts = append(t.hosts, host)
			}
		}
		if len(t.hosts) > 0 {
			all = append(all, t)
		}
		at = t.until + between(0, 10*time.Second)
		if r.IntN(3) == 0 {
			at = t.from + between(0, t.until-t.from) // parted twice, which makes up to four parts
		}
	}
	for i := range all {
		all[i].until = min(all[i].until, within)
	}
	slices.SortStableFunc(all, func(a, b trouble) int { return int(a.from - b.from) })
	return all
}

// deafTo is whom a host does not hear at a time, of so many peers and the tracker.
func deafTo(all []trouble, at time.Duration, host, peers int) (deaf []int) {
	for other := range peers + 1 {
		apart := false
		for _, t := range all {
			if at < t.from || at >= t.until || other == host {
				continue
			}
			here, there := slices.Contains(t.hosts, host), slices.Contains(t.hosts, other)
			switch t.what {
			case parted:
				apart = apart || here != there
			case cutOff:
				apart = apart || here || there
			}
		}
		if apart {
			deaf = append(deaf, other)
		}
	}
	return deaf
}

// listOf is a list of troubles for people.
func listOf(all []trouble) string {
	var b strings.Builder
	for _, t := range all {
		fmt.Fprintln(&b, t)
	}
	return b.String()
}
