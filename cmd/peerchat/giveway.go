package main

import (
	"context"
	"net"
	"net/netip"
	"net/url"

	"peerchat/signaling"
)

// givesWayTo is, while this peer hosts, the tracker on the LAN that it must give way to, if there is one: two machines
// that started at the same moment would else sit in two rooms of the same name for good. Of all that hear each other the one
// with the lowest address stays.
func (f *finder) givesWayTo(ctx context.Context) []string {
	f.mu.Lock()
	hosts := f.hosted != nil && !f.hosted.moved
	f.mu.Unlock()
	if !hosts {
		return nil
	}
	return lowerThanOwn(signaling.BrowseLAN(ctx, f.settings.Interface, f.logger), ownPrefixes())
}

// lowerThanOwn returns, as a list of one, the tracker with the lowest address of those found in a network of ours, unless an
// address of ours in one of these networks is lower still. Because both sides of two compare the same addresses,
// exactly one of them gives way, and there are no rings of more.
func lowerThanOwn(found []string, own []netip.Prefix) []string {
	var lowest netip.Addr
	var best string
	take := func(a netip.Addr, tracker string) {
		if !lowest.IsValid() || a.Less(lowest) {
			lowest, best = a, tracker
		}
	}
	for _, tracker := range found {
		u, err := url.Parse(tracker)
		if err != nil {
			continue
		}
		a, err := netip.ParseAddr(u.Hostname())
		if err != nil {
			continue // LAN answers are addresses; a name is none of ours to judge
		}
		ours, shared := false, false
		for _, p := range own {
			ours = ours || p.Addr() == a
			shared = shared || p.Contains(a)
		}
		if ours || !shared {
			continue
		}
		take(a, tracker)
		for _, p := range own {
			if p.Contains(a) {
				take(p.Addr(), "")
			}
		}
	}
	if best == "" {
		return nil
	}
	return []string{best}
}

// ownPrefixes are this machine's addresses with the networks they are in.
func ownPrefixes() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // as without any: nobody is given way to
	}
	var own []netip.Prefix
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if addr, ok := netip.AddrFromSlice(n.IP); ok {
			bits, _ := n.Mask.Size()
			own = append(own, netip.PrefixFrom(addr.Unmap(), bits))
		}
	}
	return own
}
