package presence

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// lone is the machine of peer 1 in a room, whose neighbours are the test's.
type lone struct {
	t   testing.TB
	m   *Machine
	now time.Time
	out Output // of the last step
	// Since the last reset:
	faults  []Fault
	changes []Changed
	sends   []Send
}

func alone(t testing.TB, neighbours ...int) *lone {
	m, err := New(Config{Key: keyFor(1), Room: room, Rand: rand.NewPCG(1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l := &lone{t: t, m: m, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	l.step(Self{Name: "me"})
	for _, i := range neighbours {
		l.step(NeighborUp{Peer: wire.IDOf(keyFor(i))})
	}
	l.advance(time.Second)
	l.reset()
	return l
}

func (l *lone) reset() { l.faults, l.changes, l.sends = nil, nil, nil }

func (l *lone) step(in Input) {
	l.out.Reset()
	l.m.Step(l.now, in, &l.out)
	l.faults = append(l.faults, l.out.Faults...)
	l.changes = append(l.changes, l.out.Changes...)
	l.sends = append(l.sends, l.out.Sends...)
}

// advance ticks when the machine asks for it.
func (l *lone) advance(d time.Duration) {
	end := l.now.Add(d)
	for !l.out.Wake.IsZero() && !l.out.Wake.After(end) {
		if l.out.Wake.After(l.now) {
			l.now = l.out.Wake
		}
		l.step(Tick{})
	}
	l.now = end
	l.step(Tick{})
}

func (l *lone) hear(from int, msgs ...message) {
	for _, m := range msgs {
		l.step(Receive{From: wire.IDOf(keyFor(from)), Data: appendMessage(nil, m)})
	}
}

func (l *lone) hearRecords(from int, list ...record) {
	m := &records{}
	for _, r := range list {
		m.records = append(m.records, aged{0, r})
	}
	l.hear(from, m)
}

// person is a record of peer i.
func person(i int, seq, beat uint64) record {
	return sealed(keyFor(i), record{version: version{1_790_000_000_000, seq, beat}, name: fmt.Sprintf("p%d", i)})
}

func gone(i int, seq uint64) record {
	return sealed(keyFor(i), record{version: version{1_790_000_000_000, seq, 0}, name: fmt.Sprintf("p%d", i), left: true})
}

func (l *lone) wantFault(code Code, drop bool, why string) {
	l.t.Helper()
	if !slices.ContainsFunc(l.faults, func(f Fault) bool { return f.Code == code && f.Drop == drop }) {
		l.t.Errorf("%s: want fault %q (drop %v), got %+v", why, code, drop, l.faults)
	}
}

func (l *lone) wantQuiet(why string) {
	l.t.Helper()
	if len(l.faults)+len(l.changes) > 0 {
		l.t.Errorf("%s: want nothing told, got %+v %+v", why, l.faults, l.changes)
	}
}

func TestNobodySpeaksForAnother(t *testing.T) {
	l := alone(t, 2, 3)
	l.hearRecords(2, person(4, 1, 0))
	l.reset()
	forged := person(4, 2, 0)
	forged.name = "mallory"
	l.hearRecords(2, forged)
	l.wantFault(Forged, true, "a forged rename")
	stranger := person(5, 1, 0)
	stranger.sig[3] ^= 1
	l.hearRecords(3, stranger)
	l.wantFault(Forged, true, "a forged newcomer")
	if len(l.changes) > 0 {
		t.Errorf("a forged record changed something: %+v", l.changes)
	}

	l.reset()
	other := record{peer: wire.IDOf(keyFor(6)), version: version{1, 1, 0}, period: 30, name: "p6"}
	copy(other.sig[:], ed25519.Sign(keyFor(6), other.seal(nil, "dev")))
	l.m.conducts[wire.IDOf(keyFor(2))].blamed = map[Code]time.Duration{}
	l.hearRecords(2, other)
	l.wantFault(Forged, true, "a record of another room")

	l.reset()
	l.m.conducts[wire.IDOf(keyFor(2))].blamed = map[Code]time.Duration{}
	d := reported(keyFor(2), down{peer: wire.IDOf(keyFor(4)), version: person(4, 1, 0).version})
	d.by = wire.IDOf(keyFor(4))
	l.hear(2, &records{downs: []down{d}})
	l.wantFault(Forged, true, "a report in another's name")
	if len(l.changes) > 0 {
		t.Errorf("forgery changed something: %+v", l.changes)
	}
}

func TestOldRecordsChangeNothing(t *testing.T) {
	l := alone(t, 2, 3)
	old, now := person(4, 1, 0), person(4, 2, 0)
	l.hearRecords(2, old, now)
	l.reset()
	for range 3 {
		l.hearRecords(2, old, now)
		l.advance(time.Second)
	}
	l.wantQuiet("records that were newer once")
	l.hearRecords(2, gone(4, 3))
	l.reset()
	l.hearRecords(3, old, now)
	l.advance(time.Second)
	l.wantQuiet("records of one who has left")
	if !slices.ContainsFunc(l.sends, func(s Send) bool {
		m, _ := decodeMessage(s.Data, nil)
		r, ok := m.(*records)
		return ok && s.To == wire.IDOf(keyFor(3)) && len(r.records) == 1 && r.records[0].left
	}) {
		t.Error("who shows one that has left is not told so")
	}
	// Of a dead one, too, and a long time after.
	l.hearRecords(2, person(5, 1, 0))
	l.hear(2, &records{downs: []down{reported(keyFor(4), down{peer: wire.IDOf(keyFor(5)), version: person(5, 1, 0).version})}})
	l.advance(4 * time.Second)
	if _, here := l.m.Lookup(wire.IDOf(keyFor(5))); here {
		t.Fatal("a dead one is still shown")
	}
	l.reset()
	for range 20 {
		l.hearRecords(3, person(5, 1, 0))
		l.advance(time.Minute)
	}
	l.wantQuiet("the last record of a dead one, again and again")
}

func TestALieAboutTheLivingShowsNowhere(t *testing.T) {
	w := newWorld(t, 1)
	crowdOf(w, 50)
	w.mesh(5, nil)
	w.advance(20 * time.Second)
	liar := w.nodes[0]
	w.onChange = func(n *node, c Changed) {
		if c.What == Left {
			t.Errorf("%s shows %s as gone", n.name, w.who(c.Member.Peer))
		}
	}
	for _, n := range w.nodes[1:20] {
		e := liar.m.table.find(n.id)
		d := reported(liar.key, down{peer: n.id, version: e.rec.version})
		for _, l := range liar.links {
			liar.send(Send{To: l.to.id, Data: appendMessage(nil, &records{downs: []down{d}})})
		}
		w.advance(200 * time.Millisecond)
	}
	w.advance(10 * time.Second)
	if why := w.wrong(); why != "" {
		t.Error(why)
	}
}

func TestWhoLiesOftenIsNotBelieved(t *testing.T) {
	w := newWorld(t, 1)
	crowdOf(w, 30)
	w.mesh(5, nil)
	w.advance(20 * time.Second)
	w.faults = nil
	liar := w.nodes[0]
	before := *w.sent["records"]
	for range 1200 { // ten a second for two minutes
		n := w.nodes[1+w.rand.IntN(29)]
		d := reported(liar.key, down{peer: n.id, version: liar.m.table.find(n.id).rec.version})
		for _, l := range liar.links {
			liar.send(Send{To: l.to.id, Data: appendMessage(nil, &records{downs: []down{d}})})
		}
		w.advance(100 * time.Millisecond)
	}
	found, dropped := false, false
	for _, f := range w.faults {
		var code string
		_, _ = fmt.Sscanf(f[len("p0: "):], "%s", &code)
		found = found || code == string(Slander) || code == " "+string(Slander)
		dropped = dropped || f[len(f)-len("(drop true)"):] == "(drop true)"
	}
	if !found || !dropped {
		t.Errorf("nobody complains of the liar: %.5q", w.faults)
	}
	w.advance(10 * time.Second)
	if why := w.wrong(); why != "" {
		t.Error(why)
	}
	// 32 lies and one each ten seconds get through, each of them and its contradiction once over each link; beside that
	// there are the liar's own messages and the refreshes.
	after := w.sent["records"]
	if n, most := after.messages-before.messages, 1200*len(liar.links)+2*100*2*75+30*30*5; n > most {
		t.Errorf("1200 lies cost the room %d messages: want at most %d", n, most)
	}
}

func TestReportsOfWhatWasNeverSaidDoNothing(t *testing.T) {
	l := alone(t, 2, 3)
	l.hearRecords(2, person(2, 1, 0), person(4, 1, 0))
	l.hearRecords(3, person(3, 1, 0))
	l.reset()
	id := wire.IDOf(keyFor(4))
	l.hear(2, &records{downs: []down{
		reported(keyFor(2), down{peer: id, version: version{wire.MaxCounter, 1, 0}}),
		reported(keyFor(2), down{peer: id, version: version{1_790_000_000_000, 1, 1}}),
		reported(keyFor(2), down{peer: id, version: version{1, 1, 0}}),
		reported(keyFor(2), down{peer: wire.IDOf(keyFor(8)), version: version{1, 1, 1}}),
		reported(keyFor(2), down{peer: l.m.self, version: version{wire.MaxCounter, 1, 0}}),
	}})
	if l.m.Stats().Suspect != 0 {
		t.Errorf("%d are suspected by reports that cannot be true", l.m.Stats().Suspect)
	}
	l.advance(20 * time.Second)
	l.wantQuiet("reports of versions that nobody said, and of nobody")
	if m := l.m.said; m.Seq != 1 || m.Beat > 1 {
		t.Errorf("a report of what this peer never said made it say %v", m.version)
	}
}

func TestFloods(t *testing.T) {
	spam := func(what string, drop bool, code Code, n int, every time.Duration, make func(i int) message) {
		t.Run(what, func(t *testing.T) {
			l := alone(t, 2, 3)
			l.hearRecords(2, person(4, 1, 0))
			l.reset()
			for i := range n {
				l.hear(2, make(i))
				l.now = l.now.Add(every)
			}
			l.wantFault(code, drop, what)
			if len(l.faults) > 1+int(time.Duration(n)*every/blameEvery) {
				t.Errorf("%d faults are told", len(l.faults))
			}
			if s := l.m.Stats(); s.Queued > 200 || s.Records > 2000 {
				t.Errorf("a flood leaves %+v behind", s)
			}
			if len(l.sends) > 3*n {
				t.Errorf("%d messages are answered by %d", n, len(l.sends))
			}
		})
	}
	old := person(4, 1, 0)
	many := slicesRepeat(aged{0, old}, 50)
	spam("the same records again and again", true, Flood, 1000, time.Millisecond, func(int) message { return &records{records: many} })
	spam("summaries", true, Flood, 500, time.Millisecond, func(int) message { return &summary{count: 5} })
	spam("compares", true, Flood, 500, time.Millisecond, func(i int) message {
		return &compare{chunk: uint8(i % chunks), counts: []uint64{1}, hashes: []uint64{1}}
	})
	spam("wants", true, Flood, 500, time.Millisecond, func(int) message {
		return &want{items: slicesRepeat(wanted{key: keyOf(old.peer)}, maxWants)}
	})
	d := reported(keyFor(2), down{peer: old.peer, version: version{1_790_000_000_000, 1, 9}})
	spam("reports of what is not known", true, Flood, 1000, time.Millisecond, func(int) message {
		return &records{downs: slicesRepeat(d, 40)}
	})
	spam("a neighbour that changes its name a hundred times a second", true, Flood, 300, 10*time.Millisecond, func(i int) message {
		return &records{records: []aged{{0, person(2, uint64(i+1), 0)}}}
	})
	spam("a member that changes its name a hundred times a second", false, Flood, 300, 10*time.Millisecond, func(i int) message {
		return &records{records: []aged{{0, person(4, uint64(i+2), 0)}}}
	})
	spam("lists that nobody asked for, and their like", true, Malformed, 2, time.Millisecond, func(i int) message {
		if i == 0 {
			return &list{parts: []part{{items: []listed{{0, 1, 1, false}}}}}
		}
		return &list{}
	})
}

func TestMalformedMessagesCostTheLink(t *testing.T) {
	l := alone(t, 2)
	l.step(Receive{From: wire.IDOf(keyFor(2)), Data: []byte{0x82, 0x05, 0x18, 0x03}})
	l.wantFault(Malformed, true, "a message that does not decode")
	l.reset()
	l.step(Receive{From: wire.IDOf(keyFor(9)), Data: []byte{0xff}})
	l.wantQuiet("a message of one that is no neighbour")
}

func TestASummaryThatLiesCostsLittle(t *testing.T) {
	l := alone(t, 2, 3)
	l.hearRecords(3, person(4, 1, 0))
	l.reset()
	for i := range 600 {
		s := &summary{count: MaxMembers}
		for c := range s.hashes {
			s.hashes[c] = uint64(i + c + 1)
		}
		l.hear(2, s)
		if i%25 == 0 {
			l.hearRecords(3, person(4, 1, uint64(i+1)))
		}
		l.advance(time.Second)
	}
	asked, bytes := 0, 0
	for _, s := range l.sends {
		bytes += len(s.Data)
		if s.Data[1] == kindCompare {
			asked++
		}
	}
	if asked > 601*2 || bytes > 600*1500 {
		t.Errorf("ten minutes of lies cost %d questions and %d bytes", asked, bytes)
	}
	if len(l.changes) > 0 {
		t.Errorf("they changed %+v", l.changes)
	}
	if l.m.Count() != 2 || l.m.period() != 30 {
		t.Errorf("they made a room of %d with a period of %d s", l.m.Count(), l.m.period())
	}
}

func TestAgesCannotMakeSomebodyVanishOrStay(t *testing.T) {
	l := alone(t, 2, 3)
	old := person(4, 1, 0)
	l.hear(2, &records{records: []aged{{899, old}}}) // too old to make a member
	l.hear(2, &records{records: []aged{{440, old}}})
	l.hear(3, &records{records: []aged{{10, old}}}) // the truth
	l.advance(70 * time.Second)
	if _, ok := l.m.Lookup(old.peer); !ok {
		t.Error("an age that is exaggerated makes a member expire")
	}
	for range 40 { // it is dead, but a neighbour says all the time that it spoke just now
		l.hear(2, &records{records: []aged{{0, old}}})
		l.advance(time.Second)
	}
	if _, ok := l.m.Lookup(old.peer); ok {
		t.Error("an age that is played down keeps a member for ever")
	}
	if n := len(l.changes); n != 2 {
		t.Errorf("%d changes are told: want that it joined and expired", n)
	}
}

func TestARunFarAheadHarmsOnlyItsOwner(t *testing.T) {
	l := alone(t, 2, 3)
	far := sealed(keyFor(2), record{version: version{wire.MaxCounter, wire.MaxCounter, wire.MaxCounter}})
	l.hearRecords(2, far)
	l.hearRecords(3, person(4, 1, 0), person(2, 1, 0))
	l.advance(time.Second)
	if l.m.Count() != 4-1 || l.m.run != uint64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()) {
		t.Errorf("%d members, own run %d", l.m.Count(), l.m.run)
	}
	// An earlier life of this peer, when its clock was in the year 2200.
	l.reset()
	mine := sealed(keyFor(1), record{version: version{7_258_118_400_000, 9, 9}})
	l.hearRecords(2, mine)
	l.advance(time.Second)
	if l.m.said.Run != 7_258_118_400_001 {
		t.Errorf("after an earlier life of run %d this peer speaks with run %d", mine.Run, l.m.said.Run)
	}
	// One at the end of all numbers cannot be outdone.
	l.hearRecords(2, sealed(keyFor(1), record{version: version{wire.MaxCounter, 9, 9}}))
	l.wantFault(Twin, false, "a record of the own that cannot be outdone")
	// Two processes that outdo each other stop doing so.
	said := l.m.said.version
	for i := range 1000 {
		l.hearRecords(2, sealed(keyFor(1), record{version: version{7_258_118_400_000 + 2*uint64(i), 9, 9}}))
		l.advance(100 * time.Millisecond)
	}
	if l.m.said.Beat-said.Beat > 20 {
		t.Errorf("a twin made this peer speak %d times in 100 s", l.m.said.Beat-said.Beat)
	}
}

// What waits for a neighbour that takes nothing is bounded by the members, whatever happens meanwhile.
func TestABusyNeighbourCostsLittle(t *testing.T) {
	w := newWorld(t, 1)
	crowdOf(w, 20)
	w.mesh(5, nil)
	w.advance(10 * time.Second)
	n := w.nodes[0]
	busy := n.links[0].to
	n.step(Busy{Peer: busy.id, Busy: true})
	before := *w.sent["records"]
	for i := range 200 {
		for _, o := range w.nodes[5:] {
			o.wish.Name = fmt.Sprintf("n%d", i)
			o.step(o.wish)
		}
		w.advance(3 * time.Second)
	}
	if q := n.m.Stats().Queued; q > 20+chunks { // each member once, and what it asked for of each chunk
		t.Errorf("%d items wait for a busy neighbour in a room of 20", q)
	}
	if w.sent["records"].messages == before.messages {
		t.Error("nothing was said meanwhile")
	}
	n.step(Busy{Peer: busy.id})
	w.advance(10 * time.Second)
	if why := w.wrong(); why != "" {
		t.Error(why)
	}
}

func TestABadSelfIsNotTold(t *testing.T) {
	l := alone(t, 2)
	for _, s := range []Self{{}, {Name: " x"}, {Name: "a\nb"}, {Name: "x", Status: "\x1b[2J"}, {Name: "x", Voice: Voice{Muted: true}}} {
		l.reset()
		l.step(s)
		l.advance(time.Second)
		l.wantFault(Malformed, false, fmt.Sprintf("own presence %+v", s))
		if l.m.said.name != "me" {
			t.Errorf("%+v is told", s)
		}
	}
}

func TestBadConfigs(t *testing.T) {
	good := Config{Key: keyFor(1), Room: room, Rand: rand.NewPCG(1, 1)}
	for what, change := range map[string]func(*Config){
		"no key":          func(c *Config) { c.Key = nil },
		"no room":         func(c *Config) { c.Room = "" },
		"a room with #":   func(c *Config) { c.Room = "#general" },
		"no chance":       func(c *Config) { c.Rand = nil },
		"a negative rate": func(c *Config) { c.Rate = -1 },
		"a run too high":  func(c *Config) { c.Run = wire.MaxCounter + 1 },
		"a fast refresh":  func(c *Config) { c.Timing.Refresh = time.Second },
		"a slow refresh":  func(c *Config) { c.Timing.Refresh = time.Hour },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}

// Who asks for all that is known gets it, but no faster than its pace allows.
func TestWhoAsksForMuchGetsItAtItsPace(t *testing.T) {
	const pace = 100 // bytes a second
	l := alone(t, 2, 3)
	l.m.check = func(ed25519.PublicKey, []byte, []byte) bool { return true }
	l.crowd(2, 0, 250, 50)
	l.advance(time.Minute)
	peer := wire.IDOf(keyFor(3))
	l.m.neighbour(peer).pace = rate.NewLimiter(pace, burst)
	q := &want{}
	for i := range 250 {
		r := invented(i)
		q.items = append(q.items, wanted{key: keyOf(r.peer)})
	}
	l.reset()
	start := l.now
	l.hear(3, q)
	got := 0
	for i := range 600 {
		l.advance(time.Second)
		bytes := 0
		got = 0
		for _, s := range l.sends {
			m, err := decodeMessage(s.Data, new(records))
			if r, is := m.(*records); err == nil && s.To == peer && is {
				got += len(r.records)
				bytes += len(s.Data)
			}
		}
		if took := l.now.Sub(start).Seconds(); float64(bytes) > burst+MaxMessage+pace*took {
			t.Fatalf("%d s after a neighbour asked it has got %d bytes: want at most %d at once, and then %d a second", i+1, bytes, burst+MaxMessage, pace)
		}
	}
	if got < 250 {
		t.Errorf("of 250 members that a neighbour asked for it got %d", got)
	}
}
