package signaling

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// lanPacket is a responder's packet about one tracker.
func lanPacket(instance string, port uint16, txt []string, ips ...string) []byte {
	name := func(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }
	head := func(s string, t dnsmessage.Type) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: name(s), Type: t, Class: dnsmessage.ClassINET, TTL: 120}
	}
	full := instance + "." + lanService + ".local."
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true, Authoritative: true})
	b.StartAnswers()
	b.PTRResource(head(lanService+".local.", dnsmessage.TypePTR), dnsmessage.PTRResource{PTR: name(full)})
	b.SRVResource(head(full, dnsmessage.TypeSRV), dnsmessage.SRVResource{Port: port, Target: name("host.local.")})
	b.TXTResource(head(full, dnsmessage.TypeTXT), dnsmessage.TXTResource{TXT: txt})
	b.StartAdditionals()
	for _, ip := range ips {
		b.AResource(head("host.local.", dnsmessage.TypeA), dnsmessage.AResource{A: netip.MustParseAddr(ip).As4()})
	}
	p, err := b.Finish()
	if err != nil {
		panic(err)
	}
	return p
}

func TestWhatTheLANSays(t *testing.T) {
	from := netip.MustParseAddr("10.0.0.7")
	ours := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}
	good := []string{"v=1", "scheme=ws"}
	for _, c := range []struct {
		what   string
		packet []byte
		want   []string
	}{
		{"a tracker", lanPacket("x", 5000, good, "10.0.0.7"), []string{"ws://10.0.0.7:5000/ws"}},
		{"one with TLS", lanPacket("x", 1, []string{"v=1", "scheme=wss"}, "10.0.0.7"), []string{"wss://10.0.0.7:1/ws"}},
		{"its other addresses count only in our network", lanPacket("x", 5000, good, "192.0.2.1", "10.0.0.9", "127.0.0.1", "224.0.0.1"),
			[]string{"ws://10.0.0.9:5000/ws"}},
		{"a later version", lanPacket("x", 5000, []string{"v=2", "scheme=ws"}, "10.0.0.7"), nil},
		{"another scheme", lanPacket("x", 5000, []string{"v=1", "scheme=http"}, "10.0.0.7"), nil},
		{"no port", lanPacket("x", 0, good, "10.0.0.7"), nil},
		{"no address", lanPacket("x", 5000, good), nil},
		{"nothing", nil, nil},
		{"a cut packet", lanPacket("x", 5000, good, "10.0.0.7")[:60], nil},
	} {
		if got := urlsOf(parseLAN(c.packet, from, ours)); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: want %v, got %v", c.what, c.want, got)
		}
	}
	twice := append(parseLAN(lanPacket("x", 5000, good, "10.0.0.7"), from, nil), parseLAN(lanPacket("x", 5000, good, "10.0.0.7", "10.0.0.8"), from, ours)...)
	if got := fmt.Sprint(urlsOf(twice)); got != "[ws://10.0.0.7:5000/ws ws://10.0.0.8:5000/ws]" {
		t.Errorf("an address counts once, got %v", got)
	}
}

func FuzzParseLAN(f *testing.F) {
	f.Add(lanPacket("x", 5000, []string{"v=1", "scheme=ws"}, "10.0.0.7", "10.0.0.8"))
	from := netip.MustParseAddr("10.0.0.7")
	ours := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
	f.Fuzz(func(t *testing.T, b []byte) {
		answers := parseLAN(b, from, ours)
		if len(answers) > 8*4 {
			t.Fatalf("%q names %d addresses", b, len(answers))
		}
		for _, a := range answers {
			if again, err := ParseAddr(a.url); err != nil || again != a.url {
				t.Fatalf("%q gives the URL %q, which ParseAddr makes %q, %v", b, a.url, again, err)
			}
		}
	})
}
