package lab

import (
	"net"
	"testing"
	"time"
)

func TestARoughCableDelaysAndLoses(t *testing.T) {
	a, b := newNet(t), newNet(t)
	r, err := NewRough(a, b, "10.0.0.1/24", "10.0.0.2/24", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var listener net.PacketConn
	if err := b.Do(func() (err error) { listener, err = net.ListenPacket("udp", "10.0.0.2:7000"); return err }); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := a.Dial("udp", "10.0.0.2:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// send sends n packets at once and returns how many came, after how long, and how many overtook others.
	send := func(n int) (came, overtook int, first time.Duration) {
		t.Helper()
		began := time.Now()
		for i := range n {
			if _, err := c.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 16)
		last := -1
		for came < n {
			if err := listener.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := listener.ReadFrom(buf); err != nil {
				return came, overtook, first
			}
			if came == 0 {
				first = time.Since(began)
			}
			if int(buf[0]) < last {
				overtook++
			}
			last = int(buf[0])
			came++
		}
		return came, overtook, first
	}
	if came, overtook, _ := send(100); came != 100 || overtook != 0 {
		t.Errorf("a smooth cable brings %d of 100 packets, %d of them out of order", came, overtook)
	}
	r.Set(Roughness{Delay: 100 * time.Millisecond, Jitter: 100 * time.Millisecond})
	if came, overtook, first := send(100); came != 100 || overtook == 0 || first < 100*time.Millisecond {
		t.Errorf("a slow cable brings %d of 100 packets, %d of them out of order, the first after %v", came, overtook, first)
	}
	r.Set(Roughness{Loss: 0.5})
	if came, _, _ := send(200); came < 60 || came > 140 {
		t.Errorf("a cable that loses half brings %d of 200 packets", came)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
