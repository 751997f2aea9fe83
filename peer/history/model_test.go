//go:build !race

package history

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/wire"
)

// model is a history as its contract says it, without any thought of how to do it well: a list of events, and where
// logs begin and end.
type model struct {
	limits Limits
	events []wire.Event // in display order
	logs   map[logName]*wire.Head
	clocks map[wire.Room]uint64
	lost   map[logName]map[uint64]bool // numbers of events that are known to be missing
}

// gap is how many events are known to be missing just before one.
func (m *model) gap(name logName, seq uint64) (n uint64) {
	for m.lost[name][seq-1-n] {
		n++
	}
	return n
}

func (m *model) log(e *wire.Event) *wire.Head { return m.logs[logName{e.Room, logOf(e)}] }

func (m *model) add(events []wire.Event) {
	for _, e := range events {
		m.events = append(m.events, e)
		m.clocks[e.Room] = max(m.clocks[e.Room], e.Lamport)
	}
	slices.SortFunc(m.events, func(a, b wire.Event) int { return order(&a, &b) })
}

func (m *model) append(events []wire.Event) bool {
	heads := map[logName]uint64{}
	for i := range events {
		e := &events[i]
		name := logName{e.Room, logOf(e)}
		if _, ok := heads[name]; !ok {
			heads[name] = name.log.Start()
			if m.logs[name] != nil {
				heads[name] = m.logs[name].Seq
			}
		}
		if e.Seq != heads[name]+1 {
			return false
		}
		heads[name] = e.Seq
	}
	for name, seq := range heads {
		if m.logs[name] == nil {
			m.logs[name] = &wire.Head{Author: name.log.Author, Base: name.log.Start()}
		}
		m.logs[name].Seq = seq
	}
	m.add(events)
	return true
}

func (m *model) prepend(events []wire.Event) bool {
	first, last := &events[0], &events[len(events)-1]
	l := m.log(last)
	start := logOf(last).Start()
	if l == nil || l.Base == start || l.Base != last.Seq || first.Seq == start {
		return false
	}
	held := func(seq uint64) bool { return m.held(last.Room, logOf(last), seq) }
	var missing []wire.Event
	for _, e := range events {
		if !held(e.Seq) {
			missing = append(missing, e)
		}
	}
	for l.Base = first.Seq - 1; l.Base > start && held(l.Base); l.Base-- {
	}
	maps.DeleteFunc(m.lost[logName{last.Room, logOf(last)}], func(seq uint64, _ bool) bool { return seq > l.Base })
	m.add(missing)
	return true
}

func (m *model) held(room wire.Room, log wire.LogID, seq uint64) bool {
	return slices.ContainsFunc(m.events, func(e wire.Event) bool { return e.Room == room && logOf(&e) == log && e.Seq == seq })
}

func (m *model) insert(events []wire.Event) bool {
	first, last := &events[0], &events[len(events)-1]
	room, id := last.Room, logOf(last)
	l := m.log(last)
	if l == nil || last.Seq >= l.Base || first.Seq <= id.Start() {
		return false
	}
	name := logName{room, id}
	if m.lost[name] == nil {
		m.lost[name] = map[uint64]bool{}
	}
	var missing []wire.Event
	for _, e := range events {
		delete(m.lost[name], e.Seq)
		if !m.held(room, id, e.Seq) {
			missing = append(missing, e)
		}
	}
	m.add(missing)
	for seq := last.Seq + 1; seq <= l.Base && !m.held(room, id, seq); seq++ {
		m.lost[name][seq] = true
	}
	return true
}

// parts are the runs of a log's events before its base, the last first.
func (m *model) parts(name logName) (parts []wire.Head) {
	for seq := m.logs[name].Base; seq > name.log.Start(); seq-- {
		switch n := len(parts); {
		case !m.held(name.room, name.log, seq):
		case n > 0 && parts[n-1].Base == seq:
			parts[n-1].Base--
		default:
			parts = append(parts, wire.Head{Author: name.log.Author, Base: seq - 1, Seq: seq})
		}
	}
	return parts
}

func (m *model) rebase(room wire.Room, log wire.LogID, base, missing uint64) bool {
	name := logName{room, log}
	if m.logs[name] == nil && base > log.Start() {
		m.logs[name] = &wire.Head{Author: log.Author}
		m.clocks[room] += 0
	}
	if m.logs[name] == nil || base <= m.logs[name].Seq {
		return false
	}
	was := m.logs[name]
	if m.lost[name] == nil {
		m.lost[name] = map[uint64]bool{}
	}
	behind := was.Seq > was.Base || m.lost[name][was.Seq]
	for seq := max(was.Seq, log.Start()) + 1; seq <= base; seq++ {
		if behind || seq > base-missing {
			m.lost[name][seq] = true
		}
	}
	was.Base, was.Seq = base, base
	return true
}

func (m *model) forget(room wire.Room, log wire.LogID) {
	delete(m.logs, logName{room, log})
	delete(m.lost, logName{room, log})
	m.events = slices.DeleteFunc(m.events, func(e wire.Event) bool { return e.Room == room && logOf(&e) == log })
}

// drop removes events with those before them in their logs.
func (m *model) drop(old []wire.Event) {
	for _, x := range old {
		l := m.log(&x)
		l.Base = max(l.Base, x.Seq)
		maps.DeleteFunc(m.lost[logName{x.Room, logOf(&x)}], func(seq uint64, _ bool) bool { return seq <= x.Seq })
		m.events = slices.DeleteFunc(m.events, func(e wire.Event) bool { return e.Room == x.Room && logOf(&e) == logOf(&x) && e.Seq <= x.Seq })
	}
}

func (m *model) in(room wire.Room) (events []wire.Event) {
	for _, e := range m.events {
		if e.Room == room {
			events = append(events, e)
		}
	}
	return events
}

func (m *model) size(room wire.Room) (n int64) {
	for _, e := range m.in(room) {
		n += sizeOf(1, int64(len(wire.AppendEvent(nil, &e))))
	}
	return n
}

// shrink lets the oldest of a room go until it holds no more than these.
func (m *model) shrink(room wire.Room, events int, bytes int64) {
	old := m.in(room)
	n, size := 0, m.size(room)
	for len(old)-n > events || size > bytes {
		size -= sizeOf(1, int64(len(wire.AppendEvent(nil, &old[n]))))
		n++
	}
	m.drop(old[:n])
}

func (m *model) bound(room wire.Room) {
	l := m.limits
	if size := m.size(room); size > l.Room {
		m.shrink(room, l.Events, l.Room-l.Room/8)
	} else if len(m.in(room)) > l.Events+slack(l.Events) {
		m.shrink(room, l.Events, l.Room)
	}
	total, sizes := int64(0), []int64{}
	for room := range m.clocks {
		sizes = append(sizes, m.size(room))
		total += m.size(room)
	}
	if total > l.File {
		level := waterLevel(sizes, l.File-l.File/8)
		for room := range m.clocks {
			if m.size(room) > level {
				m.shrink(room, l.Events, level)
			}
		}
	}
}

func (m *model) expire(now time.Time) {
	if m.limits.Age <= 0 {
		return
	}
	young := map[logName]bool{}
	var old []wire.Event
	for _, e := range m.events {
		name := logName{e.Room, logOf(&e)}
		young[name] = young[name] || !e.Time.Before(now.Add(-m.limits.Age))
		if !young[name] {
			old = append(old, e)
		}
	}
	m.drop(old)
}

// who writes a log.
type who struct {
	key byte
	run uint32
}

func (w who) log() wire.LogID { return wire.LogID{Author: wire.IDOf(testKey(w.key)), Run: w.run} }

// TestStoresDoWhatTheModelDoes runs the same random calls on the model and on every store, and compares all that they
// can be asked.
func TestStoresDoWhatTheModelDoes(t *testing.T) {
	checks, most := 0, 30
	rapid.Check(t, func(rt *rapid.T) {
		if checks++; checks > most && flag.Lookup("rapid.checks").Value.String() == flag.Lookup("rapid.checks").DefValue {
			return // files are slow; -rapid.checks=1000 does what it says
		}
		limits := Limits{Events: rapid.IntRange(3, 40).Draw(rt, "events"), Room: 20_000, File: 30_000, Age: time.Hour}
		dir, err := filepath.Abs(t.TempDir())
		if err != nil {
			rt.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprint(time.Now().UnixNano()))
		now := func() time.Time { return time.UnixMilli(1_790_000_000_000).Add(4 * time.Hour) }
		lite := openAt(t, path, Config{Limits: limits, now: now})
		defer func() { _ = lite.Close() }()
		reader, err := OpenReader(path)
		if err != nil {
			rt.Fatal(err)
		}
		defer reader.Close()
		reader.now = now
		memory := NewMemoryWith(limits)
		m := &model{limits: limits.filled(), logs: map[logName]*wire.Head{}, clocks: map[wire.Room]uint64{}, lost: map[logName]map[uint64]bool{}}
		start := time.UnixMilli(1_790_000_000_000).UTC()

		rooms := rapid.SampledFrom([]wire.Room{"general", "dev", "tea"})
		authors := rapid.SampledFrom([]who{{1, 0}, {2, 0}, {3, 0}, {2, 5}, {3, 5}, {3, 6}})
		vocabulary := rapid.SliceOfN(rapid.SampledFrom([]string{"apple", "pie", "Äpfel", "東京", "app", strings.Repeat("long ", 300)}), 1, 4)
		event := func(room wire.Room, author who, seq uint64) wire.Event {
			e := said(room, author.key, seq, rapid.Uint64Range(1, 60).Draw(rt, "lamport"), strings.Join(vocabulary.Draw(rt, "text"), " "))[0]
			e.Time = start.Add(time.Duration(rapid.IntRange(0, 300).Draw(rt, "minute")) * time.Minute)
			if rapid.IntRange(0, 9).Draw(rt, "odd") == 0 {
				e.Kind = 99
			}
			return e
		}
		next := func(room wire.Room, author who) uint64 {
			if l := m.logs[logName{room, author.log()}]; l != nil {
				return l.Seq + 1
			}
			return author.log().Start() + 1
		}
		agree := func(what string, want bool, errs ...error) {
			for i, err := range errs {
				if (err == nil) != want {
					rt.Fatalf("%s: %s says %v: want success %v", what, []string{"sqlite", "memory"}[i], err, want)
				}
			}
		}
		put := func(events []wire.Event) {
			ok := m.append(events)
			agree("append", ok, lite.Append(events), memory.Append(events))
			if ok {
				seen := map[wire.Room]bool{}
				for _, e := range events {
					if !seen[e.Room] {
						seen[e.Room] = true
						m.bound(e.Room)
					}
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append one": func(rt *rapid.T) {
				room, author := rooms.Draw(rt, "room"), authors.Draw(rt, "author")
				put([]wire.Event{event(room, author, next(room, author))})
			},
			"append many": func(rt *rapid.T) {
				room, author := rooms.Draw(rt, "room"), authors.Draw(rt, "author")
				var events []wire.Event
				for i := range rapid.IntRange(1, 12).Draw(rt, "n") {
					events = append(events, event(room, author, next(room, author)+uint64(i)))
				}
				put(events)
			},
			"append any": func(rt *rapid.T) {
				var events []wire.Event
				room := rooms.Draw(rt, "room")
				for range rapid.IntRange(1, 4).Draw(rt, "n") {
					author := authors.Draw(rt, "author")
					events = append(events, event(room, author, next(room, author)+rapid.Uint64Range(0, 1).Draw(rt, "ahead")))
				}
				put(events)
			},
			"prepend": func(rt *rapid.T) {
				room, author := rooms.Draw(rt, "room"), authors.Draw(rt, "author")
				l, start := m.logs[logName{room, author.log()}], author.log().Start()
				last := start + rapid.Uint64Range(1, 20).Draw(rt, "last")
				if l != nil && l.Base > start && rapid.IntRange(0, 3).Draw(rt, "right") > 0 {
					last = l.Base
				}
				var events []wire.Event
				for seq := last - min(last-start-1, rapid.Uint64Range(0, 5).Draw(rt, "n")); seq <= last; seq++ {
					events = append(events, event(room, author, seq))
				}
				ok := m.prepend(events)
				agree("prepend", ok, lite.Prepend(events), memory.Prepend(events))
				if ok {
					m.bound(room)
				}
			},
			"insert": func(rt *rapid.T) {
				room, author := rooms.Draw(rt, "room"), authors.Draw(rt, "author")
				first := author.log().Start() + rapid.Uint64Range(1, 20).Draw(rt, "first")
				var events []wire.Event
				for i := range rapid.Uint64Range(1, 5).Draw(rt, "n") {
					events = append(events, event(room, author, first+i))
				}
				ok := m.insert(events)
				agree("insert", ok, lite.Insert(events), memory.Insert(events))
				if ok {
					m.bound(room)
				}
			},
			"rebase": func(rt *rapid.T) {
				room, author := rooms.Draw(rt, "room"), authors.Draw(rt, "author")
				base, id := next(room, author)+rapid.Uint64Range(0, 10).Draw(rt, "base")-1, author.log()
				missing := rapid.Uint64Range(0, base-id.Start()).Draw(rt, "missing")
				agree("rebase", m.rebase(room, id, base, missing), lite.Rebase(room, id, base, missing), memory.Rebase(room, id, base, missing))
			},
			"forget": func(rt *rapid.T) {
				room, id := rooms.Draw(rt, "room"), authors.Draw(rt, "author").log()
				if rapid.IntRange(0, 3).Draw(rt, "do") == 0 {
					m.forget(room, id)
					agree("forget", true, lite.Forget(room, id), memory.Forget(room, id))
				}
			},
			"expire": func(rt *rapid.T) {
				now := start.Add(time.Duration(rapid.IntRange(0, 240).Draw(rt, "now")) * time.Minute)
				m.expire(now)
				agree("expire", true, lite.Expire(now), memory.Expire(now))
			},
			"tidy": func(rt *rapid.T) { agree("tidy", true, lite.Settle(), lite.tidy(start)) },
			"reopen": func(rt *rapid.T) {
				agree("close", true, lite.Close())
				lite = openAt(t, path, Config{Limits: limits, now: now})
			},
			"": func(rt *rapid.T) { compare(rt, m, lite, memory, reader) },
		})
	})
}

// compare asks the stores everything.
func compare(rt *rapid.T, m *model, lite *SQLite, memory *Memory, reader *Reader) {
	names := slices.Sorted(maps.Keys(m.clocks))
	for name := range m.logs {
		if !slices.Contains(names, name.room) {
			names = append(names, name.room)
		}
	}
	slices.Sort(names)
	room := wire.Room("general")
	if len(names) > 0 {
		room = rapid.SampledFrom(names).Draw(rt, "room")
	}
	held := m.in(room)
	var heads []wire.Head
	for name, h := range m.logs {
		if name.room == room {
			heads = append(heads, *h)
		}
	}
	slices.SortFunc(heads, func(a, b wire.Head) int { return a.Log().Compare(b.Log()) })
	authors := map[wire.PeerID]bool{}
	for _, h := range heads {
		authors[h.Author] = true
	}
	author := wire.IDOf(testKey(rapid.ByteRange(1, 3).Draw(rt, "by")))
	lamport := rapid.Uint64Range(0, 61).Draw(rt, "at")
	limit := rapid.IntRange(0, 12).Draw(rt, "limit")
	query := rapid.SampledFrom([]string{"apple", "app*", `"apple pie"`, "apfel pie", "京", "long", "99"}).Draw(rt, "query")

	var before, from, after []wire.Event
	for _, e := range held {
		c := order(&e, &wire.Event{Lamport: lamport, Author: author, Seq: e.Seq})
		switch {
		case c < 0:
			before = append(before, e)
		case c > 0:
			after = append(after, e)
			fallthrough
		default:
			from = append(from, e)
		}
	}
	var hits []wire.Event
	for i := len(held) - 1; i >= 0; i-- {
		if says(&held[i], query) {
			hits = append(hits, held[i])
		}
	}
	want := func(what string, got []wire.Event, err error, want []wire.Event) {
		if err != nil {
			rt.Fatalf("%s: %v", what, err)
		}
		if len(got) != len(want) {
			rt.Fatalf("%s of %s: %d events, want %d", what, room, len(got), len(want))
		}
		for i := range want {
			if !reflect.DeepEqual(got[i], want[i]) {
				rt.Fatalf("%s of %s: event %d is %.300s, want %.300s", what, room, i, fmt.Sprint(got[i]), fmt.Sprint(want[i]))
			}
		}
	}
	what := rapid.SampledFrom([]string{"sqlite", "memory", "reader"}).Draw(rt, "which")
	if s, ok := map[string]Store{"sqlite": lite, "memory": memory}[what]; ok {
		got, clock, err := s.Heads(room)
		if err != nil || clock != m.clocks[room] || !slices.Equal(got, heads) {
			rt.Fatalf("%s has heads %v of %s, clock %d, %v: want %v, %d", what, got, room, clock, err, heads, m.clocks[room])
		}
		for _, h := range heads {
			var log []wire.Event
			for seq := h.Base + 1; seq <= h.Seq; seq++ {
				i := slices.IndexFunc(held, func(e wire.Event) bool { return e.Author == h.Author && e.Seq == seq })
				if i < 0 {
					rt.Fatalf("the model has a gap in the log of %s at %d", h.Author.Tag(), seq)
				}
				log = append(log, held[i])
			}
			events, err := s.Range(room, h.Author, h.Log().Start()+1, 1<<50, 1000)
			want(what+": range", events, err, log)
			parts := m.parts(logName{room, h.Log()})
			if got, err := s.Parts(room, h.Log()); err != nil || !slices.Equal(got, parts) {
				rt.Fatalf("%s has the parts %v before the log of %s, %v: want %v", what, got, h.Author.Tag(), err, parts)
			}
			for _, p := range parts {
				from := rapid.Uint64Range(p.Base+1, p.Seq).Draw(rt, "from")
				var part []wire.Event
				for seq := from; seq <= p.Seq; seq++ {
					part = append(part, held[slices.IndexFunc(held, func(e wire.Event) bool { return e.Author == h.Author && e.Seq == seq })])
				}
				events, err := s.Range(room, h.Author, from, h.Base, 1000)
				want(what+": range of a part", events, err, part)
			}
			if got, want := s.Hole(room, h.Log()), m.gap(logName{room, h.Log()}, h.Base+1); got != want {
				rt.Fatalf("%s misses %d events before the log of %s, which begins after %d: want %d", what, got, h.Author.Tag(), h.Base, want)
			}
		}
	}
	if what == "reader" && len(held) > 0 {
		page := held[rapid.IntRange(0, len(held)-1).Draw(rt, "page"):]
		gaps, err := reader.Gaps(room, page)
		for i := range page {
			if want := m.gap(logName{room, logOf(&page[i])}, page[i].Seq); err != nil || gaps[i] != want {
				rt.Fatalf("before event %d of %s %d are missing, %v: want %d", page[i].Seq, page[i].Author.Tag(), gaps[i], err, want)
			}
		}
	}
	v := map[string]View{"sqlite": lite, "memory": memory, "reader": reader}[what]
	got, err := v.Rooms()
	if err != nil || !slices.Equal(got, names) {
		rt.Fatalf("%s has rooms %v, %v: want %v", what, got, err, names)
	}
	events, err := v.Before(room, lamport, author, limit)
	want(what+": before", events, err, before[len(before)-min(limit, len(before)):])
	events, err = v.After(room, lamport, author, limit)
	want(what+": after", events, err, after[:min(limit, len(after))])
	events, err = v.Recent(room, 1000)
	want(what+": recent", events, err, held)
	if limit > 0 {
		events, err = v.Around(room, lamport, author, limit)
		want(what+": around", events, err, around(slices.Clone(before), from, limit))
	}
	st, err := v.Stats(room)
	if err != nil || st.Events != len(held) || st.Bytes != m.size(room) || st.Authors != len(authors) ||
		len(held) > 0 && (!st.Oldest.Equal(held[0].Time) || !st.Newest.Equal(held[len(held)-1].Time)) {
		rt.Fatalf("%s has stats %+v of %s, %v: want %d events, %d bytes, %d authors", what, st, room, err, len(held), m.size(room), len(authors))
	}
	find := func(room wire.Room) (found []wire.Event) {
		for c := (Cursor{}); ; {
			res, err := v.Search(context.Background(), room, query, c, 5)
			if err != nil {
				rt.Fatal(err)
			}
			for _, h := range res.Hits {
				found = append(found, h.Event)
			}
			if c = res.Next; !res.More {
				return found
			}
		}
	}
	want(what+": search for "+query, find(room), nil, hits)
	// Clocks are wrong here, so all that is known of the order is that each room has its own.
	all := find("")
	for _, name := range names {
		hits = nil
		for _, e := range m.in(name) {
			if says(&e, query) {
				hits = append(hits, e)
			}
		}
		slices.Reverse(hits)
		var of []wire.Event
		for _, e := range all {
			if e.Room == name {
				of = append(of, e)
			}
		}
		want(what+": search for "+query+" in all rooms, what is of "+string(name), of, nil, hits)
	}
}

// says is what a query finds, said otherwise than in match.
func says(e *wire.Event, query string) bool {
	text := " " + string(e.Body) + " "
	if e.Kind == 99 {
		return false
	}
	switch query {
	case "app*":
		return strings.Contains(text, " app")
	case `"apple pie"`:
		return strings.Contains(text, " apple pie ")
	case "apfel pie":
		return strings.Contains(text, " Äpfel ") && strings.Contains(text, " pie ")
	case "京":
		return strings.Contains(text, "京")
	}
	return strings.Contains(text, " "+query+" ")
}
