package tui

import "sync"

// maxMail bounds the Msgs that wait for the screen. It is reached only when the terminal has stopped (Ctrl+S, a hung
// ssh).
const maxMail = 1 << 16

// mailbox is where everybody may leave a Msg for the screen without waiting for it.
type mailbox struct {
	wake chan struct{} // holds one token while there may be mail

	mu     sync.Mutex
	mail   []Msg
	lost   int // lines that were left out because the box was full
	closed bool
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// put leaves a Msg. It never blocks, and does nothing once the box is closed.
func (b *mailbox) put(msg Msg) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	if len(b.mail) >= maxMail {
		b.makeRoom()
	}
	b.mail = append(b.mail, msg)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// makeRoom leaves out the older half of what only tells of moments; what tells how things stand is kept as long as that
// makes room.
func (b *mailbox) makeRoom() {
	kept := b.mail[:0]
	half := len(b.mail) / 2
	for i, msg := range b.mail {
		if i < half {
			switch msg.(type) {
			case Line, Notice, Failure, Answer:
				b.lost++
				continue
			case Delivered, Link, MicLevel, MutedTalk:
				continue
			}
		}
		kept = append(kept, msg)
	}
	if len(kept) >= maxMail {
		b.lost += half
		kept = append(kept[:0], kept[half:]...)
	}
	clear(b.mail[len(kept):])
	b.mail = kept
}

// take empties the box.
func (b *mailbox) take() (mail []Msg, lost int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	mail, lost = b.mail, b.lost
	b.mail, b.lost = nil, 0
	return mail, lost
}

// close refuses mail from now on.
func (b *mailbox) close() {
	b.mu.Lock()
	b.mail, b.closed = nil, true
	b.mu.Unlock()
}
