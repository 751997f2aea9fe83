package signaling

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// This file says where others would find a tracker that is on this machine.

// ownAddresses are this machine's addresses on the named interfaces, on all if none is named, without those of the
// loopback.
func ownAddresses(interfaces []string) []netip.Addr {
	all, err := net.Interfaces()
	if err != nil {
		return nil // as without any: only this machine finds the tracker
	}
	var own []netip.Addr
	for _, i := range all {
		if len(interfaces) > 0 && !slices.Contains(interfaces, i.Name) || i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					own = append(own, ip.Unmap())
				}
			}
		}
	}
	return own
}

// hostOf is the host and the port of a tracker's URL; no address where the host is a name of another machine.
func hostOf(tracker string) (ip netip.Addr, port string) {
	u, err := url.Parse(tracker)
	if err != nil {
		return netip.Addr{}, ""
	}
	if u.Hostname() == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), u.Port()
	}
	ip, err = netip.ParseAddr(u.Hostname())
	if err != nil {
		return netip.Addr{}, u.Port()
	}
	return ip.Unmap(), u.Port()
}

// onThisMachine reports whether a tracker's URL leads to this machine.
func onThisMachine(tracker string) bool {
	ip, _ := hostOf(tracker)
	return ip.IsLoopback() || ip.IsValid() && slices.Contains(ownAddresses(nil), ip)
}

// nearDial is how long a connection from this machine to itself may take.
const nearDial = 100 * time.Millisecond

// othersReach is where others reach the tracker that is at a URL from here: there, or where that is of this machine
// alone, at those of this machine's addresses that it listens on. It ends with the URL itself.
func othersReach(ctx context.Context, dial dialFunc, tracker string, interfaces []string) []string {
	ip, port := hostOf(tracker)
	if !ip.IsLoopback() {
		return []string{tracker}
	}
	u, err := url.Parse(tracker)
	if err != nil {
		return []string{tracker}
	}
	ctx, cancel := context.WithTimeout(ctx, nearDial)
	defer cancel()
	var urls []string
	for _, a := range ownAddresses(interfaces) {
		v := *u
		v.Host = net.JoinHostPort(a.String(), port)
		if len(urls) == MaxAddresses-1 {
			break
		}
		if conn, err := dial(ctx, "tcp", v.Host); err == nil {
			conn.Close()
			urls = append(urls, v.String())
		}
	}
	return append(urls, tracker)
}
