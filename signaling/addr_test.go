package signaling

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseAddr(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.5":                 "ws://10.0.0.5:5000/ws",
		" 10.0.0.5:80 ":            "ws://10.0.0.5:80/ws",
		"Tracker.Example.ORG":      "ws://tracker.example.org:5000/ws",
		"localhost:5001":           "ws://localhost:5001/ws",
		"::1":                      "ws://[::1]:5000/ws",
		"[::1]":                    "ws://[::1]:5000/ws",
		"[FD00::1]:7":              "ws://[fd00::1]:7/ws",
		"fe80::1%eth0":             "ws://[fe80::1%25eth0]:5000/ws",
		"ws://[fe80::1%25eth0]:9":  "ws://[fe80::1%25eth0]:9/ws",
		"ws://host":                "ws://host:5000/ws",
		"WSS://chat.example.org/":  "wss://chat.example.org:5000/ws",
		"wss://chat.example.org:1": "wss://chat.example.org:1/ws",
		"ws://h:5000/a/b":          "ws://h:5000/a/b",
	} {
		got, err := ParseAddr(in)
		if err != nil || got != want {
			t.Errorf("%q is %q, got %q and %v", in, want, got, err)
			continue
		}
		if _, err := url.Parse(got); err != nil {
			t.Errorf("%q gives a URL that net/url refuses: %v", in, err)
		}
	}
	for in, want := range map[string]string{
		"": "empty", "  ": "empty", "http://x": "not a scheme", "x:": "missing", ":5000": "host is missing", "x:0": "not a number",
		"x:70000": "not a number", "x:http": "not a number", "a:b:c": "several colons", "[::1": "not closed", "[::1]5000": "after ]",
		"[10.0.0.1]:5": "no IPv6", "10.0.0.256": "no IPv4", "10.0.0": "no IPv4", "a b": "U+0020", "ws://u@h": "user name", "ws://h/?q": "no query",
		"a_b..c": "no host name", "-x": "no host name", "h\x1b[31m": "U+001B", "ws://h/%zz": "path", "münchen.de": "U+00FC",
	} {
		got, err := ParseAddr(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is refused with %q, got %q and %v", in, want, got, err)
		}
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"host", "10.0.0.5:80", "[::1]:5", "wss://a.b/c", "fe80::1%eth0", "ws://h/%41", "0x7f.1", "ws://[::ffff:1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, err := ParseAddr(s)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x1b\x00\n") {
				t.Fatalf("the error for %q has control characters: %q", s, err)
			}
			return
		}
		again, err := ParseAddr(first)
		if err != nil || again != first {
			t.Fatalf("%q gives %q, and that %q, %v", s, first, again, err)
		}
		u, err := url.Parse(first)
		if err != nil || u.Port() == "" || u.Hostname() == "" || u.User != nil {
			t.Fatalf("%q gives %q, which net/url reads as %+v, %v", s, first, u, err)
		}
	})
}
