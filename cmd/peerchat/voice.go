package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"peerchat/media"
	"peerchat/media/device"
	"peerchat/peer"
	"peerchat/peer/profile"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// Bounds of voice.
const (
	// maxPeople bounds the names that voice remembers, to find people by.
	maxPeople = 10_000
	// maxLevels is how many readings of the meter may wait for the front end.
	maxLevels = 4
	// maxWaiting is how much that needs sound devices may be asked for at a time.
	maxWaiting = 8
	// devicePatience is how long asking a sound system for its devices may take, testPatience recording and playing
	// three seconds.
	devicePatience = 10 * time.Second
	testPatience   = 20 * time.Second
	// besidePatience is how long the end of such work is waited for at the end; its context has ended then.
	besidePatience = 5 * time.Second
)

// soundSystem is a device.System, as far as voice needs it.
type soundSystem interface {
	media.Devices
	List(ctx context.Context) (microphones, speakers []device.Device, err error)
}

// voiceConfig is what voice stands on.
type voiceConfig struct {
	self    wire.PeerID
	sound   soundSystem
	mic     string    // SOURCE
	speaker string    // SINK
	muted   bool      // at the start
	key     bool      // there is a talk key
	join    wire.Room // its voice is joined as soon as the room is; empty: none
	do      func(peer.Command)
	send    func(peer.VoicePacket) // to all in voice; called by one goroutine
	volumes []profile.Volume
	keep    func(profile.Volume) error
}

// voice is this peer's sound: it owns the media.Engine, and joins it with the peer, which knows who is in voice, and
// with the user. Nothing touches sound before the user enters voice, or asks for devices.
//
// One goroutine owns it, in run. The methods do, see and receive only post, so that the peer, the front end and the
// engine may call them from wherever they are. What the user is to know goes into news.
type voice struct {
	cfg  voiceConfig
	mail *peer.Mailbox[func()]
	news *peer.Mailbox[voiceNews]
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}
	work sync.WaitGroup // what waits for sound devices beside the owner
	busy atomic.Int32   // actions that have been taken and not been done

	sounds atomic.Pointer[media.Engine] // the engine, for receive; nil until voice was entered
	tap    *tap

	// What follows belongs to the owner.

	state
	engine  *media.Engine
	heard   wire.Room // the room of the last voice, for what is told after it was left
	mic     string
	speaker string
	vad     media.GateMode // what opens the microphone when it is not the talk key
	ptt     bool
	level   float64 // threshold in dBFS; 0: learnt
	people  map[wire.PeerID]string
	rtt     map[wire.PeerID]time.Duration // of links that are up
	inVoice map[wire.Room]map[wire.PeerID]voiceOf
	volume  map[wire.PeerID]profile.Volume
	waiting []func() // work beside the owner; the first of it is being done
	last    media.InputLevel
}

// state is how the own voice stands.
type state struct {
	room             wire.Room // in whose voice this peer is; empty: in none
	muted, deaf      bool
	mode             tui.VoiceMode
	noMic, noSpeaker bool   // there is none, or it does not work
	hears, plays     string // names of the microphone and the speaker that are open
	settings         voiceSettings
}

// voiceSettings is what /voice set sets.
type voiceSettings struct {
	redundant bool // each frame is sent once more with the next
	ducking   bool // the microphone is shut while others are heard
}

// voiceOf is somebody in voice.
type voiceOf struct{ muted, deaf bool }

// newVoice makes a voice that is in no room. It must be run, and closed.
func newVoice(cfg voiceConfig) *voice {
	v := &voice{
		cfg: cfg, mail: peer.NewMailbox(1<<30, func(func()) int { return 0 }),
		news: peer.NewMailbox(maxLevels, func(n voiceNews) int {
			if _, level := n.(levelNews); level {
				return 1
			}
			return 0
		}),
		done: make(chan struct{}), state: state{muted: cfg.muted}, mic: cfg.mic, speaker: cfg.speaker,
		people: map[wire.PeerID]string{}, rtt: map[wire.PeerID]time.Duration{}, inVoice: map[wire.Room]map[wire.PeerID]voiceOf{},
		volume: map[wire.PeerID]profile.Volume{}, tap: &tap{sound: cfg.sound},
	}
	v.ctx, v.stop = context.WithCancel(context.Background())
	for _, vol := range cfg.volumes {
		if id, err := wire.ParsePeerID(vol.Peer); err == nil {
			v.volume[id] = vol
		}
	}
	return v
}

// run serves the mailbox until close.
func (v *voice) run() {
	defer close(v.done)
	for {
		posted, err := v.mail.Take(v.ctx)
		if err != nil {
			return
		}
		for _, do := range posted {
			do()
		}
	}
}

// close gives the devices back, and waits for it, a few seconds at most.
func (v *voice) close() error {
	v.mail.Close()
	v.stop()
	<-v.done
	v.tap.end()
	var err error
	if v.engine != nil {
		err = v.engine.Close()
	}
	idle := make(chan struct{})
	go func() {
		v.work.Wait()
		close(idle)
	}()
	late := time.NewTimer(besidePatience)
	defer late.Stop()
	select {
	case <-idle:
	case <-late.C:
		err = errors.Join(err, fmt.Errorf("end voice: a sound system did not answer within %v", besidePatience))
	}
	return err
}

// finish ends the recording, and returns when all that was wanted before has been done and is in news, or ctx ends.
func (v *voice) finish(ctx context.Context) {
	done := make(chan struct{})
	if !v.mail.Post(func() { v.endRecord(false); close(done) }) {
		return
	}
	select {
	case <-done:
	case <-v.done:
	case <-ctx.Done():
	}
}

// receive is peer.RTCConfig.OnVoice.
func (v *voice) receive(from wire.PeerID, p peer.VoicePacket, ssrc uint32) {
	if e := v.sounds.Load(); e != nil {
		e.Receive(from, media.RTP{SSRC: ssrc, Seq: p.Seq, Timestamp: p.Timestamp, Marker: p.Marker}, p.Payload)
	}
}

// see takes an event of the peer.
func (v *voice) see(ev peer.Event) {
	switch ev.(type) {
	case peer.RoomJoined, peer.RoomLeft, peer.MemberJoined, peer.MemberRenamed, peer.LinkChanged, peer.LinkMeasured, peer.VoiceChanged:
		v.mail.Post(func() { v.event(ev) })
	}
}

// do takes what the user wants; false: it does not concern voice.
func (v *voice) do(a tui.Action) bool {
	switch a.(type) {
	case tui.JoinVoice, tui.LeaveVoice, tui.AskVoice, tui.VoiceSet, tui.Mute, tui.Unmute, tui.Deafen, tui.PTT, tui.TalkKey, tui.VAD, tui.ListDevices,
		tui.Input, tui.Output, tui.Volume, tui.TestAudio, tui.Record, tui.Stats:
		v.later(func() { v.act(a) })
		return true
	}
	return false
}

// later has the owner do what the user wants.
func (v *voice) later(do func()) {
	v.busy.Add(1)
	if !v.mail.Post(func() { do(); v.busy.Add(-1) }) {
		v.busy.Add(-1)
	}
}

func (v *voice) note(code, format string, args ...any) {
	v.news.Post(noteNews{code: code, text: fmt.Sprintf(format, args...)})
}

func (v *voice) fail(code string, err error) {
	v.news.Post(noteNews{code: code, text: err.Error(), failed: true})
}

// tell says how the own voice stands.
func (v *voice) tell() { v.news.Post(stateNews{v.state}) }

// learn keeps somebody's name. When there are too many, only those in voice are kept.
func (v *voice) learn(p peer.Person) {
	if _, known := v.people[p.Peer]; !known && len(v.people) >= maxPeople {
		kept := map[wire.PeerID]string{v.cfg.self: v.people[v.cfg.self]}
		for _, people := range v.inVoice {
			for id := range people {
				kept[id] = v.people[id]
			}
		}
		v.people = kept
	}
	v.people[p.Peer] = p.Name
}

func (v *voice) event(ev peer.Event) {
	switch ev := ev.(type) {
	case peer.RoomJoined:
		for _, p := range ev.Members {
			v.learn(p)
		}
		if ev.Room == v.cfg.join {
			v.cfg.join = ""
			v.enter(ev.Room)
		}
	case peer.RoomLeft:
		delete(v.inVoice, ev.Room)
	case peer.MemberJoined:
		v.learn(ev.Person)
	case peer.MemberRenamed:
		v.learn(ev.Person)
	case peer.LinkChanged:
		v.learn(ev.Person)
		delete(v.rtt, ev.Person.Peer)
		if ev.Up {
			v.rtt[ev.Person.Peer] = ev.Path.RTT
		}
	case peer.LinkMeasured:
		if _, up := v.rtt[ev.Peer]; up {
			v.rtt[ev.Peer] = ev.Path.RTT
		}
	case peer.VoiceChanged:
		v.changed(ev)
	}
}

// changed follows who is in voice, oneself included.
func (v *voice) changed(ev peer.VoiceChanged) {
	v.learn(ev.Person)
	room := v.inVoice[ev.Room]
	if ev.State == peer.VoiceLeft {
		delete(room, ev.Person.Peer)
	} else {
		if room == nil {
			room = map[wire.PeerID]voiceOf{}
			v.inVoice[ev.Room] = room
		}
		room[ev.Person.Peer] = voiceOf{muted: ev.Muted, deaf: ev.Deaf}
	}
	switch {
	case !ev.Self && ev.State == peer.VoiceLeft && v.engine != nil && ev.Room == v.room:
		v.engine.RemovePeer(ev.Person.Peer)
	case !ev.Self:
	case ev.State == peer.VoiceJoined:
		v.room, v.heard = ev.Room, ev.Room
		v.start()
		v.tell()
	case ev.State == peer.VoiceLeft && ev.Room == v.room:
		v.endRecord(false)
		v.room, v.noMic, v.noSpeaker, v.hears, v.plays = "", false, false, "", ""
		if v.engine != nil {
			v.engine.Leave()
		}
		v.tell()
	}
}

// start turns the sound on, and makes the engine at the first time.
func (v *voice) start() {
	if v.engine == nil {
		e, err := media.NewEngine(v.engineConfig())
		if err != nil {
			v.fail("voice", err)
			return
		}
		for id, vol := range v.volume {
			e.SetGain(id, vol.DB)
			e.MutePeer(id, vol.Muted)
		}
		v.engine = e
		v.sounds.Store(e)
	}
	v.last = media.InputLevel{}
	v.engine.Join()
}

// engineConfig is how sound is to be. Whatever the user may set before the first voice goes in here.
func (v *voice) engineConfig() media.EngineConfig {
	spec, err := device.ParseSource(v.mic)
	return media.EngineConfig{
		Devices: v.tap, Send: v.spoken, Event: v.sounded, Input: v.mic, Output: v.speaker,
		Muted: v.muted, Deaf: v.deaf, Mode: v.gate(), Gate: media.GateConfig{Threshold: v.level},
		AGC:       err == nil && (spec.Kind == device.Default || spec.Kind == device.Real), // files are as loud as they should be
		Redundant: v.settings.redundant, Ducking: v.settings.ducking,
		FirstSeq: uint16(rand.Uint32()), FirstTimestamp: rand.Uint32(),
	}
}

// spoken sends a packet of the own voice. The engine calls it.
func (v *voice) spoken(o media.Outgoing) {
	v.cfg.send(peer.VoicePacket{Seq: o.Seq, Timestamp: o.Timestamp, Marker: o.Marker, Payload: o.Payload})
	v.tap.said(o.Frame())
}

// sounded takes an event of the engine, which calls it.
func (v *voice) sounded(ev media.VoiceEvent) { v.mail.Post(func() { v.play(ev) }) }

// play tells of what the engine does.
func (v *voice) play(ev media.VoiceEvent) {
	switch ev := ev.(type) {
	case media.InputLevel:
		// The screen has coarse steps: what looks the same is not told.
		if step := func(dB float64) int { return int(dB / 3) }; v.room != "" &&
			(step(ev.Level.RMS) != step(v.last.Level.RMS) || step(ev.Threshold) != step(v.last.Threshold)) {
			v.last = ev
			v.news.Post(levelNews(ev))
		}
	case media.SelfTalking:
		v.news.Post(talkNews{room: v.heard, who: peer.Person{Peer: v.cfg.self, Name: v.people[v.cfg.self]}, on: ev.On, self: true})
	case media.PeerTalking:
		v.news.Post(talkNews{room: v.heard, who: peer.Person{Peer: ev.Peer, Name: v.people[ev.Peer]}, on: ev.On})
	case media.TalkingMuted:
		v.news.Post(mutedNews{})
	case media.DeviceOpened:
		v.opened(ev)
	case media.DeviceFailed:
		v.lost(ev)
	}
}

// opened tells of a device that is in use from now on.
func (v *voice) opened(ev media.DeviceOpened) {
	if v.room == "" {
		return
	}
	if ev.Kind == media.Microphone {
		v.noMic, v.hears = false, ev.Name
	} else {
		v.noSpeaker, v.plays = false, ev.Name
	}
	why := ""
	switch {
	case ev.Instead:
		why = fmt.Sprintf(", because %s is gone", ev.Asked)
	case ev.Returned:
		why = ", which is there again"
	case ev.Followed:
		why = ", which is the system's default now"
	}
	v.note("device", "%s: %s%s", ev.Kind, ev.Name, why)
	v.tell()
}

// lost tells of a device that is gone, or never was there.
func (v *voice) lost(ev media.DeviceFailed) {
	if v.room == "" {
		return
	}
	means, command := "nobody hears you", "/input"
	if ev.Kind == media.Microphone {
		v.noMic, v.hears = true, ""
	} else {
		v.noSpeaker, v.plays = true, ""
		means, command = "you hear nobody", "/output"
	}
	switch {
	case ev.Name != "":
		v.fail("device", fmt.Errorf("the %s %s is gone: %w; %s until another one is found; %s chooses one", ev.Kind, ev.Name, ev.Err, means, command))
	case errors.Is(ev.Err, media.ErrNoSound):
		v.note("device", "there is no %s here, so %s in voice; text works as ever, and a device that comes is found by itself", ev.Kind, means)
	default:
		v.fail("device", fmt.Errorf("%w; %s; %s chooses another %s, /devices shows them", ev.Err, means, command, ev.Kind))
	}
	v.tell()
}

// gate is what opens the microphone.
func (v *voice) gate() media.GateMode {
	if v.ptt {
		return media.GatePTT
	}
	return v.vad
}

// setGate changes what opens the microphone.
func (v *voice) setGate() {
	v.mode = map[media.GateMode]tui.VoiceMode{
		media.GateVoice: tui.VoiceByLevel, media.GatePTT: tui.VoiceByKey, media.GateOpen: tui.VoiceOpen,
	}[v.gate()]
	if v.engine != nil {
		v.engine.SetMode(v.gate())
		v.engine.SetThreshold(v.level)
		v.engine.TalkRelease()
	}
	v.tell()
}
