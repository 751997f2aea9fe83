package signaling

import "sync"

// mailbox is how others reach an owner goroutine without ever waiting for it. The lock guards the slice alone.
type mailbox struct {
	mu   sync.Mutex
	msgs []any
	shut bool
	wake chan struct{}
	room chan struct{} // made by who waits in putWait, closed by take
}

// mailboxBound is how many messages of a tracker may wait for the owner.
const mailboxBound = 1024

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

// putWait is put, but while too much waits it holds its caller back until done is closed: then a tracker that says more
// than its client can take in waits, too.
func (b *mailbox) putWait(m any, done <-chan struct{}) {
	for {
		b.mu.Lock()
		if b.shut || len(b.msgs) < mailboxBound {
			b.mu.Unlock()
			b.put(m) // the bound need not be exact
			return
		}
		if b.room == nil {
			b.room = make(chan struct{})
		}
		room := b.room
		b.mu.Unlock()
		select {
		case <-room:
		case <-done:
			return
		}
	}
}

// take empties the mailbox.
func (b *mailbox) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	msgs := b.msgs
	b.msgs = nil
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
	return msgs
}

// close empties the mailbox for the last time.
func (b *mailbox) close() []any {
	b.mu.Lock()
	b.shut = true
	b.mu.Unlock()
	return b.take()
}
