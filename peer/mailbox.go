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
	w := m.weigh(item)
	m.mu.Lock()
	if m.closed || (w > 0 && m.weight+w > m.bound) {
		m.dropped++
		m.mu.Unlock()
		return false
	}
	m.items = append(m.items, item)
	m.weight += w
	first := len(m.items) == 1
	m.mu.Unlock()
	if first {
		m.signal()
	}
	return true
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
	return taken
}

// Take waits until there is something and returns all of it. It returns ErrClosed once the mailbox is closed and
// empty, or the context's error. Only the owner may call it.
func (m *Mailbox[T]) Take(ctx context.Context) ([]T, error) {
	for {
		if items := m.TryTake(); items != nil {
			return items, nil
		}
		m.mu.Lock()
		closed := m.closed
		m.mu.Unlock()
		if closed {
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
	m.mu.Unlock()
	m.signal()
}
