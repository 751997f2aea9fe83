//go:build linux

package e2e

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// What happens in a chaos is enough, comes again with its seed, and asks nothing that cannot be.
func TestTroubles(t *testing.T) {
	const peers, within = 20, 2 * time.Minute
	for seed := range uint64(20) {
		all := troubles(seed, peers, within)
		if again := troubles(seed, peers, within); !reflect.DeepEqual(all, again) {
			t.Fatalf("seed %d: it is not the same again", seed)
		}
		if len(all) < 50 {
			t.Errorf("seed %d: there are %d troubles in %v, want many", seed, len(all), within)
		}
		until := map[int]time.Duration{}
		seen := map[string]bool{}
		for _, x := range all {
			seen[x.what] = true
			if x.until <= x.from || x.until > within {
				t.Errorf("seed %d: %v: want it to end after it begins, by %v", seed, x, within)
			}
			if x.what == parted {
				continue
			}
			if x.from < until[x.hosts[0]] {
				t.Errorf("seed %d: %v, which has another trouble until %v", seed, x, until[x.hosts[0]])
			}
			until[x.hosts[0]] = x.until
		}
		for _, what := range []string{killed, frozen, cutOff, unplugged, parted} {
			if !seen[what] {
				t.Errorf("seed %d: nobody %s", seed, what)
			}
		}
	}
}

// Nobody hears those on the other side of a cut, and all hear all when it is over.
func TestDeafTo(t *testing.T) {
	all := []trouble{
		{what: parted, hosts: []int{0, 1}, from: 1, until: 10},
		{what: cutOff, hosts: []int{2}, from: 5, until: 8},
		{what: killed, hosts: []int{3}, from: 0, until: 10},
	}
	for _, c := range []struct {
		at   time.Duration
		host int
		want []int
	}{
		{0, 0, nil}, {1, 0, []int{2, 3}}, {1, 2, []int{0, 1}}, {5, 2, []int{0, 1, 3}}, {5, 3, []int{0, 1, 2}}, {8, 3, []int{0, 1}}, {10, 2, nil},
	} {
		if got := deafTo(all, c.at, c.host, 3); !slices.Equal(got, c.want) {
			t.Errorf("at %d host %d does not hear %v, want %v", c.at, c.host, got, c.want)
		}
	}
}
