package wire

import (
	"testing"

	"peerchat/peer/cbor/cbortest"
)

// Figures are per event: a frame has 32.
func BenchmarkEncodeBatch(b *testing.B) {
	f := Events{Live: true, Events: testBatch(b, testKey(1), 1, 32)}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = AppendFrame(buf[:0], f)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/event")
	b.ReportMetric(float64(len(buf))/32, "bytes/event")
}

func BenchmarkDecodeBatch(b *testing.B) {
	buf, _ := AppendFrame(nil, Events{Live: true, Events: testBatch(b, testKey(1), 1, 32)})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeFrame(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/event")
}

func BenchmarkDecodeSingles(b *testing.B) {
	buf, _ := AppendFrame(nil, Events{Live: true, Events: testBatch(b, testKey(1), 1, 32)[1:]})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeFrame(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/31, "ns/event")
}

// The same events through a general CBOR library, for comparison.
func BenchmarkDecodeSinglesByReflection(b *testing.B) {
	type event struct {
		_       struct{} `cbor:",toarray"`
		Room    string
		Author  []byte
		Seq     uint64
		Name    string
		ID      []byte
		Lamport uint64
		Time    uint64
		Kind    uint8
		Body    []byte
		Index   uint8
		Size    uint8
		Path    []byte
		Sig     []byte
	}
	type frame struct {
		_      struct{} `cbor:",toarray"`
		Type   uint64
		Hops   uint8
		Live   bool
		Events []event
	}
	buf, _ := AppendFrame(nil, Events{Live: true, Events: testBatch(b, testKey(1), 1, 32)[1:]})
	_, dec := cbortest.Modes(b)
	b.ReportAllocs()
	for b.Loop() {
		var f frame
		if err := dec.Unmarshal(buf, &f); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/31, "ns/event")
}

func BenchmarkSignBatch(b *testing.B) {
	key := testKey(1)
	events := testBatch(b, key, 1, 32)
	b.ReportAllocs()
	for b.Loop() {
		if err := SignBatch(key, events); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/event")
}

func BenchmarkVerifyBatch(b *testing.B) {
	events := testBatch(b, testKey(1), 1, 32)
	b.ReportAllocs()
	for b.Loop() {
		v := new(Verifier)
		for i := range events {
			if err := v.Verify(&events[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/event")
}
