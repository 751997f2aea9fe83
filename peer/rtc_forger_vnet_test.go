package peer_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"

	"peerchat/peer"
)

// forger sends packets to both ends of a link that look as if they came from the other one.
type forger struct {
	p    *vpair
	rand *rand.Rand
	ends [2]netip.AddrPort
	make func(*forger, int) []byte // a packet for an end; nil: none

	mu    sync.Mutex // guards what follows: the network writes it
	heard [2][][]byte
}

// forgeries are what can be made up without any key.
var forgeries = map[string]func(f *forger, to int) []byte{
	"noise": func(f *forger, _ int) []byte { return f.noise(1 + f.rand.IntN(1200)) },
	"checks with a wrong key": func(f *forger, _ int) []byte {
		return f.stun(stun.BindingRequest, stun.NewUsername("abc:defgh"), stun.NewShortTermIntegrity("guess"), stun.Fingerprint)
	},
	"answers with a wrong key": func(f *forger, _ int) []byte {
		return f.stun(stun.BindingSuccess, stun.NewShortTermIntegrity("guess"), stun.Fingerprint)
	},
	"checks with no key": func(f *forger, _ int) []byte { return f.stun(stun.BindingRequest) },
	"indications": func(f *forger, _ int) []byte {
		return f.stun(stun.NewType(stun.MethodBinding, stun.ClassIndication))
	},
	"errors": func(f *forger, _ int) []byte {
		return f.stun(stun.BindingError, stun.CodeRoleConflict)
	},
	"records of DTLS in the clear that end it":    func(f *forger, _ int) []byte { return f.record(21, 0, []byte{byte(1 + f.rand.IntN(2)), 0}) },
	"fatal alerts of DTLS in the clear":           func(f *forger, _ int) []byte { return f.record(21, 0, []byte{2, 10}) },
	"data of DTLS in the clear":                   func(f *forger, _ int) []byte { return f.record(23, 0, f.noise(100)) },
	"changes of DTLS keys in the clear":           func(f *forger, _ int) []byte { return f.record(20, 0, []byte{1}) },
	"handshakes of DTLS that never end":           func(f *forger, _ int) []byte { return f.record(22, 0, f.fragment()) },
	"records of DTLS of a kind that is none":      func(f *forger, _ int) []byte { return f.record(byte(20+f.rand.IntN(44)), 0, f.noise(50)) },
	"records of DTLS with wrong keys":             func(f *forger, _ int) []byte { return f.record(byte(20+f.rand.IntN(6)), 1, f.noise(f.rand.IntN(60))) },
	"records of DTLS with the keys that are next": func(f *forger, _ int) []byte { return f.record(23, 2, f.noise(60)) },
	"records of DTLS of another version": func(f *forger, _ int) []byte {
		b := f.record(23, 1, f.noise(60))
		b[2] = byte(f.rand.Uint32())
		return b
	},
	"records of DTLS that are cut short": func(f *forger, _ int) []byte { return f.record(23, 1, f.noise(60))[:1+f.rand.IntN(70)] },
	"voice with wrong keys": func(f *forger, _ int) []byte {
		return append([]byte{0x80, 107}, f.noise(10+f.rand.IntN(700))...)
	},
	"reports with wrong keys": func(f *forger, _ int) []byte {
		return append([]byte{0x80, byte(200 + f.rand.IntN(8))}, f.noise(10+f.rand.IntN(300))...)
	},
	"what the other end sent a moment ago": func(f *forger, to int) []byte { return f.replay(to, 16) },
	"what the other end sent before":       func(f *forger, to int) []byte { return f.replay(to, 1<<14) },
	"checks of before with more attributes": func(f *forger, to int) []byte {
		b := f.replay(to, 1<<14)
		m := &stun.Message{Raw: append([]byte(nil), b...)}
		if b == nil || !stun.IsMessage(b) || m.Decode() != nil {
			return nil
		}
		for range 1 + f.rand.IntN(2) {
			m.Add([]stun.AttrType{stun.AttrUseCandidate, 0xC7AC, stun.AttrPriority}[f.rand.IntN(3)], f.noise(8))
		}
		m.WriteHeader()
		return m.Raw
	},
}

func (f *forger) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(f.rand.Uint32())
	}
	return b
}

func (f *forger) stun(with ...stun.Setter) []byte {
	id := stun.NewTransactionIDSetter([stun.TransactionIDSize]byte(f.noise(stun.TransactionIDSize)))
	m, err := stun.Build(append([]stun.Setter{id}, with...)...)
	if err != nil {
		f.p.t.Error(err)
		return nil
	}
	return m.Raw
}

// record is one of DTLS 1.2 (RFC 6347 section 4.1).
func (f *forger) record(kind byte, epoch uint16, content []byte) []byte {
	b := append([]byte{kind, 254, 253, 0, 0, 0, 0}, f.noise(4)...)
	binary.BigEndian.PutUint16(b[3:], epoch)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(content))), content...)
}

// fragment is a part of a message of a handshake that is long over (RFC 6347 section 4.2.2).
func (f *forger) fragment() []byte {
	b := append([]byte{20, 0, 0, 100}, f.noise(2)...)
	return append(b, append([]byte{0, 0, byte(f.rand.IntN(90)), 0, 0, 1}, f.noise(1)...)...)
}

// replay is one of the last packets that came to an end from the other.
func (f *forger) replay(to, last int) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	heard := f.heard[to]
	if len(heard) == 0 {
		return nil
	}
	return heard[max(0, len(heard)-last)+f.rand.IntN(min(last, len(heard)))]
}

// listen remembers what the hosts send. What was lost would be late, and no replay.
func (f *forger) listen(from string, packet []byte, lost bool) {
	if lost {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for to := range f.ends {
		if f.ends[1-to].Addr().String() == from {
			f.heard[to] = append(f.heard[to], append([]byte(nil), packet...))
		}
	}
}

// run sends for so long.
func (f *forger) run(every, long time.Duration) {
	for began := time.Now(); time.Since(began) < long; time.Sleep(every) {
		for to := range f.ends {
			if b := f.make(f, to); b != nil {
				if err := f.p.net.Forge(f.ends[1-to], f.ends[to], b); err != nil {
					f.p.t.Error(err)
					return
				}
			}
		}
	}
}

// Who can send in another's name, but has no key, neither ends a link, nor keeps one alive whose other end is gone.
func TestForgersChangeNothing(t *testing.T) {
	const long = 90 * time.Second
	for name, make := range forgeries {
		for _, loss := range []float64{0, 0.2} {
			t.Run(fmt.Sprintf("%s, loss %v", name, loss), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newVPair(t, 20*time.Millisecond, 1)
					p.a.Offer(p.session, [32]byte{2})
					opened, ok := next[peer.Opened](p.evA, 5*time.Second)
					if _, okB := next[peer.Opened](p.evB, 5*time.Second); !ok || !okB {
						t.Fatal("the link did not open")
					}
					f := &forger{p: p, rand: rand.New(rand.NewPCG(1, 2)), make: make}
					for i, addr := range []string{opened.Path.Local, opened.Path.Remote} {
						f.ends[i] = netip.MustParseAddrPort(addr)
					}
					p.net.Watch(f.listen)
					p.net.SetLoss(loss)
					talk(t, p, 5)
					var forging sync.WaitGroup
					forging.Go(func() { f.run(20*time.Millisecond, long) })
					talk(t, p, 10)
					quiet(t, p, long/2)
					talk(t, p, 5)
					if t.Failed() {
						forging.Wait()
						return
					}
					p.net.Watch(nil)
					p.net.SetCut(1, true)
					gone := time.Now()
					if _, told := next[peer.Closed](p.evA, 20*time.Second); !told {
						t.Error("the other end is gone, and the link lives on")
					} else if d := time.Since(gone); d > 5500*time.Millisecond {
						t.Errorf("that the other end is gone was seen after %v", d)
					}
					forging.Wait()
				})
			})
		}
	}
}

// talk has both ends say some lines, each of which has to arrive.
func talk(t *testing.T, p *vpair, lines int) {
	for i := range lines {
		time.Sleep(500 * time.Millisecond)
		want := fmt.Sprintf("line %d", i)
		p.a.Send(p.session, []byte(want), false)
		p.b.Send(p.session, []byte(want), false)
		for _, from := range []chan peer.TransportEvent{p.evA, p.evB} {
			if got, ok := next[peer.Received](from, 10*time.Second); !ok || string(got.Data) != want {
				t.Errorf("a line arrived as %q", got.Data)
				return
			}
		}
	}
}

// quiet waits, and sees that the link lives.
func quiet(t *testing.T, p *vpair, long time.Duration) {
	over := time.NewTimer(long)
	defer over.Stop()
	for {
		var ev peer.TransportEvent
		select {
		case ev = <-p.evA:
		case ev = <-p.evB:
		case <-over.C:
			return
		}
		if c, ok := ev.(peer.Closed); ok {
			t.Errorf("the link ended: %v", c.Err)
			return
		}
	}
}
