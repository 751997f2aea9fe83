package main

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"peerchat/media"
	"peerchat/peer"
	"peerchat/peer/profile"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// silentVoice is a voice on a machine without sound.
func silentVoice(t *testing.T, node *fakeNode) *voice {
	v := newVoice(voiceConfig{
		self: someone(99, "me").Peer, sound: &fakeSound{}, do: node.Do, send: func(peer.VoicePacket) {},
		keep: func(profile.Volume) error { return nil },
	})
	go v.run()
	t.Cleanup(func() {
		if err := v.close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// stage is a voice with a sound system and a peer in voice.
type stage struct {
	*voice
	t     *testing.T
	sound *fakeSound
	print *plainPrinter
	told  []string // news for people

	mu   sync.Mutex // guards what follows
	own  wire.Voice
	said []string
	sent []media.Frame
	seqs []uint16
	kept []profile.Volume
	talk []string // who began to talk, and who ceased
}

// me and bob are who is on stage.
func me() peer.Person  { return someone(99, "me") }
func bob() peer.Person { return someone(7, "bob") }

// onStage runs do in a bubble, in the room "general" with bob, who is in voice. The sound system has these devices.
func onStage(t *testing.T, plugged []string, do func(s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, sound: &fakeSound{plugged: plugged, hang: map[string]bool{"slow": true}},
			print: newPlainPrinter(time.Now, true)}
		s.voice = newVoice(voiceConfig{self: me().Peer, sound: s.sound, key: true, do: s.command, send: s.packet, keep: s.keep})
		go s.run()
		s.see(peer.RoomJoined{Room: "general", Members: []peer.Person{me(), bob()}})
		s.see(peer.LinkChanged{Person: bob(), Up: true, Path: peer.Path{Kind: "host", RTT: 2 * time.Millisecond}})
		s.see(peer.VoiceChanged{Room: "general", Person: bob(), State: peer.VoiceJoined, Members: 1})
		do(s)
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if open := s.sound.opened(); len(open) > 0 {
			t.Errorf("at the end these are still open: %v", open)
		}
	})
}

// command is what the Core does with what voice wants.
func (s *stage) command(cmd peer.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.own
	switch cmd := cmd.(type) {
	case peer.JoinVoice:
		s.own.Room = cmd.Room
	case peer.LeaveVoice:
		s.own.Room = ""
	case peer.SetVoice:
		s.own.Muted, s.own.Deaf = cmd.Muted, cmd.Deaf
	case peer.Say:
		s.said = append(s.said, cmd.Text)
	}
	tell := func(room wire.Room, state peer.VoiceState) {
		s.see(peer.VoiceChanged{Room: room, Person: me(), Self: true, State: state, Muted: s.own.Muted, Deaf: s.own.Deaf})
	}
	if was.Room != s.own.Room && was.Room != "" {
		tell(was.Room, peer.VoiceLeft)
	}
	if was.Room != s.own.Room && s.own.Room != "" {
		tell(s.own.Room, peer.VoiceJoined)
	}
	if was.Muted != s.own.Muted && s.own.Room != "" {
		tell(s.own.Room, map[bool]peer.VoiceState{true: peer.VoiceMuted, false: peer.VoiceUnmuted}[s.own.Muted])
	}
}

func (s *stage) packet(p peer.VoicePacket) {
	var f media.Frame
	if _, err := media.ParseL16(f[:], p.Payload[max(0, len(p.Payload)-media.FrameBytes):]); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent, s.seqs = append(s.sent, f), append(s.seqs, p.Seq)
}

func (s *stage) keep(v profile.Volume) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, v)
	return nil
}

// typed does what lines of input say, and gives each a moment.
func (s *stage) typed(lines ...string) {
	s.t.Helper()
	for _, l := range lines {
		a, err := tui.Parse(l, "general")
		if err != nil || !s.do(a) {
			s.t.Fatalf("%q does not concern voice (%v)", l, err)
		}
		s.pass(100 * time.Millisecond)
	}
}

// pass lets time pass, and takes the news.
func (s *stage) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	for _, n := range s.news.TryTake() {
		if talk, ok := n.(talkNews); ok {
			s.talk = append(s.talk, talk.who.Name+map[bool]string{true: " talks", false: " is silent"}[talk.on])
		}
		for l := range strings.Lines(string(s.print.voice(nil, n))) {
			s.told = append(s.told, strings.TrimSpace(l))
		}
	}
}

// wantTold says which words have been told since the last time, in this order.
func (s *stage) wantTold(why string, words ...string) {
	s.t.Helper()
	told := strings.Join(s.told, "\n")
	rest := told
	for _, w := range words {
		_, after, found := strings.Cut(rest, w)
		if !found {
			s.t.Errorf("%s: %q is not told, or not in that place, but:\n%s", why, w, told)
			return
		}
		rest = after
	}
	s.told = nil
}

func (s *stage) wantOpen(why string, names ...string) {
	s.t.Helper()
	if got := s.sound.opened(); !slices.Equal(got, names) {
		s.t.Errorf("%s: open are %q, want %q", why, got, names)
	}
}

// loudest is the loudest sample that was sent since the last call, or -1 if nothing was.
func (s *stage) loudest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	loudest := -1
	for _, f := range s.sent {
		for _, x := range f {
			loudest = max(loudest, int(x), -int(x))
		}
	}
	s.sent = nil
	return loudest
}

// played is the sound of the speaker that is open.
func (s *stage) played() []int16 {
	s.sound.mu.Lock()
	defer s.sound.mu.Unlock()
	for _, d := range s.sound.open {
		if d.speaker {
			d.mu.Lock()
			defer d.mu.Unlock()
			return slices.Clone(d.played)
		}
	}
	return nil
}

// bobTalks has packets of a tone come from bob, for a time.
func (s *stage) bobTalks(hz float64, d time.Duration) {
	for i := range int(d / media.FrameDuration) {
		var f media.Frame
		for k := range f {
			f[k] = int16(9000 * math.Sin(2*math.Pi*hz*float64(i*len(f)+k)/media.SampleRate))
		}
		s.receive(bob().Peer, peer.VoicePacket{Seq: uint16(i), Timestamp: uint32(i * len(f)), Marker: i == 0, Payload: media.AppendL16(nil, f[:])}, 1)
		s.pass(media.FrameDuration)
	}
}

func peak(pcm []int16) int {
	loudest := 0
	for _, x := range pcm {
		loudest = max(loudest, int(x), -int(x))
	}
	return loudest
}

func TestSoundIsTouchedInVoiceOnly(t *testing.T) {
	onStage(t, []string{"built-in", "headset"}, func(s *stage) {
		s.pass(time.Minute)
		s.typed("/mute", "/unmute", "/deaf", "/deaf", "/input headset", "/ptt on", "/vad -40", "/voice")
		s.wantOpen("before voice is joined")
		s.wantTold("before voice is joined", "muted when you join voice", "open when you join voice", "microphone: headset, when you join voice",
			"push to talk", "opens at -40 dBFS", "these are:", "bob")
		s.typed("/voice join")
		s.wantOpen("in voice", "mic headset", "speaker built-in")
		s.wantTold("in voice", "microphone: headset")
		s.typed("/voice join")
		s.wantTold("in voice twice", "you are in the voice of #general already")
		s.typed("/voice leave")
		s.wantOpen("after voice")
		s.typed("/voice join dev")
		s.wantOpen("in voice again", "mic headset", "speaker built-in")
		s.typed("/voice join")
		s.wantOpen("in the voice of another room", "mic headset", "speaker built-in")
	})
}

func TestVoiceGoesBothWays(t *testing.T) {
	onStage(t, []string{"built-in"}, func(s *stage) {
		s.typed("/voice join", "/vad -40")
		s.pass(time.Second)
		if loud := s.loudest(); loud > 0 {
			t.Errorf("in silence samples up to %d are sent", loud)
		}
		s.sound.speak(0.5)
		s.pass(time.Second)
		if loud := s.loudest(); loud < 1000 {
			t.Errorf("while the user talks, the loudest sample sent is %d", loud)
		}
		for i := range len(s.seqs) - 1 {
			if s.seqs[i+1] != s.seqs[i]+1 {
				t.Fatalf("packet %d follows on %d", s.seqs[i+1], s.seqs[i])
			}
		}
		s.typed("/mute")
		s.loudest()
		s.pass(time.Second)
		if loud := s.loudest(); loud > 0 {
			t.Errorf("while muted, samples up to %d are sent", loud)
		}
		s.wantTold("the cue", "you talk, but nobody hears you")
		s.typed("/unmute", "/ptt on")
		s.pass(time.Second)
		s.loudest()
		s.pass(time.Second)
		if loud := s.loudest(); loud > 0 {
			t.Errorf("without the talk key samples up to %d are sent", loud)
		}
		s.do(tui.TalkKey{})
		s.pass(time.Second)
		if loud := s.loudest(); loud < 1000 {
			t.Errorf("after a tap on the talk key the loudest sample sent is %d", loud)
		}

		s.bobTalks(700, time.Second)
		if loud := peak(s.played()); loud < 8000 || loud > 10000 {
			t.Errorf("bob's loudest sample is %d, want 9000", loud)
		}
		s.pass(time.Second)
		if want := []string{"me talks", "me is silent", "me talks", "me is silent", "me talks", "bob talks", "bob is silent"}; !slices.Equal(s.talk, want) {
			t.Errorf("who talked is told as %q, want %q", s.talk, want)
		}
		s.typed("/deaf")
		from := len(s.played())
		s.bobTalks(700, time.Second)
		if loud := peak(s.played()[from:]); loud > 0 {
			t.Errorf("who is deaf hears samples of up to %d", loud)
		}
	})
}

func TestDevicesComeAndGo(t *testing.T) {
	onStage(t, []string{"built-in", "headset"}, func(s *stage) {
		s.typed("/input headset", "/output headset", "/voice join")
		s.wantOpen("in voice", "mic headset", "speaker headset")
		s.pass(10 * time.Second)
		s.told = nil
		s.sound.unplug("headset")
		s.pass(3 * time.Second)
		s.wantOpen("without the headset", "mic built-in", "speaker built-in")
		told := strings.Join(s.told, "\n")
		s.wantTold("without the headset", "is gone: it was unplugged", "is gone: it was unplugged")
		for _, want := range []string{"the microphone headset is gone: it was unplugged; nobody hears you until another one is found; /input chooses one",
			"microphone: built-in, because headset is gone", "speaker: built-in, because headset is gone"} {
			if !strings.Contains(told, want) {
				t.Errorf("%q is not told, but:\n%s", want, told)
			}
		}
		s.pass(10 * time.Second)
		s.sound.unplug("built-in")
		s.pass(10 * time.Second)
		s.wantOpen("without any device")
		s.wantTold("without any device", "built-in is gone")
		s.bobTalks(500, time.Second)
		if !slices.Contains(s.talk, "bob talks") {
			t.Error("without a speaker it is not told who talks")
		}
		s.sound.plug("usb")
		s.pass(2 * time.Minute)
		s.wantOpen("with another device", "mic usb", "speaker usb")
		s.told = nil
		s.sound.plug("headset")
		s.pass(2 * time.Minute)
		s.wantOpen("with the headset again", "mic headset", "speaker headset")
		s.wantTold("with the headset again", "headset, which is there again")
		s.typed("/input default", "/output default")
		s.told = nil
		s.sound.plug("dock")
		s.pass(2 * time.Minute)
		s.wantOpen("with another default", "mic dock", "speaker dock")
		s.wantTold("with another default", "dock, which is the system's default now")
	})
}

func TestWithoutSoundVoiceSaysSo(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		s.typed("/voice join", "/devices", "/stats", "/voice", "/record x.wav", "/input tone:abc", "/input nothing")
		told := strings.Join(s.told, "\n")
		for _, want := range []string{"there is no microphone here, so nobody hears you", "there is no speaker here, so you hear nobody",
			"there is no sound device here", "microphone (there is none)", "you are in the voice of #general", "no speaker is open", "tone:abc"} {
			if !strings.Contains(told, want) {
				t.Errorf("%q is not told, but:\n%s", want, told)
			}
		}
	})
}

func TestPushToTalkNeedsAKey(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		s.cfg.key = false // the owner has nothing to do yet
		s.typed("/ptt", "/ptt off", "/voice")
		s.wantTold("without a talk key", "error: push to talk needs the full screen", "push to talk is off")
	})
}

// A sound system that hangs holds nobody up.
func TestSoundThatHangs(t *testing.T) {
	onStage(t, []string{"built-in", "slow"}, func(s *stage) {
		s.typed("/input slow", "/voice join", "/mute", "/voice", "/stats")
		s.wantTold("while a microphone is being opened", "muted", "voice in #general")
		s.typed("/voice leave", "/audio test", "/devices")
		began := time.Now()
		s.finish(s.t.Context())
		if took := time.Since(began); took > 0 {
			t.Errorf("finishing waited %v for the sound system", took)
		}
		s.pass(testPatience)
		s.wantTold("in the end", "say something", "deadline", "* 1  built-in (default)")
	})
}

func TestVolumes(t *testing.T) {
	onStage(t, []string{"built-in"}, func(s *stage) {
		s.see(peer.MemberJoined{Room: "general", Person: someone(8, "Carol")})
		s.see(peer.MemberJoined{Room: "general", Person: someone(6, "carol")})
		s.typed("/vol bob -6dB", "/voice join", "/vol bob 200%", "/mute bob", "/voice")
		s.wantTold("volumes", "is at -6 dB for you", "is at +6 dB for you", "you do not hear bob", "bob", "silenced by you, +6 dB")
		s.typed("/vol nobody 3dB", "/vol carol 3dB", "/vol me 3dB", "/vol carol#"+someone(8, "").Peer.Tag()+" 3dB", "/vol "+someone(6, "").Peer.String()+" 4dB")
		s.wantTold("names", "nobody called nobody", "carol could be Carol#", "me is you", "is at +3 dB", "is at +4 dB")
		s.do(tui.Volume{Who: bob().Peer.String(), DB: 15, Relative: true})
		s.typed("/unmute bob")
		s.wantTold("louder", "is at +18 dB", "you hear bob")
		if got := s.kept[len(s.kept)-1]; got != (profile.Volume{Peer: bob().Peer.String(), DB: profile.MaxVolume}) {
			t.Errorf("kept is %+v", got)
		}
		s.bobTalks(700, time.Second)
		if loud := peak(s.played()); loud < 25000 {
			t.Errorf("bob's loudest sample is %d, want it louder than the 9000 that he sent", loud)
		}
		s.typed("/stats")
		s.wantTold("stats", "bob#", "0.0%", "2.0")
		s.typed("/voice set redundant on", "/voice set ducking on", "/voice", "/voice set redundant off", "/voice set ducking off")
		s.wantTold("settings", "you send twice as much; this lasts until you quit", "unless you are louder; this lasts until you quit", "you are in", "sent twice",
			"shut while others", "sent once", "open while others")
	})
}

// Names are bounded, but who is in voice is always known.
func TestNamesAreBounded(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		for i := range maxPeople + 100 {
			p := someone(1, "guest")
			p.Peer[0], p.Peer[1], p.Peer[2] = byte(i), byte(i>>8), byte(i>>16)
			s.see(peer.MemberJoined{Room: "general", Person: p})
		}
		s.typed("/mute bob")
		s.wantTold("after many guests", "you do not hear bob")
		if n := len(s.people); n > maxPeople {
			t.Errorf("%d names are kept, want %d at most", n, maxPeople)
		}
	})
}

func TestTheSoundTest(t *testing.T) {
	onStage(t, []string{"built-in"}, func(s *stage) {
		s.sound.speak(0.5)
		s.typed("/audio test", "/devices")
		s.pass(8 * time.Second)
		s.wantTold("the test", "say something", "built-in: the loudest was -7 dBFS, and built-in played it", "sound devices")
		s.wantOpen("after the test")
		s.sound.speak(0)
		s.typed("/audio test")
		s.pass(8 * time.Second)
		s.wantTold("a test in silence", "next to nothing")
		s.typed("/voice join", "/audio test")
		s.wantTold("a test in voice", "/voice leave first")
	})
}
