package signaling

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// player is a Client and what it has heard.
type player struct {
	*Client
	t    *testing.T
	id   wire.PeerID
	mu   sync.Mutex
	all  []ClientEvent
	more chan struct{}
}

func at(urls ...string) Source {
	return Source{Label: "named", Named: true, Find: func(context.Context) []string { return urls }}
}

func newPlayer(t *testing.T, n int, change func(*ClientConfig), sources ...Source) *player {
	t.Helper()
	p := &player{t: t, id: wire.IDOf(testKey(n)), more: make(chan struct{}, 1)}
	cfg := ClientConfig{Key: testKey(n), Name: fmt.Sprintf("peer%d", n), Agent: "test/1", Sources: sources, Seed: uint64(n),
		Sink: p.hear}
	if change != nil {
		change(&cfg)
	}
	p.Client = NewClient(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("the client closes: %v", err)
		}
	})
	p.Start()
	return p
}

func (p *player) hear(e ClientEvent) {
	p.mu.Lock()
	p.all = append(p.all, e)
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// await takes events of type T off those heard until one satisfies ok; the others before it are dropped.
func await[T ClientEvent](p *player, what string, ok func(T) bool) T {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		for i, e := range p.all {
			if m, is := e.(T); is && (ok == nil || ok(m)) {
				p.all = p.all[i+1:]
				p.mu.Unlock()
				return m
			}
		}
		seen := fmt.Sprintf("%+v", p.all)
		p.mu.Unlock()
		select {
		case <-p.more:
		case <-deadline:
			var zero T
			p.t.Fatalf("%s: no such %v within %v; heard %s", what, reflect.TypeOf(zero), patience, seen)
		}
	}
}

// never fails if an event of type T was heard.
func never[T ClientEvent](p *player, what string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.all {
		if m, is := e.(T); is {
			p.t.Errorf("%s, but heard %+v", what, m)
		}
	}
}

func connected(s StateChanged) bool { return s.State == Connected }
