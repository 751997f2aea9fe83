package wire

import (
	"bytes"
	"testing"
)

func FuzzDecodeFrame(f *testing.F) {
	for _, frame := range frames(f) {
		b, err := AppendFrame(nil, frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := DecodeFrame(b)
		if err != nil {
			return
		}
		again, err := AppendFrame(nil, frame)
		if err != nil {
			t.Fatalf("%x decodes to %#v, which does not encode: %v", b, frame, err)
		}
		if !bytes.Equal(b, again) {
			t.Fatalf("%x decodes to a frame that encodes to %x", b, again)
		}
	})
}

func FuzzDecodeEvent(f *testing.F) {
	for _, e := range testBatch(f, testKey(1), 3, 3) {
		f.Add(AppendEvent(nil, &e))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEvent(b)
		if err != nil {
			return
		}
		if again := AppendEvent(nil, &e); !bytes.Equal(b, again) {
			t.Fatalf("%x decodes to an event that encodes to %x", b, again)
		}
	})
}

func FuzzParseRoom(f *testing.F) {
	for _, s := range []string{"#general", "Dev", "straße", "İstanbul", "ẞ", "a\u0323\u0307", "\u1e9b\u0323", "Ǆ", "ΑΣ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		room, err := ParseRoom(s)
		if err != nil {
			return
		}
		if len(room) == 0 || len(room) > MaxRoomName {
			t.Fatalf("room %q has %d bytes", room, len(room))
		}
		for _, form := range []string{string(room), room.String()} {
			if again, err := ParseRoom(form); err != nil || again != room {
				t.Fatalf("%q parses to %q, which parses to %q, %v", s, room, again, err)
			}
		}
		if err := room.check(); err != nil {
			t.Fatalf("%q parses to %q, which no frame may carry: %v", s, room, err)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"bob", " Zoë ", "e\u0301", "a\u202eb", "\u2000x", "\u0340", "x\u00a0y", "한글"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := ParseName(s)
		if err != nil {
			return
		}
		if again, err := ParseName(name); err != nil || again != name {
			t.Fatalf("%q parses to %q, which parses to %q, %v", s, name, again, err)
		}
		if _, err := AppendFrame(nil, Presence{Seq: 1, Name: name}); err != nil {
			t.Fatalf("%q parses to %q, which no frame may carry: %v", s, name, err)
		}
	})
}

func FuzzParsePeerID(f *testing.F) {
	f.Add(IDOf(testKey(1)).String())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParsePeerID(s)
		if err == nil && id.String() != s {
			t.Fatalf("%q parses to %v", s, id)
		}
	})
}
