package signaling

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"unicode/utf8"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// The encoders append, and never reflect: a busy tracker spends its time here. Each message has one encoding, in the
// order of docs/protocol.md; zero fields that a reader may miss are left out.

// Append implements Message.
func (m *HelloRequest) Append(b []byte) []byte {
	b = appendRequest(b, m)
	b = appendPeer(append(b, `,"peer":`...), m.Peer)
	b = appendString(append(b, `,"name":`...), m.Name)
	b = appendString(append(b, `,"agent":`...), m.Agent)
	b = append(b, `,"sig":"`...)
	b = base64.StdEncoding.AppendEncode(b, m.Sig[:])
	b = append(b, '"')
	if m.Resume {
		b = append(b, `,"resume":true`...)
	}
	return append(appendProcess(b, m.Process), '}')
}

// Append implements Message.
func (m *JoinRequest) Append(b []byte) []byte { return appendRoomRequest(b, m, m.Room) }

// Append implements Message.
func (m *LeaveRequest) Append(b []byte) []byte { return appendRoomRequest(b, m, m.Room) }

// Append implements Message.
func (m *MembersRequest) Append(b []byte) []byte { return appendRoomRequest(b, m, m.Room) }

// Append implements Message.
func (m *RoomsRequest) Append(b []byte) []byte { return append(appendRequest(b, m), '}') }

// Append implements Message.
func (m *ByeRequest) Append(b []byte) []byte { return append(appendRequest(b, m), '}') }

// Append implements Message.
func (m *SignalRequest) Append(b []byte) []byte {
	b = appendPeer(append(appendRequest(b, m), `,"to":`...), m.To)
	return append(append(append(b, `,"data":`...), m.Data...), '}')
}

// Append implements Message.
func (m *NameRequest) Append(b []byte) []byte {
	return append(appendString(append(appendRequest(b, m), `,"name":`...), m.Name), '}')
}

// Append implements Message.
func (m *DialbackRequest) Append(b []byte) []byte {
	b = append(appendRequest(b, m), `,"port":`...)
	return append(strconv.AppendUint(b, uint64(m.Port), 10), '}')
}

// Append implements Message.
func (m *Answer) Append(b []byte) []byte {
	b = appendAnswer(b, m.Op, m.Re, m.Status)
	if m.Text != "" {
		b = appendString(append(b, `,"text":`...), m.Text)
	}
	return append(b, '}')
}

// Append implements Message.
func (m *HelloAnswer) Append(b []byte) []byte {
	b = appendAnswer(b, "hello", m.Re, OK)
	b = appendString(append(b, `,"observed":`...), m.Observed)
	b = append(b, `,"stun":[`...)
	for i, u := range m.STUN {
		b = appendString(comma(b, i), u)
	}
	b = appendLeader(appendTerm(append(b, ']'), m.Term), m.Leader)
	if m.Resumed {
		b = append(b, `,"resumed":true`...)
	}
	b = strconv.AppendInt(append(b, `,"ping":`...), int64(m.Ping), 10)
	return append(appendProof(b, m.Proof), '}')
}

// Append implements Message.
func (m *DialbackAnswer) Append(b []byte) []byte {
	b = appendAnswer(b, "dialback", m.Re, OK)
	b = strconv.AppendBool(append(b, `,"dialable":`...), m.OK)
	b = appendString(append(b, `,"address":`...), m.Address)
	if m.Text != "" {
		b = appendString(append(b, `,"text":`...), m.Text)
	}
	return append(b, '}')
}

// Append implements Message.
func (m *MembersAnswer) Append(b []byte) []byte {
	b = appendAnswer(b, m.Op, m.Re, OK)
	b = appendString(append(b, `,"room":`...), string(m.Room))
	b = append(b, `,"members":[`...)
	for i := range m.Members {
		b = append(appendMember(append(comma(b, i), '{'), m.Members[i]), '}')
	}
	b = appendCount(append(b, ']'), m.Count)
	return append(b, '}')
}

// Append implements Message.
func (m *RoomsAnswer) Append(b []byte) []byte {
	b = appendAnswer(b, "rooms", m.Re, OK)
	b = append(b, `,"rooms":[`...)
	for i, r := range m.Rooms {
		b = appendString(append(comma(b, i), `{"room":`...), string(r.Room))
		b = strconv.AppendInt(append(b, `,"members":`...), int64(r.Members), 10)
		b = append(b, '}')
	}
	b = strconv.AppendInt(append(b, `],"total":`...), int64(m.Total), 10)
	return append(b, '}')
}

// Append implements Message.
func (m *Challenge) Append(b []byte) []byte {
	b = append(b, `{"type":"challenge","nonce":"`...)
	b = base64.StdEncoding.AppendEncode(b, m.Nonce[:])
	return append(b, `"}`...)
}

// Append implements Message.
func (m *JoinedNote) Append(b []byte) []byte {
	b = appendString(append(b, `{"type":"joined","room":`...), string(m.Room))
	b = appendMember(append(b, ','), m.Member)
	return append(appendCount(b, m.Count), '}')
}

// Append implements Message.
func (m *LeftNote) Append(b []byte) []byte {
	b = appendString(append(b, `{"type":"left","room":`...), string(m.Room))
	b = appendPeer(append(b, `,"peer":`...), m.Peer)
	return append(appendCount(b, m.Count), '}')
}

// Append implements Message.
func (m *RenamedNote) Append(b []byte) []byte {
	return append(appendMember(append(b, `{"type":"renamed",`...), m.Member), '}')
}

// Append implements Message.
func (m *SignalNote) Append(b []byte) []byte {
	b = appendPeer(append(b, `{"type":"signal","from":`...), m.From.Peer)
	b = appendString(append(b, `,"name":`...), m.From.Name)
	return append(append(append(b, `,"data":`...), m.Data...), '}')
}

// Append implements Message.
func (m *TermNote) Append(b []byte) []byte {
	b = appendTerm(append(b, `{"type":"term"`...), m.Term)
	return append(appendLeader(b, m.Leader), '}')
}

// Append implements Message.
func (m *ByeNote) Append(b []byte) []byte {
	b = append(b, `{"type":"bye","status":"`...)
	b = append(append(b, m.Status...), '"')
	b = appendString(append(b, `,"text":`...), m.Text)
	if m.Tracker != "" {
		b = appendString(append(b, `,"tracker":`...), m.Tracker)
	}
	return append(appendProcess(appendLeader(appendTerm(b, m.Term), m.Leader), m.Process), '}')
}

func appendProcess(b []byte, id uuid.UUID) []byte {
	if id == (uuid.UUID{}) {
		return b
	}
	return appendUUID(append(b, `,"process":`...), id)
}

func appendRequest(b []byte, r Request) []byte {
	b = append(append(append(b, `{"type":"`...), r.Op()...), `","id":`...)
	return appendUUID(b, r.ReqID())
}

func appendRoomRequest(b []byte, r Request, room wire.Room) []byte {
	return append(appendString(append(appendRequest(b, r), `,"room":`...), string(room)), '}')
}

func appendAnswer(b []byte, op string, re uuid.UUID, status Status) []byte {
	b = append(b, '{')
	if op != "" {
		b = append(append(append(b, `"type":"`...), op...), `",`...)
	}
	b = appendUUID(append(b, `"re":`...), re)
	return append(append(append(b, `,"status":"`...), status...), '"')
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	b = append(b, '"')
	for i, n := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, id[[...]int{0, 4, 6, 8, 10}[i]:n])
	}
	return append(b, '"')
}

func appendPeer(b []byte, p wire.PeerID) []byte {
	b, _ = p.AppendText(append(b, '"')) // never fails
	return append(b, '"')
}

func appendMember(b []byte, m Member) []byte {
	b = appendPeer(append(b, `"peer":`...), m.Peer)
	return appendString(append(b, `,"name":`...), m.Name)
}

func appendCount(b []byte, n int) []byte {
	return strconv.AppendInt(append(b, `,"count":`...), int64(n), 10)
}

func appendTerm(b []byte, term uint64) []byte {
	if term == 0 {
		return b
	}
	return strconv.AppendUint(append(b, `,"term":`...), term, 10)
}

func appendLeader(b []byte, p wire.PeerID) []byte {
	if p.IsZero() {
		return b
	}
	return appendPeer(append(b, `,"leader":`...), p)
}

func appendProof(b, proof []byte) []byte {
	if len(proof) == 0 {
		return b
	}
	return append(base64.StdEncoding.AppendEncode(append(b, `,"proof":"`...), proof), '"')
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

// appendString quotes s as RFC 8259 section 7 wants it. What is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			if r, n := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\uFFFD"...)
				from = i + 1
			} else {
				i += n - 1
			}
		case c == '"' || c == '\\':
			b = append(append(b, s[from:i]...), '\\', c)
			from = i + 1
		case c < 0x20 || c == 0x7f:
			b = append(append(b, s[from:i]...), '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			from = i + 1
		}
		i++
	}
	return append(append(b, s[from:]...), '"')
}

const hexDigits = "0123456789abcdef"
