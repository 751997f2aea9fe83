package machinetest

import (
	"bytes"
	"testing"
)

// RoundTrip encodes m behind something else, and checks that just what was encoded decodes: to what encodes to the same
// bytes, and neither cut off anywhere nor with a byte too many. It returns what came back.
func RoundTrip[M any](t testing.TB, m M, encode func(dst []byte, m M) ([]byte, error), decode func([]byte) (M, error)) (back M) {
	t.Helper()
	const before = "xy"
	b, err := encode([]byte(before), m)
	b, behind := bytes.CutPrefix(b, []byte(before))
	if err != nil || !behind {
		t.Fatalf("encode %#v: %v; want it behind what is there already", m, err)
	}
	back, err = decode(b)
	if err != nil {
		t.Fatalf("%#v does not decode: %v", m, err)
	}
	if again, err := encode(nil, back); err != nil || !bytes.Equal(again, b) {
		t.Errorf("%#v: %x became %x (%v)", m, b, again, err)
	}
	for i := range b {
		if _, err := decode(b[:i:i]); err == nil {
			t.Errorf("%T cut off after %d of %d bytes decodes", m, i, len(b))
		}
	}
	if _, err := decode(append(bytes.Clone(b), 0)); err == nil {
		t.Errorf("%T with a byte too many decodes", m)
	}
	return back
}
