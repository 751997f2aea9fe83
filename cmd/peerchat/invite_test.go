package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"peerchat/peer/wire"
)

func TestParseInvite(t *testing.T) {
	for in, want := range map[string]string{ // the link as we write it
		"peerchat://10.0.0.7:5000/general":                                      "",
		"peerchat://10.0.0.7:5000/general?or=10.0.0.8:5001":                     "",
		"peerchat://10.0.0.7:5000/general?or=10.0.0.8:5001&or=tracker.org:5000": "",
		"peerchat://[fd00::1]:5000/dev?or=%5Bfd00::2%5D:5000":                   "",
		"peerchat://[fd00::1]:5000/dev?or=[fd00::2]:5000":                       "peerchat://[fd00::1]:5000/dev?or=%5Bfd00::2%5D:5000",
		"peerchat:///dev?or=wss://chat.example.org:443":                         "",
		"peerchat:///dev?or=wss://chat.example.org:443/ws":                      "peerchat:///dev?or=wss://chat.example.org:443",
		"peerchat:///dev?or=ws://10.0.0.7:5000/x/ws":                            "",
		"peerchat://10.0.0.7:5000/dev?or=wss://chat.example.org:443/a/ws":       "",
		"peerchat:///dev?or=ws://10.0.0.7:5000/x%26y":                           "",
		"peerchat:///dev?or=ws://10.0.0.7:5000/x%2526y":                         "",
		"peerchat://h/dev":            "peerchat://h:5000/dev",
		"PeerChat://HOST:7/Dev":       "peerchat://host:7/dev",
		" peerchat://h:1/dev\n":       "peerchat://h:1/dev",
		"peerchat://h:1/dev?or=h:1":   "peerchat://h:1/dev",
		"peerchat:///dev?or=h:1":      "peerchat://h:1/dev",
		"peerchat://h:1/caf%C3%A9":    "",
		"peerchat://h:1/CAFE%CC%81":   "peerchat://h:1/caf%C3%A9",
		"peerchat://h:1/a.b_c-d":      "",
		"peerchat://h:1/d%65v":        "peerchat://h:1/dev",
		"peerchat://h:1/dev?or=%68:1": "peerchat://h:1/dev",
	} {
		if want == "" {
			want = in
		}
		got, err := parseInvite(in)
		if err != nil || got.String() != want {
			t.Errorf("%q is %q, got %v and %v", in, want, got, err)
		}
	}
	for in, want := range map[string]string{
		"":                                       "does not begin",
		"peerchat:h":                             "does not begin",
		"ws://h:1/dev":                           "does not begin",
		"peerchat://":                            "no room",
		"peerchat://h:1":                         "no room",
		"peerchat://h:1/":                        "no room",
		"peerchat://h:1?or=h:2":                  "no room",
		"peerchat:///dev":                        "no address",
		"peerchat://h:1/dev/x":                   "nothing but ?or=",
		"peerchat://h:1/dev/":                    "nothing but ?or=",
		"peerchat://h:1/#dev":                    "without its #",
		"peerchat://h:1/%23dev":                  "without its #",
		"peerchat://h:1/a%2Fb":                   "is not allowed",
		"peerchat://h:1/a%1Bb":                   "is not allowed",
		"peerchat://h:1/%ff":                     "not valid UTF-8",
		"peerchat://h:1/%zz":                     "percent-encoding",
		"peerchat://h:1/dev?or=%zz":              "percent-encoding",
		"peerchat://h:1/" + long("a", 65):        "at most 64",
		"peerchat://h:1/café":                    "U+00E9",
		"peerchat://h:1/a b":                     "U+0020",
		"peerchat://h:1/a\x1b":                   "U+001B",
		"peerchat://h:0/dev":                     "port",
		"peerchat://h:70000/dev":                 "port",
		"peerchat://u@h:1/dev":                   "user name",
		"peerchat://a_b..c/dev":                  "no host name",
		"peerchat://[fe80::1%25eth0]:1/dev":      "zone",
		"peerchat://h:1/dev?":                    "does not know",
		"peerchat://h:1/dev?or=":                 "empty",
		"peerchat://h:1/dev?or":                  "empty",
		"peerchat://h:1/dev?or=h:2&":             "does not know",
		"peerchat://h:1/dev?key=x":               `"key=x"`,
		"peerchat://h:1/dev?or=http://x":         "not a scheme",
		"peerchat://h:1/dev?or=peerchat://x":     "not a scheme",
		"peerchat://h:1/dev?or=a&or=b:x":         "port",
		"peerchat://h/x?" + long("or=a&", 8):     "does not know",
		"peerchat://h/x?or=a" + long("&or=b", 8): "10 addresses, at most 8",
		"peerchat://h/x?or=" + long("a", 1020):   "at most 1024",
	} {
		got, err := parseInvite(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q is refused with %q, got %v and %v", in, want, got, err)
		}
	}
}

// The links on the page of the protocol are what the code writes.
func TestProtocolPageShowsInvitations(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for line := range strings.Lines(string(page)) {
		link := strings.TrimSpace(line)
		if !strings.HasPrefix(link, inviteScheme) {
			continue
		}
		links++
		if inv, err := parseInvite(link); err != nil || inv.String() != link {
			t.Errorf("the page shows %q, which is read as %v, %v", link, inv, err)
		}
	}
	if links < 3 {
		t.Errorf("the page shows %d links, want a few", links)
	}
}

func long(s string, n int) string { return strings.Repeat(s, n) }

func FuzzParseInvite(f *testing.F) {
	for _, s := range []string{
		"peerchat://10.0.0.7:5000/general?or=10.0.0.8:5001&or=wss://h:1/x%2526", "peerchat:///caf%C3%A9?or=[::1]:5", "peerchat://h/%2e%2e",
		"PEERCHAT://[fe80::1%25x]/a", "peerchat://h/a?or=%5B::%5D&or=ws://h:5000/ws", "peerchat://h:1/a?or=0x7f.1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, err := parseInvite(s)
		if err != nil {
			if i := strings.IndexFunc(err.Error(), unicode.IsControl); i >= 0 {
				t.Fatalf("the error for %q has control characters: %q", s, err)
			}
			return
		}
		link := first.String()
		if len(first.trackers) == 0 || len(first.trackers) > maxInvited || !isInvite(link) {
			t.Fatalf("%q gives %q with %d addresses", s, link, len(first.trackers))
		}
		if i := strings.IndexFunc(link, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("'\"`\\$#<>", r) }); i >= 0 {
			t.Fatalf("%q gives %q, which is not safe to paste", s, link)
		}
		if len(link) > maxInvite {
			return // escaped it is longer; what we make ourselves is cut, see newInvite
		}
		again, err := parseInvite(link)
		if err != nil || again.room != first.room || !slices.Equal(again.trackers, first.trackers) {
			t.Fatalf("%q gives %q, and that %v, %v", s, link, again, err)
		}
	})
}

func TestNewInvite(t *testing.T) {
	many := make([]string, 20)
	for i := range many {
		many[i] = fmt.Sprintf("ws://10.0.0.%d:5000/ws", i+1)
	}
	lengthy := make([]string, 8)
	for i := range lengthy {
		lengthy[i] = fmt.Sprintf("wss://%d.%sexample.org:5000/%s", i, long("long.", 20), long("x", 60))
	}
	for _, c := range []struct {
		why  string
		urls []string
		want string
		here bool
		len  int
	}{
		{"addresses in their order", []string{"ws://10.0.0.7:5000/ws", "wss://h:1/ws"}, "peerchat://10.0.0.7:5000/general?or=wss://h:1", false, 2},
		{"an encrypted one first", []string{"wss://h:1/ws", "ws://10.0.0.7:5000/ws"}, "peerchat:///general?or=wss://h:1&or=10.0.0.7:5000", false, 2},
		{"loopback goes where there is better", []string{"ws://127.0.0.1:5000/ws", "ws://10.0.0.7:5000/ws", "ws://[::1]:5000/ws", "ws://localhost:1/ws"},
			"peerchat://10.0.0.7:5000/general", false, 1},
		{"nothing but loopback", []string{"ws://127.0.0.1:5000/ws", "ws://[::1]:5000/ws"}, "peerchat://127.0.0.1:5000/general?or=%5B::1%5D:5000", true, 2},
		{"what helps nobody", []string{"ws://[fe80::1%25eth0]:5000/ws", "ws://0.0.0.0:5000/ws", "nonsense\x1b", "ws://10.0.0.7:5000/ws", "ws://10.0.0.7:5000/ws"},
			"peerchat://10.0.0.7:5000/general", false, 1},
		{"at most eight", many, "", false, 8},
		{"at most a KiB", lengthy, "", false, 5},
		{"nothing", nil, "", false, 0},
		{"nothing of use", []string{"ws://[::]:5000/ws"}, "", false, 0},
	} {
		inv, here, err := newInvite("general", c.urls)
		if len(inv.trackers) != c.len || here != c.here || (err != nil) != (c.len == 0) || c.want != "" && inv.String() != c.want {
			t.Errorf("%s: got %v, %v, %v; want %d addresses, %q, %v", c.why, inv.trackers, here, err, c.len, c.want, c.here)
			continue
		}
		if err != nil {
			continue
		}
		if again, err := parseInvite(inv.String()); err != nil || !slices.Equal(again.trackers, inv.trackers) {
			t.Errorf("%s: the link %q is read as %v, %v", c.why, inv, again, err)
		}
	}
}

// modules reads a code of half blocks: true is dark.
func modules(t *testing.T, rows []string) [][]bool {
	t.Helper()
	var out [][]bool
	for _, r := range rows {
		var upper, lower []bool
		for _, c := range r {
			upper, lower = append(upper, c == ' ' || c == '▄'), append(lower, c == ' ' || c == '▀')
		}
		out = append(out, upper, lower)
	}
	for _, r := range out {
		if len(r) != len(out[0]) {
			t.Fatalf("rows of %d and of %d modules:\n%s", len(out[0]), len(r), strings.Join(rows, "\n"))
		}
	}
	return out
}

func TestCodes(t *testing.T) {
	inv := invite{room: "general"}
	for i := range maxInvited {
		inv.trackers = append(inv.trackers, fmt.Sprintf("ws://192.168.1.%d:5000/ws", 100+i))
	}
	codes := inv.codes()
	if len(codes) != maxInvited {
		t.Fatalf("%d codes for %d addresses", len(codes), maxInvited)
	}
	for n, rows := range codes {
		m := modules(t, rows)
		size := len(m[0]) - 4 // two light ones at each side
		if size < 21 || (size-17)%4 != 0 {
			t.Fatalf("code %d has %d modules a side, which is no QR code", n, size)
		}
		if n > 0 && len(rows) > len(codes[n-1]) {
			t.Errorf("code %d with fewer addresses is larger", n)
		}
		for _, corner := range [][2]int{{2, 2}, {2, 2 + size - 7}, {2 + size - 7, 2}} { // ISO/IEC 18004 section 6.3.3.1
			for y := -1; y <= 7; y++ {
				for x := -1; x <= 7; x++ {
					ring := max(max(3-x, x-3), max(3-y, y-3)) // distance from the middle: dark, but for 2 and 4
					if got := m[corner[0]+y][corner[1]+x]; got != (ring != 2 && ring != 4) {
						t.Fatalf("code %d has no finder pattern at %v:\n%s", n, corner, strings.Join(rows, "\n"))
					}
				}
			}
		}
	}
	if rows := codes[len(codes)-1]; len(rows)+1 > 24 || len([]rune(rows[0])) > 80 {
		t.Errorf("the code of one address takes %d rows of %d, it should fit 80 by 24", len(rows), len([]rune(rows[0])))
	}
}

func TestConnectStopsAtWhatCannotBeDialled(t *testing.T) {
	refuse := errors.New("no")
	dial := func(string) error { return refuse }
	if room, err := connect("peerchat://h:1/dev", dial); !errors.Is(err, refuse) || room != "" {
		t.Errorf("got %q and %v", room, err)
	}
	if room, err := connect("h:1", dial); !errors.Is(err, refuse) || room != "" {
		t.Errorf("got %q and %v", room, err)
	}
}

func TestInvitationsAreSettings(t *testing.T) {
	link := "peerchat://a:1/dev?or=b:2"
	for _, c := range []struct {
		why             string
		flags           joinFlags
		trackers, rooms []string
	}{
		{"the room of an invitation stands for the default one", joinFlags{Invite: &link}, []string{"ws://a:1/ws", "ws://b:2/ws"}, []string{"dev"}},
		{"as a tracker, in its place", joinFlags{Tracker: []string{"c", link}}, []string{"c", "ws://a:1/ws", "ws://b:2/ws"}, []string{"dev"}},
		{"before other trackers and rooms", joinFlags{Invite: &link, Tracker: []string{"c"}, Room: []string{"general"}},
			[]string{"ws://a:1/ws", "ws://b:2/ws", "c"}, []string{"dev", "general"}},
		{"none", joinFlags{}, []string{}, []string{"general"}},
	} {
		got, err := c.flags.settings()
		if err != nil || !slices.Equal(got.Tracker, c.trackers) || !slices.Equal(got.Room, c.rooms) {
			t.Errorf("%s: got trackers %q, rooms %q, %v; want %q and %q", c.why, got.Tracker, got.Room, err, c.trackers, c.rooms)
		}
	}
	rooms, err := parseRooms([]string{"dev", "Dev"})
	if err != nil || !slices.Equal(rooms, []wire.Room{"dev"}) {
		t.Errorf("a room that is named twice is joined once, got %v, %v", rooms, err)
	}
}
