package cbor

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"peerchat/peer/cbor/cbortest"
)

// The examples of RFC 8949 appendix A that are of the types we write.
func TestAppendWritesTheExamplesOfTheRFC(t *testing.T) {
	for want, b := range map[string][]byte{
		"00":                 AppendUint(nil, 0),
		"17":                 AppendUint(nil, 23),
		"1818":               AppendUint(nil, 24),
		"1864":               AppendUint(nil, 100),
		"1903e8":             AppendUint(nil, 1000),
		"1a000f4240":         AppendUint(nil, 1000000),
		"1b000000e8d4a51000": AppendUint(nil, 1000000000000),
		"1bffffffffffffffff": AppendUint(nil, math.MaxUint64),
		"f4":                 AppendBool(nil, false),
		"f5":                 AppendBool(nil, true),
		"40":                 AppendBytes(nil, nil),
		"4401020304":         AppendBytes(nil, []byte{1, 2, 3, 4}),
		"60":                 AppendText(nil, ""),
		"6449455446":         AppendText(nil, "IETF"),
		"62c3bc":             AppendText(nil, "ü"),
		"80":                 AppendArray(nil, 0),
		"83010203":           AppendUint(AppendUint(AppendUint(AppendArray(nil, 3), 1), 2), 3),
	} {
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("wrote %s, the RFC %s", got, want)
		}
		cbortest.WantDeterministic(t, want, b)
	}
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	for _, n := range []uint64{0, 23, 24, 0xff, 0x100, 0xffff, 0x10000, 0xffffffff, 0x100000000, math.MaxUint64} {
		r := NewReader(AppendUint(nil, n))
		if got := r.Uint("n", n, n); got != n || r.End() != nil {
			t.Errorf("%d came back as %d, %v", n, got, r.Err())
		}
	}
	for _, n := range []int{0, 1, 23, 24, 300, 70_000} {
		long := bytes.Repeat([]byte{'x'}, n)
		r := NewReader(AppendBool(AppendText(AppendBytes(AppendArray(nil, 3), long), string(long)), true))
		items, b, s, v := r.Array("array", 3, 3), r.Bytes("bytes", n, n), r.Text("text", n, n), r.Bool("flag")
		if items != 3 || !bytes.Equal(b, long) || !bytes.Equal(s, long) || !v || r.End() != nil {
			t.Errorf("an array of %d bytes, as many as a text, and true came back as %d items of %d and %d bytes, and %v: %v", n, items, len(b), len(s), v, r.Err())
		}
	}
}

func TestWhatIsNotDeterministicOrNotWantedIsRefused(t *testing.T) {
	number := func(r *Reader) { r.Uint("it", 2, math.MaxUint64-1) }
	array := func(r *Reader) { r.Array("it", 1, 100) }
	byteString := func(r *Reader) { r.Bytes("it", 1, 100) }
	text := func(r *Reader) { r.Text("it", 1, 100) }
	flag := func(r *Reader) { r.Bool("it") }
	for _, c := range []struct {
		hex  string
		read func(*Reader)
		want string // in the error
	}{
		{"", number, "ends in the middle"},
		{"18", number, "ends in the middle"},
		{"1bffffffffffffff", number, "ends in the middle"},
		{"1817", number, "deterministic"},
		{"1900ff", number, "deterministic"},
		{"1a0000ffff", number, "deterministic"},
		{"1b00000000ffffffff", number, "deterministic"},
		{"1c", number, "deterministic"}, // reserved
		{"20", number, "wrong type (0x20)"},
		{"01", number, "it is 1: want 2 to"},
		{"1bffffffffffffffff", number, "it is 18446744073709551615: want 2 to"},
		{"9f01ff", array, "deterministic"}, // of indefinite length
		{"8101", byteString, "wrong type (0x81)"},
		{"80", array, "it has 0 items: want 1 to 100"},
		{"9bffffffffffffffff", array, "it has 18446744073709551615 items"},
		{"82", array, "ends in the middle"},
		{"1864", array, "wrong type"},
		{"4142", text, "wrong type"},
		{"40", byteString, "it is 0 bytes long: want 1 to 100"},
		{"4201", byteString, "ends in the middle"},
		{"5bffffffffffffffff", byteString, "it is 18446744073709551615 bytes long"},
		{"61ff", text, "not valid UTF-8"},
		{"", flag, "ends in the middle"},
		{"f6", flag, "wrong type (0xf6)"}, // null
		{"01", flag, "wrong type"},
		{"0203", number, "more follows its end (1 B)"},
	} {
		b, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(b)
		c.read(&r)
		if err := r.End(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s gave %v; want an error with %q", c.hex, err, c.want)
		}
	}
}

func TestTheFirstErrorSticks(t *testing.T) {
	r := NewReader([]byte{0x61, 'a', 0x41, 7, 0x05})
	r.Uint("the first", 0, 9)
	first := r.Err()
	dst := []byte{9}
	r.Fill("the second", dst)
	r.Fail(errors.New("the third"))
	if n := r.Uint("the fourth", 0, 9); n != 0 || dst[0] != 9 || r.Len() != 0 {
		t.Errorf("after an error a number is %d, a byte %d, and %d bytes are left: want 0, 9 as it was, and 0", n, dst[0], r.Len())
	}
	if err := r.End(); err == nil || err != first || !strings.Contains(err.Error(), "the first") {
		t.Errorf("the error is %v: want the first", err)
	}
}

// Whatever is read was written in the only way there is.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"00", "1903e8", "4401020304", "62c3bc", "8301f540", "1817", "9f", "5b7fffffffffffffff"} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		r := NewReader(b)
		for rest := b; len(rest) > 0 && r.Err() == nil; rest = b[len(b)-r.Len():] {
			switch rest[0] & 0xe0 {
			case majorUint:
				again = AppendUint(again, r.Uint("number", 0, math.MaxUint64))
			case majorBytes:
				again = AppendBytes(again, r.Bytes("bytes", 0, math.MaxInt))
			case majorText:
				again = AppendText(again, string(r.Text("text", 0, math.MaxInt)))
			case majorArray:
				again = AppendArray(again, r.Array("array", 0, math.MaxInt))
			default:
				again = AppendBool(again, r.Bool("flag"))
			}
		}
		if r.Err() == nil && !bytes.Equal(again, b) {
			t.Errorf("%x was read, and is written as %x", b, again)
		}
	})
}
