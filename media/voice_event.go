package media

import "time"

// VoiceEvent is what an Engine tells: one of the types below.
type VoiceEvent interface{ voiceEvent() }

// DeviceKind is what a device event is about.
type DeviceKind uint8

// Kinds.
const (
	Microphone DeviceKind = iota
	Speaker
)

// String names the kind.
func (k DeviceKind) String() string {
	if k == Speaker {
		return "speaker"
	}
	return "microphone"
}

// DeviceOpened says that a device is in use from now on.
type DeviceOpened struct {
	Kind  DeviceKind
	Asked string // what the user wants, "" for the default
	Name  string // what it is
	// Instead is true if it is the default device that stands in for the one that the user wants, which is gone.
	Instead bool
	// Returned is true if it is the one that the user wants, which was gone, and is there again.
	Returned bool
	// Followed is true if the system has another default device now, and this is it.
	Followed bool
}

// DeviceFailed says that a device is gone or could not be opened. Until a DeviceOpened of the same kind there is
// silence. The engine tries again by itself.
type DeviceFailed struct {
	Kind  DeviceKind
	Asked string
	Name  string // of what was there; empty if nothing was
	Err   error
}

// SelfTalking says that listeners begin or cease to hear the user.
type SelfTalking struct{ On bool }

// PeerTalking says that a peer begins or ceases to be heard.
type PeerTalking struct {
	Peer PeerID
	On   bool
}

// TalkingMuted says that the user talks, but the microphone is muted. It comes every 10 s at most.
type TalkingMuted struct{}

// InputLevel is the microphone's level, ten times a second while there is a microphone.
type InputLevel struct {
	Level     Level
	Threshold float64 // dBFS; from there on it is taken for voice
	Open      bool    // listeners hear the user
}

func (DeviceOpened) voiceEvent() {}
func (DeviceFailed) voiceEvent() {}
func (SelfTalking) voiceEvent()  {}
func (PeerTalking) voiceEvent()  {}
func (TalkingMuted) voiceEvent() {}
func (InputLevel) voiceEvent()   {}

// VoiceStats is how an Engine is doing.
type VoiceStats struct {
	Joined, Muted, Deaf, Talking bool
	Ducked                       bool   // the microphone is held back because others are heard, see SetDucking
	Input, Output                string // names of the open devices; empty: none
	Captured, Sent               uint64 // frames of the microphone, and packets made of them
	Skipped                      uint64 // frames that came faster than they were taken
	InputLost                    uint64 // samples that the microphone's driver threw away
	Underruns                    uint64 // of the loudspeaker
	Overflow                     uint64 // packets that came faster than they were taken
	Foreign                      uint64 // payloads that were no sound of ours
	Crowd                        uint64 // packets of more talkers than there may be
	Talkers                      []TalkerStats
}

// TalkerStats is one peer's sound.
type TalkerStats struct {
	Peer    PeerID
	Talking bool
	GainDB  float64
	Muted   bool
	Quiet   time.Duration // since its last packet
	Stats
}
