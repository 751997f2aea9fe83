package election

import (
	"encoding/binary"
	"errors"
	"fmt"

	"peerchat/peer/wire"
)

const (
	flagDialable = 1
	flagHome     = 2
	flagFirm     = 4
)

// AppendMessage appends the encoding of m, which is a pointer to one of the message types. It refuses what
// DecodeMessage would refuse; dst is then returned as it was.
func AppendMessage(dst []byte, m Message) ([]byte, error) {
	if err := check(m); err != nil {
		return dst, fmt.Errorf("encode %T: %w", m, err)
	}
	b := append(dst, m.kind())
	switch m := m.(type) {
	case *Candidate:
		b = append(m.body(binary.BigEndian.AppendUint16(m.Route.append(b), m.Age)), m.Sig[:]...)
	case *Coordinator:
		b = append(m.body(m.Route.append(b)), m.Sig[:]...)
	case *Election:
		b = append(m.body(m.Route.append(b)), m.Sig[:]...)
	case *Resignation:
		b = append(m.body(m.Route.append(b)), m.Sig[:]...)
	case *Answer:
		b = append(m.body(b), m.Sig[:]...)
	case *Vouch:
		b = append(u64(b, m.Term), m.Leader[:]...)
	case *Vouched:
		b = append(u64(b, m.Term), byte(m.Verdict))
	case *Summary:
		b = u64(append(b, bit(m.Reply, 1)), m.Floor)
		b = m.Reign.Rank.append(u64(u64(b, m.Reign.Term), m.Reign.Seq))
		b = append(append(b, m.Reign.Rank.ID[:]...), byte(len(m.Candidates)))
		for i := range m.Candidates {
			b = u64(append(b, m.Candidates[i].Peer[:]...), m.Candidates[i].Seq)
		}
	}
	return b, nil
}

func u64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func bit(v bool, b byte) byte {
	if v {
		return b
	}
	return 0
}

func (r *Route) append(b []byte) []byte {
	b = append(b, r.Hops, byte(len(r.Cover)))
	for _, c := range r.Cover {
		b = binary.BigEndian.AppendUint32(b, c)
	}
	return b
}

func (r *Rank) append(b []byte) []byte {
	b = append(b, bit(r.Dialable, flagDialable)|bit(r.Home, flagHome)|bit(r.Firm, flagFirm))
	b = binary.BigEndian.AppendUint16(b, uint16(r.Priority)^0x8000)
	return binary.BigEndian.AppendUint16(b, r.Port)
}

func appendAddresses(b []byte, addresses []string) []byte {
	b = append(b, byte(len(addresses)))
	for _, a := range addresses {
		b = append(append(b, byte(len(a))), a...)
	}
	return b
}

func (m *Candidate) body(b []byte) []byte {
	return appendAddresses(m.Rank.append(u64(append(b, m.Peer[:]...), m.Seq)), m.Addresses)
}

func (r *Reign) body(b []byte) []byte {
	return r.Rank.append(u64(u64(append(b, r.Rank.ID[:]...), r.Term), r.Seq))
}

func (m *Coordinator) body(b []byte) []byte { return appendAddresses(m.Reign.body(b), m.Addresses) }
func (m *Election) body(b []byte) []byte    { return m.Reign.body(b) }

func (m *Resignation) body(b []byte) []byte {
	return append(u64(append(b, m.Leader[:]...), m.Term), m.Successor[:]...)
}

func (m *Answer) body(b []byte) []byte {
	b = append(append(b, m.To[:]...), m.By[:]...)
	return append(u64(u64(b, m.Term), m.Seq), bit(m.Alive, 1))
}

// check tells whether m may be encoded.
func check(m Message) error {
	switch m := m.(type) {
	case *Candidate:
		if m.Rank.ID != m.Peer || m.Rank.Firm || m.Rank.Home {
			return fmt.Errorf("a candidate's rank is its own, neither firm nor home")
		}
		return first(m.Route.check(), somebody(m.Peer), number("seq", m.Seq, 1), checkAddresses(m.Addresses))
	case *Coordinator:
		return first(m.Route.check(), m.Reign.check(), checkAddresses(m.Addresses))
	case *Election:
		return first(m.Route.check(), m.Reign.check())
	case *Resignation:
		return first(m.Route.check(), somebody(m.Leader), somebody(m.Successor), number("term", m.Term, 0))
	case *Answer:
		return first(somebody(m.By), number("term", m.Term, 0), number("seq", m.Seq, 1))
	case *Vouch:
		return number("term", m.Term, 0)
	case *Vouched:
		if m.Verdict > Alive {
			return fmt.Errorf("verdict %d is not known", m.Verdict)
		}
		return number("term", m.Term, 0)
	case *Summary:
		if len(m.Candidates) > MaxRanking+1 {
			return fmt.Errorf("%d candidates: at most %d are allowed", len(m.Candidates), MaxRanking+1)
		}
		for _, v := range m.Candidates {
			if err := number("seq", v.Seq, 1); err != nil {
				return err
			}
		}
		return first(number("floor", m.Floor, 0), number("term", m.Reign.Term, 0), number("seq", m.Reign.Seq, 0))
	}
	return fmt.Errorf("no message of this type exists")
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func number(what string, n, least uint64) error {
	if n < least || n > wire.MaxCounter {
		return fmt.Errorf("%s is %d: want %d to %d", what, n, least, uint64(wire.MaxCounter))
	}
	return nil
}

func (r *Route) check() error {
	if r.Hops > MaxHops {
		return fmt.Errorf("it crossed %d links: at most %d are allowed", r.Hops, MaxHops)
	}
	if len(r.Cover) > maxCover {
		return fmt.Errorf("%d are covered: at most %d are allowed", len(r.Cover), maxCover)
	}
	return nil
}

func (r *Reign) check() error {
	return first(somebody(r.Rank.ID), number("term", r.Term, 0), number("seq", r.Seq, 1))
}

// somebody refuses the zero ID. It stands for the home tracker, or nobody, and is worse than no signer: as a key it is
// a point of small order, for which signatures can be guessed.
func somebody(id wire.PeerID) error {
	if id.IsZero() {
		return errors.New("it is signed by, or names, nobody")
	}
	return nil
}

func checkAddresses(addresses []string) error {
	if len(addresses) > MaxAddresses {
		return fmt.Errorf("%d addresses: at most %d are allowed", len(addresses), MaxAddresses)
	}
	for _, a := range addresses {
		if len(a) < 1 || len(a) > MaxAddress {
			return fmt.Errorf("an address is %d bytes long: want 1 to %d", len(a), MaxAddress)
		}
		for i := range len(a) {
			if a[i] <= ' ' || a[i] >= 0x7f {
				return fmt.Errorf("an address has the byte 0x%02x: want printable ASCII", a[i])
			}
		}
	}
	return nil
}
