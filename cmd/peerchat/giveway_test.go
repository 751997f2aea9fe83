package main

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

func TestLowerThanOwn(t *testing.T) {
	prefixes := func(all ...string) (out []netip.Prefix) {
		for _, p := range all {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	for _, c := range []struct {
		name  string
		found []string
		own   []netip.Prefix
		want  []string
	}{
		{"nobody is found", nil, prefixes("10.0.0.2/24"), nil},
		{"only we are found", []string{"ws://10.0.0.2:5000/ws"}, prefixes("10.0.0.2/24"), nil},
		{"a lower one is found", []string{"ws://10.0.0.2:5000/ws", "ws://10.0.0.1:5000/ws"}, prefixes("10.0.0.2/24"),
			[]string{"ws://10.0.0.1:5000/ws"}},
		{"a higher one is found", []string{"ws://10.0.0.3:5000/ws"}, prefixes("10.0.0.2/24"), nil},
		{"9 is lower than 10", []string{"ws://10.0.0.9:5000/ws"}, prefixes("10.0.0.10/24"), []string{"ws://10.0.0.9:5000/ws"}},
		{"a foreign network does not count", []string{"ws://10.9.0.1:5000/ws"}, prefixes("172.16.0.2/24"), nil},
		{"an unshared network of ours does not count", []string{"ws://192.168.1.5:5000/ws"},
			prefixes("172.17.0.1/16", "192.168.1.6/24"), []string{"ws://192.168.1.5:5000/ws"}},
		{"two networks, and the lowest of all decides", []string{"ws://10.1.0.6:5000/ws", "ws://10.2.0.3:5000/ws"},
			prefixes("10.1.0.5/24", "10.2.0.9/24"), nil},
	} {
		if got := lowerThanOwn(c.found, c.own); !slices.Equal(got, c.want) {
			t.Errorf("%s: give way to %q, want %q", c.name, got, c.want)
		}
	}
}

// Of two machines that hear each other over any networks, exactly one gives way.
func TestExactlyOneGivesWay(t *testing.T) {
	hosts := []int{1, 5, 9, 200}
	for _, a1 := range hosts {
		for _, a2 := range hosts {
			for _, b1 := range hosts {
				for _, b2 := range hosts {
					if a1 == b1 || a2 == b2 {
						continue
					}
					urls := func(x, y int) []string {
						return []string{fmt.Sprintf("ws://10.1.0.%d:5000/ws", x), fmt.Sprintf("ws://10.2.0.%d:5000/ws", y)}
					}
					own := func(x, y int) []netip.Prefix {
						return []netip.Prefix{
							netip.MustParsePrefix(fmt.Sprintf("10.1.0.%d/24", x)), netip.MustParsePrefix(fmt.Sprintf("10.2.0.%d/24", y)),
						}
					}
					a, b := lowerThanOwn(urls(b1, b2), own(a1, a2)), lowerThanOwn(urls(a1, a2), own(b1, b2))
					if (len(a) == 0) == (len(b) == 0) {
						t.Errorf("a at %d and %d gives way to %q, b at %d and %d to %q: want one of them to", a1, a2, a, b1, b2, b)
					}
				}
			}
		}
	}
}
