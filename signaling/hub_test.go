package signaling

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"peerchat/peer/wire"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestHubTranscripts plays testdata/hub/*.txt. A line that begins with a word is a stage direction; the indented
// lines after it are what the hub says, and are rewritten by -update. Nobody's name before "/" is the peer, all of it
// the connection.
func TestHubTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/hub/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("transcripts in testdata/hub: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(script))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(script) {
				t.Errorf("the hub does not play %s as written; with -update it becomes:\n%s", file, got)
			}
		})
	}
}

type stage struct {
	t     *testing.T
	hub   *Hub
	now   time.Time
	conns map[string]ConnID
	names map[ConnID]string
	cast  []string // restored members
	ids   byte
	out   *strings.Builder
}

func play(t *testing.T, script string) string {
	s := &stage{t: t, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), conns: map[string]ConnID{}, names: map[ConnID]string{},
		out: new(strings.Builder)}
	cfg := HubConfig{Seed: 1}
	for _, line := range strings.SplitAfter(script, "\n") {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		s.out.WriteString(line)
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "config":
			for _, w := range words[1:] {
				k, v, _ := strings.Cut(w, "=")
				n, err := strconv.Atoi(v)
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				switch k {
				case "sample":
					cfg.Sample = n
				case "term":
					cfg.Term = uint64(n)
				case "connections":
					cfg.Limits.Connections = n
				case "per-address":
					cfg.Limits.PerAddress = n
				case "rooms-peer":
					cfg.Limits.RoomsPeer = n
				case "standby":
					cfg.Standby = n == 1
				case "rooms":
					cfg.Limits.Rooms = n
				case "rate":
					cfg.Limits.Rate, cfg.Limits.Burst = float64(n), n
				default:
					t.Fatalf("unknown setting %q", k)
				}
			}
		default:
			if s.hub == nil {
				s.hub = NewHub(cfg)
			}
			s.direct(words)
		}
	}
	return s.out.String()
}

func peerOf(actor string) wire.PeerID {
	name, _, _ := strings.Cut(actor, "/")
	var id wire.PeerID
	copy(id[:], name)
	return id
}

// direct carries out one stage direction.
func (s *stage) direct(w []string) {
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	s.ids++
	id := uuid.UUID{15: s.ids}
	who, conn := w[0], s.conns[w[0]]
	name, _, _ := strings.Cut(who, "/")
	request := func(r Request) { s.step(HubRequest{Conn: conn, Req: r, Size: len(r.Append(nil))}) }
	switch {
	case who == "wait":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
		s.step(HubTick{})
	case who == "move":
		s.step(HubMoved{Tracker: arg(1), Term: 7})
	case who == "leave-to-nobody":
		s.step(HubMoved{Term: 8})
	case who == "lead": // lead TERM LEADER name:room,room ...
		in := HubServe{Proof: []byte("proof"), Leader: peerOf(arg(2))}
		in.Term, _ = strconv.ParseUint(arg(1), 10, 64) // a wrong one shows
		for _, m := range w[3:] {
			name, rooms, _ := strings.Cut(m, ":")
			s.cast = append(s.cast, name)
			r := Restored{Peer: peerOf(name), Name: name}
			for _, room := range strings.Split(rooms, ",") {
				r.Rooms = append(r.Rooms, wire.Room(room))
			}
			in.Members = append(in.Members, r)
		}
		s.step(in)
	case who == "stop":
		s.step(HubStopped{Text: "the tracker is shutting down"})
	case w[1] == "arrives":
		conn = ConnID(len(s.conns) + 1)
		s.conns[who], s.names[conn] = conn, who
		s.step(HubArrived{Conn: conn, Addr: netip.MustParseAddr(arg(3))})
	case w[1] == "hello":
		s.step(HubHello{Conn: conn, Observed: "10.0.0.1:4000", STUN: []string{"stun:h:5000"},
			Req: &HelloRequest{ID: id, Peer: peerOf(who), Name: name, Resume: arg(2) == "resume"}})
	case w[1] == "joins":
		request(&JoinRequest{id, wire.Room(arg(2))})
	case w[1] == "leaves":
		request(&LeaveRequest{id, wire.Room(arg(2))})
	case w[1] == "members":
		request(&MembersRequest{id, wire.Room(arg(2))})
	case w[1] == "rooms":
		request(&RoomsRequest{id})
	case w[1] == "signals":
		request(&SignalRequest{id, peerOf(arg(2)), json.RawMessage(arg(3))})
	case w[1] == "renames":
		request(&NameRequest{id, arg(2)})
	case w[1] == "dialback":
		n, _ := strconv.ParseUint(arg(2), 10, 16) // a wrong one shows
		request(&DialbackRequest{id, uint16(n)})
	case w[1] == "dialled":
		s.step(HubDialled{Conn: conn, ID: id, OK: arg(2) == "ok", Address: "10.0.0.2:5000"})
	case w[1] == "bye":
		request(&ByeRequest{id})
	case w[1] == "mumbles":
		_, err := DecodeRequest([]byte(strings.Join(w[2:], " ")))
		bad, ok := err.(*BadRequest)
		if !ok {
			s.t.Fatalf("%v is no bad request: %v", w, err)
		}
		s.step(HubBad{conn, bad})
	case w[1] == "drops":
		s.step(HubDropped{Conn: conn, Seen: s.now})
	case w[1] == "times-out":
		s.step(HubDropped{Conn: conn, Seen: s.now.Add(-4 * time.Second)})
	default:
		s.t.Fatalf("no such direction: %v", w)
	}
}

func (s *stage) step(in HubInput) {
	var out HubOutput
	s.hub.Step(s.now, in, &out)
	peers := make([]string, 0, 2*len(s.names))
	for _, name := range append(slices.Collect(maps.Values(s.names)), s.cast...) {
		base, _, _ := strings.Cut(name, "/")
		peers = append(peers, peerOf(name).String(), base, peerOf(name).Tag(), base)
	}
	for _, send := range out.Send {
		text := string(send.Msg.Append(nil))
		if i := strings.Index(text, `"re":`); i >= 0 {
			text = text[:i] + text[i+len(`"re":"00000000-0000-0000-0000-000000000000",`):]
		}
		fmt.Fprintf(s.out, "    to %s: %s\n", s.names[send.Conn], strings.NewReplacer(peers...).Replace(text))
	}
	for _, d := range out.Dial {
		fmt.Fprintf(s.out, "    dial %s at port %d\n", strings.NewReplacer(peers...).Replace(d.Peer.String()), d.Port)
	}
	for _, id := range out.Close {
		fmt.Fprintf(s.out, "    close %s\n", s.names[id])
	}
	if !out.Wake.IsZero() {
		fmt.Fprintf(s.out, "    wake in %v\n", out.Wake.Sub(s.now))
	}
}

// TestEverySignalIsAnsweredOnce has peers come, go and signal while the tracker serves, stands by and serves again:
// whoever stays to hear it gets one answer to each signal, OK if and only if it was handed over, and before a client's
// patience ends.
func TestEverySignalIsAnsweredOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHub(HubConfig{Seed: 1, Limits: Limits{Rate: -1}})
		now := time.Unix(1e9, 0)
		id := func(n int) wire.PeerID { return wire.PeerID{byte(n + 1)} }
		conns := make([]ConnID, 5) // by peer; zero: none
		type sent struct {
			conn ConnID
			at   time.Time
			got  bool // handed over
		}
		waiting := map[uuid.UUID]*sent{}
		last, serving := ConnID(0), true
		step := func(in HubInput) {
			var out HubOutput
			h.Step(now, in, &out)
			for _, s := range out.Send {
				if !slices.Contains(conns, s.Conn) {
					if _, bye := s.Msg.(*ByeNote); !bye {
						t.Fatalf("%+v goes to connection %d, which is not there", s.Msg, s.Conn)
					}
				}
				switch m := s.Msg.(type) {
				case *SignalNote:
					w := waiting[uuid.MustParse(strings.Trim(string(m.Data), `"`))]
					if w == nil || w.got {
						t.Fatalf("%s is handed over twice, or after its answer", m.Data)
					}
					w.got = true
				case *Answer:
					w := waiting[m.Re]
					if m.Op != "signal" {
						continue
					}
					if w == nil || w.conn != s.Conn || (m.Status == OK) != w.got {
						t.Fatalf("%+v answers %+v on connection %d", m, w, s.Conn)
					}
					if d := now.Sub(w.at); d > keepTime+time.Second {
						t.Fatalf("the answer took %v", d)
					}
					delete(waiting, m.Re)
				}
			}
			for _, c := range out.Close {
				if n := slices.Index(conns, c); n >= 0 {
					conns[n] = 0
				}
			}
			held := 0
			for _, k := range h.kept {
				held += len(k.data)
			}
			if h.keptBytes != held {
				t.Fatalf("%d bytes are kept, but the hub counts %d", held, h.keptBytes)
			}
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			n := rapid.IntRange(0, len(conns)-1).Draw(t, "peer")
			switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
			case what == 0:
				step(HubMoved{})
				serving = false
			case what == 1:
				in := HubServe{Term: rapid.Uint64Max(3).Draw(t, "term")}
				for m := range conns {
					in.Members = append(in.Members, Restored{Peer: id(m), Name: "x", Rooms: []wire.Room{"r"}})
				}
				step(in)
				serving = true
			case what == 2:
				for range rapid.IntRange(1, 20).Draw(t, "seconds") {
					now = now.Add(time.Second)
					step(HubTick{})
				}
			case !serving:
			case conns[n] == 0:
				last++
				step(HubArrived{last, netip.MustParseAddr("10.0.0.1")})
				conns[n] = last
				step(HubHello{Conn: last, Req: &HelloRequest{Peer: id(n), Name: "x"}})
				step(HubRequest{Conn: last, Req: &JoinRequest{Room: "r"}})
			case what == 3:
				c := conns[n]
				conns[n] = 0
				step(HubDropped{Conn: c, Seen: now})
			case what == 4:
				step(HubRequest{Conn: conns[n], Req: &ByeRequest{}})
			default:
				var re uuid.UUID
				re[0], re[1], re[2] = byte(len(waiting)), byte(last), byte(rapid.IntRange(0, 255).Draw(t, "id"))
				if waiting[re] != nil {
					continue
				}
				waiting[re] = &sent{conn: conns[n], at: now}
				to := rapid.IntRange(0, len(conns)-1).Draw(t, "to")
				step(HubRequest{Conn: conns[n], Req: &SignalRequest{ID: re, To: id(to), Data: json.RawMessage(`"` + re.String() + `"`)}})
			}
		}
		for range 20 {
			now = now.Add(time.Second)
			step(HubTick{})
		}
		for re, w := range waiting {
			if slices.Contains(conns, w.conn) {
				t.Fatalf("signal %s of connection %d was not answered", re, w.conn)
			}
		}
		if len(h.kept) != 0 {
			t.Fatalf("%d signals are still kept", len(h.kept))
		}
	})
}

// TestHubKeepsItsPromises plays random conversations and holds the hub to a model of who is where.
func TestHubKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const sample = 3
		h := NewHub(HubConfig{Seed: rapid.Uint64().Draw(t, "seed"), Sample: sample, Limits: Limits{Rate: -1, RoomsPeer: 3}})
		now := time.Unix(1e9, 0)
		type who struct {
			conn  ConnID // zero: none
			rooms map[wire.Room]bool
		}
		peers := make([]*who, 8) // model; nil: unknown to the hub
		byConn := map[ConnID]int{}
		id := func(n int) wire.PeerID { return wire.PeerID{byte(n + 1)} }
		count := func(r wire.Room) (n int) {
			for _, p := range peers {
				if p != nil && p.rooms[r] {
					n++
				}
			}
			return n
		}
		var last ConnID
		step := func(in HubInput) HubOutput {
			var out HubOutput
			h.Step(now, in, &out)
			if len(out.Send) > 4*(sample+2) {
				t.Fatalf("a step says at most a few samples' worth, but %+v made %d messages", in, len(out.Send))
			}
			for _, s := range out.Send {
				n, known := byConn[s.Conn]
				if !known {
					t.Fatalf("%+v goes to connection %d, which is not there", s.Msg, s.Conn)
				}
				var about wire.PeerID
				var room wire.Room
				switch m := s.Msg.(type) {
				case *JoinedNote:
					about, room = m.Member.Peer, m.Room
				case *LeftNote:
					about, room = m.Peer, m.Room
				case *RenamedNote:
					about = m.Member.Peer
				case *SignalNote:
					continue
				}
				if about == id(n) {
					t.Fatalf("peer %d is told about itself: %+v", n, s.Msg)
				}
				if room != "" && !peers[n].rooms[room] {
					t.Fatalf("peer %d is told of %s, where it is not: %+v", n, room, s.Msg)
				}
			}
			for _, c := range out.Close {
				if n, ok := byConn[c]; ok && peers[n] != nil && peers[n].conn == c {
					t.Fatalf("the connection of peer %d was closed for no reason by %+v", n, in)
				}
				delete(byConn, c)
			}
			return out
		}
		connected := func(n int) bool { return peers[n] != nil && peers[n].conn != 0 }
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := rapid.IntRange(0, len(peers)-1).Draw(t, "peer")
			room := wire.Room(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "room"))
			switch what := rapid.IntRange(0, 5).Draw(t, "what"); {
			case what == 0 || !connected(n): // hello, in place of an older connection if there is one
				last++
				h.Step(now, HubArrived{last, netip.MustParseAddr("10.0.0.1")}, &HubOutput{})
				if peers[n] == nil {
					peers[n] = &who{rooms: map[wire.Room]bool{}}
				}
				peers[n].conn = last
				byConn[last] = n
				out := step(HubHello{Conn: last, Req: &HelloRequest{Peer: id(n), Name: "x"}})
				for _, s := range out.Send {
					switch s.Msg.(type) {
					case *JoinedNote, *LeftNote, *RenamedNote:
						t.Fatalf("peer %d came back, and somebody was told %+v", n, s.Msg)
					}
				}
				for r := range peers[n].rooms { // confirm them
					step(HubRequest{Conn: last, Req: &JoinRequest{Room: r}})
				}
			case what <= 2:
				fresh := !peers[n].rooms[room]
				full := fresh && len(peers[n].rooms) == 3
				if !full {
					peers[n].rooms[room] = true
				}
				out := step(HubRequest{Conn: peers[n].conn, Req: &JoinRequest{Room: room}})
				if m, ok := out.Send[0].Msg.(*MembersAnswer); ok {
					want := min(sample, count(room)-1)
					if full || m.Count != count(room) || len(m.Members) != want {
						t.Fatalf("peer %d joins %s of %d with full=%v: got %d members and count %d", n, room, count(room), full, len(m.Members), m.Count)
					}
					seen := map[wire.PeerID]bool{}
					for _, o := range m.Members {
						if o.Peer == id(n) || seen[o.Peer] || !peers[o.Peer[0]-1].rooms[room] {
							t.Fatalf("peer %d joins %s and gets the sample %v", n, room, m.Members)
						}
						seen[o.Peer] = true
					}
				} else if !full {
					t.Fatalf("peer %d may join %s but is told %+v", n, room, out.Send[0].Msg)
				}
			case what == 3:
				was := peers[n].rooms[room]
				delete(peers[n].rooms, room)
				out := step(HubRequest{Conn: peers[n].conn, Req: &LeaveRequest{Room: room}})
				a := out.Send[len(out.Send)-1].Msg.(*Answer)
				if (a.Status == OK) != was {
					t.Fatalf("peer %d leaves %s, where it is: %v; it is told %+v", n, room, was, a)
				}
			case what == 4: // the connection drops, and it comes back in time, or does not
				c := peers[n].conn
				delete(byConn, c)
				peers[n].conn = 0
				if len(peers[n].rooms) == 0 {
					peers[n] = nil
				}
				step(HubDropped{Conn: c, Seen: now})
				if rapid.Bool().Draw(t, "for good") {
					now = now.Add(4 * time.Second)
					for i, p := range peers {
						if p != nil && p.conn == 0 {
							peers[i] = nil
						}
					}
					step(HubTick{})
				}
			case what == 5:
				to := rapid.IntRange(0, len(peers)-1).Draw(t, "to")
				out := step(HubRequest{Conn: peers[n].conn, Req: &SignalRequest{To: id(to), Data: json.RawMessage("1")}})
				arrived := slices.ContainsFunc(out.Send, func(s HubSend) bool {
					_, is := s.Msg.(*SignalNote)
					return is && s.Conn == peers[to].conn
				})
				if arrived != connected(to) {
					t.Fatalf("a signal to %d, connected: %v, arrives: %v", to, connected(to), arrived)
				}
			}
			rooms, known := map[wire.Room]bool{}, 0
			for _, p := range peers {
				if p != nil {
					known++
					for r := range p.rooms {
						rooms[r] = true
					}
				}
			}
			if h.Peers() != known || h.Rooms() != len(rooms) || h.Conns() != len(byConn) {
				t.Fatalf("the hub holds %d peers, %d rooms, %d connections; it should be %d, %d, %d", h.Peers(), h.Rooms(), h.Conns(),
					known, len(rooms), len(byConn))
			}
		}
	})
}
