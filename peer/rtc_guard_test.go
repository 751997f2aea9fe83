package peer

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// numbered is a check as the other end of a guard's session sends it.
func numbered(t *testing.T, here *rtcGuard) []byte {
	t.Helper()
	there := rtcGuard{local: here.remote, remote: here.local, sent: here.last}
	return there.number(built(t, stun.BindingRequest, stun.NewUsername("a:b"), stun.NewShortTermIntegrity(here.local), stun.Fingerprint))
}

func built(t *testing.T, with ...stun.Setter) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.TransactionID}, with...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// answered is what the other end answers to a check.
func answered(t *testing.T, check []byte, key string) []byte {
	t.Helper()
	m := stun.Message{Raw: slices.Clone(check)}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	return built(t, stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess, stun.NewShortTermIntegrity(key), stun.Fingerprint)
}

// with is a STUN message and another attribute behind all that is protected.
func with(t *testing.T, b []byte, kind stun.AttrType, value []byte) []byte {
	t.Helper()
	m := stun.Message{Raw: slices.Clone(b)}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	m.Add(kind, value)
	m.WriteHeader()
	return m.Raw
}

func TestGuardTakesChecksOnce(t *testing.T) {
	now := time.Unix(0, 0)
	g := rtcGuard{local: "here", remote: "there", opened: now, proved: true, checked: true}
	want := func(what string, b []byte, taken, lives bool) {
		t.Helper()
		if gotTaken, gotLives := g.take(b, now); gotTaken != taken || gotLives != lives {
			t.Errorf("%s: taken %v and a sign of life %v, want %v and %v", what, gotTaken, gotLives, taken, lives)
		}
	}
	key, number := stun.NewShortTermIntegrity("here"), binary.BigEndian.AppendUint64(nil, 100)
	old := built(t, stun.BindingRequest, key, stun.Fingerprint)
	want("a check of who sends no numbers", old, true, false)
	want("its number behind the integrity", with(t, old, rtcNumber, number), true, false)
	want("its number between integrity and fingerprint", built(t, stun.BindingRequest, key, stun.RawAttribute{Type: rtcNumber, Value: number}, stun.Fingerprint), true, false)
	first := numbered(t, &g)
	want("a check", first, true, true)
	for range rtcCheckCopies - 1 {
		want("its copy", first, true, false)
	}
	want("a copy too many", first, false, false)
	want("the next check", numbered(t, &g), true, true)
	want("the one before again", first, false, false)
	want("one without a number after those that have one", old, false, false)
	want("one with a short number", built(t, stun.BindingRequest, stun.RawAttribute{Type: rtcNumber, Value: number[:7]}, key), false, false)
	want("one with a wrong key", built(t, stun.BindingRequest, stun.RawAttribute{Type: rtcNumber, Value: number}, stun.NewShortTermIntegrity("guess")), false, false)
	want("one without a key", built(t, stun.BindingRequest, stun.RawAttribute{Type: rtcNumber, Value: number}), false, false)
	want("an indication", built(t, stun.NewType(stun.MethodBinding, stun.ClassIndication), key), false, false)
	want("a message that is cut short", first[:len(first)-1], false, false)
}

func TestGuardTakesAnswersOnce(t *testing.T) {
	now := time.Unix(0, 0)
	g := rtcGuard{local: "here", remote: "there", opened: now, proved: true, checked: true}
	check := built(t, stun.BindingRequest, stun.NewShortTermIntegrity("there"), stun.Fingerprint)
	m := stun.Message{Raw: g.number(check)}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	if err := stun.NewShortTermIntegrity("there").Check(&m); err != nil {
		t.Errorf("a check with a number has a wrong integrity: %v", err)
	}
	if err := stun.Fingerprint.Check(&m); err != nil {
		t.Errorf("a check with a number has a wrong fingerprint: %v", err)
	}
	for _, s := range []struct {
		what        string
		b           []byte
		taken, life bool
	}{
		{"an answer with a wrong key", answered(t, check, "guess"), false, false},
		{"an answer to nothing that was asked", answered(t, built(t, stun.BindingRequest), "there"), false, false},
		{"an answer", answered(t, check, "there"), true, true},
		{"the same answer", answered(t, check, "there"), false, false},
	} {
		if taken, life := g.take(s.b, now); taken != s.taken || life != s.life {
			t.Errorf("%s: taken %v and a sign of life %v, want %v and %v", s.what, taken, life, s.taken, s.life)
		}
	}
	for range 100 {
		g.number(built(t, stun.BindingRequest))
	}
	if len(g.pending) != rtcPending {
		t.Errorf("%d checks without an answer are remembered, want %d", len(g.pending), rtcPending)
	}
}

func TestGuardTakesWhatNeedsKeys(t *testing.T) {
	record := func(kind, major, minor byte, epoch uint16, length, content int) []byte {
		b := append(binary.BigEndian.AppendUint16([]byte{kind, major, minor}, epoch), make([]byte, 6)...)
		return append(binary.BigEndian.AppendUint16(b, uint16(length)), make([]byte, content)...)
	}
	data := record(23, 254, 253, 1, 40, 40)
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"data":                      {data, true},
		"an alert":                  {record(21, 254, 253, 1, 26, 26), true},
		"the end of a handshake":    {record(22, 254, 253, 1, 40, 40), true},
		"two records":               {slices.Concat(data, data), true},
		"voice":                     {[]byte{128, 107, 0}, true},
		"data in the clear":         {record(23, 254, 253, 0, 40, 40), false},
		"an alert in the clear":     {record(21, 254, 253, 0, 2, 2), false},
		"a second one in it":        {slices.Concat(data, record(21, 254, 253, 0, 2, 2)), false},
		"a change of keys":          {record(20, 254, 253, 1, 1, 1), false},
		"a connection ID":           {record(25, 254, 253, 1, 40, 40), false},
		"the keys that are next":    {record(23, 254, 253, 2, 40, 40), false},
		"another version":           {record(23, 254, 255, 1, 40, 40), false},
		"a version that is none":    {record(23, 3, 3, 1, 40, 40), false},
		"a record that is too long": {record(23, 254, 253, 1, 41, 40), false},
		"a record with a tail":      {append(slices.Clone(data), 23), false},
		"an empty record":           {record(23, 254, 253, 1, 0, 0), false},
		"half a head":               {data[:12], false},
		"nothing":                   {nil, false},
		"noise":                     {[]byte{200, 1, 2, 3}, false},
		"what nobody sends":         {[]byte{80, 1, 2, 3}, false},
	} {
		now := time.Unix(0, 0)
		g := rtcGuard{opened: now, checked: true}
		if taken, lives := g.take(c.b, now); !taken || !lives {
			t.Errorf("before the other end has proven its keys, %s is taken %v and a sign of life %v", name, taken, lives)
		}
		if taken, lives := g.take(c.b, now.Add(rtcSettled+1)); taken != c.want || lives {
			t.Errorf("after long silence, %s is taken %v and a sign of life %v", name, taken, lives)
		}
		g.proved = true
		if taken, lives := g.take(c.b, now); taken != c.want || lives {
			t.Errorf("%s is taken %v and a sign of life %v, want %v and no", name, taken, lives, c.want)
		}
	}
}

// What was recorded and is sent again from elsewhere would give pion one more address to look at each time, and could
// have it move there.
func TestNothingIsTakenFromElsewhere(t *testing.T) {
	here, there := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.1:2")
	now := time.Unix(0, 0)
	c := rtcChecks{every: time.Second, fails: 4 * time.Second, guard: rtcGuard{local: "here", remote: "there", checked: true}}
	check := numbered(t, &c.guard)
	if !c.take(check, there, now) {
		t.Error("while a path is looked for, a check from anywhere is not taken")
	}
	c.choose(here)
	c.open(now)
	if !c.take(check, there, now) {
		t.Error("before the other end has proven its keys, a check from anywhere is not taken")
	}
	c.prove(now)
	if c.take(check, there, now) {
		t.Error("a check from elsewhere is taken")
	}
	if !c.take(check, here, now) {
		t.Error("a check by the path is not taken")
	}
}
