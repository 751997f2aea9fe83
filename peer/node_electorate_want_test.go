package peer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"peerchat/peer"
	"peerchat/peer/wire"
)

// tracker is what a voter told last of its tracker.
func (v *voter) tracker() peer.TrackerChanged {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, ev := range slices.Backward(v.events) {
		if s, ok := ev.(peer.TrackerChanged); ok {
			return s
		}
	}
	return peer.TrackerChanged{}
}

// trackers is what a voter told of its tracker since a mark.
func (v *voter) trackers(since mark) []peer.TrackerChanged {
	v.mu.Lock()
	defer v.mu.Unlock()
	var told []peer.TrackerChanged
	for _, ev := range v.events[since.events:] {
		if s, ok := ev.(peer.TrackerChanged); ok {
			told = append(told, s)
		}
	}
	return told
}

// united says why those do not follow one tracker, whose leader may be anyone but not: "" if they do.
func (e *electorate) united(not wire.PeerID, who ...*voter) string {
	var first peer.TrackerChanged
	hosts := 0
	who = e.living(who...)
	for i, v := range who {
		s := v.tracker()
		if i == 0 {
			first = s
		}
		switch {
		case s.State == peer.TrackerHosting && s.Leader == v.id:
			hosts++
		case s.State != peer.TrackerConnected:
			return fmt.Sprintf("%s is %s", v.name, s.State)
		}
		if s.Leader != first.Leader || s.Term != first.Term || !not.IsZero() && s.Leader == not {
			return fmt.Sprintf("%s follows %v under term %d, %s %v under term %d", v.name, s.Leader, s.Term, who[0].name, first.Leader, first.Term)
		}
	}
	if !first.Leader.IsZero() && hosts != 1 {
		return fmt.Sprintf("%d are hosting", hosts)
	}
	return ""
}

// wantOneLeader waits until all of those, or all, follow one tracker that is not the leader not; it returns who leads
// (nil: a home tracker) and how long it took.
func (e *electorate) wantOneLeader(when string, patience time.Duration, not wire.PeerID, who ...*voter) (*voter, time.Duration) {
	e.t.Helper()
	began := time.Now()
	for {
		synctest.Wait()
		why := e.united(not, who...)
		took := time.Since(began)
		if why == "" {
			leader := e.living(who...)[0].tracker().Leader
			i := slices.IndexFunc(e.voters, func(v *voter) bool { return v.id == leader })
			e.t.Logf("%s: one tracker for all after %v", when, took)
			if i < 0 {
				return nil, took
			}
			return e.voters[i], took
		}
		if took > patience {
			e.t.Fatalf("seed %d: %s: there is not one tracker for all after %v: %s", e.seed, when, patience, why)
		}
		time.Sleep(time.Millisecond)
	}
}

// wantMesh waits until all of those, or all, are linked with each other, or, if they are more than six, with some.
func (e *electorate) wantMesh(when string, patience time.Duration, who ...*voter) {
	e.t.Helper()
	began := time.Now()
	for {
		synctest.Wait()
		var missing []string
		for _, v := range e.living(who...) {
			linked := v.linked()
			var lacks []string
			for _, o := range e.living(who...) {
				if o != v && !linked[o.id] {
					lacks = append(lacks, v.name+"-"+o.name)
				}
			}
			if n := len(e.living(who...)); n <= 6 || n-1-len(lacks) < 3 {
				missing = append(missing, lacks...)
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Since(began) > patience {
			e.t.Fatalf("seed %d: %s: after %v these links are missing: %s", e.seed, when, patience, strings.Join(missing, " "))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// wantNoLinkLost checks that since the marks no link between those who live now went down but those that a room of more
// than six does without.
func (e *electorate) wantNoLinkLost(when string, marks map[*voter]mark) {
	e.t.Helper()
	for _, v := range e.living() {
		v.mu.Lock()
		for _, ev := range v.events[marks[v].events:] {
			l, ok := ev.(peer.LinkChanged)
			if ok && !l.Up && l.Reason != peer.NotNeeded && slices.ContainsFunc(e.living(), func(o *voter) bool { return o.id == l.Person.Peer }) {
				e.t.Errorf("seed %d: %s: %s lost its link with %s (%s): nobody's links depend on the tracker", e.seed, when, v.name, l.Person.Name, l.Reason)
			}
		}
		v.mu.Unlock()
	}
}

// marks is how far everybody is.
func (e *electorate) marks() map[*voter]mark {
	marks := map[*voter]mark{}
	for _, v := range e.voters {
		v.mu.Lock()
		marks[v] = mark{len(v.events), len(v.heard)}
		v.mu.Unlock()
	}
	return marks
}

// lines are when v was shown the lines of an author since a mark.
func (v *voter) lines(author wire.PeerID, since mark) (at []time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, ev := range v.events[since.events:] {
		if m, ok := ev.(peer.Message); ok && m.Person.Peer == author {
			at = append(at, v.at[since.events+i])
		}
	}
	return at
}

// packets are when v heard the voice of another since a mark, and how many packets of it were lost between.
func (v *voter) packets(from wire.PeerID, since mark) (at []time.Time, lost int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var last uint16
	for _, p := range v.heard[since.heard:] {
		if p.from != from {
			continue
		}
		if len(at) > 0 {
			lost += int(p.seq - last - 1)
		}
		at, last = append(at, p.at), p.seq
	}
	return at, lost
}

// longest is the longest time between two of those.
func longest(at []time.Time) (gap time.Duration) {
	for i := 1; i < len(at); i++ {
		gap = max(gap, at[i].Sub(at[i-1]))
	}
	return gap
}

// wantNoGap checks that between all who live lines came at the pace since the marks, and all voice.
func (e *electorate) wantNoGap(when string, marks map[*voter]mark) {
	e.t.Helper()
	var lines, voice time.Duration
	for _, v := range e.living() {
		for _, o := range e.others(v) {
			gap := longest(v.lines(o.id, marks[v]))
			lines = max(lines, gap)
			if gap == 0 || gap > pace+20*time.Millisecond {
				e.t.Errorf("seed %d: %s: %s was shown no line of %s for %v, want it never longer than %v", e.seed, when, v.name, o.name, gap, pace+20*time.Millisecond)
			}
			at, lost := v.packets(o.id, marks[v])
			gap = longest(at)
			voice = max(voice, gap)
			if lost != 0 || gap == 0 || gap > pace {
				e.t.Errorf("seed %d: %s: %s lost %d packets of %s's voice and heard nothing for %v, want none and never longer than %v", e.seed, when, v.name, lost, o.name, gap, pace)
			}
		}
	}
	e.t.Logf("%s: the longest time between two lines was %v, between two packets of voice %v", when, lines, voice)
}

// wantVoice has everybody join the voice of the room, and waits until all hear each other.
func (e *electorate) wantVoice(when string) {
	e.t.Helper()
	for _, v := range e.living() {
		v.node.Do(peer.JoinVoice{Room: general})
	}
	time.Sleep(100 * time.Millisecond)
	marks := e.marks()
	e.talk(100 * time.Millisecond)
	e.wantNoGap(when, marks)
}

// wantAll waits until all who live were shown every line of each other, once and in order; and of the dead the same
// lines, all of them but for the last few.
func (e *electorate) wantAll(when string, patience time.Duration) {
	e.t.Helper()
	began := time.Now()
	for {
		synctest.Wait()
		var why string
		for _, author := range e.voters {
			var before []string
			dead := author.dead.Load()
			for i, v := range e.living() {
				got := v.shown(author.id)
				switch {
				case !dead && !slices.Equal(got, author.said):
					why = fmt.Sprintf("%s was shown %d lines of %s, want the %d that were said, once and in order", v.name, len(got), author.name, len(author.said))
				case dead && (len(got) > len(author.said) || !slices.Equal(got, author.said[:len(got)]) || len(got) < len(author.said)-3):
					why = fmt.Sprintf("%s was shown %d lines of %s, who died, want those that were said, once and in order, %d in all", v.name, len(got), author.name, len(author.said))
				case dead && i > 0 && !slices.Equal(got, before):
					why = fmt.Sprintf("%s was shown %d lines of %s, who died, another %d", v.name, len(got), author.name, len(before))
				}
				before = got
			}
		}
		if why == "" {
			return
		}
		if time.Since(began) > patience {
			e.t.Fatalf("seed %d: %s: after %v %s", e.seed, when, patience, why)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// shown are the lines of an author that v was shown.
func (v *voter) shown(author wire.PeerID) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var messages []peer.Message
	for _, ev := range v.events {
		if m, ok := ev.(peer.Message); ok && m.Person.Peer == author {
			messages = append(messages, m)
		}
	}
	return peer.Shown(messages)
}

// wantServing checks which machines have a tracker that serves.
func (e *electorate) wantServing(when string, hosts ...string) {
	e.t.Helper()
	if got := e.trackers.Serving(); !slices.Equal(got, hosts) {
		e.t.Errorf("seed %d: %s: trackers serve at %q, want %q", e.seed, when, got, hosts)
	}
}

// others are all who live but v.
func (e *electorate) others(v *voter) []*voter {
	return slices.DeleteFunc(e.living(), func(o *voter) bool { return o == v })
}
