package media

import "time"

// The jitter buffer's fixed bounds.
const (
	jitterSlots   = 64             // packets
	jitterJump    = SampleRate     // a time stamp further away than that must be confirmed by the next packet
	jitterDropout = 100            // so must a sequence number
	jitterRun     = 60 * perMilli  // what is concealed in a row, before it counts as a pause
	jitterBacklog = 60 * perMilli  // kept beyond the target when sound begins again after a pause
	jitterHard    = 200 * perMilli // beyond the target whole packets are dropped
	jitterDead    = 8 * perMilli   // nearer to the target only the drift is corrected
	jitterKnown   = 25             // packets, before the waits are believed
	jitterFar     = 1 << 28        // no honest clock differs by so many samples in a year
	jitterLoss    = 1.0 / 256      // weight of a packet in the loss that is told
	perMilli      = SampleRate / 1000
)

// Packet is one RTP packet with its sound decoded.
type Packet struct {
	SSRC      uint32
	Seq       uint16
	Timestamp uint32 // in samples
	Marker    bool   // the first of a talk-spurt
	PCM       []int16
}

// Verdict says what became of a packet.
type Verdict uint8

// The verdicts.
const (
	Queued    Verdict = iota
	Late              // its place has been played already
	Duplicate         // it, or sound for the same time, was there before
	Restarted         // queued; all before it is forgotten, because the sender is another, or began anew
	Refused           // its length is wrong, or it jumps in a way that the next packet has to confirm
)

// JitterConfig sets how a Jitter weighs delay against loss. Zero fields get the defaults.
type JitterConfig struct {
	Safety  time.Duration // all but the slowest packets come that much before they are needed; 2 ms
	Initial time.Duration // how long the first packet waits, while nothing is known; 20 ms
	Max     time.Duration // no packet waits longer; 400 ms
	Loss    float64       // the share of packets that may come too late, below 0.5; 0.01
}

// State says what sound is.
type State uint8

// The states.
const (
	Idle      State = iota // silence: nobody talks
	Concealed              // made up, because packets lack
	Playing                // received
)

// Pulled is what the buffer gives out for the next moments.
type Pulled struct {
	State State
	PCM   []int16       // of Playing; valid until the next call of the Jitter
	N     int           // samples: len(PCM), or how long to conceal or to be silent
	Wait  time.Duration // of Playing: from Push to Pull
}

// Jitter is the adaptive buffer between the network and one talker's playback.
//
// Packets are kept in the order of their time stamps. The buffer has a position in the sender's time, which runs with
// the playback clock: what is there when its time has come is played, what is not is concealed. So nothing is played
// twice or out of order, and one lost packet holds nothing up.
//
// How late the position runs is learnt from how long packets wait until they are heard: of the last 500 waits the
// shortest hundredth shall be Safety. This measures the jitter of the network, of the sender and of the own sound card
// at once. If the buffer runs dry, and the packet comes after all, the position goes back to it: the delay has grown by
// what was concealed. When all but a hundredth of the packets wait for longer than needed, Excess says by how much, for
// the caller to play a little faster; pauses are shortened by the buffer itself. A pause is known by sequence numbers
// that go on while time stamps jump, by the marker bit, or by 60 ms without packets.
type Jitter struct {
	safety, initial, max int
	share                float64 // of packets that may come too late

	origin time.Time
	begun  bool  // origin is set
	clock  int64 // samples of the caller's clock since origin
	due    int64 // when position is played
	period int   // most samples that the caller pulls ahead of their time, see raster

	running  bool // a sender is known
	ssrc     uint32
	high     int64 // highest sequence number, extended
	highTS   int64 // time stamp of it, extended
	highEnd  int64 // end of its sound
	twice    bool  // long packets begin with the frame before their own, see redundancy.go
	seen     [2]uint64
	suspect  bool // a packet jumped; the next one that follows it makes a restart
	suspSSRC uint32
	suspSeq  uint16
	suspTime uint32

	position int64 // the sender's time that is pulled next
	played   int64 // the end of what was played last: nothing before it may be played
	next     int64 // sequence number after the one played last
	pause    bool  // nobody talks, as far as is known
	dry      int   // samples concealed in a row

	arrivals interarrival
	loss     float64 // JitterStats.Loss

	waits window
	shift int64 // how much position has been moved against the playback clock; waits are kept relative to it

	slots [jitterSlots]slot
	order [jitterSlots]uint8 // the first n: queued slots by time stamp; the rest: free ones
	n     int
	stats JitterStats
}

type slot struct {
	seq, ts, arrival int64
	marker           bool
	scored           bool // its wait is in the window already
	n                int
	pcm              [MaxPacketSamples]int16
}

func (s *slot) end() int64 { return s.ts + int64(s.n) }

// NewJitter makes an empty buffer.
func NewJitter(cfg JitterConfig) *Jitter {
	j := &Jitter{safety: samples(cfg.Safety), initial: samples(cfg.Initial), max: samples(cfg.Max), share: cfg.Loss}
	if cfg.Safety <= 0 {
		j.safety = 2 * perMilli
	}
	if cfg.Initial <= 0 {
		j.initial = 20 * perMilli
	}
	if cfg.Max <= 0 {
		j.max = 400 * perMilli
	}
	j.max = min(max(j.max, 2*FrameSamples), SampleRate)
	j.safety, j.initial = min(j.safety, j.max/2), min(j.initial, j.max)
	if !(j.share > 0 && j.share < 0.5) {
		j.share = 0.01
	}
	for i := range j.order {
		j.order[i] = uint8(i)
	}
	return j
}

func samples(d time.Duration) int { return int(d * SampleRate / time.Second) }

func duration(n int64) time.Duration { return time.Duration(n) * time.Second / SampleRate }

// tick brings the clock to now. A clock that goes back stands still.
func (j *Jitter) tick(now time.Time) {
	if !j.begun {
		j.begun, j.origin = true, now
	}
	j.clock = max(j.clock, int64(now.Sub(j.origin)/(time.Second/SampleRate)))
}

// Push takes a packet at its arrival; its samples are copied.
func (j *Jitter) Push(now time.Time, p Packet) Verdict {
	j.tick(now)
	j.stats.Received++
	v := j.push(p)
	j.count(v)
	return v
}

func (j *Jitter) count(v Verdict) {
	switch v {
	case Late:
		j.stats.Late++
	case Duplicate:
		j.stats.Duplicate++
	case Refused:
		j.stats.Refused++
	case Restarted:
		j.stats.Restarts++
	}
}

func (j *Jitter) push(p Packet) Verdict {
	if len(p.PCM) == 0 || len(p.PCM) > MaxPacketSamples {
		return Refused
	}
	if !j.running {
		j.start(p)
		return j.queue(p, j.high, j.highTS)
	}
	seq := j.high + int64(int16(p.Seq-uint16(j.high)))
	ts := j.highTS + int64(int32(p.Timestamp-uint32(j.highTS)))
	if !j.follows(p.SSRC, seq-j.high, ts-j.highTS) {
		// A sender that begins anew goes on after that; a single stray or forged packet does not (RFC 3550, A.1).
		if !j.suspect || p.SSRC != j.suspSSRC || p.Seq != j.suspSeq+1 || p.Timestamp-j.suspTime > jitterJump {
			j.suspect, j.suspSSRC, j.suspSeq, j.suspTime = true, p.SSRC, p.Seq, p.Timestamp
			return Refused
		}
		j.start(p)
		j.queue(p, j.high, j.highTS)
		return Restarted
	}
	j.suspect, j.ssrc = false, p.SSRC
	p, ts = j.split(p, seq, ts)
	return j.take(p, seq, ts)
}

// take notes a packet of the known sender, and queues it.
func (j *Jitter) take(p Packet, seq, ts int64) Verdict {
	if !j.mark(seq) {
		return Duplicate
	}
	if seq > j.high {
		j.high, j.highTS, j.highEnd = seq, ts, ts+int64(len(p.PCM))
	}
	j.arrivals.add(j.clock, ts+int64(len(p.PCM)))
	return j.queue(p, seq, ts)
}

// follows reports whether a packet that is dseq and dts away from the highest one can be of the same stream: near in
// both, or after a pause, during which time stamps run on and sequence numbers do not. A later packet has no earlier
// time. A source whose numbers go on where the other's ended is the same talker on another way.
func (j *Jitter) follows(ssrc uint32, dseq, dts int64) bool {
	switch {
	case dseq < -jitterDropout || dseq > jitterDropout, dts < -jitterJump:
		return false
	case dseq > 0 && dts < 0, dseq < 0 && dts > 0:
		return false
	}
	return dts <= jitterJump || dseq > 0 && ssrc == j.ssrc
}

// mark notes a sequence number and reports whether it is new. What is too old to know counts as new: its time has
// passed.
func (j *Jitter) mark(seq int64) bool {
	if d := seq - j.high; d > 0 {
		for range min(d, 128) {
			j.seen[1] = j.seen[1]<<1 | j.seen[0]>>63
			j.seen[0] <<= 1
		}
		j.seen[0] |= 1
		return true
	}
	if j.known(seq) {
		return false
	}
	if d := j.high - seq; d < 128 {
		j.seen[d/64] |= 1 << (d % 64)
	}
	return true
}

// known reports whether a sequence number was marked.
func (j *Jitter) known(seq int64) bool {
	d := j.high - seq
	return d >= 0 && d < 128 && j.seen[d/64]&(1<<(d%64)) != 0
}

// start begins with a new sender at p.
func (j *Jitter) start(p Packet) {
	j.n = 0
	j.running, j.ssrc, j.suspect = true, p.SSRC, false
	j.high, j.highTS = int64(p.Seq), int64(p.Timestamp)
	j.highEnd, j.twice = j.highTS+int64(len(p.PCM)), false
	j.arrivals = interarrival{jitter: j.arrivals.jitter}
	j.seen = [2]uint64{1, 0}
	j.next = j.high
	j.played = j.highTS
	j.dry = 0
	j.anchor(j.highTS)
}

// anchor lets sound begin with the packet of time stamp ts, after the wait of a typical packet.
func (j *Jitter) anchor(ts int64) {
	hold := j.typical()
	j.position = ts - int64(hold)
	j.pause = true
	if j.waits.n >= jitterKnown {
		j.shift = int64(j.waits.median()) - int64(hold)
	}
}

// typical is how long a packet shall wait that is neither fast nor slow.
func (j *Jitter) typical() int {
	if j.waits.n < jitterKnown {
		return j.initial
	}
	return min(j.safety+j.period+int(j.waits.median()-j.waits.low(j.share)), j.max)
}

// queue puts a packet of the known sender into its place.
func (j *Jitter) queue(p Packet, seq, ts int64) Verdict {
	var scored bool
	late := j.position - ts
	if ts < j.played {
		// Its place, or a later one, has been played.
		j.score(j.due - late - j.clock)
		j.unlose(seq)
		return Late
	}
	if late > 0 {
		switch fits := j.waits.n < jitterKnown || int64(j.waits.median())-j.shift+late <= int64(j.max); {
		case late <= int64(j.max) && j.n == 0 && fits:
			// The buffer ran dry, and here is what lacked: nothing is lost, the delay grows.
			j.score(j.due - late - j.clock)
			scored = true
			j.move(-late)
		case j.pause && j.n == 0:
			j.anchor(ts) // nothing is known of the way it came
		default:
			j.score(j.due - late - j.clock)
			j.unlose(seq)
			return Late
		}
	} else if -late > int64(j.max) && j.n == 0 && j.pause {
		j.anchor(ts)
	}
	at := j.n
	for at > 0 && j.slots[j.order[at-1]].ts >= ts {
		at--
	}
	end := ts + int64(len(p.PCM))
	if at < j.n && j.slots[j.order[at]].ts < end || at > 0 && j.slots[j.order[at-1]].end() > ts {
		return Duplicate
	}
	if j.n == jitterSlots {
		if at == 0 {
			return Late
		}
		j.drop()
		at--
	}
	i := j.order[j.n]
	copy(j.order[at+1:j.n+1], j.order[at:j.n])
	j.order[at] = i
	j.n++
	s := &j.slots[i]
	s.seq, s.ts, s.arrival, s.marker, s.scored, s.n = seq, ts, j.clock, p.Marker, scored, len(p.PCM)
	copy(s.pcm[:], p.PCM)
	j.bound()
	return Queued
}

// bound sees to it that nothing waits for longer than Max.
func (j *Jitter) bound() {
	for {
		over := j.slots[j.order[j.n-1]].ts - j.position + j.ahead() - int64(j.max)
		if over <= 0 {
			return
		}
		if gap := j.slots[j.order[0]].ts - j.position; gap > 0 {
			j.move(min(gap, over))
			continue
		}
		if j.n == 1 {
			return // it is next
		}
		j.drop()
	}
}

// ahead is how much was given out that has not been heard yet.
func (j *Jitter) ahead() int64 { return max(j.due-j.clock, 0) }

// room is how much longer all that is queued can wait, within Max.
func (j *Jitter) room() int64 {
	least := int64(j.max)
	for _, i := range j.order[:j.n] {
		s := &j.slots[i]
		least = min(least, int64(j.max)-(s.ts-j.position)-j.ahead()-(j.clock-s.arrival))
	}
	return max(least, 0)
}

// move moves the position without playing: forwards makes the delay shorter.
func (j *Jitter) move(by int64) {
	j.position += by
	j.shift += by
}

// drop throws the first packet away and moves to its end.
func (j *Jitter) drop() {
	s := j.pop()
	j.stats.Dropped++
	j.move(s.end() - j.position)
	j.played = s.end()
}

// pop takes the first packet out; its slot stays valid until the next Push.
func (j *Jitter) pop() *slot {
	i := j.order[0]
	copy(j.order[:], j.order[1:j.n])
	j.n--
	j.order[j.n] = i
	s := &j.slots[i]
	if s.seq >= j.next {
		j.stats.Lost += uint64(s.seq - j.next)
		for range min(s.seq-j.next, 1/jitterLoss) {
			j.loss += (1 - j.loss) * jitterLoss
		}
		j.loss -= j.loss * jitterLoss
		j.next = s.seq + 1
	}
	return s
}

// unlose takes a packet that is late back from those that count as lost.
func (j *Jitter) unlose(seq int64) {
	if seq < j.next && j.stats.Lost > 0 {
		j.stats.Lost--
	}
}

// score notes how long a packet has waited, less than 0 if it came too late.
func (j *Jitter) score(wait int64) {
	if j.shift > jitterFar || j.shift < -jitterFar {
		j.waits, j.shift = window{}, 0 // time stamps have raced: what was learnt before means nothing
	}
	j.waits.add(int32(min(max(wait, -SampleRate), SampleRate) + j.shift))
}

// Excess is by how many samples the delay is longer than it has to be; less than 0 if it is too short, 0 while that
// is not known.
func (j *Jitter) Excess() int {
	if j.waits.n < jitterKnown {
		return 0
	}
	e := int64(j.waits.low(j.share)) - j.shift - int64(j.safety+j.period)
	room := int64(j.max) - (int64(j.waits.median()) - j.shift) // to grow
	return int(max(e, -max(room, 0)))
}

// raster tells the period in which the sound card takes sound. A packet is needed up to that much before it is heard:
// how much, changes with the drift of the clocks, so the worst is reckoned with.
func (j *Jitter) raster(period int) { j.period = min(period, MaxPacketSamples) }

// drifting is Excess for the slow loop of Drift, which must not believe the first few packets.
func (j *Jitter) drifting() (excess int, known bool) {
	return j.Excess(), j.waits.n >= 100
}

// Adjust tells the buffer that n samples more of its sound were used up than were played, because the caller
// plays faster; less than 0: slower. So it knows that its packets will wait for shorter.
func (j *Jitter) Adjust(n int) { j.shift += int64(n) }

// Pull gives out the sound of the next moments on the playback clock: one packet, or at most want samples to make up.
// It is heard after lead samples, that the caller has got before.
func (j *Jitter) Pull(now time.Time, want, lead int) Pulled {
	j.tick(now)
	p := j.pull(want, lead)
	j.due = j.clock + int64(lead+p.N)
	return p
}

func (j *Jitter) pull(want, lead int) Pulled {
	if !j.running {
		return Pulled{State: Idle, N: want}
	}
	for j.n > 0 {
		head := &j.slots[j.order[0]]
		gap := head.ts - j.position
		if gap == 0 {
			limit := jitterHard
			if j.pause {
				limit = jitterBacklog
			}
			if j.n > 1 && j.Excess() > limit {
				j.drop()
				continue
			}
			return j.play(lead)
		}
		if !j.pause && head.seq != j.next && !head.marker {
			break // lost, or on its way
		}
		j.pause = true
		// In silence the delay is corrected for nothing.
		if e := int64(j.Excess()); e > 0 {
			j.move(min(e, gap))
		} else if e = max(e, -j.room()); e < -jitterDead {
			j.move(e)
		}
		if gap = head.ts - j.position; gap > 0 {
			n := min(int(gap), want)
			j.position += int64(n)
			return Pulled{State: Idle, N: n}
		}
	}
	n := want
	if j.n > 0 {
		n = min(n, int(j.slots[j.order[0]].ts-j.position))
	}
	j.position += int64(n)
	if j.pause {
		return Pulled{State: Idle, N: n}
	}
	j.dry += n
	j.pause = j.dry >= jitterRun
	j.stats.Concealed += uint64(n)
	return Pulled{State: Concealed, N: n}
}

func (j *Jitter) play(lead int) Pulled {
	s := j.pop()
	if !s.scored {
		j.score(j.clock + int64(lead) - s.arrival)
	}
	j.position, j.played = s.end(), s.end()
	j.pause, j.dry = false, 0
	j.stats.Played++
	return Pulled{State: Playing, PCM: s.pcm[:s.n], N: s.n, Wait: duration(j.clock - s.arrival)}
}
