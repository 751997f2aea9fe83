package election

import (
	"encoding/binary"
	"errors"
	"fmt"

	"peerchat/peer/wire"
)

var (
	errTruncated = errors.New("it ends in the middle")
	errFlags     = errors.New("it has flags that are not known")
)

// DecodeMessage reads one message, which must be the whole of b, and returns a pointer to one of the message types. It
// refuses everything that AppendMessage would not have written. It does not check signatures, and keeps nothing of b.
func DecodeMessage(b []byte) (Message, error) {
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("decode election message: it is %d bytes long: at most %d are allowed", len(b), MaxMessage)
	}
	r := &reader{b: b}
	m := r.message()
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("more follows its end (%d B)", len(r.b))
	}
	if r.err == nil {
		r.err = check(m)
	}
	if r.err != nil {
		return nil, fmt.Errorf("decode election message: %w", r.err)
	}
	return m, nil
}

// reader takes a message apart. The first error sticks, and every read after it returns a zero value.
type reader struct {
	b   []byte
	err error
}

var zeros [64]byte

func (r *reader) take(n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.err = errTruncated
	}
	if r.err != nil {
		return zeros[:min(n, len(zeros))]
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() byte          { return r.take(1)[0] }
func (r *reader) u16() uint16       { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) u64() uint64       { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) peer() wire.PeerID { return wire.PeerID(r.take(32)) }
func (r *reader) sig() (s [64]byte) { return [64]byte(r.take(64)) }
func (r *reader) bool() bool {
	v := r.u8()
	if v > 1 {
		r.fail(errFlags)
	}
	return v == 1
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) message() Message {
	switch kind := r.u8(); kind {
	case kindCandidate:
		m := &Candidate{Route: r.route(), Age: r.u16(), Peer: r.peer(), Seq: r.u64()}
		m.Rank = r.rank()
		m.Rank.ID = m.Peer
		m.Addresses = r.addresses()
		m.Sig = r.sig()
		return m
	case kindCoordinator:
		m := &Coordinator{Route: r.route(), Reign: r.reign()}
		m.Addresses = r.addresses()
		m.Sig = r.sig()
		return m
	case kindElection:
		m := &Election{Route: r.route(), Reign: r.reign()}
		m.Sig = r.sig()
		return m
	case kindResign:
		return &Resignation{Route: r.route(), Leader: r.peer(), Term: r.u64(), Successor: r.peer(), Sig: r.sig()}
	case kindAnswer:
		return &Answer{To: r.peer(), By: r.peer(), Term: r.u64(), Seq: r.u64(), Alive: r.bool(), Sig: r.sig()}
	case kindVouch:
		return &Vouch{Term: r.u64(), Leader: r.peer()}
	case kindVouched:
		return &Vouched{Term: r.u64(), Verdict: Verdict(r.u8())}
	case kindSummary:
		m := &Summary{Reply: r.bool(), Floor: r.u64()}
		m.Reign = Reign{Term: r.u64(), Seq: r.u64(), Rank: r.rank()}
		m.Reign.Rank.ID = r.peer()
		if n := int(r.u8()); n*40 > len(r.b) {
			r.fail(errTruncated)
		} else if n > 0 {
			m.Candidates = make([]version, n)
			for i := range m.Candidates {
				m.Candidates[i] = version{Peer: r.peer(), Seq: r.u64()}
			}
		}
		return m
	default:
		r.fail(fmt.Errorf("type %d is not known", kind))
		return nil
	}
}

func (r *reader) route() (route Route) {
	route.Hops = r.u8()
	if n := int(r.u8()); n > maxCover {
		r.fail(fmt.Errorf("%d are covered: at most %d are allowed", n, maxCover))
	} else if n > 0 {
		if b := r.take(4 * n); r.err == nil {
			route.Cover = make([]uint32, n)
			for i := range route.Cover {
				route.Cover[i] = binary.BigEndian.Uint32(b[4*i:])
			}
		}
	}
	return route
}

func (r *reader) reign() (x Reign) {
	id := r.peer()
	x = Reign{Term: r.u64(), Seq: r.u64(), Rank: r.rank()}
	x.Rank.ID = id
	return x
}

func (r *reader) rank() Rank {
	flags := r.u8()
	if flags > flagDialable|flagHome|flagFirm {
		r.fail(errFlags)
	}
	return Rank{Dialable: flags&flagDialable != 0, Home: flags&flagHome != 0, Firm: flags&flagFirm != 0,
		Priority: int16(r.u16() ^ 0x8000), Port: r.u16()}
}

func (r *reader) addresses() (addresses []string) {
	n := int(r.u8())
	if n > MaxAddresses {
		r.fail(fmt.Errorf("%d addresses: at most %d are allowed", n, MaxAddresses))
	}
	for i := 0; i < n && r.err == nil; i++ {
		size := int(r.u8())
		if b := r.take(size); r.err == nil {
			addresses = append(addresses, string(b))
		}
	}
	return addresses
}
