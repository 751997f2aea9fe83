package peer

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// This file is who is in voice, where, and who therefore gets whose sound. A peer says it in its presence, so voice ends with
// the link that would carry it.

const (
	// voiceRate is what voice costs its talker for each listener, in kbit/s: 690 bytes a packet, 50 packets a second.
	voiceRate = 690 * 50 * 8 / 1000
	// A voice room of crowdBegins people is a crowd: its members are told what it costs. They are told again after it has
	// had fewer than crowdEnds, so that one who comes and goes is no news.
	crowdBegins = 12
	crowdEnds   = 10
)

// voices is what a Core knows of voice beside its links.
type voices struct {
	self    wire.Voice // Muted and Deaf are kept while Room is empty
	crowded bool       // the own voice room is a crowd, and that has been told
	stale   bool       // spoken may be wrong
	spoken  []uuid.UUID
}

// voice is what is told of the own voice.
func (v *voices) voice() wire.Voice {
	if v.self.Room == "" {
		return wire.Voice{}
	}
	return v.self
}

func (c *Core) joinVoice(now time.Time, room wire.Room, out *CoreOutput) {
	if !c.joined(room) {
		c.failure(room, "voice", fmt.Sprintf("joining the voice of %s: you are not in the room; /join it first", room), out)
		return
	}
	if c.voices.self.Room == room {
		return
	}
	is := c.voices.self
	is.Room = room
	c.ownVoice(now, is, out)
}

func (c *Core) leaveVoice(now time.Time, out *CoreOutput) {
	if c.voices.self.Room == "" {
		c.failure("", "voice", "leaving voice: you are in none", out)
		return
	}
	is := c.voices.self
	is.Room = ""
	c.ownVoice(now, is, out)
}

func (c *Core) setVoice(now time.Time, s SetVoice, out *CoreOutput) {
	c.ownVoice(now, wire.Voice{Room: c.voices.self.Room, Muted: s.Muted, Deaf: s.Deaf}, out)
}

// ownVoice changes the own voice, and tells everybody of it.
func (c *Core) ownVoice(now time.Time, is wire.Voice, out *CoreOutput) {
	was := c.voices.voice()
	c.voices.self = is
	c.voiceChanged(c.roster.self, true, was, c.voices.voice(), out)
	if was != c.voices.voice() {
		c.presenceChanged(now, out)
	}
}

// hearVoice takes note of what a link's peer says of its voice, or cannot say any more.
func (c *Core) hearVoice(l *link, out *CoreOutput) {
	was := l.voice
	l.voice = wire.Voice{}
	if l.up && c.joined(l.said.Voice.Room) {
		l.voice = l.said.Voice
	}
	c.voiceChanged(c.roster.person(l.peer), false, was, l.voice, out)
}

// joinedVoices tells who is in voice in a room that this peer has joined.
func (c *Core) joinedVoices(out *CoreOutput) {
	for _, id := range c.linkIDs() {
		c.hearVoice(c.links[id], out)
	}
}

// leftVoices forgets the voice of a room that this peer is leaving.
func (c *Core) leftVoices(room wire.Room, out *CoreOutput) {
	if was := c.voices.self; was.Room == room {
		c.voices.self.Room = "" // the presence that tells it is that of leaving the room
		c.voiceChanged(c.roster.self, true, was, wire.Voice{}, out)
	}
	for _, l := range c.links {
		if l.voice.Room == room {
			l.voice = wire.Voice{}
		}
	}
}

// inVoice is how many are in a room's voice, oneself included.
func (c *Core) inVoice(room wire.Room) int {
	n := 0
	if c.voices.self.Room == room {
		n++
	}
	for _, l := range c.links {
		if l.voice.Room == room {
			n++
		}
	}
	return n
}

// voiceChanged tells the user what changed of somebody's voice.
func (c *Core) voiceChanged(p Person, self bool, was, is wire.Voice, out *CoreOutput) {
	if was == is {
		return
	}
	tell := func(room wire.Room, state VoiceState) {
		out.Events = append(out.Events, VoiceChanged{Room: room, Person: p, State: state, Self: self, Members: c.inVoice(room), Muted: is.Muted, Deaf: is.Deaf})
	}
	if was.Room != is.Room {
		c.voices.stale = true
		if was.Room != "" {
			tell(was.Room, VoiceLeft)
		}
		if is.Room != "" {
			tell(is.Room, VoiceJoined)
		}
		was.Muted, was.Deaf = false, false
	}
	if is.Room != "" {
		switch {
		case is.Muted && !was.Muted:
			tell(is.Room, VoiceMuted)
		case !is.Muted && was.Muted:
			tell(is.Room, VoiceUnmuted)
		}
		switch {
		case is.Deaf && !was.Deaf:
			tell(is.Room, VoiceDeafened)
		case !is.Deaf && was.Deaf:
			tell(is.Room, VoiceUndeafened)
		}
	}
	c.tellCrowd(out)
}

// tellCrowd tells once what it costs to talk in a crowd.
func (c *Core) tellCrowd(out *CoreOutput) {
	room := c.voices.self.Room
	n := 0
	if room != "" {
		n = c.inVoice(room)
	}
	if n < crowdEnds {
		c.voices.crowded = false
	}
	if n < crowdBegins || c.voices.crowded {
		return
	}
	c.voices.crowded = true
	out.Events = append(out.Events, Notice{Room: room, Code: "voice", Text: fmt.Sprintf(
		"%d people are in the voice of %s: while you talk, you send %d × %d = %d kbit/s; if that is more than your line carries, mute yourself when you only listen, or talk in a smaller room",
		n, room, n-1, voiceRate, (n-1)*voiceRate)})
}

// speak tells the transport who gets the own sound, and whose is taken, when that has changed.
func (c *Core) speak(out *CoreOutput) {
	if !c.voices.stale {
		return
	}
	c.voices.stale = false
	var sessions []uuid.UUID
	if room := c.voices.self.Room; room != "" {
		for _, id := range c.linkIDs() {
			if l := c.links[id]; l.voice.Room == room {
				sessions = append(sessions, l.session)
			}
		}
	}
	if !slices.Equal(sessions, c.voices.spoken) {
		c.voices.spoken = sessions
		out.Ops = append(out.Ops, opSpeak{sessions: slices.Clone(sessions)})
	}
}
