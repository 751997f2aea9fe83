package signaling

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ParseAddr reads a tracker's address as people write it and returns its URL: "host", "host:port", IPv4, IPv6 with or
// without brackets, "ws://…" or "wss://…". The port is DefaultPort and the path "/ws" where none is given. Parsing a
// URL that it returned returns the same.
func ParseAddr(s string) (string, error) {
	bad := func(why string) (string, error) {
		return "", fmt.Errorf("tracker address %q: %s; give a host or host:port, "+
			"such as 192.168.1.20:%d, [fd00::1]:%d or wss://chat.example.org",
			clip(s), why, DefaultPort, DefaultPort)
	}
	rest := strings.TrimSpace(s)
	if rest == "" {
		return bad("it is empty")
	}
	if len(rest) > 300 {
		return bad("it is too long")
	}
	for _, r := range rest {
		if r <= ' ' || r == 0x7f || r > 0x7e {
			return bad(fmt.Sprintf("character %U has no place in it", r))
		}
	}
	scheme := "ws"
	if i := strings.Index(rest, "://"); i >= 0 {
		scheme, rest = strings.ToLower(rest[:i]), rest[i+3:]
		if scheme != "ws" && scheme != "wss" {
			return bad(fmt.Sprintf("%q is not a scheme of trackers, which are ws:// and wss://", clip(scheme)))
		}
	}
	path := "/ws"
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		if rest[i] != '/' || strings.ContainsAny(rest[i:], "?#") {
			return bad("a tracker's URL has no query and no fragment")
		}
		if rest[i:] != "/" {
			path = rest[i:]
		}
		rest = rest[:i]
	}
	u, err := url.Parse("ws://h" + path)
	if err != nil || u.EscapedPath() != path {
		return bad("its path is malformed")
	}
	if strings.Contains(rest, "@") {
		return bad("a tracker's URL has no user name")
	}
	host, port, why := splitHost(rest)
	if why != "" {
		return bad(why)
	}
	host = strings.Replace(host, "%", "%25", 1) // RFC 6874
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port)) + path, nil
}

// splitHost takes host[:port] apart, and says what is wrong with it if something is.
func splitHost(s string) (host string, port int, why string) {
	port = DefaultPort
	s = strings.Replace(s, "%25", "%", 1)
	if ip, err := netip.ParseAddr(s); err == nil && ip.Is6() {
		return ip6(ip, port)
	}
	host, p := s, ""
	switch i := strings.LastIndexByte(s, ':'); {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", 0, "the bracket is not closed"
		}
		host = s[1:end]
		if tail := s[end+1:]; tail != "" {
			if tail[0] != ':' || tail == ":" {
				return "", 0, "after ] comes nothing, or a colon and a port"
			}
			p = tail[1:]
		}
	case i >= 0 && strings.IndexByte(s, ':') != i:
		return "", 0, "it has several colons but is no IPv6 address; write IPv6 with a port as [address]:port"
	case i >= 0:
		if host, p = s[:i], s[i+1:]; p == "" {
			return "", 0, "the port after the colon is missing"
		}
	}
	if p != "" {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil || n < 1 || n > 65535 || p[0] == '+' {
			return "", 0, fmt.Sprintf("port %q is not a number from 1 to 65535", clip(p))
		}
		port = int(n)
	}
	if strings.HasPrefix(s, "[") {
		ip, err := netip.ParseAddr(host)
		if err != nil || !ip.Is6() {
			return "", 0, "between the brackets is no IPv6 address"
		}
		return ip6(ip, port)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), port, ""
	}
	return strings.ToLower(host), port, hostName(host)
}

func ip6(ip netip.Addr, port int) (string, int, string) {
	for _, c := range ip.Zone() {
		if !isWord(byte(c)) {
			return "", 0, "the zone after % is no interface name"
		}
	}
	return ip.String(), port, ""
}

// hostName says what is wrong with a host name (RFC 1123 section 2.1), or nothing.
func hostName(s string) string {
	if s == "" {
		return "the host is missing"
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	digits := true
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return fmt.Sprintf("%q is no host name", clip(s))
		}
		for i := range len(l) {
			if !isWord(l[i]) {
				return fmt.Sprintf("%q is no host name: %q has no place in it", clip(s), l[i])
			}
		}
	}
	for _, c := range labels[len(labels)-1] {
		digits = digits && c >= '0' && c <= '9'
	}
	if digits {
		return fmt.Sprintf("%q is no IPv4 address: want four numbers from 0 to 255", clip(s))
	}
	return ""
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
