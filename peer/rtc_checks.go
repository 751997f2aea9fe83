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
// section 5.1), and its answer is as good for one end as the request is for the other; so who has just heard of the
// other leaves its check out, and one end's are enough for both. Where nothing came although something was due, checks
// go more than once, so that a link outlives loss better than if both ends had always checked. What is heard, and what
// is not, rtc_guard.go says.

const (
	// rtcConsent is the longest that an end leaves its own checks out: a path is consented to by the answer to an own
	// check (RFC 7675, which has one sent about every 5 s), and the round trip is measured by it.
	rtcConsent = 3 * time.Second
	// rtcCheckCopies is how often the same check is sent at most.
	rtcCheckCopies = 4
	// rtcVain is how many ticks have to bring no sign of life, whatever the clock says.
	rtcVain = 3
	// rtcSlowestTick is the longest that pion waits before it looks at a path again.
	rtcSlowestTick = 2 * time.Second
	// rtcCheckHead is the length of a STUN message before its attributes (RFC 8489 section 5).
	rtcCheckHead = 20
	// rtcCheckCookie is at the fifth byte of each.
	rtcCheckCookie = 0x2112A442
)

// rtcChecks decides which checks of a session are sent, and which of its packets are taken.
type rtcChecks struct {
	every time.Duration // how often pion wants to send one
	waits bool          // for the other end to go first: both tick at the same time when a round trip is long
	fails time.Duration // after so long without a sign of life the other end is gone
	gone  func()        // is called when it is; it must neither wait nor call back

	mu    sync.Mutex // guards what follows; held for moments only
	opens bool       // the session is open: what checks are left is to find a path no more
	guard rtcGuard
	path  netip.AddrPort // the other end's address; zero: not known yet
	heard time.Time      // when there was a sign of life last
	asked time.Time      // when a check was sent last; zero: never
	vain  int            // checks since the last sign of life
}

// open has checks left out, and packets looked at, from now on.
func (c *rtcChecks) open(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opens, c.heard, c.guard.opened = true, now, now
}

// choose tells what pion has chosen to be the path, and nothing else it will be.
func (c *rtcChecks) choose(path netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.path = plainAddr(path)
}

// prove tells that something has come with the session's keys for data or for voice, which take nothing twice.
func (c *rtcChecks) prove(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guard.proved = true
	c.hear(now)
}

func (c *rtcChecks) hear(now time.Time) { c.heard, c.vain = now, 0 }

// take reports whether pion is to get a packet, and takes note of it.
func (c *rtcChecks) take(b []byte, from netip.AddrPort, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.opens || !c.path.IsValid() {
		return true
	}
	if from != c.path {
		return !c.guard.shut(now)
	}
	taken, lives := c.guard.take(b, now)
	if lives {
		c.hear(now)
	}
	return taken
}

// copies is how often a check that is to go now is sent: not at all if there was a sign of life within three quarters
// of a tick; five quarters for the end that waits. Twice more for each tick at which something should have come: where
// voice goes one way, who sends it asks alone.
func (c *rtcChecks) copies(to netip.AddrPort, now time.Time) int {
	if !c.opens || to != c.path {
		return 1
	}
	silent, due := now.Sub(c.heard), c.every*3/4
	if c.waits {
		due = c.every * 5 / 4
	}
	if silent < due && now.Sub(c.asked) < rtcConsent {
		return 0
	}
	// Pion would see it as well, but for packets that are not the other end's. A process that stood still has asked
	// nothing, and gets what has come meanwhile first.
	if silent > c.fails && c.vain >= rtcVain && c.guard.shut(now) {
		c.gone()
		return 0
	}
	c.asked = now
	c.vain++
	missed := int((silent - c.every/4) / c.every)
	return 1 + min(2*max(missed, 0), rtcCheckCopies-1)
}

// check is what is to be sent in place of a check, and how often.
func (c *rtcChecks) check(b []byte, to netip.AddrPort, now time.Time) ([]byte, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.copies(to, now)
	if n > 0 && c.opens && to == c.path {
		b = c.guard.number(b)
	}
	return b, n
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

// ReadFromAddrPort reads a packet that is to be taken.
func (c rtcConn) ReadFromAddrPort(b []byte) (n int, from netip.AddrPort, err error) {
	for {
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
		if err != nil || c.checks.take(b[:n], plainAddr(from), time.Now()) {
			return n, from, err
		}
	}
}

// WriteToAddrPort writes a packet, or leaves it out, which looks like success: for pion such a check is one that was
// lost.
func (c rtcConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	packet, copies := b, 1
	if rtcIsCheck(b) {
		packet, copies = c.checks.check(b, plainAddr(to), time.Now())
	}
	for range copies {
		var err error
		if c.direct != nil {
			_, err = c.direct.WriteToUDPAddrPort(packet, to)
		} else {
			_, err = c.WriteTo(packet, net.UDPAddrFromAddrPort(to))
		}
		if err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// plainAddr is an address in the one form that can be compared: IPv4 has two, and not everybody names the zone.
func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
