package signalingtest

import (
	"context"
	"sync"
	"time"
)

// owner is the goroutine that owns a Hub or a Net, and its mailbox.
type owner struct {
	mu   sync.Mutex
	todo []func(now time.Time)
	wake chan struct{}
	stop chan struct{}
	done chan struct{}
	once sync.Once
}

func newOwner() *owner {
	return &owner{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
}

// own does what is posted until end. After that, and whenever due asked for it, it calls due, which does what it is
// time for and returns in how long it wants to be called again.
func (o *owner) own(due func() time.Duration) {
	defer close(o.done)
	timer := time.NewTimer(due())
	defer timer.Stop()
	for {
		select {
		case <-o.wake:
		case <-timer.C:
		case <-o.stop:
			return
		}
		o.mu.Lock()
		todo := o.todo
		o.todo = nil
		o.mu.Unlock()
		for _, f := range todo {
			f(time.Now())
		}
		timer.Reset(due())
	}
}

// end stops the goroutine and waits for it.
func (o *owner) end() {
	o.once.Do(func() { close(o.stop) })
	<-o.done
}

// post has the owner do something.
func (o *owner) post(f func(now time.Time)) {
	o.mu.Lock()
	o.todo = append(o.todo, f)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// do has the owner do something, and waits for it.
func (o *owner) do(f func(now time.Time)) { _ = o.await(context.Background(), f) } // which is never done

// await is do, but for no longer than ctx lasts. It returns nil also when the owner has ended before.
func (o *owner) await(ctx context.Context, f func(now time.Time)) error {
	ack := make(chan struct{})
	o.post(func(now time.Time) { f(now); close(ack) })
	select {
	case <-ack:
		return nil
	case <-o.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
