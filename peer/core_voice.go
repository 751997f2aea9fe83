package peer

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// This file is who is in voice, where, and who therefore gets whose sound. A peer says it in its presence, so voice
// ends with the link that would carry it.

const (
	// voiceRate is what voice costs its talker for each listener, in kbit/s: 696 bytes a packet, 50 packets a second.
	voiceRate = 696 * 50 * 8 / 1000
	// A voice room of crowdBegins people is a crowd: its members are told what it costs. They are told again after it
	// has had fewer than crowdEnds, so that one who comes and goes is no news.
	crowdBegins = 12
	crowdEnds   = 10
)

// voices is what a Core knows of voice beside its links.
type voices struct {
	self    wire.Voice                 // Muted and Deaf are kept while Room is empty
	crowded bool                       // the own voice room is a crowd, and that has been told
	of      map[wire.PeerID]wire.Voice // of others, as told: those in the voice of a room of ours
	stale   bool                       // spoken may be wrong
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
	if was == c.voices.voice() {
		return
	}
	c.presenceChanged(now, out)
	if was.Room != c.voices.voice().Room {
		c.wantLinks(now, true, out) // whoever is in the same voice needs one
	}
}

// hearVoice takes note of what is known of a peer's voice: its own word over a link, or else what it said to its room.
func (c *Core) hearVoice(now time.Time, id wire.PeerID, out *CoreOutput) {
	var is wire.Voice
	if l := c.links[id]; l != nil && l.up {
		is = l.said.Voice
	} else if p := c.roster.people[id]; p != nil {
		is = p.rumoredVoice
	}
	if !c.joined(is.Room) {
		is = wire.Voice{}
	}
	was := c.voices.of[id]
	if is == (wire.Voice{}) {
		delete(c.voices.of, id)
	} else {
		c.voices.of[id] = is
	}
	c.voiceChanged(c.roster.person(id), false, was, is, out)
	if own := c.voices.self.Room; own != "" && is.Room != was.Room && !c.stopping {
		if is.Room == own {
			c.wantLink(now, id, false, out)
		} else if was.Room == own {
			c.checkUse(now, c.links[id], out)
		}
	}
}

// joinedVoices tells who is in voice in a room that this peer has joined.
func (c *Core) joinedVoices(now time.Time, out *CoreOutput) {
	for _, id := range c.linkIDs() {
		c.hearVoice(now, id, out)
	}
}

// leftVoices forgets the voice of a room that this peer is leaving.
func (c *Core) leftVoices(room wire.Room, out *CoreOutput) {
	if was := c.voices.self; was.Room == room {
		c.voices.self.Room = "" // the presence that tells it is that of leaving the room
		c.voiceChanged(c.roster.self, true, was, wire.Voice{}, out)
	}
	maps.DeleteFunc(c.voices.of, func(_ wire.PeerID, v wire.Voice) bool { return v.Room == room })
}

// inVoice is how many are in a room's voice, oneself included.
func (c *Core) inVoice(room wire.Room) int {
	n := 0
	if c.voices.self.Room == room {
		n++
	}
	for _, v := range c.voices.of {
		if v.Room == room {
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
			if l := c.links[id]; l.up && l.said.Voice.Room == room {
				sessions = append(sessions, l.session)
			}
		}
	}
	if !slices.Equal(sessions, c.voices.spoken) {
		c.voices.spoken = sessions
		out.Ops = append(out.Ops, opSpeak{sessions: slices.Clone(sessions)})
	}
}
