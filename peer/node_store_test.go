package peer

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A disk that is full for hours does not fill the log, too.
func TestARefusalOfTheStoreIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		n := Node{cfg: Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}}
		full := errors.New("the disk is full")
		for range 120 {
			n.stored(full)
			n.stored(nil)
			time.Sleep(time.Second)
		}
		if got := strings.Count(log.String(), full.Error()); got != 2 {
			t.Errorf("in two minutes it was logged %d times that the disk is full, not 2 times", got)
		}
		if n.stored(errors.New("the file is gone")); !strings.Contains(log.String(), "the file is gone") {
			t.Error("another reason was not logged")
		}
	})
}
