package peertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/vnet"
)

// VNet is a simulated network of hosts with one address each, for WebRTC transports (peer.RTCConfig.Net). Its addresses
// are 10.0.0.1, 10.0.0.2 … It works in a testing/synctest bubble, where time costs nothing. Tests with a VNet must not
// run in parallel: vnet counts its hardware addresses without a lock.
type VNet struct {
	// Nets are the hosts.
	Nets []transport.Net

	router *vnet.Router
	mu     sync.Mutex // guards what follows: the router calls the filter from its goroutine
	rand   *rand.Rand
	loss   float64
	cut    map[string]bool
	bytes  uint64
	watch  func(from string, packet []byte, lost bool)

	forger *vnet.Net                         // a host that has everybody's address
	conns  map[netip.AddrPort]net.PacketConn // its sockets; touched by Forge alone
	forged map[string]int                    // what it has sent that has not passed yet
}

// NewVNet makes a network of so many hosts, with a delay one way. It stops with the test.
func NewVNet(t testing.TB, hosts int, delay time.Duration, seed uint64) *VNet {
	t.Helper()
	logs := logging.NewDefaultLoggerFactory()
	logs.DefaultLogLevel = logging.LogLevelDisabled
	router, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.0.0.0/24", MinDelay: delay, LoggerFactory: logs})
	if err != nil {
		t.Fatalf("make a virtual router: %v", err)
	}
	v := &VNet{
		router: router, rand: rand.New(rand.NewPCG(seed, 0)), cut: map[string]bool{},
		conns: map[netip.AddrPort]net.PacketConn{}, forged: map[string]int{},
	}
	var addresses []string
	for i := range hosts {
		addresses = append(addresses, HostAddress(i))
	}
	// Before the others: what goes to an address goes to who has had it last.
	if v.forger, err = vnet.NewNet(&vnet.NetConfig{StaticIPs: addresses}); err == nil {
		err = router.AddNet(v.forger)
	}
	if err != nil {
		t.Fatalf("connect a virtual host that forges: %v", err)
	}
	for i := range hosts {
		n, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{HostAddress(i)}})
		if err != nil {
			t.Fatalf("make a virtual host: %v", err)
		}
		if err := router.AddNet(n); err != nil {
			t.Fatalf("connect a virtual host: %v", err)
		}
		v.Nets = append(v.Nets, n)
	}
	router.AddChunkFilter(v.pass)
	if err := router.Start(); err != nil {
		t.Fatalf("start a virtual router: %v", err)
	}
	t.Cleanup(func() { _ = router.Stop() })
	return v
}

// HostAddress is the IP address of a host.
func HostAddress(i int) string { return fmt.Sprintf("10.0.0.%d", i+1) }

// SetLoss sets which part of all packets is lost, from 0 to 1.
func (v *VNet) SetLoss(p float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.loss = p
}

// Sent is how many bytes the hosts have sent so far, from IP upwards, with what was lost.
func (v *VNet) Sent() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bytes
}

// SetCut cuts a host off, or connects it again.
func (v *VNet) SetCut(host int, cut bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cut[HostAddress(host)] = cut
}

// Watch has f see what each packet carries that a host sends, from which address, and whether it is lost; those of a
// host that is cut off are. It is called while the network waits: it must neither wait nor call the network. Nil:
// nobody watches.
func (v *VNet) Watch(f func(from string, packet []byte, lost bool)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.watch = f
}

// Forge sends a packet that looks as if it came from another host's socket, from one goroutine at a time. It is lost as
// often as others; that the other host is cut off does not matter to it.
func (v *VNet) Forge(from, to netip.AddrPort, packet []byte) error {
	conn := v.conns[from]
	if conn == nil {
		var err error
		if conn, err = v.forger.ListenUDP("udp4", net.UDPAddrFromAddrPort(from)); err != nil {
			return fmt.Errorf("take the address of another virtual host: %w", err)
		}
		v.conns[from] = conn
	}
	v.mu.Lock()
	v.forged[string(packet)]++
	v.mu.Unlock()
	_, err := conn.WriteTo(packet, net.UDPAddrFromAddrPort(to))
	return err
}

func (v *VNet) pass(c vnet.Chunk) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if packet := string(c.UserData()); v.forged[packet] > 0 {
		if v.forged[packet]--; v.forged[packet] == 0 {
			delete(v.forged, packet)
		}
		return v.loss == 0 || v.rand.Float64() >= v.loss
	}
	from := host(c.SourceAddr().String())
	cut := v.cut[from] || v.cut[host(c.DestinationAddr().String())]
	if !cut {
		v.bytes += uint64(len(c.UserData())) + 28 // IPv4 and UDP
	}
	lost := cut || v.loss > 0 && v.rand.Float64() < v.loss
	if v.watch != nil {
		v.watch(from, c.UserData(), lost)
	}
	return !lost
}

func host(hostport string) string {
	for i := range hostport {
		if hostport[i] == ':' {
			return hostport[:i]
		}
	}
	return hostport
}
