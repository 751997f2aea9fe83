package peer

// write sends a frame.
func (s *rtcSession) write(frame []byte, fast bool) {
	id, limit := rtcReliableID, uint64(rtcHardLimit)
	if fast {
		if s.state == rtcOpen && s.writeFast(frame) {
			return
		}
		if limit = rtcFastLimit; s.dc[rtcFastID] != nil {
			id = rtcFastID
		}
	}
	if s.state != rtcOpen || s.dc[id].BufferedAmount()+uint64(len(frame)) > limit {
		s.rtc.dropped.Add(1)
		return
	}
	if _, err := s.raw[id].WriteDataChannel(frame, false); err != nil {
		s.rtc.dropped.Add(1) // closed under our feet, which its reader is about to tell
	}
}

// press watches the queue. It is called after each frame, whatever became of it: the last one that waited may be one
// that does not go there.
func (s *rtcSession) press() {
	if s.state != rtcOpen {
		return
	}
	switch queued, waiting := s.dc[rtcReliableID].BufferedAmount(), uint64(s.posted.Load()); {
	case !s.high && queued+waiting > rtcHighWater:
		s.high = true
		s.rtc.sink(Pressure{Session: s.id, High: true})
	case s.high && queued <= rtcLowWater && waiting == 0:
		s.relieved() // it was never much in SCTP's queue, so SCTP will not tell
	}
}

func (s *rtcSession) relieved() {
	s.high = false
	s.rtc.sink(Pressure{Session: s.id, High: false})
}

// drained is called when the reliable channel's queue has fallen to its low threshold.
func (s *rtcSession) drained() {
	if s.state == rtcClosing {
		s.finish(nil)
	} else if s.high && s.dc[rtcReliableID].BufferedAmount() <= rtcLowWater {
		s.relieved()
	}
}
