package media

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of an Engine. What remote peers can make it hold is bounded by them.
const (
	voiceTalkers  = 64              // talkers at once; packets of further ones are dropped
	voiceSettings = 1024            // talkers with a volume of their own
	voiceArrivals = 256             // packets that wait for the engine; it takes them within a period
	voiceQuota    = 16              // of one peer, so that nobody's flood takes the place of others' sound
	voiceMute     = 5 * time.Second // who has not been heard for so long makes place for somebody new
	voiceQuiet    = time.Minute     // after so long without a packet a talker is forgotten
	voiceTick     = FrameDuration   // the engine's timer, while it is joined
	voiceMeter    = 5               // ticks between two events InputLevel: 100 ms
	voiceStop     = 5 * time.Second // longest wait of Close for sound devices
	voiceBurst    = 32              // periods at once for a loudspeaker that was not served for a while
)

// PeerID names a talker. It is assignable from the wire's peer ID.
type PeerID = [32]byte

// EngineConfig is what an Engine needs for its life.
type EngineConfig struct {
	// Devices opens microphones and loudspeakers.
	Devices Devices
	// Send gets each RTP packet that listeners are to get, 50 a second at most. It must not wait. Payload is valid
	// during the call only. Nil: nobody listens.
	Send func(Outgoing)
	// Event gets what a user may want to know. It must not wait. Nil: nobody does.
	Event func(VoiceEvent)

	Input, Output string // SOURCE and SINK of the command line; "" is the default device
	Muted, Deaf   bool
	Mode          GateMode
	Gate          GateConfig
	AGC           bool // level the microphone automatically
	Redundant     bool // see SetRedundant
	Ducking       bool // see SetDucking
	Jitter        JitterConfig

	// FirstSeq and FirstTimestamp begin the RTP stream; they should be random (RFC 3550 section 5.1).
	FirstSeq       uint16
	FirstTimestamp uint32
}

// Engine is the sound of one user: microphone to packets, packets to loudspeaker. It knows neither peers nor WebRTC.
//
// One goroutine owns everything; the loudspeaker is its clock, or a timer where there is none. A second one waits for
// the microphone, and one for each device opens and closes it. Methods only post, unless they say that they wait, and
// may be called from any goroutine, but for Stats and Close also from within Send and Event.
type Engine struct {
	cfg    EngineConfig
	ctx    context.Context // ends opening of devices
	cancel context.CancelFunc
	done   chan struct{} // closed when the owner has ended

	arrivals chan arrival
	joined   atomic.Bool // Receive takes packets
	waiting  quota
	overflow atomic.Uint64 // packets that came faster than they were taken
	foreign  atomic.Uint64 // payloads that are no sound of ours

	mu      sync.Mutex // guards the mailbox
	mailbox []func()
	closed  bool
	wake    chan struct{}

	running sync.WaitGroup // goroutines for devices and the pump

	// What follows belongs to the owner.

	input    lease[Source]
	output   lease[Sink]
	pump     *pump // nil: no microphone
	out      outgoing
	muted    bool
	deaf     bool
	ducking  bool
	duck     Ducker
	arrived  arrival // the packet in hand: on the stack it would escape
	talkers  []*talker
	settings map[PeerID]setting
	mixer    Mixer
	block    [MaxPacketSamples]int16 // of one talker
	mixed    [MaxPacketSamples]int16
	ticks    int
	silent   time.Time // until when the silence without a loudspeaker has been played
	began    time.Time // frame 0 of the user's track
	crowd    uint64    // packets of too many talkers
}

// arrival is a packet on its way to the owner.
type arrival struct {
	peer   PeerID
	at     time.Time
	packet Packet // without PCM
	n      int
	pcm    [MaxPacketSamples]int16
}

// quota counts the packets of each peer that wait for the owner.
type quota struct {
	mu sync.Mutex
	of map[PeerID]int
}

// enter reports whether one more may wait.
func (q *quota) enter(peer PeerID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.of[peer]
	if n >= voiceQuota {
		return false
	}
	q.of[peer] = n + 1
	return true
}

func (q *quota) leave(peer PeerID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := q.of[peer]; n > 1 {
		q.of[peer] = n - 1
	} else {
		delete(q.of, peer)
	}
}

// RTP is what an RTP header says of a packet (RFC 3550 section 5.1).
type RTP struct {
	SSRC      uint32
	Seq       uint16
	Timestamp uint32
	Marker    bool
}

// NewEngine starts an Engine. It touches no sound device before Join. It must be closed.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	if cfg.Devices == nil {
		return nil, errors.New("start voice: there is nothing that opens sound devices")
	}
	if cfg.Send == nil {
		cfg.Send = func(Outgoing) {}
	}
	if cfg.Event == nil {
		cfg.Event = func(VoiceEvent) {}
	}
	e := &Engine{
		cfg: cfg, waiting: quota{of: map[PeerID]int{}}, done: make(chan struct{}), wake: make(chan struct{}, 1), arrivals: make(chan arrival, voiceArrivals),
		muted: cfg.Muted, deaf: cfg.Deaf, ducking: cfg.Ducking, settings: map[PeerID]setting{}, began: time.Now(),
		out: outgoing{gate: NewGate(cfg.Gate), mode: cfg.Mode, twice: cfg.Redundant, seq: cfg.FirstSeq, base: cfg.FirstTimestamp},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.input = lease[Source]{kind: Microphone, open: cfg.Devices.OpenSource, asked: cfg.Input, opened: e.startPump, closing: e.stopPump}
	e.output = lease[Sink]{kind: Speaker, open: cfg.Devices.OpenSink, asked: cfg.Output, opened: func() {}, closing: func() {}}
	go e.run()
	return e, nil
}

// Join opens the microphone and the loudspeaker, in the background: an event tells when they are there.
func (e *Engine) Join() {
	e.post(func() {
		e.joined.Store(true)
		e.input.turn(e, true)
		e.output.turn(e, true)
	})
}

// Leave gives both back, and forgets who talks.
func (e *Engine) Leave() { e.post(e.leave) }

func (e *Engine) leave() {
	e.joined.Store(false)
	e.input.turn(e, false)
	e.output.turn(e, false)
	for _, t := range e.talkers {
		e.silence(t)
	}
	clear(e.talkers)
	e.talkers = e.talkers[:0]
}

// SetMuted shuts the microphone's gate, or lets the mode decide again. The microphone itself stays open, so that the
// engine can tell who talks into a muted one.
func (e *Engine) SetMuted(muted bool) { e.post(func() { e.muted = muted }) }

// SetDeaf silences the loudspeaker, and the microphone with it.
func (e *Engine) SetDeaf(deaf bool) { e.post(func() { e.deaf = deaf }) }

// SetMode says what opens the microphone's gate.
func (e *Engine) SetMode(mode GateMode) { e.post(func() { e.out.mode = mode }) }

// SetThreshold sets the level in dBFS that opens the gate by voice; 0: learnt.
func (e *Engine) SetThreshold(dB float64) {
	if math.IsNaN(dB) {
		dB = 0
	}
	e.post(func() {
		e.cfg.Gate.Threshold = dB
		e.out.gate.SetThreshold(dB)
	})
}

// SetRedundant has each packet carry the frame before its own once more, so that listeners miss nothing where one
// packet is lost. It doubles what is sent: 1280 bytes of sound a packet, which is more than a path with the smallest
// MTU of IPv6 takes in one piece.
func (e *Engine) SetRedundant(on bool) {
	e.post(func() { e.out.twice, e.out.copies = on, Redundancy{} })
}

// SetDucking shuts the microphone while others are heard, unless the user is clearly louder: for loudspeakers without
// headphones, whose sound would go back to those who talk.
func (e *Engine) SetDucking(on bool) {
	e.post(func() { e.ducking, e.duck = on, Ducker{} })
}

// TalkKey is a press or a repeat of the talk key; see PTT.
func (e *Engine) TalkKey() { e.post(func() { e.out.ptt.Key(time.Now()) }) }

// TalkRelease is the talk key's release, or the end of talking by another way.
func (e *Engine) TalkRelease() { e.post(func() { e.out.ptt.Release(time.Now()) }) }

// SetGain makes a peer louder or softer for this user: 0 dB is as it is sent, at most 18 dB more; -96 dB is silence.
func (e *Engine) SetGain(peer PeerID, dB float64) {
	e.post(func() { e.set(peer, func(s *setting) { s.dB = dB }) })
}

// MutePeer silences a peer for this user.
func (e *Engine) MutePeer(peer PeerID, muted bool) {
	e.post(func() { e.set(peer, func(s *setting) { s.muted = muted }) })
}

// RemovePeer forgets a peer's sound, because it left. Its volume is kept.
func (e *Engine) RemovePeer(peer PeerID) {
	e.post(func() { e.remove(func(t *talker) bool { return t.peer == peer }) })
}

// Input changes the microphone: a SOURCE of the command line.
func (e *Engine) Input(source string) {
	e.post(func() { e.input.ask(e, source) })
}

// Output changes the loudspeaker: a SINK of the command line.
func (e *Engine) Output(sink string) {
	e.post(func() { e.output.ask(e, sink) })
}

// Receive takes an RTP packet of a peer, as it comes. Payload is copied. What comes before Join is dropped.
func (e *Engine) Receive(peer PeerID, header RTP, payload []byte) {
	if !e.joined.Load() {
		return
	}
	a := arrival{peer: peer, at: time.Now(), packet: Packet{SSRC: header.SSRC, Seq: header.Seq, Timestamp: header.Timestamp, Marker: header.Marker}}
	n, err := ParseL16(a.pcm[:], payload)
	if err != nil {
		e.foreign.Add(1)
		return
	}
	a.n = n
	if !e.waiting.enter(peer) {
		e.overflow.Add(1)
		return
	}
	select {
	case e.arrivals <- a:
		return
	default:
	}
	// Old voice is worth less than new. Somebody else may fill the place that this makes; then the new packet is lost
	// too.
	e.overflow.Add(1)
	select {
	case old := <-e.arrivals:
		e.waiting.leave(old.peer)
	default:
	}
	select {
	case e.arrivals <- a:
	default:
		e.waiting.leave(peer)
	}
}

// Close leaves, gives the devices back and ends the engine. It waits for that, but no longer than 5 s; then the error
// says that a device hangs. After it, methods do nothing.
func (e *Engine) Close() error {
	e.cancel()
	<-e.done
	ended := make(chan struct{})
	go func() {
		e.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(voiceStop)
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return fmt.Errorf("end voice: a sound device did not close within %v", voiceStop)
	}
}

// post hands do to the owner; false: there is none any more.
func (e *Engine) post(do func()) bool {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return false
	}
	e.mailbox = append(e.mailbox, do)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return true
}

// read does what was posted.
func (e *Engine) read() {
	e.mu.Lock()
	posted := e.mailbox
	e.mailbox = nil
	e.mu.Unlock()
	for _, do := range posted {
		do()
	}
}

// run is the owner.
func (e *Engine) run() {
	defer close(e.done)
	timer := time.NewTimer(voiceTick)
	defer timer.Stop()
	ticking := false
	for {
		if on := e.joined.Load(); on != ticking {
			if ticking = on; on {
				e.silent = time.Now()
				timer.Reset(voiceTick)
			}
		}
		var wanted, gone <-chan struct{}
		if e.output.have {
			wanted, gone = e.output.device.Wake(), e.output.device.Done()
		}
		var frames chan *captured
		if e.pump != nil {
			frames = e.pump.frames
		}
		select {
		case <-e.wake:
			e.read()
		case e.arrived = <-e.arrivals:
			e.waiting.leave(e.arrived.peer)
			e.arrive(&e.arrived)
		case c := <-frames:
			e.capture(c)
		case <-wanted:
			e.output.moved = time.Now()
			e.play(e.output.device)
		case <-gone:
			e.output.lost(e, e.output.device.Err())
		case <-timer.C:
			if ticking {
				timer.Reset(voiceTick)
				e.tick(time.Now())
			}
		case <-e.ctx.Done():
			e.end()
			return
		}
	}
}

// end is the owner's last act. What was asked before comes first, and devices that were opened meanwhile: all of them
// are given back.
func (e *Engine) end() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.read()
	e.leave()
}

// tick is what happens 50 times a second while the engine is joined.
func (e *Engine) tick(now time.Time) {
	if !e.output.have {
		e.playNothing(now)
	} else {
		e.silent = now
	}
	e.ticks++
	if e.ticks%voiceMeter != 0 {
		return
	}
	if e.pump != nil {
		e.cfg.Event(InputLevel{Level: e.out.meter.Level(), Threshold: e.out.gate.Threshold(), Open: e.out.talking})
	}
	e.remove(func(t *talker) bool { return now.Sub(t.heard) > voiceQuiet })
	for _, t := range e.talkers {
		if t.talking && now.Sub(t.sounded) > talkHold {
			e.silence(t)
		}
	}
	e.input.check(e, now)
	e.output.check(e, now)
}

func (e *Engine) tell(ev VoiceEvent) {
	if ev != nil {
		e.cfg.Event(ev)
	}
}
