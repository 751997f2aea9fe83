package media

// Redundancy makes packets that carry the frame before their own once more, so that one lost packet is made up for by
// the next. Such a packet is still plain audio/L16: two frames in a row, with the time stamp of the first. The first
// packet of a talk-spurt has no frame before it, and is as short as ever. The copy doubles what is sent; a listener
// waits up to a frame longer, once packets are lost. The zero value has not sent anything.
//
// RFC 2198 would say by a header which part is the copy. It costs a payload type of its own, for which links would have
// to be negotiated anew; here the sequence numbers and time stamps tell it as well.
type Redundancy struct {
	last Frame
	next uint32 // time stamp after last
	have bool   // last was sent
}

// Append appends the payload of the packet for f, whose first sample has the time stamp at, and returns the packet's
// time stamp. Marker is the packet's: it begins a talk-spurt.
func (r *Redundancy) Append(dst []byte, at uint32, f *Frame, marker bool) (payload []byte, timestamp uint32) {
	timestamp = at
	if r.have && r.next == at && !marker {
		dst = AppendL16(dst, r.last[:])
		timestamp -= FrameSamples
	}
	r.last, r.next, r.have = *f, at+FrameSamples, true
	return AppendL16(dst, f[:]), timestamp
}

// split takes the copy off a packet of the known sender, and queues it if it is of a packet that has not come. It
// returns what is the packet's own, and its time stamp.
//
// A packet of two frames may as well be one of 40 ms. That is told from the first one that follows directly on
// another: it goes back in time by a frame, or it does not.
func (j *Jitter) split(p Packet, seq, ts int64) (Packet, int64) {
	if len(p.PCM) != 2*FrameSamples || p.Marker {
		return p, ts
	}
	if seq == j.high+1 {
		j.twice = ts < j.highEnd
	}
	if !j.twice {
		return p, ts
	}
	before := p
	before.PCM, p.PCM = p.PCM[:FrameSamples], p.PCM[FrameSamples:]
	if !j.known(seq - 1) {
		j.stats.Filled++
		j.count(j.fill(before, seq-1, ts))
	}
	return p, ts + FrameSamples
}

// fill queues the copy of a packet in its place. Its arrival tells nothing of the jitter, but it does of how long to
// wait.
func (j *Jitter) fill(p Packet, seq, ts int64) Verdict {
	j.mark(seq)
	if seq > j.high {
		j.high, j.highTS, j.highEnd = seq, ts, ts+int64(len(p.PCM))
	}
	return j.queue(p, seq, ts)
}
