//go:build !race

package peer

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// synced are the figures that p was told of a room.
func (p *simPeer) synced(room wire.Room) (told []int) {
	for _, ev := range p.events {
		if s, ok := ev.(Synced); ok && s.Room == room {
			told = append(told, s.Missing)
		}
	}
	return told
}

// olderAnswers are what p was answered to FetchOlder, by Ref.
func (p *simPeer) olderAnswers() map[any]OlderAnswer {
	answers := map[any]OlderAnswer{}
	for _, ev := range p.events {
		if a, ok := ev.(Answer); ok {
			if o, ok := a.Value.(OlderAnswer); ok {
				answers[a.Ref] = o
			}
		}
	}
	return answers
}

// talkative is a world of n peers in which the first has said so many lines, and the last comes new into the room.
func talkative(seed uint64, n, lines int, window Window) (w *world, late *simPeer) {
	w = newWorld(seed, n, general)
	w.run(5 * time.Second)
	late = w.peers[n-1]
	late.killForgetting()
	late.window = window
	w.run(10 * time.Second)
	for i := range lines {
		w.peers[0].say(general, fmt.Sprint("line ", i))
		if i%50 == 49 {
			w.run(time.Second)
		}
	}
	w.run(time.Second)
	late.start(general)
	w.run(10 * time.Second)
	return w, late
}

func TestAnOlderPartOfARoomIsFetchedWhenItIsAskedFor(t *testing.T) {
	w, late := talkative(21, 3, 400, Window{Events: 100})
	author := w.peers[0]
	if shown := late.messages(general)[author.id]; len(shown) != 100 || shown[0] != "line 300" || shown[99] != "line 399" {
		t.Fatalf("who comes late is shown %d lines: want the last 100", len(shown))
	}
	// Two ask at once, and get one answer.
	late.step(FetchOlder{Ref: "a", Room: general, Events: 60}, FetchOlder{Ref: "b", Room: general, Events: 40})
	w.run(2 * time.Second)
	got := late.olderAnswers()
	if len(got) != 2 || got["a"] != got["b"] || got["a"].Events < 100 || got["a"].Events > 120 || !got["a"].More || got["a"].Err != nil {
		t.Fatalf("the answers are %+v: want about 100 events, and that there are more", got)
	}
	if shown := late.messages(general)[author.id]; len(shown) != 100 {
		t.Errorf("what was asked for was told, too: %d lines", len(shown))
	}
	page, err := late.store.Recent(general, 1000)
	if err != nil || len(page) != 100+got["a"].Events {
		t.Errorf("the history holds %d events, %v", len(page), err)
	}
	late.step(FetchOlder{Ref: "c", Room: general, Events: 1000})
	w.run(5 * time.Second)
	c := late.olderAnswers()["c"]
	if c.Events != 400-len(page) || c.More || c.Err != nil {
		t.Errorf("the last answer is %+v: want all %d that there are, and that this is the beginning", c, 400-len(page))
	}
	late.step(FetchOlder{Ref: "d", Room: "elsewhere", Events: 1})
	if d := late.olderAnswers()["d"]; d.Err == nil || d.Room != "elsewhere" {
		t.Errorf("of a room that it is not in the answer is %+v", d)
	}
	for i := range maxQueries + 5 {
		late.step(FetchOlder{Ref: i, Room: general, Events: 1})
	}
	w.run(11 * time.Second)
	for i := range maxQueries + 5 {
		if _, ok := late.olderAnswers()[i]; !ok {
			t.Errorf("question %d was not answered", i)
		}
	}
}

func TestWhoIsAloneIsToldSoWhenOlderEventsAreAskedFor(t *testing.T) {
	w := newWorld(27, 1, general)
	w.run(5 * time.Second)
	p := w.peers[0]
	p.say(general, "line")
	p.step(FetchOlder{Ref: 1, Room: general, Events: 50})
	w.run(time.Second)
	if a, ok := p.olderAnswers()[1]; !ok || !errors.Is(a.Err, ErrAlone) {
		t.Errorf("the answer is %+v, %v: want %v", a, ok, ErrAlone)
	}
}

func TestAQuestionForOlderEventsIsAnsweredWhenTheRoomIsLeft(t *testing.T) {
	w, late := talkative(22, 3, 200, Window{Events: 20})
	late.step(FetchOlder{Ref: 1, Room: general, Events: 50}, LeaveRoom{Room: general})
	w.run(time.Second)
	if a, ok := late.olderAnswers()[1]; !ok || a.Err == nil {
		t.Errorf("the answer is %+v, %v: want an error", a, ok)
	}
}

func TestTheTopicOfAnOlderEventCounts(t *testing.T) {
	w := newWorld(23, 2, general)
	w.run(5 * time.Second)
	late := w.peers[1]
	late.killForgetting()
	late.window = Window{Events: 30}
	w.peers[0].step(Say{Room: general, Kind: wire.KindTopic, Text: "what it is about"})
	for i := range 100 {
		w.peers[0].say(general, fmt.Sprint("line ", i))
	}
	w.run(10 * time.Second)
	late.start(general)
	w.run(10 * time.Second)
	late.step(FetchOlder{Ref: 1, Room: general, Events: 100})
	w.run(5 * time.Second)
	if got := late.core.rooms[general].topic.text; got != "what it is about" {
		t.Errorf("the topic is %q, though the event that sets it was fetched", got)
	}
}

func TestWhatIsMissingIsTold(t *testing.T) {
	w := newWorld(24, 3, general)
	w.run(5 * time.Second)
	for i := range 20 {
		w.peers[0].say(general, fmt.Sprint("line ", i))
		w.run(50 * time.Millisecond)
	}
	for _, p := range w.peers {
		if told := p.synced(general); len(told) > 0 {
			t.Errorf("%s was told of %v missing while all was well", p.name, told)
		}
	}
	// One is cut off, and when it is back its neighbours' answers are lost for a while.
	away := w.peers[2]
	w.cutLink(0, 2, true)
	w.cutLink(1, 2, true)
	w.run(20 * time.Second)
	for i := range 120 {
		w.peers[0].say(general, fmt.Sprint("more ", i))
	}
	w.run(time.Second)
	w.mute = true
	w.cutLink(0, 2, false)
	w.cutLink(1, 2, false)
	w.run(60 * time.Second)
	told := away.synced(general)
	if len(told) == 0 || told[0] != 120 {
		t.Fatalf("who lacks 120 events was told %v", told)
	}
	w.mute = false
	w.run(60 * time.Second)
	told = away.synced(general)
	if told[len(told)-1] != 0 {
		t.Errorf("with all events there it was told %v in the end: want 0", told)
	}
	for i := 1; i < len(told); i++ {
		if told[i] == told[i-1] {
			t.Errorf("it was told %v: want only changes", told)
		}
	}
	wantSame(t, w, general, 24)
}

func TestWhoComesBackLearnsWhoHasItsOldLines(t *testing.T) {
	w := newWorld(25, 3, general)
	w.run(5 * time.Second)
	p := w.peers[0]
	for i := range 3 {
		p.say(general, fmt.Sprint("line ", i))
	}
	w.run(2 * time.Second)
	p.kill()
	w.run(10 * time.Second)
	p.events = nil
	p.start(general)
	w.run(10 * time.Second)
	var told []Delivered
	for _, ev := range p.events {
		if d, ok := ev.(Delivered); ok {
			told = append(told, d)
		}
	}
	if len(told) == 0 || told[len(told)-1].Seq != 3 || told[len(told)-1].Peers != 2 || told[len(told)-1].Of != 2 {
		t.Errorf("after a restart it was told %+v: want at last that both others hold its third line", told)
	}
}

// missing are the messages before which others are missing, as p was told last: "7: 3".
func (p *simPeer) missing(room wire.Room) (told []string) {
	for _, ev := range p.events {
		if m, ok := ev.(Message); ok && m.Room == room && m.Missing > 0 {
			told = append(told, fmt.Sprintf("%d: %d", m.Seq, m.Missing))
		}
	}
	return told
}

func TestAMessageTellsWhatIsMissingBeforeIt(t *testing.T) {
	w := newWorld(26, 3, general)
	w.run(5 * time.Second)
	author, keeper, reader := w.peers[0], w.peers[1], w.peers[2]
	say := func(from, to int) {
		for i := from; i <= to; i++ {
			author.say(general, fmt.Sprint("line ", i))
		}
		w.run(time.Second)
	}
	say(1, 3)
	reader.kill()
	say(4, 9)
	author.kill()
	keeper.kill()
	// The author's history has lost what the keeper still has.
	all, err := author.store.Recent(general, 100)
	if err != nil || len(all) != 9 {
		t.Fatalf("the author holds %d events, %v", len(all), err)
	}
	author.store = history.NewMemory()
	if err := errors.Join(author.store.Rebase(general, wire.LogID{Author: author.id}, 6, 0), author.store.Append(all[6:])); err != nil {
		t.Fatal(err)
	}
	reader.events = nil
	author.start(general)
	reader.start(general)
	w.run(20 * time.Second)
	if got := reader.missing(general); !slices.Equal(got, []string{"7: 3"}) {
		t.Errorf("who has 1 to 3 and gets 7 to 9 is told that before them are missing %q, want 3 before number 7", got)
	}
	reader.kill()
	reader.events = nil
	reader.start(general)
	if got := reader.missing(general); !slices.Equal(got, []string{"7: 3"}) {
		t.Errorf("after a restart it is told of %q", got)
	}
	reader.events = nil
	keeper.start(general)
	w.run(20 * time.Second)
	var came []uint64
	for _, ev := range reader.events {
		if m, ok := ev.(Message); ok && m.Person.Peer == author.id {
			came = append(came, m.Seq)
		}
	}
	if !slices.Equal(came, []uint64{4, 5, 6}) || len(reader.missing(general)) > 0 {
		t.Errorf("from who has them, %v came, with %q missing before them", came, reader.missing(general))
	}
}

// Who comes into a room while people talk must not take what they said before for what they say now: a program would
// answer it.
func TestWhatWasSaidBeforeOneCameIsHistory(t *testing.T) {
	w := newWorld(28, 3, general)
	w.run(5 * time.Second)
	late := w.peers[2]
	late.killForgetting()
	for i := range 60 {
		w.peers[i%2].say(general, fmt.Sprint("before ", i))
		w.run(time.Second)
	}
	late.events = nil
	late.start(general)
	for i := range 5 {
		w.run(time.Second)
		w.peers[i%2].say(general, fmt.Sprint("after ", i))
	}
	w.run(time.Second)
	before, after := 0, 0
	for _, ev := range late.events {
		m, ok := ev.(Message)
		if !ok {
			continue
		}
		var i int
		if _, err := fmt.Sscanf(m.Text, "before %d", &i); err != nil {
			after++
			if m.History {
				t.Errorf("%q was said while it was there, and is told as history", m.Text)
			}
			continue
		}
		if before++; !m.History && i < 48 {
			t.Errorf("%q was said %d s before it came, and is told as if said now", m.Text, 60-i)
		}
	}
	if before != 60 || after != 5 {
		t.Errorf("it was told %d lines from before and %d from after, want 60 and 5", before, after)
	}
}

func (s simStore) Prepend(events []wire.Event) error {
	if s.p.full != nil {
		return s.p.full
	}
	return s.Memory.Prepend(events)
}

func (s simStore) Rebase(room wire.Room, log wire.LogID, base, missing uint64) error {
	if s.p.full != nil {
		return s.p.full
	}
	return s.Memory.Rebase(room, log, base, missing)
}

// tries has a peer say a line that its store may not take. Then it is told so, and has not said it.
func (p *simPeer) tries() {
	before := len(p.events)
	p.sayNext()
	for _, ev := range p.events[before:] {
		if f, ok := ev.(Failure); ok {
			p.said[general] = p.said[general][:len(p.said[general])-len(f.Said)]
		}
	}
}

// TestNothingIsLostThoughStoresFail is TestNothingIsLostWhateverHappens with stores that take nothing for a while.
func TestNothingIsLostThoughStoresFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		n := rapid.IntRange(2, 6).Draw(t, "peers")
		w := newWorld(seed, n, general)
		w.fastLoss = 0.3
		w.run(3 * time.Second)
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			a := w.rand.IntN(n)
			b := (a + 1 + w.rand.IntN(n-1)) % n
			p := w.peers[a]
			switch what := rapid.SampledFrom([]string{"say", "say", "say", "fail", "work", "kill", "return", "cut", "heal"}).Draw(t, "what"); what {
			case "say":
				if !p.dead {
					p.tries()
				}
			case "fail":
				p.full = errors.New("disk I/O error: check the disk")
			case "work":
				p.full = nil
			default:
				w.happens(what, a, b)
			}
			w.run(w.delay(3000))
		}
		for _, p := range w.peers {
			p.full = nil
		}
		w.revive()
		clear(w.cut)
		w.run(90 * time.Second)
		wantSame(t, w, general, seed)
		for _, p := range w.peers {
			if told := p.synced(general); len(told) > 0 && told[len(told)-1] != 0 {
				t.Errorf("seed %d: at the end %s is told that %d are missing", seed, p.name, told[len(told)-1])
			}
			if told := p.trouble("lost"); len(told) > 0 {
				t.Errorf("seed %d: %s is told %q", seed, p.name, told)
			}
		}
	})
}
