package peertest

import (
	"container/heap"
	"time"

	"peerchat/peer"
)

// task is work at a time; those of the same time are done in the order made.
type task struct {
	at   time.Time
	seq  uint64
	do   func() // with mu held
	node *node  // or an event for its sink
	ev   peer.TransportEvent
}

func (n *Network) at(d time.Duration, do func()) {
	n.seq++
	heap.Push(&n.tasks, &task{at: time.Now().Add(d), seq: n.seq, do: do})
}

func (n *Network) emit(d time.Duration, to *node, ev peer.TransportEvent) {
	n.seq++
	heap.Push(&n.tasks, &task{at: time.Now().Add(d), seq: n.seq, node: to, ev: ev})
}

func (n *Network) run() {
	defer close(n.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		n.mu.Lock()
		var due *task
		wait := time.Hour
		if len(n.tasks) > 0 {
			if wait = time.Until(n.tasks[0].at); wait <= 0 {
				due = heap.Pop(&n.tasks).(*task)
				if due.do != nil {
					due.do()
				}
			}
		}
		n.mu.Unlock()
		if due != nil {
			if due.node != nil {
				due.node.sink(due.ev)
			}
			select {
			case <-n.stop:
				return
			default:
				continue
			}
		}
		timer.Reset(wait)
		select {
		case <-n.wake:
		case <-timer.C:
		case <-n.stop:
			return
		}
	}
}

type tasks []*task

func (t tasks) Len() int { return len(t) }
func (t tasks) Less(i, j int) bool {
	if !t[i].at.Equal(t[j].at) {
		return t[i].at.Before(t[j].at)
	}
	return t[i].seq < t[j].seq
}
func (t tasks) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *tasks) Push(x any)   { *t = append(*t, x.(*task)) }
func (t *tasks) Pop() any {
	old := *t
	x := old[len(old)-1]
	*t = old[:len(old)-1]
	return x
}
