package signaling

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
)

const (
	browseFor   = 400 * time.Millisecond // how long nobody's answer is waited for
	browseAgain = 120 * time.Millisecond // when the question is repeated, as a datagram may get lost
	browseGrace = 50 * time.Millisecond  // for other answers, after the first
	maxAnswers  = 64                     // read of one interface
)

var mdnsGroup = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}

// BrowseLAN asks the LAN for trackers on the named interfaces, on all that do multicast if none is named, and returns
// their URLs. It takes 400 ms if there are none, and less if there are. What is wrong is only logged: a LAN is a
// chance, not a promise.
//
// The question is a one-shot query (RFC 6762 section 5.1) from a port of our own, so that it works beside any other
// responder on this machine. hashicorp/mdns, which answers it, cannot ask it here: its client hands out entries that
// it goes on changing.
func BrowseLAN(ctx context.Context, interfaces []string, logger *slog.Logger) []string {
	ctx, cancel := context.WithTimeout(ctx, browseFor)
	defer cancel()
	ifs, err := lanInterfaces(interfaces)
	if err != nil {
		if logger != nil {
			logger.Debug("no search on the LAN", "err", err)
		}
		return nil
	}
	found := make(chan []lanAnswer)
	var wg sync.WaitGroup
	for _, i := range ifs {
		wg.Go(func() {
			if err := i.browse(ctx, found); err != nil && logger != nil {
				logger.Debug("search on the LAN", "interface", i.Name, "err", err)
			}
		})
	}
	go func() {
		wg.Wait()
		close(found)
	}()
	var all []lanAnswer
	for a := range found {
		if len(all) == 0 && len(a) > 0 {
			time.AfterFunc(browseGrace, cancel)
		}
		all = append(all, a...)
	}
	return urlsOf(all)
}

// lanAnswer is one address of one announced tracker.
type lanAnswer struct {
	url  string
	near bool // the address is in a network of the interface that heard it
}

// urlsOf drops duplicates, and puts near addresses before others.
func urlsOf(all []lanAnswer) []string {
	var urls []string
	for _, near := range []bool{true, false} {
		for _, a := range all {
			if a.near == near && !slices.Contains(urls, a.url) {
				urls = append(urls, a.url)
			}
		}
	}
	return urls
}

func (i *lanInterface) browse(ctx context.Context, found chan<- []lanAnswer) error {
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: i.prefixes[0].Addr().AsSlice()})
	if err != nil {
		return err
	}
	defer pc.Close()
	stop := context.AfterFunc(ctx, func() { pc.SetReadDeadline(time.Unix(1, 0)) }) // it wakes the read
	defer stop()
	p := ipv4.NewPacketConn(pc)
	if err := p.SetMulticastInterface(&i.Interface); err != nil {
		return err
	}
	if err := p.SetMulticastTTL(255); err != nil {
		return err
	}
	query, err := lanQuery()
	if err != nil {
		return err
	}
	ask := func() { pc.WriteToUDP(query, mdnsGroup) } // asked twice; silence is an answer too
	ask()
	again := time.AfterFunc(browseAgain, ask)
	defer again.Stop()
	buf := make([]byte, 9000) // RFC 6762 section 17
	for range maxAnswers {
		n, from, err := pc.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if a := parseLAN(buf[:n], from.Addr().Unmap(), i.prefixes); len(a) > 0 {
			select {
			case found <- a:
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

func lanQuery() ([]byte, error) {
	const unicast = 1 << 15 // "answer me alone", RFC 6762 section 5.4
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{})
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	err := b.Question(dnsmessage.Question{
		Name: dnsmessage.MustNewName(lanService + ".local."), Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET | unicast,
	})
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

// parseLAN reads a responder's packet: trackers, at most 8, with at most 4 addresses each. An address counts only if
// it is the sender's or in one of our networks, so that a packet cannot send us anywhere else. What is odd is
// ignored.
func parseLAN(packet []byte, from netip.Addr, ours []netip.Prefix) []lanAnswer {
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil || !h.Response || h.RCode != dnsmessage.RCodeSuccess || p.SkipAllQuestions() != nil {
		return nil
	}
	type instance struct {
		port        uint16
		target      string
		scheme      string
		version, ok bool
	}
	instances := make(map[string]*instance)
	hosts := make(map[string][]netip.Addr)
	at := func(name string) *instance {
		name = strings.ToLower(name)
		if instances[name] == nil && len(instances) < 8 && strings.HasSuffix(name, "."+lanService+".local.") {
			instances[name] = new(instance)
		}
		return instances[name]
	}
	var names []string
	read := func(next func() (dnsmessage.ResourceHeader, error), skip func() error) bool {
		for range 64 {
			rh, err := next()
			if err != nil {
				return err == dnsmessage.ErrSectionDone
			}
			switch rh.Type {
			case dnsmessage.TypeSRV:
				r, err := p.SRVResource()
				if err != nil {
					return false
				}
				if i := at(rh.Name.String()); i != nil && !i.ok {
					i.port, i.target, i.ok = r.Port, strings.ToLower(r.Target.String()), true
					names = append(names, strings.ToLower(rh.Name.String()))
				}
			case dnsmessage.TypeTXT:
				r, err := p.TXTResource()
				if err != nil {
					return false
				}
				if i := at(rh.Name.String()); i != nil {
					for _, kv := range r.TXT {
						k, v, _ := strings.Cut(kv, "=")
						switch k {
						case "v":
							i.version = v == "1"
						case "scheme":
							i.scheme = v
						}
					}
				}
			case dnsmessage.TypeA:
				r, err := p.AResource()
				if err != nil {
					return false
				}
				if name := strings.ToLower(rh.Name.String()); len(hosts) < 16 && len(hosts[name]) < 16 {
					hosts[name] = append(hosts[name], netip.AddrFrom4(r.A))
				}
			default:
				if skip() != nil {
					return false
				}
			}
		}
		return false
	}
	if !read(p.AnswerHeader, p.SkipAnswer) || p.SkipAllAuthorities() != nil ||
		!read(p.AdditionalHeader, p.SkipAdditional) {
		return nil
	}
	var out []lanAnswer
	for _, name := range names {
		i := instances[name]
		if !i.version || i.port == 0 || i.scheme != "ws" && i.scheme != "wss" {
			continue
		}
		n := 0
		for _, ip := range hosts[i.target] {
			near := slices.ContainsFunc(ours, func(p netip.Prefix) bool { return p.Contains(ip) })
			if !near && ip != from || ip.IsUnspecified() || ip.IsMulticast() || n == 4 {
				continue
			}
			n++
			url, err := ParseAddr(i.scheme + "://" + net.JoinHostPort(ip.String(), strconv.Itoa(int(i.port))) + "/ws")
			if err == nil {
				out = append(out, lanAnswer{url: url, near: near})
			}
		}
	}
	return out
}
