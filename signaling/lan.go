package signaling

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/mdns"
)

// The DNS-SD service (RFC 6763) under which a tracker is announced on the LAN. Its TXT record says v=1, and scheme=ws
// or wss.
const lanService = "_peerchat._tcp"

// Advert is the announcement of a tracker on the LAN. It is there until Close.
type Advert struct{ servers []*mdns.Server }

// AdvertiseLAN announces t by multicast DNS on the named interfaces, on all that do multicast if none is named.
func AdvertiseLAN(t *Tracker, interfaces []string, logger *slog.Logger) (*Advert, error) {
	fail := func(err error) (*Advert, error) { return nil, fmt.Errorf("announce the tracker on the LAN: %w", err) }
	ifs, err := lanInterfaces(interfaces)
	if err != nil {
		return fail(err)
	}
	bound, _ := netip.AddrFromSlice(t.Addr().(*net.TCPAddr).IP)
	bound = bound.Unmap()
	var ips []net.IP
	for _, i := range ifs {
		for _, p := range i.prefixes {
			if (bound.IsUnspecified() || !bound.IsValid() || bound == p.Addr()) && len(ips) < 16 {
				ips = append(ips, p.Addr().AsSlice())
			}
		}
	}
	if len(ips) == 0 {
		return fail(fmt.Errorf("it listens on %v, which is no address of the LAN; listen on :%d to be found",
			t.Addr(), t.port()))
	}
	id := strings.ToLower(rand.Text()[:12])
	scheme := "ws"
	if t.secure {
		scheme = "wss"
	}
	// The host name is made up, and carries exactly these addresses: nothing is looked up.
	zone, err := mdns.NewMDNSService("peerchat-"+id, lanService, "local.", "peerchat-"+id+".local.", t.port(), ips,
		[]string{"v=1", "scheme=" + scheme})
	if err != nil {
		return fail(err)
	}
	a := new(Advert)
	var errs []error
	for _, i := range ifs {
		s, err := mdns.NewServer(&mdns.Config{Zone: zone, Iface: &i.Interface,
			Logger: log.New(debugWriter{logger}, "", 0)})
		if err != nil {
			errs = append(errs, fmt.Errorf("interface %s: %w", i.Name, err))
			continue
		}
		a.servers = append(a.servers, s)
	}
	if len(a.servers) == 0 {
		return fail(errors.Join(errs...))
	}
	return a, nil
}

// Close ends the announcement.
func (a *Advert) Close() error {
	var errs []error
	for _, s := range a.servers {
		errs = append(errs, s.Shutdown())
	}
	return errors.Join(errs...)
}

// debugWriter turns the lines of a log.Logger into debug records: the library logs every packet of every stranger
// that it does not understand.
type debugWriter struct{ log *slog.Logger }

func (w debugWriter) Write(b []byte) (int, error) {
	if w.log != nil {
		w.log.Debug("mdns", "text", clip(strings.TrimSpace(string(b))))
	}
	return len(b), nil
}

// lanInterface is a network interface with its IPv4 networks.
type lanInterface struct {
	net.Interface
	prefixes []netip.Prefix
}

// lanInterfaces are the named interfaces, or all that are up, do multicast, and are not the loopback.
func lanInterfaces(names []string) ([]lanInterface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(i net.Interface) bool { return i.Name == n }) {
			return nil, fmt.Errorf("there is no network interface %q", clip(n))
		}
	}
	var out []lanInterface
	for _, i := range all {
		if len(names) > 0 && !slices.Contains(names, i.Name) || len(names) == 0 && i.Flags&net.FlagLoopback != 0 ||
			i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		li := lanInterface{Interface: i}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
				li.prefixes = append(li.prefixes, p)
			}
		}
		if len(li.prefixes) > 0 {
			out = append(out, li)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no network interface is up that does multicast and has an IPv4 address")
	}
	return out, nil
}
