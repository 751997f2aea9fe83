package peer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMailboxGivesEachPosterItsOrder(t *testing.T) {
	const posters, each = 8, 500
	m := NewMailbox(1, func([2]int) int { return 0 })
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				m.Post([2]int{p, i})
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var next [posters]int
	for total := 0; total < posters*each; {
		items, err := m.Take(ctx)
		if err != nil {
			t.Fatalf("after %d of %d items: %v", total, posters*each, err)
		}
		for _, it := range items {
			if it[1] != next[it[0]] {
				t.Fatalf("poster %d: got item %d, want %d", it[0], it[1], next[it[0]])
			}
			next[it[0]]++
		}
		total += len(items)
	}
	wg.Wait()
}

func TestMailboxRefusesDataBeyondItsBoundButNeverControl(t *testing.T) {
	m := NewMailbox(10, func(w int) int { return w })
	for range 3 {
		m.Post(4)
	}
	if !m.Post(0) {
		t.Error("a control message was refused by a full mailbox")
	}
	if n := m.Dropped(); n != 1 {
		t.Errorf("dropped %d, want the third of the data items alone", n)
	}
	if got := len(m.TryTake()); got != 3 {
		t.Errorf("took %d items, want 3", got)
	}
	if !m.Post(10) {
		t.Error("an emptied mailbox refuses what fits it")
	}
}

func TestMailboxClosedGivesTheRestAndThenErrClosed(t *testing.T) {
	m := NewMailbox(1, func(int) int { return 0 })
	m.Post(1)
	m.Close()
	if m.Post(2) {
		t.Error("a closed mailbox took an item")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if items, err := m.Take(ctx); err != nil || len(items) != 1 {
		t.Errorf("Take = %v, %v, want the item posted before Close", items, err)
	}
	if _, err := m.Take(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("Take = %v, want ErrClosed", err)
	}
}

func TestMailboxPostWaitHoldsThePosterBackUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailbox(10, func(w int) int { return w })
		m.Post(8)
		posted, done := false, make(chan struct{})
		go func() { posted = m.PostWait(5, done) }()
		synctest.Wait()
		if posted {
			t.Error("what does not fit was posted")
		}
		m.TryTake()
		synctest.Wait()
		if !posted {
			t.Error("PostWait still waits though the mailbox was emptied")
		}
		gaveUp := make(chan bool, 1)
		go func() { gaveUp <- !m.PostWait(9, done) }()
		synctest.Wait()
		close(done)
		if !<-gaveUp {
			t.Error("PostWait posted what does not fit when it was told to give up")
		}
		if m.PostWait(11, nil) {
			t.Error("what can never fit was posted")
		}
	})
}
