package signaling

import "sync"

// mailbox is how others reach an owner goroutine without ever waiting for it. The lock guards the slice alone.
type mailbox struct {
	mu   sync.Mutex
	msgs []any
	shut bool
	wake chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// put adds m, and says whether the owner will see it.
func (b *mailbox) put(m any) bool {
	b.mu.Lock()
	ok := !b.shut
	if ok {
		b.msgs = append(b.msgs, m)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return ok
}

// take empties the mailbox.
func (b *mailbox) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	msgs := b.msgs
	b.msgs = nil
	return msgs
}

// close empties the mailbox for the last time.
func (b *mailbox) close() []any {
	b.mu.Lock()
	b.shut = true
	b.mu.Unlock()
	return b.take()
}
