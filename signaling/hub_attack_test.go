package signaling

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// TestANewNameIsNoLever has one peer in as many rooms as it may change its name as fast as it may.
func TestANewNameIsNoLever(t *testing.T) {
	h, now, out := NewHub(HubConfig{}), time.Unix(1000, 0), &HubOutput{}
	sent := 0
	step := func(in HubInput) {
		h.Step(now, in, out)
		sent += len(out.Send)
		out.Send, out.Close = nil, nil
	}
	for conn := ConnID(1); conn <= 34*64; conn++ {
		step(HubArrived{Conn: conn, Addr: netip.AddrFrom4([4]byte{10, byte(conn >> 8), byte(conn), 1})})
		step(HubHello{Conn: conn, Req: &HelloRequest{ID: uuid.UUID{1}, Peer: wire.PeerID{byte(conn), byte(conn >> 8), 1}, Name: "x"}})
		room := wire.Room(fmt.Sprint("room", conn%64))
		step(HubRequest{Conn: conn, Req: &JoinRequest{ID: uuid.UUID{1}, Room: room}})
		if conn <= 64 {
			step(HubRequest{Conn: 1, Req: &JoinRequest{ID: uuid.UUID{1}, Room: room}})
		}
	}
	now = now.Add(time.Minute)
	sent = 0
	for i := range 1000 {
		now = now.Add(time.Millisecond)
		step(HubRequest{Conn: 1, Req: &NameRequest{ID: uuid.UUID{1}, Name: fmt.Sprint("name", i)}})
	}
	if sent < 10_000 || sent > 40_000 {
		t.Errorf("the names that one peer took in a second made %d messages: want 10,000 to 40,000", sent)
	}
}
