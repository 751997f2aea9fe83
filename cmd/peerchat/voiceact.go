package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"peerchat/media"
	"peerchat/media/device"
	"peerchat/peer"
	"peerchat/peer/profile"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// enter joins the voice of a room.
func (v *voice) enter(room wire.Room) {
	if room == v.room {
		v.note("voice", "you are in the voice of %s already", room)
		return
	}
	v.cfg.do(peer.SetVoice{Muted: v.muted, Deaf: v.deaf})
	v.cfg.do(peer.JoinVoice{Room: room})
}

// hush mutes or deafens oneself. The engine obeys at once, whatever the peer is busy with.
func (v *voice) hush(muted, deaf bool) {
	same := muted == v.muted && deaf == v.deaf
	v.muted, v.deaf = muted, deaf
	if v.engine != nil {
		v.engine.SetMuted(muted)
		v.engine.SetDeaf(deaf)
	}
	v.cfg.do(peer.SetVoice{Muted: muted, Deaf: deaf})
	if v.room == "" || same {
		how := "open"
		switch {
		case deaf:
			how = "shut, and your speaker silent"
		case muted:
			how = "muted"
		}
		if v.room == "" {
			how += " when you join voice"
		}
		v.note("voice", "your microphone is %s", how)
	}
	v.tell()
}

// act does what the user wants.
func (v *voice) act(a tui.Action) {
	switch a := a.(type) {
	case tui.JoinVoice:
		v.enter(wire.Room(a.Room))
	case tui.LeaveVoice:
		v.cfg.do(peer.LeaveVoice{})
	case tui.AskVoice:
		v.news.Post(v.answer())
	case tui.VoiceSet:
		v.set(a)
	case tui.Mute:
		v.mute(a.Who, true)
	case tui.Unmute:
		v.mute(a.Who, false)
	case tui.Deafen:
		v.hush(v.muted, a.Mode == "on" || a.Mode == "" && !v.deaf)
	case tui.PTT:
		on := a.Mode == "on" || a.Mode == "" && !v.ptt
		if on && !v.cfg.key {
			v.fail("voice", errors.New("push to talk needs the full screen, whose F2 is the talk key; /mute and /unmute do here"))
			return
		}
		v.ptt = on
		v.setGate()
		if v.ptt {
			v.note("voice", "push to talk: hold F2, or tap it to begin and to end")
		} else {
			v.note("voice", "push to talk is off: your microphone %s", v.gateText())
		}
	case tui.VAD:
		v.ptt, v.vad, v.level = false, media.GateVoice, 0
		switch a.Mode {
		case "off":
			v.vad = media.GateOpen
		case "level":
			v.level = a.DB
		}
		v.setGate()
		v.note("voice", "your microphone %s", v.gateText())
	case tui.TalkKey:
		if v.engine != nil && v.room != "" {
			v.engine.TalkKey()
		}
	case tui.Input:
		v.input(a.Device)
	case tui.Output:
		v.output(a.Device)
	case tui.Volume:
		v.loudness(a)
	case tui.ListDevices:
		v.devices()
	case tui.TestAudio:
		v.test()
	case tui.Record:
		v.record(a)
	case tui.Stats:
		v.stats()
	}
}

// set changes what /voice set knows. It is for the line and the room of the moment, so it is not remembered, and says
// so.
func (v *voice) set(a tui.VoiceSet) {
	on := a.Value == "on"
	switch a.Name {
	case "redundant":
		if v.settings.redundant = on; v.engine != nil {
			v.engine.SetRedundant(on)
		}
	case "ducking":
		if v.settings.ducking = on; v.engine != nil {
			v.engine.SetDucking(on)
		}
	}
	lasts := ""
	if on {
		lasts = "; this lasts until you quit"
	}
	v.note("voice", "%s%s", v.settings.text(a.Name), lasts)
}

// text says how a setting stands, for people.
func (s voiceSettings) text(name string) string {
	switch {
	case name == "redundant" && s.redundant:
		return "each 20 ms is sent twice: one lost packet is not heard, and you send twice as much"
	case name == "redundant":
		return "each 20 ms is sent once"
	case s.ducking:
		return "your microphone is shut while others are heard, unless you are louder"
	}
	return "your microphone is open while others are heard"
}

func (v *voice) gateText() string {
	switch {
	case v.vad == media.GateOpen:
		return "is always open"
	case v.level != 0:
		return fmt.Sprintf("opens at %g dBFS", v.level)
	}
	return "opens when you speak"
}

// mute shuts the own microphone, or silences somebody else.
func (v *voice) mute(who string, on bool) {
	if who == "" {
		v.hush(on, v.deaf)
		return
	}
	id, err := v.find(who)
	if err != nil {
		v.fail("voice", err)
		return
	}
	vol := v.volumeOf(id)
	vol.Muted = on
	v.setVolume(id, vol)
	if on {
		v.note("voice", "you do not hear %s any more; /unmute %s ends that", v.named(id), v.named(id))
	} else {
		v.note("voice", "you hear %s again", v.named(id))
	}
}

// loudness makes somebody louder or softer.
func (v *voice) loudness(a tui.Volume) {
	id, err := v.find(a.Who)
	if err != nil {
		v.fail("voice", err)
		return
	}
	vol := v.volumeOf(id)
	if a.Relative {
		a.DB += vol.DB
	}
	vol.DB = min(max(a.DB, profile.MinVolume), profile.MaxVolume)
	v.setVolume(id, vol)
	v.note("voice", "%s is at %+g dB for you", v.named(id), vol.DB)
}

func (v *voice) volumeOf(id wire.PeerID) profile.Volume {
	vol := v.volume[id]
	vol.Peer = id.String()
	return vol
}

func (v *voice) setVolume(id wire.PeerID, vol profile.Volume) {
	if vol.DB == 0 && !vol.Muted {
		delete(v.volume, id)
	} else if _, known := v.volume[id]; known || len(v.volume) < profile.MaxVolumes {
		v.volume[id] = vol
	}
	if v.engine != nil {
		v.engine.SetGain(id, vol.DB)
		v.engine.MutePeer(id, vol.Muted)
	}
	if err := v.cfg.keep(vol); err != nil {
		v.fail("profile", err)
	}
}

// named is what to call somebody.
func (v *voice) named(id wire.PeerID) string {
	return personText(peer.Person{Peer: id, Name: v.people[id]})
}

// find finds somebody by name, name#tag, #tag or full ID. Of several with one name those in voice come first.
func (v *voice) find(who string) (wire.PeerID, error) {
	if id, err := wire.ParsePeerID(who); err == nil && id != v.cfg.self {
		return id, nil
	}
	name, tag, tagged := who, "", false
	if i := strings.LastIndexByte(who, '#'); i >= 0 {
		name, tag, tagged = who[:i], who[i+1:], true
	}
	var here, all []wire.PeerID
	myself := false
	for id, n := range v.people {
		plain := strings.EqualFold(n, who)
		if !plain && !(tagged && id.Tag() == tag && (name == "" || strings.EqualFold(n, name))) {
			continue
		}
		if id == v.cfg.self {
			myself = true
			continue
		}
		all = append(all, id)
		if _, in := v.inVoice[v.room][id]; in {
			here = append(here, id)
		}
	}
	switch {
	case len(here) == 1:
		return here[0], nil
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0 && myself:
		return wire.PeerID{}, fmt.Errorf("%s is you, whom you do not hear; /mute alone shuts your microphone", tui.SanitizeLine(who))
	case len(all) == 0:
		return wire.PeerID{}, fmt.Errorf("there is nobody called %s here; /voice shows who is in voice, /peers who is known", tui.SanitizeLine(who))
	}
	names := make([]string, 0, len(all))
	for _, id := range all {
		names = append(names, v.named(id))
	}
	slices.Sort(names)
	return wire.PeerID{}, fmt.Errorf("%s could be %s; say which", tui.SanitizeLine(who), strings.Join(names[:min(len(names), 8)], ", "))
}

func (v *voice) input(source string) {
	if _, err := device.ParseSource(source); err != nil {
		v.fail("device", err)
		return
	}
	if v.mic = source; v.engine != nil {
		v.engine.Input(source)
	}
	if v.room == "" {
		v.note("device", "microphone: %s, when you join voice", source)
	}
}

func (v *voice) output(sink string) {
	if _, err := device.ParseSink(sink); err != nil {
		v.fail("device", err)
		return
	}
	if v.speaker = sink; v.engine != nil {
		v.engine.Output(sink)
	}
	if v.room == "" {
		v.note("device", "speaker: %s, when you join voice", sink)
	}
}

// answer says who is in voice, and how.
func (v *voice) answer() voiceAnswer {
	a := voiceAnswer{state: v.state, gate: v.gateText()}
	for room, people := range v.inVoice {
		if v.room != "" && room != v.room {
			continue
		}
		for id, how := range people {
			a.people = append(a.people, voicePerson{room: room, who: peer.Person{Peer: id, Name: v.people[id]}, voiceOf: how,
				self: id == v.cfg.self, volume: v.volumeOf(id)})
		}
	}
	slices.SortFunc(a.people, func(a, b voicePerson) int {
		return strings.Compare(string(a.room)+"\n"+strings.ToLower(a.who.Name)+"\n"+a.who.Peer.String(),
			string(b.room)+"\n"+strings.ToLower(b.who.Name)+"\n"+b.who.Peer.String())
	})
	return a
}

func (v *voice) stats() {
	s := statsAnswer{room: v.room}
	if v.engine != nil && v.room != "" {
		s.VoiceStats = v.engine.Stats()
	}
	for _, t := range s.Talkers {
		rtt, linked := v.rtt[t.Peer]
		s.talkers = append(s.talkers, talkerAnswer{TalkerStats: t, who: peer.Person{Peer: t.Peer, Name: v.people[t.Peer]}, rtt: rtt, linked: linked})
	}
	slices.SortFunc(s.talkers, func(a, b talkerAnswer) int { return strings.Compare(personText(a.who), personText(b.who)) })
	v.news.Post(s)
}

// beside does what waits for sound devices in a goroutine of its own, one after another. What that returns is done by
// the owner.
func (v *voice) beside(patience time.Duration, work func(context.Context) func()) {
	if len(v.waiting) >= maxWaiting {
		v.fail("device", errors.New("too much at a time: a sound device is being waited for"))
		return
	}
	v.busy.Add(1)
	v.waiting = append(v.waiting, func() {
		v.work.Go(func() {
			ctx, cancel := context.WithTimeout(v.ctx, patience)
			defer cancel()
			then := work(ctx)
			v.mail.Post(func() {
				then()
				v.busy.Add(-1)
				if v.waiting = v.waiting[1:]; len(v.waiting) > 0 {
					v.waiting[0]()
				}
			})
		})
	})
	if len(v.waiting) == 1 {
		v.waiting[0]()
	}
}

// devices asks the sound system what there is.
func (v *voice) devices() {
	v.beside(devicePatience, func(ctx context.Context) func() {
		mics, speakers, err := v.cfg.sound.List(ctx)
		return func() {
			if err != nil && !errors.Is(err, media.ErrNoSound) {
				v.fail("device", err)
				return
			}
			v.news.Post(devicesAnswer{microphones: mics, speakers: speakers, state: v.state})
		}
	})
}
