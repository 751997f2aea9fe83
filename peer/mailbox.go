package peer

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed says that a Mailbox takes and gives nothing more.
var ErrClosed = errors.New("mailbox is closed")

// Mailbox is a queue from many posters to one owner. Post never blocks, so it may be called from any callback;
// Take gives the owner everything that waits at once, which is what lets a busy owner work in batches.
//
// It is bounded by weight: what would exceed the bound is refused and counted, unless its weight is zero. So control
// messages (weight 0) always get through, and data is dropped, newest first, when its owner cannot keep up.
type Mailbox[T any] struct {
	weigh func(T) int
	bound int
	wake  chan struct{} // holds a token while items may be waiting or after Close

	mu      sync.Mutex
	room    chan struct{} // made by who waits for room, closed when there is some
	items   []T
	spare   []T // the slice that the owner gave back, reused
	weight  int
	dropped uint64
	closed  bool
}

// NewMailbox makes a Mailbox whose items weigh together at most bound by weigh.
func NewMailbox[T any](bound int, weigh func(T) int) *Mailbox[T] {
	return &Mailbox[T]{weigh: weigh, bound: bound, wake: make(chan struct{}, 1)}
}

// Post adds an item. It reports false when the item was refused, for the bound or because the mailbox is closed.
func (m *Mailbox[T]) Post(item T) bool {
	ok, _ := m.put(item, false)
	return ok
}

// PostWait is Post, but waits for room until done is closed. It is for posters whose own source can be held back, such
// as the reader of one data channel, whose SCTP window then fills and slows its sender down.
func (m *Mailbox[T]) PostWait(item T, done <-chan struct{}) bool {
	for {
		ok, room := m.put(item, true)
		if ok || room == nil {
			return ok
		}
		select {
		case <-room:
		case <-done:
			return false
		}
	}
}

// put adds an item if it fits. If it does not, and the poster would wait, it returns what tells that there is room.
func (m *Mailbox[T]) put(item T, wait bool) (ok bool, room <-chan struct{}) {
	w := m.weigh(item)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return false, nil
	case w > 0 && m.weight+w > m.bound:
		if !wait || w > m.bound {
			m.dropped++
			return false, nil
		}
		if m.room == nil {
			m.room = make(chan struct{})
		}
		return false, m.room
	}
	m.items = append(m.items, item)
	m.weight += w
	if len(m.items) == 1 {
		m.signal()
	}
	return true, nil
}

func (m *Mailbox[T]) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

func (m *Mailbox[T]) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Wake is ready to receive when TryTake may have something to give.
func (m *Mailbox[T]) Wake() <-chan struct{} { return m.wake }

// TryTake returns all that waits, or nil. The slice is valid until the next TryTake or Take.
func (m *Mailbox[T]) TryTake() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.items) == 0 {
		return nil
	}
	taken := m.items
	clear(m.spare)
	m.items, m.spare = m.spare[:0], taken
	if cap(m.spare) > 1<<14 { // do not keep the memory of a flood
		m.spare = nil
	}
	m.weight = 0
	m.makeRoom()
	return taken
}

// Take waits until there is something and returns all of it. It returns ErrClosed once the mailbox is closed and
// empty, or the context's error. Only the owner may call it.
func (m *Mailbox[T]) Take(ctx context.Context) ([]T, error) {
	for {
		if items := m.TryTake(); items != nil {
			return items, nil
		}
		if m.isClosed() {
			return nil, ErrClosed
		}
		select {
		case <-m.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Dropped counts the items that were refused so far.
func (m *Mailbox[T]) Dropped() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

// Close refuses further items. What waits can still be taken.
func (m *Mailbox[T]) Close() {
	m.mu.Lock()
	m.closed = true
	m.makeRoom()
	m.mu.Unlock()
	m.signal()
}

// makeRoom wakes those who wait in PostWait. The lock is held.
func (m *Mailbox[T]) makeRoom() {
	if m.room != nil {
		close(m.room)
		m.room = nil
	}
}
