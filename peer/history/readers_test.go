package history

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"peerchat/peer/wire"
)

func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func openAt(tb testing.TB, path string, cfg Config) *SQLite {
	tb.Helper()
	s, err := OpenSQLite(path, cfg)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	return s
}

// said makes events of an author that say texts, one Lamport clock and one second after the other. The store does not
// look at signatures.
func said(room wire.Room, author byte, seq, lamport uint64, texts ...string) []wire.Event {
	events, id := make([]wire.Event, len(texts)), wire.IDOf(testKey(author))
	for i, text := range texts {
		events[i] = wire.Event{Room: room, Author: id, Seq: seq + uint64(i), Lamport: lamport + uint64(i),
			Name: fmt.Sprintf("author%d", author), Kind: wire.KindText, Body: []byte(text), Proof: wire.Proof{Size: 1},
			Time: time.UnixMilli(1_790_000_000_000 + 1000*int64(lamport+uint64(i))).UTC()}
	}
	return events
}

func mustAppend(tb testing.TB, s Store, events ...wire.Event) {
	tb.Helper()
	if err := s.Append(events); err != nil {
		tb.Fatalf("append: %v", err)
	}
}

// TestReadersBesideTheStore reads with goroutines of their own while the store writes.
func TestReadersBesideTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := openAt(t, path, Config{Limits: Limits{Events: 200}})
	defer s.Close()
	mustAppend(t, s, said("general", 1, 1, 1, "line")...)
	stop, failed := make(chan struct{}), make(chan error, 2)
	for range 2 {
		go func() {
			failed <- ReadHistory(path, func(v View) error {
				for {
					select {
					case <-stop:
						return nil
					default:
					}
					events, err := v.Recent("general", 1000)
					if err != nil {
						return err
					}
					for i := range events {
						if i > 0 && events[i].Seq != events[i-1].Seq+1 {
							return fmt.Errorf("after event %d comes %d", events[i-1].Seq, events[i].Seq)
						}
					}
					if _, err := v.Search(context.Background(), "", "line", Cursor{}, 10); err != nil {
						return err
					}
				}
			})
		}()
	}
	for seq := uint64(2); seq < 1500; {
		lines := []string{"line", "line", "line"}[:1+seq%3]
		mustAppend(t, s, said("general", 1, seq, seq, lines...)...)
		seq += uint64(len(lines))
		if seq%5 == 0 {
			if err := s.Tidy(); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	if err := errors.Join(<-failed, <-failed); err != nil {
		t.Error(err)
	}
}

// TestAReaderSeesAllThatWasStored reads while lines are said and settled, of which each is stored when its call ends:
// what was stored when a page is asked for is on it, whatever happens while it is read.
func TestAReaderSeesAllThatWasStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := openAt(t, path, Config{})
	defer s.Close()
	mustAppend(t, s, said("general", 1, 1, 1, "line")...)
	mustAppend(t, s, said("general", 2, 1, 2, "line")...)
	var stored [2]atomic.Uint64 // up to which number, of each author
	stored[0].Store(1)
	stored[1].Store(1)
	stop, failed := make(chan struct{}), make(chan error, 2)
	for range 2 {
		go func() {
			failed <- ReadHistory(path, func(v View) error {
				for {
					select {
					case <-stop:
						return nil
					default:
					}
					least := [2]uint64{stored[0].Load(), stored[1].Load()}
					events, err := v.Recent("general", 10_000)
					if err != nil {
						return err
					}
					next := map[wire.PeerID]uint64{}
					for i := range events {
						if next[events[i].Author]++; events[i].Seq != next[events[i].Author] {
							return fmt.Errorf("event %d of %s comes where %d should", events[i].Seq, events[i].Author.Tag(), next[events[i].Author])
						}
					}
					for i, n := range least {
						if has := next[wire.IDOf(testKey(byte(i+1)))]; has < n {
							return fmt.Errorf("a page has %d lines of author %d: %d were stored when it was asked for", has, i+1, n)
						}
					}
				}
			})
		}()
	}
	for i := range uint64(1500) {
		author := 1 + i%7%2
		seq := stored[author-1].Load() + 1
		mustAppend(t, s, said("general", byte(author), seq, 3+i, strings.Repeat("line ", int(1+i*i%40)))...)
		stored[author-1].Store(seq)
		if i%11 == 0 {
			if err := s.Settle(); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	if err := errors.Join(<-failed, <-failed); err != nil {
		t.Error(err)
	}
}
