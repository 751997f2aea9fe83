package peer

import (
	"github.com/google/uuid"

	"peerchat/peer/negotiate"
	"peerchat/peer/wire"
)

// Transport makes connections to peers and carries frames over them. Every method returns at once; what comes of it is
// posted to the sink that the transport was made with, as a TransportEvent, in order for each session. A session is one
// attempt at a PeerConnection; two attempts at the same peer may live side by side.
//
// The WebRTC transport is in rtc.go; peertest has one in memory.
type Transport interface {
	// Offer starts a session as the offering side; a Described with the offer follows.
	Offer(session uuid.UUID, remote wire.PeerID)
	// Accept starts a session as the answering side; a Described with the answer follows.
	Accept(session uuid.UUID, remote wire.PeerID, offer Description)
	// Answer gives the offering side its answer.
	Answer(session uuid.UUID, answer Description)
	// Candidate adds a remote ICE candidate.
	Candidate(session uuid.UUID, candidate Candidate)
	// Send queues an encoded frame on an open session. Fast sends it past the others, unreliably.
	Send(session uuid.UUID, frame []byte, fast bool)
	// Close ends a session; Closed follows. Frames queued before it are sent first where that takes no waiting.
	Close(session uuid.UUID)
	// Speak says who is in voice with this peer: the open sessions that get its sound, from now on those and no others.
	// Theirs is taken, that of all others is not.
	Speak(sessions []uuid.UUID)
	// SetSTUN sets the STUN server URLs for sessions to come.
	SetSTUN(urls []string)
	// Stop ends everything and waits for it, for a second at most.
	Stop()
}

// Description and Candidate are what one negotiates: see there.
type (
	Description = negotiate.Description
	Candidate   = negotiate.Candidate
)

// TransportEvent is what a Transport reports: one of the types below.
type TransportEvent interface{ transportEvent() }

type (
	// Described is the local description of a session.
	Described struct {
		Session     uuid.UUID
		Description Description
	}
	// Gathered is a local ICE candidate to be sent to the other side.
	Gathered struct {
		Session   uuid.UUID
		Candidate Candidate
	}
	// Opened says that a session carries frames.
	Opened struct {
		Session uuid.UUID
		Path    Path
	}
	// Received is a frame, still encoded, at most wire.MaxFrame bytes; the receiver owns Data.
	Received struct {
		Session uuid.UUID
		Data    []byte
	}
	// Pressure says that the send queue of a session passed its high-water mark, or fell below its low one.
	Pressure struct {
		Session uuid.UUID
		High    bool
	}
	// Closed is the last event of a session.
	Closed struct {
		Session uuid.UUID
		Err     error // nil after Close
	}
	// Measured is the state of a session's path, reported every few seconds while it is open.
	Measured struct {
		Session uuid.UUID
		Path    Path
	}
)

func (Described) transportEvent() {}
func (Gathered) transportEvent()  {}
func (Opened) transportEvent()    {}
func (Received) transportEvent()  {}
func (Pressure) transportEvent()  {}
func (Closed) transportEvent()    {}
func (Measured) transportEvent()  {}
