package signaling

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// TestKeptSignalsAreBounded has many peers send to many that are expected back, more than is kept for each and in all.
func TestKeptSignalsAreBounded(t *testing.T) {
	h, now, out := NewHub(HubConfig{Standby: true, Limits: Limits{Rate: -1}}), time.Unix(1000, 0), &HubOutput{}
	peer := func(n int) wire.PeerID { return wire.PeerID{1, byte(n), byte(n >> 8)} }
	step := func(in HubInput) []HubSend {
		out.Send = nil
		h.Step(now, in, out)
		return out.Send
	}
	arrive := func(conn ConnID, id wire.PeerID) []HubSend {
		step(HubArrived{Conn: conn, Addr: netip.MustParseAddr("10.0.0.1")})
		return step(HubHello{Conn: conn, Req: &HelloRequest{ID: uuid.UUID{1}, Peer: id, Name: "x"}})
	}
	var members []Restored
	for n := range MaxRestored + 100 {
		members = append(members, Restored{Peer: peer(n), Name: "x", Rooms: []wire.Room{"general"}})
	}
	step(HubServe{Term: 1, Members: members})
	if h.Peers() != MaxRestored {
		t.Fatalf("%d members are taken over, got %d", MaxRestored, h.Peers())
	}
	arrive(1, wire.PeerID{9})
	signal := func(n int, data []byte) (refused bool) {
		sent := step(HubRequest{Conn: 1, Req: &SignalRequest{ID: uuid.UUID{1}, To: peer(n), Data: data}})
		if len(sent) == 1 && sent[0].Msg.(*Answer).Status != NotFound || len(sent) > 1 {
			t.Fatalf("a signal to an expected peer is kept without a word, or NOT_FOUND; got %+v", sent[0].Msg)
		}
		return len(sent) == 1
	}
	kept := 0
	for n := range 300 {
		for i := range 10 {
			refused := signal(n, []byte(`1`))
			if !refused {
				kept++
			}
			if want := i >= maxKeptPeer || n >= maxKept/maxKeptPeer; refused != want {
				t.Fatalf("signal %d to peer %d refused: %v, want %v", i, n, refused, want)
			}
		}
	}
	if kept != maxKept {
		t.Errorf("%d signals are kept in all, got %d", maxKept, kept)
	}
	if got := len(arrive(2, peer(5))); got != 1+2*maxKeptPeer {
		t.Errorf("peer 5 is admitted and gets its %d signals, their sender the answers; got %d messages", maxKeptPeer, got)
	}
	now = now.Add(keepTime)
	if got := len(step(HubTick{})); got != maxKept-maxKeptPeer {
		t.Errorf("after %v the %d others are refused, got %d messages", keepTime, maxKept-maxKeptPeer, got)
	}
	big, kept := make([]byte, MaxData), 0
	for n := 10; n < 300; n++ {
		one := 0
		for range 4 {
			if !signal(n, big) {
				one += len(big)
			}
		}
		if kept += one; one > maxKeptPeerBytes {
			t.Fatalf("%d bytes are kept for one peer, want at most %d", one, maxKeptPeerBytes)
		}
	}
	if kept > maxKeptBytes || kept < maxKeptBytes-MaxData {
		t.Errorf("%d bytes are kept in all, want about %d", kept, maxKeptBytes)
	}
	step(HubDropped{Conn: 1, Seen: now})
	now = now.Add(time.Minute)
	if step(HubTick{}); len(h.kept) != 0 || h.keptBytes != 0 || h.Peers() != 1 {
		t.Errorf("nothing is left of those who never came: %d signals, %d bytes, %d peers", len(h.kept), h.keptBytes, h.Peers())
	}
}

// TestDialsAreBounded has more clients ask to be dialled than may be at once.
func TestDialsAreBounded(t *testing.T) {
	h, now, out := NewHub(HubConfig{}), time.Unix(1000, 0), &HubOutput{}
	for conn := ConnID(1); conn <= 2*maxDials; conn++ {
		h.Step(now, HubArrived{Conn: conn, Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(conn)})}, out)
		h.Step(now, HubHello{Conn: conn, Req: &HelloRequest{ID: uuid.UUID{1}, Peer: wire.PeerID{byte(conn)}, Name: "x"}}, out)
		h.Step(now, HubRequest{Conn: conn, Req: &DialbackRequest{ID: uuid.UUID{1}, Port: 1}}, out)
		// To go and to come back makes no more room.
		h.Step(now, HubDropped{Conn: conn, Seen: now}, out)
	}
	if len(out.Dial) != maxDials {
		t.Fatalf("at most %d are dialled at once, got %d", maxDials, len(out.Dial))
	}
	for _, d := range out.Dial {
		h.Step(now, HubDialled{Conn: d.Conn, ID: d.ID}, out)
	}
	if h.dialling != 0 || len(h.dials) != 0 {
		t.Errorf("nothing is left of dials whose clients have gone: %d, %d", h.dialling, len(h.dials))
	}
}

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
