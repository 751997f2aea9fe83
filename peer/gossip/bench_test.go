package gossip

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

func benchMachine(b *testing.B, key byte, log Log) *Machine {
	b.Helper()
	m, err := New(Config{Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{key}, 32)), Log: log,
		Rand: rand.New(rand.NewPCG(1, 2)), NewID: func() uuid.UUID { return uuid.UUID{7} }})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func benchStore(b *testing.B, kind string) history.Store {
	b.Helper()
	if kind == "memory" {
		return history.NewMemory()
	}
	s, err := history.Open(filepath.Join(b.TempDir(), "history.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func step(b *testing.B, m *Machine, now time.Time, in Input, out *Output) {
	*out = Output{Sends: out.Sends[:0], Delivers: out.Delivers[:0], Held: out.Held[:0], Faults: out.Faults[:0]}
	if err := m.Step(now, in, out); err != nil || len(out.Faults) > 0 {
		b.Fatal(err, out.Faults)
	}
}

func drafts(n int) []Draft {
	d := make([]Draft, n)
	for i := range d {
		d[i] = Draft{Kind: wire.KindText, Body: fmt.Appendf(nil, "this is line %d of many", i)}
	}
	return d
}

// BenchmarkPublish is all that a flooding author does for an event but the transport: sign, store, encode for two.
func BenchmarkPublish(b *testing.B) {
	for _, kind := range []string{"memory", "sqlite"} {
		for _, n := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				m := benchMachine(b, 1, benchStore(b, kind))
				now := epoch
				var out Output
				step(b, m, now, Subscribe{general}, &out)
				step(b, m, now, LinkUp{Peer: wire.PeerID{1}, Rooms: []wire.Room{general}}, &out)
				step(b, m, now, LinkUp{Peer: wire.PeerID{2}, Rooms: []wire.Room{general}}, &out)
				in := Publish{Room: general, Name: "bob", Drafts: drafts(n)}
				var buf []byte
				b.ReportAllocs()
				for b.Loop() {
					now = now.Add(time.Duration(n) * 50 * time.Microsecond)
					step(b, m, now, in, &out)
					for _, s := range out.Sends {
						var err error
						if buf, err = wire.AppendFrame(buf[:0], s.Frame); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			})
		}
	}
}

// BenchmarkReceive is all that a receiver does for an event but the transport: decode, verify, store, deliver.
func BenchmarkReceive(b *testing.B) {
	for _, kind := range []string{"memory", "sqlite"} {
		for _, n := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				from, to := benchMachine(b, 1, history.NewMemory()), benchMachine(b, 2, benchStore(b, kind))
				now := epoch
				var out, sent Output
				for m, o := range map[*Machine]*Machine{from: to, to: from} {
					step(b, m, now, Subscribe{general}, &out)
					step(b, m, now, LinkUp{Peer: o.self, Rooms: []wire.Room{general}}, &out)
				}
				in := Publish{Room: general, Name: "bob", Drafts: drafts(n)}
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					b.StopTimer()
					now = now.Add(time.Duration(n) * 50 * time.Microsecond)
					step(b, from, now, in, &sent)
					var frame []byte
					for _, s := range sent.Sends {
						// What is said alone goes by the fast channel alone; older events may be sent again beside it.
						if e, ok := s.Frame.(wire.Events); ok && e.Events[len(e.Events)-1].Seq == uint64(n*(i+1)) {
							frame, _ = wire.AppendFrame(frame[:0], e)
						}
					}
					b.StartTimer()
					f, err := wire.DecodeFrame(frame)
					if err != nil {
						b.Fatal(err)
					}
					step(b, to, now, Receive{from.self, f}, &out)
					if len(out.Delivers) != n {
						b.Fatalf("%d events delivered: want %d", len(out.Delivers), n)
					}
					step(b, to, now, Flush{}, &out)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			})
		}
	}
}
