package media

import "time"

// The talk key's times. Terminals repeat a key that is held after 250 to 660 ms, and then at least ten times a second.
const (
	pttFirst  = 700 * time.Millisecond // in which the first repeat of a held key comes
	pttRepeat = 180 * time.Millisecond // between repeats
	pttLimit  = 2 * time.Minute        // of talking, so that nobody is on the air for ever
	pttBounce = 30 * time.Millisecond  // two presses nearer than that are one
)

// PTT is a talk key in a terminal, which tells of presses and repeats but, mostly, not of releases. Held, it talks
// until shortly after the last repeat. Tapped, it latches until it is tapped again. Both end after two minutes. The
// zero value is a key that is up, with the default limit.
type PTT struct {
	Limit time.Duration // how long one may talk; default two minutes

	state   pttState
	began   time.Time
	last    time.Time // press or repeat
	expired bool
}

type pttState uint8

const (
	pttUp      pttState = iota
	pttPressed          // once: a tap, or the beginning of a hold
	pttLatched
	pttHeld
	pttSpent // the limit has passed: up, until the repeats end
)

// Key is a press, or a repeat of the key that is held.
func (p *PTT) Key(now time.Time) {
	p.step(now)
	since := now.Sub(p.last)
	p.last = now
	switch p.state {
	case pttUp:
		p.state, p.began, p.expired = pttPressed, now, false
	case pttPressed:
		if since >= pttBounce {
			p.state = pttHeld // or tapped twice: then no repeat comes, and it is up in a moment
		}
	case pttLatched:
		p.state = pttUp
	case pttHeld, pttSpent:
	}
}

// Release is the key's release, where the terminal tells it; or the end of talking for another reason.
func (p *PTT) Release(now time.Time) {
	p.step(now)
	p.state = pttUp
}

// Down says whether the user talks now, and when to ask again; zero: not before the next Key. It is the one timer to
// keep.
func (p *PTT) Down(now time.Time) (down bool, wake time.Time) {
	p.step(now)
	limit := p.began.Add(p.limit())
	switch p.state {
	case pttPressed:
		wake = p.last.Add(pttFirst)
	case pttHeld:
		wake = p.last.Add(pttRepeat)
	case pttLatched:
		return true, limit
	case pttSpent:
		return false, p.last.Add(pttFirst)
	default:
		return false, time.Time{}
	}
	if limit.Before(wake) {
		wake = limit
	}
	return true, wake
}

// Latched says that the key was tapped, and stays down.
func (p *PTT) Latched() bool { return p.state == pttLatched }

// Expired says that the last talking ended by the limit.
func (p *PTT) Expired() bool { return p.expired }

func (p *PTT) limit() time.Duration {
	if p.Limit > 0 {
		return p.Limit
	}
	return pttLimit
}

// step does what time does.
func (p *PTT) step(now time.Time) {
	since := now.Sub(p.last)
	switch {
	case p.state == pttPressed && since >= pttFirst:
		p.state = pttLatched
	case p.state == pttHeld && since >= pttRepeat, p.state == pttSpent && since >= pttFirst:
		p.state = pttUp
	}
	if p.state != pttUp && p.state != pttSpent && now.Sub(p.began) >= p.limit() {
		p.state, p.expired = pttSpent, true
	}
}
