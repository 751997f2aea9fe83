package overlay

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"peerchat/peer/machinetest"
	"peerchat/peer/wire"
)

func pid(n byte) (id wire.PeerID) {
	id[0], id[31] = n, 1
	return id
}

// one returns a message of each type, with the bounds of its numbers.
func one() []Message {
	full := make([]wire.PeerID, MaxSample)
	for i := range full {
		full[i] = pid(byte(i))
	}
	return []Message{Join{Nonce: 1}, Join{Nonce: math.MaxUint32}, ForwardJoin{Peer: pid(1), TTL: MaxWalk}, ForwardJoin{Peer: pid(2)},
		Neighbor{Nonce: 24, High: true}, Neighbor{Nonce: 255}, NeighborAnswer{Nonce: 256, Accepted: true}, NeighborAnswer{Nonce: 65536},
		Disconnect{}, Disconnect{Leaving: true}, Disconnect{Instead: pid(5)}, Shuffle{ID: math.MaxUint64, Origin: pid(3), TTL: 6, Sample: full}, Shuffle{ID: 1, Origin: pid(3)},
		ShuffleReply{ID: 1 << 32, Sample: full}, ShuffleReply{ID: 7}, Ping{Nonce: 1}, Ping{Nonce: math.MaxUint32, Alarm: true}, Pong{Nonce: 9}}
}

func TestRoundTrip(t *testing.T) {
	for _, m := range one() {
		machinetest.RoundTrip(t, m, AppendMessage, DecodeMessage)
	}
}

func TestRefused(t *testing.T) {
	long := make([]wire.PeerID, MaxSample+1)
	for i := range long {
		long[i] = pid(byte(i))
	}
	for what, m := range map[string]Message{
		"nothing":                nil,
		"no nonce":               Join{},
		"a long walk":            ForwardJoin{Peer: pid(1), TTL: MaxWalk + 1},
		"nobody as the newcomer": ForwardJoin{TTL: 1},
		"nobody as the origin":   Shuffle{ID: 1},
		"nobody in a sample":     ShuffleReply{ID: 1, Sample: make([]wire.PeerID, 1)},
		"a long sample":          ShuffleReply{ID: 1, Sample: long},
		"no id":                  Shuffle{Origin: pid(1)},
		"a leaver's heir":        Disconnect{Leaving: true, Instead: pid(1)},
	} {
		if b, err := AppendMessage([]byte("x"), m); err == nil || string(b) != "x" {
			t.Errorf("%s was encoded: %x (%v)", what, b, err)
		}
	}
	for what, b := range map[string]string{
		"an array of unknown type":      "\x82\x0a\x01",
		"type 0":                        "\x82\x00\x01",
		"a nonce in a longer form":      "\x82\x01\x18\x01",
		"a nonce of 9 bytes":            "\x82\x01\x1b\x00\x00\x00\x01\x00\x00\x00\x00",
		"a nonce of 0":                  "\x82\x01\x00",
		"an item too few":               "\x82\x03\x01",
		"an item too many":              "\x83\x01\x01\xf4",
		"a number in place of a truth":  "\x83\x05\x01\x40",
		"nobody as the heir":            "\x83\x05\xf4\x58\x20" + strings.Repeat("\x00", 32),
		"an array of indefinite length": "\x9f\x05\xf4\x40\xff",
		"a peer of 31 bytes":            "\x83\x02\x58\x1f" + strings.Repeat("a", 31) + "\x06",
		"a peer of 2^32 bytes":          "\x83\x02\x5a\xff\xff\xff\xff\x06",
		"a sample of 2^32 peers":        "\x83\x07\x01\x9a\xff\xff\xff\xff",
		"a map":                         "\xa1\x01\x01",
		"too many bytes":                strings.Repeat("\x83", MaxMessage+1),
	} {
		if m, err := DecodeMessage([]byte(b)); err == nil {
			t.Errorf("%s was decoded: %#v", what, m)
		}
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, m := range one() {
		b, err := AppendMessage(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			return
		}
		again, err := AppendMessage(nil, m)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x became %#v became %x (%v)", b, m, again, err)
		}
	})
}
