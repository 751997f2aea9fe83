package peer

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

func TestChecksAreLeftOut(t *testing.T) {
	here, there := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1")
	start := time.Unix(0, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	type step struct {
		ms   int
		to   netip.AddrPort // a check is to go; zero: there is a sign of life
		want int
	}
	heard := func(ms int) step { return step{ms: ms} }
	asked := func(ms int, to netip.AddrPort, want int) step { return step{ms: ms, to: to, want: want} }
	for name, c := range map[string]struct {
		closed, waits bool
		steps         []step
		gone          bool
	}{
		"while a path is looked for all go": {closed: true, steps: []step{heard(0), asked(1, here, 1), heard(2), asked(3, here, 1)}},
		"the first goes, those after something came do not, and after silence one does": {steps: []step{
			heard(0), asked(100, here, 1), asked(200, here, 0), asked(749, here, 0), asked(750, here, 1), heard(751), asked(1500, here, 0), asked(1501, here, 1)}},
		"those after some that were missed go more than once, within bounds": {steps: []step{
			heard(0), asked(1000, here, 1), asked(2000, here, 3), asked(3000, here, 4), asked(4000, here, 4), heard(4001), asked(4002, here, 0)}},
		"after four seconds the other end is gone": {gone: true, steps: []step{
			heard(0), asked(1000, here, 1), asked(2000, here, 3), asked(3000, here, 4), asked(4000, here, 4), asked(4001, here, 0)}},
		"who stood still looks first": {steps: []step{
			heard(0), asked(1000, here, 1), asked(90000, here, 4), asked(91000, here, 4), heard(91001), asked(91002, here, 0)}},
		"and finds that nobody is there": {gone: true, steps: []step{
			heard(0), asked(1000, here, 1), asked(90000, here, 4), asked(91000, here, 4), asked(92000, here, 0)}},
		"who waits is later, and then it is late": {waits: true, steps: []step{
			heard(0), asked(0, here, 1), asked(1000, here, 0), asked(1249, here, 0), asked(1250, here, 3), asked(2000, here, 3), heard(2001), asked(3000, here, 0)}},
		"one goes every 3 s in any case": {steps: []step{
			heard(0), asked(0, here, 1), heard(2900), asked(2999, here, 0), asked(3000, here, 1), asked(3001, here, 0)}},
		"another path is another matter": {steps: []step{
			heard(0), asked(1, here, 1), asked(2, there, 1), asked(3, there, 1), heard(4), asked(5, there, 1), asked(6, here, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			gone := false
			checks := rtcChecks{every: time.Second, waits: c.waits, fails: 4 * time.Second, gone: func() { gone = true }}
			checks.guard.checked = true
			checks.choose(here)
			if !c.closed {
				checks.open(start)
			}
			for _, s := range c.steps {
				if !s.to.IsValid() {
					checks.prove(at(s.ms))
				} else if got := checks.copies(s.to, at(s.ms)); got != s.want {
					t.Errorf("after %d ms a check went %d times, not %d", s.ms, got, s.want)
				}
			}
			if gone != c.gone {
				t.Errorf("that the other end is gone was told: %v", gone)
			}
		})
	}
}

func TestChecksAreKnown(t *testing.T) {
	build := func(with ...stun.Setter) []byte {
		m, err := stun.Build(with...)
		if err != nil {
			t.Fatal(err)
		}
		return m.Raw
	}
	user, key := stun.NewUsername("abc:defgh"), stun.NewShortTermIntegrity("key")
	nominates := stun.RawAttribute{Type: stun.AttrUseCandidate}
	check := build(stun.BindingRequest, stun.TransactionID, user, key, stun.Fingerprint)
	if !rtcIsCheck(check) {
		t.Error("a check is not known for one")
	}
	for name, b := range map[string][]byte{
		"an answer":             build(stun.BindingSuccess, stun.TransactionID, key, stun.Fingerprint),
		"an indication":         build(stun.NewType(stun.MethodBinding, stun.ClassIndication), stun.TransactionID),
		"a nomination":          build(stun.BindingRequest, stun.TransactionID, user, nominates, key, stun.Fingerprint),
		"nothing":               nil,
		"a check cut short":     check[:19],
		"a record of DTLS":      {20: 0, 0: 23},
		"no cookie of RFC 8489": append([]byte{0, 1, 0, 0, 1}, make([]byte, 15)...),
	} {
		if rtcIsCheck(b) {
			t.Errorf("%s is taken for a check", name)
		}
	}
}
