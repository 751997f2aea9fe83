package signaling

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/pion/stun/v4"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// stunRate bounds the STUN answers a second in all: a forged source must not make the tracker a means against a third
// party.
const stunRate = 5000

// serveSTUN answers binding requests (RFC 8489 section 2) with the address they came from. It keeps no state, answers
// with 32 or 44 bytes to at least 20, and ignores everything else.
func serveSTUN(pc net.PacketConn, answered prometheus.Counter, stop <-chan struct{}) {
	buf := make([]byte, 1500)
	req, res := new(stun.Message), new(stun.Message)
	may := rate.NewLimiter(stunRate, stunRate)
	for {
		n, from, err := pc.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // an ICMP error of somebody's, say: of no concern to the next packet
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			continue
		}
		udp, ok := from.(*net.UDPAddr)
		if !ok || !stun.IsMessage(buf[:n]) {
			continue
		}
		req.Reset()
		if _, err := req.Write(buf[:n]); err != nil || req.Type != stun.BindingRequest {
			continue
		}
		if !may.AllowN(time.Now(), 1) {
			continue
		}
		res.Reset()
		res.TransactionID = req.TransactionID
		res.Type = stun.BindingSuccess
		res.WriteHeader()
		if (&stun.XORMappedAddress{IP: udp.IP, Port: udp.Port}).AddTo(res) != nil {
			continue
		}
		if _, err := pc.WriteTo(res.Raw, from); err == nil {
			answered.Inc()
		}
	}
}

// stunURLs is where a client finds STUN: by the name under which it found the tracker, unless that is known better.
func (t *Tracker) stunURLs(c *conn) []string {
	_, udp := t.sockets.get()
	if udp == nil {
		return nil
	}
	port := udp.LocalAddr().(*net.UDPAddr).Port
	host := t.cfg.PublicAddr
	if host == "" {
		if h, _, err := net.SplitHostPort(c.host); err == nil {
			host = h
		} else {
			host = c.host
		}
		// The Host header is the client's word; it goes back to nobody but the client, and only if it can be a host.
		if u, err := ParseAddr(net.JoinHostPort(host, "5000")); err != nil || u == "" {
			host = ""
		}
	}
	if host == "" {
		local, err := netip.ParseAddrPort(c.nc.LocalAddr().String())
		if err != nil {
			return nil
		}
		host = local.Addr().Unmap().String()
	}
	return []string{"stun:" + net.JoinHostPort(host, strconv.Itoa(port))}
}
