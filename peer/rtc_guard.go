package peer

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/pion/stun/v4"
)

// What an open session hears. The address that a packet seems to come from proves nothing, where whoever likes can send
// in another's name. For pion (ICE v4.4.2, handleInboundPacket) whatever comes from there is a sign of life: so a link
// whose other end is gone could be kept alive. And DTLS (v3.1.8, handleIncomingPacket) takes alerts and data in the
// clear though there are keys, and gives up: so a single packet could end a link. Therefore, once the other end has
// proven its keys,
//
//   - nothing is taken but what comes by the chosen path, and can be what the other end sends there;
//   - checks and answers must have the right key (RFC 8445 section 7), and be new: checks have a number (rtcNumber),
//     answers the transaction of a check that went out. Of a check as many copies are taken as are sent at most;
//   - only these are signs of life, and what was decrypted. What is for DTLS or SRTP is passed on, for them to judge.
//
// Before, pion takes what it takes: who ends handshakes in another's name has to be quick, and they are tried again.

const (
	// rtcNumber is the attribute of a check that has its number, in eight bytes; each is greater than the one before.
	// Who does not know it ignores it (RFC 8489 section 14); one who sends none has to be checked by both ends.
	rtcNumber = stun.AttrType(0xC7AC)
	// rtcSettled is how long after the session has opened the other end can no more need what is in the clear, though
	// nothing has come: it has given up its handshake by then.
	rtcSettled = 2 * rtcDefaultOpen
	// rtcPending is how many own checks may be without an answer; pion knows them no longer than 4 s.
	rtcPending = 8
	// rtcDTLSHead is the length of a record of DTLS before its content (RFC 6347 section 4.1).
	rtcDTLSHead = 13
)

// rtcGuard judges the packets of a session that come by its path.
type rtcGuard struct {
	local, remote string // the keys of checks that are answered here, and there; set before the session is open

	opened  time.Time
	proved  bool // something has come that was encrypted
	checked bool // a check or an answer had the right key, so these are known

	sent    uint64 // the number of the last check
	pending [][stun.TransactionIDSize]byte
	last    uint64 // the greatest number of a check that came
	copies  int    // how often
}

// shut reports whether no packet is taken any more that need not be the other end's.
func (g *rtcGuard) shut(now time.Time) bool {
	return g.checked && (g.proved || now.Sub(g.opened) > rtcSettled)
}

// take reports whether pion is to get a packet, and whether it is a sign of life. The first byte tells what it is for
// (RFC 7983). Until the session is shut, everything is both.
func (g *rtcGuard) take(b []byte, now time.Time) (taken, lives bool) {
	switch {
	case len(b) > 0 && b[0] < 4:
		taken, lives = g.takeSTUN(b)
	case len(b) > 0 && b[0] >= 20 && b[0] < 64:
		taken = rtcSealed(b)
	case len(b) > 0 && b[0] >= 128 && b[0] < 192:
		taken = true
	}
	open := !g.shut(now)
	return taken || open, lives || open
}

// takeSTUN judges a check or an answer. What comes behind the integrity, and so is not protected by it, Decode leaves
// out, here and for pion.
func (g *rtcGuard) takeSTUN(b []byte) (taken, lives bool) {
	m := stun.Message{Raw: slices.Clone(b)}
	if !stun.IsMessage(b) || m.Decode() != nil {
		return false, false
	}
	switch m.Type {
	case stun.BindingRequest:
		if stun.NewShortTermIntegrity(g.local).Check(&m) != nil {
			return false, false
		}
		g.checked = true
		return g.takeNumber(&m)
	case stun.BindingSuccess, stun.BindingError:
		if stun.NewShortTermIntegrity(g.remote).Check(&m) != nil {
			return false, false
		}
		g.checked = true
		at := slices.Index(g.pending, m.TransactionID)
		if at < 0 {
			return false, false
		}
		g.pending = slices.Delete(g.pending, at, at+1)
		return true, true
	}
	return false, false
}

// takeNumber judges a check that has the right key by its number. The copies of the last one are taken, because each
// answer may be lost.
func (g *rtcGuard) takeNumber(m *stun.Message) (taken, lives bool) {
	value, err := m.Get(rtcNumber)
	if err != nil {
		return g.last == 0, false
	}
	if len(value) != 8 {
		return false, false
	}
	number := binary.BigEndian.Uint64(value)
	switch {
	case number > g.last:
		g.last, g.copies = number, 1
		return true, true
	case number == g.last && g.copies < rtcCheckCopies:
		g.copies++
		return true, false
	}
	return false, false
}

// number gives a check its number, and remembers it; one that cannot be read stays as it is.
func (g *rtcGuard) number(b []byte) []byte {
	m := stun.Message{Raw: slices.Clone(b)}
	if m.Decode() != nil {
		return b
	}
	if len(g.pending) == rtcPending {
		g.pending = slices.Delete(g.pending, 0, 1)
	}
	g.pending = append(g.pending, m.TransactionID)
	with := []stun.Setter{m.Type, stun.NewTransactionIDSetter(m.TransactionID)}
	for _, a := range m.Attributes {
		if a.Type != stun.AttrMessageIntegrity && a.Type != stun.AttrFingerprint {
			with = append(with, a)
		}
	}
	g.sent++
	with = append(with, stun.RawAttribute{Type: rtcNumber, Value: binary.BigEndian.AppendUint64(nil, g.sent)},
		stun.NewShortTermIntegrity(g.remote), stun.Fingerprint)
	built, err := stun.Build(with...)
	if err != nil {
		return b
	}
	return built.Raw
}

// rtcSealed reports whether a packet is made of records of DTLS 1.2 that need the keys of a handshake that is over: the
// first ones, because there is no second handshake. Pion takes a change of keys in the clear at any time.
func rtcSealed(b []byte) bool {
	for len(b) > 0 {
		if len(b) < rtcDTLSHead || b[0] < 21 || b[0] > 23 || b[1] != 254 || b[2] != 253 || binary.BigEndian.Uint16(b[3:]) != 1 {
			return false
		}
		n := rtcDTLSHead + int(binary.BigEndian.Uint16(b[11:]))
		if n == rtcDTLSHead || n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}
