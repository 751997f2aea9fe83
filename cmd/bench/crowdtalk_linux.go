package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/wire"
)

// talkOrder says how a crowd is to talk: lines of one size, one after the other at a steady pace, by senders in turn.
// The order of words is that of cmd/bench/gossipsub.
type talkOrder struct {
	lines, senders, size int
	every                time.Duration
}

func (o *talkOrder) String() string {
	return fmt.Sprintf("-lines %d -senders %d -size %d -every %v", o.lines, o.senders, o.size, o.every)
}

func (o *talkOrder) parse(words []string) error {
	f := flag.NewFlagSet("talk", flag.ContinueOnError)
	f.IntVar(&o.lines, "lines", 100, "lines in all")
	f.IntVar(&o.senders, "senders", 10, "who says them, in turn")
	f.IntVar(&o.size, "size", 100, "bytes of a line")
	f.DurationVar(&o.every, "every", 50*time.Millisecond, "time between two")
	return f.Parse(words)
}

// talkReport is how a talk went.
type talkReport struct {
	P50        float64   `json:"p50_ms"` // of all deliveries
	P99        float64   `json:"p99_ms"`
	Last       []float64 `json:"last_ms"` // of each line, until the last peer had it
	Lost       int       `json:"lost"`    // deliveries that were not made in time
	Deliveries int       `json:"deliveries"`
	Copies     int       `json:"copies"` // copies of the lines that were sent
	Second     int       `json:"second"` // those of them that were sent because no acknowledgement had come
	CPU        float64   `json:"cpu_s"`
	Wire       float64   `json:"wire"` // bytes that the loopback interface carried, from IP upwards
	Took       float64   `json:"took_s"`
}

// crowdTalk is one talk as it goes on.
type crowdTalk struct {
	said    []time.Time
	took    [][]atomic.Int64 // nanoseconds, by line and member; 0: not yet
	missing atomic.Int64
	done    chan struct{}
}

func newCrowdTalk(lines, members int) *crowdTalk {
	t := &crowdTalk{said: make([]time.Time, lines), took: make([][]atomic.Int64, lines), done: make(chan struct{})}
	for i := range t.took {
		t.took[i] = make([]atomic.Int64, members)
	}
	t.missing.Store(int64(lines) * int64(members-1))
	return t
}

// talkLine is the i-th line, of so many bytes.
func talkLine(i, size int) string {
	return fmt.Sprintf("%08d ", i) + strings.Repeat("x", max(0, size-9))
}

// arrived notes that a line came to a member.
func (t *crowdTalk) arrived(member int, text string) {
	now := time.Now()
	if len(text) < 8 {
		return
	}
	if i, err := strconv.Atoi(text[:8]); err == nil && i < len(t.said) {
		t.reached(member, i, now)
	}
}

func (t *crowdTalk) reached(member, line int, now time.Time) {
	if t.took[line][member].CompareAndSwap(0, max(1, int64(now.Sub(t.said[line])))) && t.missing.Add(-1) == 0 {
		close(t.done)
	}
}

// talkPatience is how long the last peer may take for the last line.
const talkPatience = 10 * time.Second

// measure has the crowd talk, or flood.
func (c *crowd) measure(flood bool, o talkOrder) talkReport {
	t := newCrowdTalk(o.lines, len(c.members))
	for _, m := range c.members {
		m.mu.Lock()
		m.copies = nil
		clear(m.seen)
		m.mu.Unlock()
	}
	c.talk.Store(t)
	cpu, carried, began := ownTime(), loopbackBytes(), time.Now()
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	for i := range o.lines {
		<-tick.C
		m := c.members[(i%o.senders)*len(c.members)/o.senders]
		line := talkLine(i, o.size)
		t.said[i] = time.Now()
		if flood {
			m.sayFlood(i, line)
		} else {
			m.node.Do(peer.Say{Room: crowdRoom, Kind: wire.KindText, Text: line})
		}
	}
	select {
	case <-t.done:
	case <-time.After(talkPatience):
	}
	<-tick.C // what follows the last line belongs to it, as to the others
	r := talkReport{CPU: (ownTime() - cpu).Seconds(), Wire: float64(loopbackBytes() - carried), Took: time.Since(began).Seconds()}
	c.talk.Store(nil)
	r.count(t)
	for _, m := range c.members {
		copies, second := m.sent(flood)
		r.Copies, r.Second = r.Copies+copies, r.Second+second
	}
	return r
}

// count sums up when the lines came.
func (r *talkReport) count(t *crowdTalk) {
	var all []float64
	for i := range t.took {
		last := 0.0
		for k := range t.took[i] {
			if ns := t.took[i][k].Load(); ns > 0 {
				all = append(all, ms(time.Duration(ns)))
				last = max(last, ms(time.Duration(ns)))
			}
		}
		r.Last = append(r.Last, last)
	}
	r.Lost, r.Deliveries = int(t.missing.Load()), len(all)
	r.P50, r.P99 = quantile(all, 0.5), quantile(all, 0.99)
}

// sent counts the copies of lines that a member has sent, and those of them that were not the first on their way.
func (m *crowdMember) sent(flood bool) (copies, second int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.copies = nil }()
	if flood {
		return len(m.copies), 0
	}
	type way struct{ session, event uuid.UUID }
	gone := map[way]bool{}
	for _, c := range m.copies {
		f, err := wire.DecodeFrame(c.frame)
		e, ok := f.(wire.Events)
		if err != nil || !ok {
			continue
		}
		for i := range e.Events {
			w := way{c.session, e.Events[i].ID}
			if copies++; gone[w] {
				second++
			}
			gone[w] = true
		}
	}
	return copies, second
}

// Flooding over the same links, for comparison: every peer sends a line that it has not seen to all that it has a link
// with but the one that it came from. The line is the same signed event in the same frame, and each peer checks the
// signature once. A flooded message is floodMark, the number of the line, and the frame.
const (
	floodMark = 0xff // no frame begins with it
	floodHead = 1 + 4
)

// sayFlood floods the i-th line.
func (m *crowdMember) sayFlood(i int, line string) {
	event := []wire.Event{{Room: crowdRoom, Author: wire.IDOf(m.key), Seq: uint64(i) + 1, ID: uuid.Must(uuid.NewV7()), Lamport: uint64(i) + 1,
		Time: time.Now().UTC().Truncate(time.Millisecond), Name: "flood", Kind: wire.KindText, Body: []byte(line)}}
	if err := wire.SignBatch(m.key, event); err != nil {
		return // shows as a line that is lost
	}
	b := binary.BigEndian.AppendUint32([]byte{floodMark}, uint32(i))
	b, err := wire.AppendFrame(b, wire.Events{Live: true, Events: event})
	if err != nil {
		return // as above
	}
	m.mu.Lock()
	m.seen[uint32(i)] = true
	m.mu.Unlock()
	m.spread(b, uuid.Nil)
}

// flooded takes a flooded message in.
func (m *crowdMember) flooded(session uuid.UUID, b []byte) {
	t := m.crowd.talk.Load()
	if t == nil || len(b) < floodHead {
		return
	}
	line := binary.BigEndian.Uint32(b[1:])
	m.mu.Lock()
	known := m.seen[line]
	m.seen[line] = true
	m.mu.Unlock()
	if known || int(line) >= len(t.said) {
		return
	}
	f, err := wire.DecodeFrame(b[floodHead:])
	e, ok := f.(wire.Events)
	if err != nil || !ok {
		return
	}
	m.mu.Lock()
	err = m.flood.Verify(&e.Events[0])
	m.mu.Unlock()
	if err != nil {
		return
	}
	t.reached(m.index, int(line), time.Now())
	m.spread(b, session)
}

// spread sends a flooded message to each peer that there is a link with, but not back.
func (m *crowdMember) spread(b []byte, from uuid.UUID) {
	m.mu.Lock()
	back := m.open[from]
	ways := map[wire.PeerID]uuid.UUID{back: from}
	var to []uuid.UUID
	for session, remote := range m.open {
		if _, done := ways[remote]; !done {
			ways[remote] = session
			to = append(to, session)
		}
	}
	for range to {
		m.copies = append(m.copies, crowdCopy{frame: b})
	}
	m.mu.Unlock()
	slices.SortFunc(to, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	for _, session := range to {
		m.rtc.Send(session, b, false)
	}
}
