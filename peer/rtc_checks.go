package peer

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
)

// Connectivity checks of open sessions. Pion has both ends check their path once a second, whatever else passes on it:
// of the packets of a room that is silent these were four fifths. A check is there to hear of the other end (RFC 7675
// section 5.1), and its answer is as good for one end as the request is for the other; so who has just heard anything
// leaves its check out, and one end's are enough for both. Where nothing came although something was due, checks go
// more than once, so that a link outlives loss better than if both ends had always checked.

const (
	// rtcConsent is the longest that an end leaves its own checks out: a path is consented to by the answer to an own
	// check (RFC 7675, which has one sent about every 5 s), and the round trip is measured by it. It is less than the
	// time after which a silent session fails, because what is heard here is not verified: with forged packets alone
	// nobody is to end a link by them.
	rtcConsent = 3 * time.Second
	// rtcCheckCopies is how often the same check is sent at most.
	rtcCheckCopies = 4
	// rtcSlowestTick is the longest that pion waits before it looks at a path again.
	rtcSlowestTick = 2 * time.Second
	// rtcCheckHead is the length of a STUN message before its attributes (RFC 8489 section 5).
	rtcCheckHead = 20
	// rtcCheckCookie is at the fifth byte of each.
	rtcCheckCookie = 0x2112A442
)

// rtcChecks decides which checks of a session are sent.
type rtcChecks struct {
	every time.Duration // how often pion wants to send one
	waits bool          // for the other end to go first: both tick at the same time when a round trip is long

	mu    sync.Mutex // guards what follows; held for moments only
	opens bool       // the session is open: what checks are left is to find a path no more
	from  netip.AddrPort
	heard time.Time // when the last packet came, and it came from there
	asked time.Time // when a check went there last; zero: not since somebody else was heard
}

// open has checks left out from now on.
func (c *rtcChecks) open() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opens = true
}

// hear takes note of a packet.
func (c *rtcChecks) hear(from netip.AddrPort, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if from != c.from {
		c.from, c.asked = from, time.Time{}
	}
	c.heard = now
}

// copies is how often a check that is to go now is sent: not at all if something came by the path within three quarters
// of a tick; five quarters for the end that waits. Once more for each tick at which something should have come.
func (c *rtcChecks) copies(to netip.AddrPort, now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.opens || to != c.from {
		return 1
	}
	silent, due := now.Sub(c.heard), c.every*3/4
	if c.waits {
		due = c.every * 5 / 4
	}
	if silent < due && now.Sub(c.asked) < rtcConsent {
		return 0
	}
	c.asked = now
	missed := int((silent - c.every/4) / c.every)
	return 1 + min(max(missed, 0), rtcCheckCopies-1)
}

// rtcIsCheck reports whether a packet is a connectivity check that nominates nothing (RFC 8445 section 7.1).
func rtcIsCheck(b []byte) bool {
	if len(b) < rtcCheckHead || binary.BigEndian.Uint16(b) != stun.BindingRequest.Value() || binary.BigEndian.Uint32(b[4:]) != rtcCheckCookie {
		return false
	}
	for at := rtcCheckHead; at+4 <= len(b); {
		kind, n := stun.AttrType(binary.BigEndian.Uint16(b[at:])), int(binary.BigEndian.Uint16(b[at+2:]))
		if kind == stun.AttrUseCandidate {
			return false
		}
		at += 4 + (n+3)&^3
	}
	return true
}

// rtcNet is the network of one session.
type rtcNet struct {
	transport.Net
	checks *rtcChecks
}

// newRTCNet has a session's checks decide on a network; nil: the system's.
func newRTCNet(base transport.Net, checks *rtcChecks) (transport.Net, error) {
	if base == nil {
		var err error
		if base, err = stdnet.NewNet(); err != nil {
			return nil, fmt.Errorf("look at the network's interfaces: %w", err)
		}
	}
	return rtcNet{Net: base, checks: checks}, nil
}

// ListenUDP opens one of the session's sockets.
func (n rtcNet) ListenUDP(network string, laddr *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, laddr)
	if err != nil {
		return nil, err
	}
	direct, _ := conn.(*net.UDPConn)
	return rtcConn{UDPConn: conn, direct: direct, checks: n.checks}, nil
}

// rtcConn is a socket of a session. Pion reads and writes it by the methods of ice.AddrPortReaderWriter.
type rtcConn struct {
	transport.UDPConn
	direct *net.UDPConn // the same, if it is one of the system's: it needs no memory for addresses
	checks *rtcChecks
}

// ReadFromAddrPort reads a packet.
func (c rtcConn) ReadFromAddrPort(b []byte) (n int, from netip.AddrPort, err error) {
	if c.direct != nil {
		n, from, err = c.direct.ReadFromUDPAddrPort(b)
	} else {
		var addr net.Addr
		if n, addr, err = c.ReadFrom(b); err == nil {
			if udp, ok := addr.(*net.UDPAddr); ok {
				from = plainAddr(udp.AddrPort())
			}
		}
	}
	if err == nil {
		c.checks.hear(plainAddr(from), time.Now())
	}
	return n, from, err
}

// WriteToAddrPort writes a packet, or leaves it out, which looks like success: for pion such a check is one that was
// lost.
func (c rtcConn) WriteToAddrPort(b []byte, to netip.AddrPort) (n int, err error) {
	copies := 1
	if rtcIsCheck(b) {
		copies = c.checks.copies(plainAddr(to), time.Now())
	}
	n = len(b)
	for range copies {
		if c.direct != nil {
			n, err = c.direct.WriteToUDPAddrPort(b, to)
		} else {
			n, err = c.WriteTo(b, net.UDPAddrFromAddrPort(to))
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// plainAddr is an address in the one form that can be compared: IPv4 has two.
func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
