package negotiate

import "time"

// Pace is how long the steps of negotiations took lately. Where all of them are slow, because the machine has much to
// do or the signals go a long way, another attempt beside the first only adds to that; so each waits for twice as long
// as the quickest of the last few took. The quickest: a lost packet delays one, not all. The zero value knows nothing
// yet. Like a Machine it belongs to one goroutine.
type Pace struct{ answers, openings last }

// paceMost bounds what those who answer late, or a moment in which this machine stood still, can make us wait.
const paceMost = 5 * time.Second

// last are the last few of some times, and how many of them there are.
type last struct {
	times [4]time.Duration
	n     int
}

func (l *last) add(d time.Duration) {
	l.times[l.n%len(l.times)] = d
	l.n++
}

// quickest is the least of them; 0 while there are fewer.
func (l *last) quickest() time.Duration {
	if l.n < len(l.times) {
		return 0
	}
	least := l.times[0]
	for _, d := range l.times[1:] {
		least = min(least, d)
	}
	return least
}

func (p *Pace) answered(d time.Duration) { p.answers.add(d) }

func (p *Pace) opened(d time.Duration) { p.openings.add(d) }

func (p *Pace) signalTimeout() time.Duration {
	return max(SignalTimeout, min(paceMost, 2*p.answers.quickest()))
}

func (p *Pace) openTimeout() time.Duration {
	return max(OpenTimeout, min(paceMost, 2*p.openings.quickest()))
}
