package signaling

import (
	"testing"
	"testing/synctest"
)

func TestATrackerThatSaysTooMuchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, done := newMailbox(), make(chan struct{})
		said := 0
		go func() {
			for range 3 * mailboxBound {
				box.putWait(nil, done)
				said++
			}
		}()
		synctest.Wait()
		if said != mailboxBound {
			t.Errorf("%d messages wait for an owner that takes none: want %d", said, mailboxBound)
		}
		if n := len(box.take()); n != mailboxBound {
			t.Errorf("took %d messages, want %d", n, mailboxBound)
		}
		synctest.Wait()
		if said != 2*mailboxBound {
			t.Errorf("after the owner took them, %d messages were put in all: want %d", said, 2*mailboxBound)
		}
		close(done) // the session ends: nobody waits any more
		synctest.Wait()
		if said != 3*mailboxBound || len(box.take()) != mailboxBound {
			t.Error("after the end of the session its reader still waits, or its words still count")
		}
	})
}
