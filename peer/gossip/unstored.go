package gossip

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// What came and could not be stored, as on a disk that is full, stays in memory among what is pending, and is stored as
// soon as the Log takes it. Until then it counts as missing, and nothing is told, offered, answered or decided by it;
// but its log goes on past nothing. So what was delivered early is not delivered twice, nor told as lost, though all
// others may have let go of it meanwhile. What there is no room for is asked for again.

// retract takes events that could not be stored back from the heads of their logs, and keeps them.
func (m *Machine) retract(now time.Time) {
	for i := range slices.Backward(m.fresh) {
		m.fresh[i].takeBack()
	}
	for i := range m.fresh {
		x := &m.fresh[i]
		a, size := x.log, heldSize(&x.event)
		if m.heldBytes+size > maxHeldBytes || len(a.pending) >= maxPending && !x.shown {
			if x.shown {
				a.wasShown(x)
			}
			continue
		}
		if x.since.IsZero() {
			x.since = now
			x.event.Body, x.event.Proof.Path = bytes.Clone(x.event.Body), slices.Clone(x.event.Proof.Path) // they are a part of their frame
		}
		if a.pending == nil {
			a.pending = make(map[uint64]held)
		}
		a.pending[x.event.Seq] = x.held
		m.heldBytes += size
	}
}

// takeBack takes an event back from the head of its log.
func (x *arrival) takeBack() {
	x.log.head = x.event.Seq - 1
	x.log.recentFrom = x.log.head // the ring has lost what was before
}

// putOff is told that the fresh events could not be stored, which is tried again after a while. Who was asked for them
// has answered, and is not to blame.
func (m *Machine) putOff(now time.Time) {
	for i := range m.fresh {
		if a := m.fresh[i].log; i == 0 || a != m.fresh[i-1].log {
			_, a.unstored = a.pending[a.head+1]
			m.tryLater(now, m.fresh[i].room, a)
		}
	}
}

// tryLater has a log looked at again when the Log may work. Nothing that a neighbour says would cause that, as what it
// has was known before.
func (m *Machine) tryLater(now time.Time, r *room, a *authorLog) {
	if a.ask != nil {
		to := a.ask.to
		a.drop()
		m.resume(now, to)
	}
	pause := stuckTime
	if a.unstored {
		pause = tryAgain
	}
	a.askAt = later(a.askAt, now.Add(pause))
	m.fallBehind(now, r, a)
}

// storeAgain has what is kept of logs stored, one after the other: one that cannot be helped does not hold up the
// others.
func (m *Machine) storeAgain(now time.Time, r *room, logs []*authorLog, out *Output) {
	for _, a := range logs {
		m.fresh = m.fresh[:0]
		m.drain(r, a)
		m.settle(now, out)
	}
}

// ownStored has what is kept of the own log stored before something is said, which would else get the same number. It
// is nil if there is nothing any more.
func (m *Machine) ownStored(now time.Time, r *room, out *Output) error {
	if !r.own.unstored {
		return nil
	}
	m.storeAgain(now, r, []*authorLog{r.own}, out)
	if r.own.unstored {
		return fmt.Errorf("%w: what you said before and others gave back cannot be stored either", ErrNotStored)
	}
	return nil
}
