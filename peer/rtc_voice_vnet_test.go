package peer_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/peertest"
	"peerchat/peer/wire"
)

// voiceCrowd is a crowd over WebRTC that is, in part, in voice.
type voiceCrowd struct {
	*crowd
	ends []*voiceEnd
	seq  uint16
}

// voiceEnd is one peer's end of voice, and what came of it.
type voiceEnd struct {
	rtc *peer.RTC

	mu        sync.Mutex
	described int         // descriptions of sessions: one for each attempt at a link, and none for voice
	opened    []uuid.UUID // sessions
	heard     map[wire.PeerID][]uint16
	changed   int // packets that did not arrive as they were sent
}

func newVoiceCrowd(t *testing.T, n int) *voiceCrowd {
	v := &voiceCrowd{}
	net := peertest.NewVNet(t, n, 5*time.Millisecond, 1)
	v.crowd = newCrowdOver(t, n, func(i int, _ wire.PeerID, sink func(peer.TransportEvent)) (peer.Transport, error) {
		end := &voiceEnd{heard: map[wire.PeerID][]uint16{}}
		v.ends = append(v.ends, end)
		var err error
		end.rtc, err = peer.NewRTC(peer.RTCConfig{Net: net.Nets[i], OnVoice: end.hear}, func(ev peer.TransportEvent) {
			end.mu.Lock()
			switch ev := ev.(type) {
			case peer.Described:
				end.described++
			case peer.Opened:
				end.opened = append(end.opened, ev.Session)
			}
			end.mu.Unlock()
			sink(ev)
		})
		return end.rtc, err
	})
	v.net = net
	return v
}

func (e *voiceEnd) hear(from wire.PeerID, p peer.VoicePacket, _ uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[from] = append(e.heard[from], p.Seq)
	if !bytes.Equal(p.Payload, tone(from, p.Seq)) || p.Timestamp != 320*uint32(p.Seq) || p.Marker != (p.Seq%100 == 0) {
		e.changed++
	}
}

// tone is a payload that nobody else sends, and that is sent once.
func tone(from wire.PeerID, seq uint16) []byte {
	b := bytes.Repeat(from[:], 20)
	b[0], b[1] = byte(seq>>8), byte(seq)
	return b
}

// join has peers enter the voice of #general, and waits until all of them know.
func (v *voiceCrowd) join(peers ...int) {
	v.t.Helper()
	for _, i := range peers {
		v.nodes[i].node.Do(peer.JoinVoice{Room: general})
	}
	v.wait(len(peers))
}

// inVoice is how many people a member was told to be in voice.
func (m *member) inVoice() int {
	told := func(state peer.VoiceState) int {
		return m.count(func(ev peer.Event) bool { c, ok := ev.(peer.VoiceChanged); return ok && c.State == state })
	}
	return told(peer.VoiceJoined) - told(peer.VoiceLeft)
}

// wait waits until everybody knows of so many in voice.
func (v *voiceCrowd) wait(want int) {
	v.t.Helper()
	began := time.Now()
	for _, m := range v.nodes {
		for m.inVoice() != want {
			if time.Since(began) > 20*time.Second {
				v.t.Fatalf("%s knows of %d people in voice, want %d", m.name, m.inVoice(), want)
			}
			time.Sleep(20 * time.Millisecond) // of the bubble's time
		}
	}
	synctest.Wait()
}

// wantLinked waits until these peers all have links with each other.
func (v *voiceCrowd) wantLinked(peers ...int) {
	v.t.Helper()
	began := time.Now()
	for {
		synctest.Wait()
		missing := 0
		for _, i := range peers {
			linked := v.nodes[i].linked()
			for _, j := range peers {
				if i != j && !linked[v.nodes[j].id] {
					missing++
				}
			}
		}
		if missing == 0 {
			return
		}
		if time.Since(began) > 20*time.Second {
			v.t.Fatalf("20 s after they came into voice %d link ends are missing between %d peers", missing, len(peers))
		}
		time.Sleep(20 * time.Millisecond) // of the bubble's time
	}
}

// linkChanges is how often the first so many peers told that a link among them came or went.
func (v *voiceCrowd) linkChanges(first int) (n int) {
	among := map[wire.PeerID]bool{}
	for _, m := range v.nodes[:first] {
		among[m.id] = true
	}
	for _, m := range v.nodes[:first] {
		n += m.count(func(ev peer.Event) bool { l, ok := ev.(peer.LinkChanged); return ok && among[l.Person.Peer] })
	}
	return n
}

// linked are those whom a member has a link with.
func (m *member) linked() map[wire.PeerID]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	up := map[wire.PeerID]bool{}
	for _, ev := range m.events {
		if l, ok := ev.(peer.LinkChanged); ok {
			up[l.Person.Peer] = l.Up
		}
	}
	return up
}

// talk has peers send so many packets, one every 20 ms.
func (v *voiceCrowd) talk(packets int, peers ...int) {
	for range packets {
		v.seq++
		for _, i := range peers {
			v.ends[i].rtc.SendVoice(peer.VoicePacket{
				Seq: v.seq, Timestamp: 320 * uint32(v.seq), Marker: v.seq%100 == 0, Payload: tone(v.nodes[i].id, v.seq),
			})
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

// described is how many descriptions all peers made.
func (v *voiceCrowd) described() int {
	n := 0
	for _, e := range v.ends {
		e.mu.Lock()
		n += e.described
		e.mu.Unlock()
	}
	return n
}

// wantHeard checks that a listener got from least to most packets of a talker, each once, in order and unchanged; it
// forgets them.
func (v *voiceCrowd) wantHeard(listener, talker, least, most int) {
	v.t.Helper()
	e := v.ends[listener]
	e.mu.Lock()
	defer e.mu.Unlock()
	seqs := e.heard[v.nodes[talker].id]
	delete(e.heard, v.nodes[talker].id)
	if len(seqs) < least || len(seqs) > most {
		v.t.Errorf("p%d heard %d packets of p%d, want %d to %d", listener, len(seqs), talker, least, most)
	}
	for i := 1; i < len(seqs); i++ {
		if seqs[i] <= seqs[i-1] {
			v.t.Errorf("p%d heard packet %d of p%d after packet %d", listener, seqs[i], talker, seqs[i-1])
			break
		}
	}
	if e.changed > 0 {
		v.t.Errorf("p%d got %d packets that are not as they were sent", listener, e.changed)
	}
}

// wantSilence checks that nobody heard anything that was not looked at.
func (v *voiceCrowd) wantSilence() {
	v.t.Helper()
	for i, e := range v.ends {
		e.mu.Lock()
		for from, seqs := range e.heard {
			v.t.Errorf("p%d heard %d packets of %s, want none", i, len(seqs), from.Tag())
		}
		e.mu.Unlock()
	}
}

func TestVoiceReachesThoseInVoice(t *testing.T) {
	for _, c := range []struct {
		loss        float64
		least, most int // of 500 packets: five standard deviations around what the loss leaves
	}{{0, 500, 500}, {0.05, 450, 500}, {0.20, 355, 445}} {
		t.Run(fmt.Sprintf("%.0f%% loss", 100*c.loss), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVoiceCrowd(t, 8)
				defer v.stop()
				v.wantMesh(20 * time.Second)
				v.join(0, 1, 2, 3, 4, 5, 6)
				v.wantLinked(0, 1, 2, 3, 4, 5, 6)
				changes := v.linkChanges(7)
				for i := range 7 { // with links there, voice comes and goes without a word about them
					v.nodes[i].node.Do(peer.LeaveVoice{})
				}
				v.wait(0)
				v.join(0, 1, 2, 3, 4, 5, 6)
				v.net.SetLoss(c.loss)
				// p7 is not in voice, and talks all the same.
				e := v.ends[7]
				e.mu.Lock()
				e.rtc.Speak(e.opened)
				e.mu.Unlock()
				v.talk(500, 0, 1, 2, 7)
				v.net.SetLoss(0)
				for listener := range 7 {
					for talker := range 3 {
						if listener != talker {
							v.wantHeard(listener, talker, c.least, c.most)
						}
					}
				}
				v.wantSilence()
				dropped := 0
				for i := range 7 {
					if n := v.ends[i].rtc.Counters()["voice.dropped"]; n >= uint64(c.least) {
						dropped++
					}
				}
				if dropped < 3 {
					t.Errorf("%d peers dropped at least %d packets of one who is not in voice, want all its neighbours, 3 at least", dropped, c.least)
				}
				if n := v.linkChanges(7); n != changes {
					t.Errorf("links between those in voice came or went %d times while voice came and went, want none", n-changes)
				}
			})
		})
	}
}

func TestVoiceComesAndGoesWithoutNegotiation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoiceCrowd(t, 3)
		defer v.stop()
		v.wantMesh(10 * time.Second)
		described := v.described()
		for range 5 {
			v.join(0, 1, 2)
			v.talk(25, 0, 1)
			for _, way := range [][2]int{{1, 0}, {2, 0}, {0, 1}, {2, 1}} {
				v.wantHeard(way[0], way[1], 25, 25)
			}
			v.nodes[1].node.Do(peer.LeaveVoice{})
			synctest.Wait()
			v.talk(25, 0, 1)
			v.wantHeard(2, 0, 25, 25)
			v.nodes[0].node.Do(peer.LeaveVoice{})
			v.nodes[2].node.Do(peer.LeaveVoice{})
			v.wait(0)
			v.talk(10, 0, 1, 2)
			v.wantSilence()
		}
		if n := v.described(); n != described {
			t.Errorf("%d descriptions were made for voice, want none", n-described)
		}
		v.nodes[2].node.Do(peer.ShowNet{})
		synctest.Wait()
		shown := v.nodes[2].count(func(ev peer.Event) bool {
			a, _ := ev.(peer.Answer)
			net, ok := a.Value.(peer.NetAnswer)
			return ok && net.Counters["voice.received"] == 5*(2*25+25)
		})
		if shown != 1 {
			t.Error("p2's answer about the network does not count the packets that it took")
		}
	})
}

func TestTheTrackersDeathIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoiceCrowd(t, 4)
		defer v.stop()
		v.wantMesh(10 * time.Second)
		v.join(0, 1, 2, 3)
		v.talk(100, 0, 1, 2, 3)
		v.hub.Down()
		v.talk(1000, 0, 1, 2, 3)
		v.hub.Up()
		v.talk(1000, 0, 1, 2, 3)
		for listener := range 4 {
			for talker := range 4 {
				if listener != talker {
					v.wantHeard(listener, talker, 2100, 2100)
				}
			}
		}
	})
}

func TestVoiceReturnsWithTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoiceCrowd(t, 3)
		defer v.stop()
		v.wantMesh(10 * time.Second)
		v.join(0, 1, 2)
		v.net.SetCut(2, true)
		v.talk(500, 0, 2)
		v.wantHeard(1, 0, 500, 500)
		v.wantSilence()
		v.net.SetCut(2, false)
		v.wantMesh(60 * time.Second)
		time.Sleep(2 * time.Second)
		v.talk(100, 0, 2)
		for _, way := range [][2]int{{1, 0}, {2, 0}, {0, 2}, {1, 2}} {
			v.wantHeard(way[0], way[1], 100, 100)
		}
	})
}

func TestReportsTellHowVoiceGetsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVoiceCrowd(t, 3)
		defer v.stop()
		v.wantMesh(10 * time.Second)
		v.join(0, 1, 2)
		v.net.SetLoss(0.2)
		v.talk(1500, 0)
		v.net.SetLoss(0)
		said := v.ends[0].rtc.VoiceReports()
		if len(said) != 2 {
			t.Fatalf("the talker has reports of %d listeners, want 2", len(said))
		}
		for _, r := range said {
			// The network takes 5 ms each way.
			if r.RTT < 9*time.Millisecond || r.RTT > 15*time.Millisecond {
				t.Errorf("the round trip to %s is %v, want 10 ms", r.Peer.Tag(), r.RTT)
			}
			if r.Sent.Lost < 200 || r.Sent.Lost > 400 || r.Sent.Loss > 0.5 || r.Sent.Jitter > time.Millisecond {
				t.Errorf("of 1500 packets, a fifth of them lost, %s tells %+v", r.Peer.Tag(), r.Sent)
			}
			if !r.Received.At.IsZero() {
				t.Errorf("%s was silent, and was heard as %+v", r.Peer.Tag(), r.Received)
			}
		}
		for i := 1; i < 3; i++ {
			for _, r := range v.ends[i].rtc.VoiceReports() {
				if r.Peer == v.nodes[0].id && (r.Received.Lost < 200 || r.Received.Lost > 400) {
					t.Errorf("p%d heard the talker as %+v", i, r.Received)
				}
			}
		}
	})
}
