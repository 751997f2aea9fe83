package peer_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"peerchat/peer"
	"peerchat/peer/wire"
)

func TestTheLeaderIsKilledInMidConversation(t *testing.T) {
	inElectorates(t, 7, func(t *testing.T, e *electorate) {
		old := e.settle(6)
		term := old.tracker().Term
		e.wantVoice("at the start")
		marks := e.marks()
		var talking sync.WaitGroup
		talking.Go(func() { e.talk(1500 * time.Millisecond) })
		time.Sleep(502 * time.Millisecond) // what was said last is on its way
		e.kill(old)
		leader, _ := e.wantOneLeader("after the leader was killed", 500*time.Millisecond, old.id)
		talking.Wait()
		if now := leader.tracker().Term; now <= term {
			t.Errorf("seed %d: the new leader's term is %d after %d, want it above", e.seed, now, term)
		}
		e.wantNoGap("when the leader is killed", marks)
		time.Sleep(8 * time.Second) // the links with the dead are given up
		e.wantAll("after the leader was killed", time.Second)
		e.wantServing("after the leader was killed", leader.host)
		e.start(1)
		e.wantOneLeader("with a newcomer", 5*time.Second, old.id)
		e.wantMesh("with a newcomer", 5*time.Second)
		e.wantAll("with a newcomer", 10*time.Second)
		e.wantVoice("with a newcomer")
		e.wantNoLinkLost("from the kill to the newcomer", marks)
	})
}

func TestBothHalvesOfABrokenNetworkGoOn(t *testing.T) {
	inElectorates(t, 8, func(t *testing.T, e *electorate) {
		e.settle(6)
		e.talk(200 * time.Millisecond)
		e.part(3, 4, 5, 7)
		left, right := slices.Clone(e.voters[:3]), slices.Clone(e.voters[3:6])
		e.talk(200 * time.Millisecond)
		time.Sleep(15 * time.Second)
		e.start(2)
		left, right = append(left, e.voters[6]), append(right, e.voters[7])
		one, _ := e.wantOneLeader("on the left", 10*time.Second, wire.PeerID{}, left...)
		two, _ := e.wantOneLeader("on the right", 10*time.Second, wire.PeerID{}, right...)
		if one == two || !slices.Contains(left, one) || !slices.Contains(right, two) {
			t.Fatalf("seed %d: %s and %s lead: want one of each side", e.seed, one.name, two.name)
		}
		e.wantMesh("on the left", 10*time.Second, left...)
		e.wantMesh("on the right", 10*time.Second, right...)
		marks := e.marks()
		e.talk(200 * time.Millisecond)
		e.heal()
		leader, _ := e.wantOneLeader("after the heal", 10*time.Second, wire.PeerID{})
		if leader != one && leader != two {
			t.Errorf("seed %d: after the heal %s leads: want %s or %s to stay", e.seed, leader.name, one.name, two.name)
		}
		e.wantServing("after the heal", leader.host)
		e.wantMesh("after the heal", 60*time.Second)
		e.talk(200 * time.Millisecond)
		e.wantAll("after the heal", 30*time.Second)
		e.wantNoLinkLost("since both had elected", marks)
	})
}

func TestTheHomeTrackerIsBackEmpty(t *testing.T) {
	inElectorates(t, 6, func(t *testing.T, e *electorate) {
		e.settle(5)
		marks := e.marks()
		e.trackers.Kill("home")
		leader, _ := e.wantOneLeader("without home", 500*time.Millisecond, wire.PeerID{})
		if leader == nil {
			t.Fatalf("seed %d: home was killed and is still followed", e.seed)
		}
		term := leader.tracker().Term
		e.talk(100 * time.Millisecond)
		time.Sleep(5 * time.Second)
		e.trackers.Start("home")
		for s := leader.tracker(); s.State == peer.TrackerHosting; s = leader.tracker() {
			if s.Term > term+1 {
				t.Fatalf("seed %d: home is back, and %s goes on under term %d", e.seed, leader.name, s.Term)
			}
			e.talk(100 * time.Millisecond)
		}
		if nobody, _ := e.wantOneLeader("with home", 5*time.Second, leader.id); nobody != nil {
			t.Errorf("seed %d: home is back, and %s leads", e.seed, nobody.name)
		}
		e.wantServing("with home", "home")
		for _, v := range e.living() {
			if now := v.tracker().Term; now <= term {
				t.Errorf("seed %d: with home %s tells of term %d: want it above %d", e.seed, v.name, now, term)
			}
		}
		e.start(1)
		e.wantMesh("with a newcomer at home", 5*time.Second)
		e.wantAll("with a newcomer at home", 10*time.Second)
		e.wantNoLinkLost("since home was killed", marks)
	}, "home")
}

func TestATrackerThatHangsIsReplaced(t *testing.T) {
	inElectorates(t, 6, func(t *testing.T, e *electorate) {
		e.settle(5)
		e.wantVoice("at the start")
		e.trackers.Hang("home", true)
		began := time.Now()
		time.Sleep(3 * time.Second) // nobody can know yet
		marks := e.marks()
		var talking sync.WaitGroup
		talking.Go(func() { e.talk(2 * time.Second) })
		for e.voters[0].tracker().State == peer.TrackerConnected && time.Since(began) < 5*time.Second {
			time.Sleep(time.Millisecond)
		}
		first, _ := e.wantOneLeader("while home hangs", 500*time.Millisecond, wire.PeerID{})
		if first == nil {
			t.Fatalf("seed %d: home hangs for %v and is still followed", e.seed, time.Since(began))
		}
		talking.Wait()
		e.wantNoGap("while home hangs", marks)
		e.start(1)
		e.wantMesh("with a newcomer while home hangs", 5*time.Second)
		e.wantAll("with a newcomer while home hangs", 10*time.Second)
		// Now a peer's tracker hangs, while its peer lives.
		e.trackers.Hang(first.host, true)
		time.Sleep(5 * time.Second)
		e.wantOneLeader("while a peer's tracker hangs", 500*time.Millisecond, wire.PeerID{}, e.others(first)...)
		e.trackers.Hang(first.host, false)
		e.wantOneLeader("after it hung", 10*time.Second, wire.PeerID{})
		e.wantVoice("after it hung")
		e.wantNoLinkLost("while trackers hang", marks)
	}, "home")
}

func TestOneBrokenConnectionDeposesNobody(t *testing.T) {
	inElectorates(t, 5, func(t *testing.T, e *electorate) {
		leader := e.settle(5)
		time.Sleep(5 * time.Second) // all there is to say of the start is said
		term, cut := leader.tracker().Term, e.others(leader)[0]
		marks := e.marks()
		e.trackers.Cut(cut.host) // not its links
		for range 15 {
			time.Sleep(time.Second)
			for _, v := range e.living() {
				v.say(fmt.Sprintf("line %d of %s", len(v.said), v.name))
			}
		}
		if s := cut.tracker().State; s != peer.TrackerLost && s != peer.TrackerElecting {
			t.Errorf("seed %d: %s is cut off from the tracker and tells that it is %s", e.seed, cut.name, s)
		}
		for _, v := range e.others(cut) {
			if told := v.trackers(marks[v]); len(told) > 0 {
				t.Errorf("seed %d: only %s lost the tracker, and %s tells of its own: %+v", e.seed, cut.name, v.name, told)
			}
		}
		e.wantServing("while one is cut off", leader.host)
		e.trackers.Heal()
		again, _ := e.wantOneLeader("after the heal", 15*time.Second, wire.PeerID{})
		if now := again.tracker().Term; again != leader || now != term {
			t.Errorf("seed %d: after the heal %s leads under term %d: want %s under %d still", e.seed, again.name, now, leader.name, term)
		}
		e.wantAll("after the heal", time.Second)
		e.wantNoLinkLost("while one is cut off from the tracker", marks)
	})
}

func TestALeaderThatIsStoppedHandsOverFirst(t *testing.T) {
	inElectorates(t, 6, func(t *testing.T, e *electorate) {
		old := e.settle(5)
		term := old.tracker().Term
		e.talk(100 * time.Millisecond)
		marks := e.marks()
		began := time.Now()
		if err := old.node.Stop(t.Context()); err != nil {
			t.Fatalf("seed %d: %v", e.seed, err)
		}
		old.dead.Store(true)
		t.Logf("it left within %v", time.Since(began))
		leader, _ := e.wantOneLeader("after the leader left", 100*time.Millisecond, old.id)
		if now := leader.tracker().Term; now != term+1 {
			t.Errorf("seed %d: who was handed the lead has it under term %d, want %d", e.seed, now, term+1)
		}
		for _, v := range e.living() {
			told := v.trackers(marks[v])
			if slices.ContainsFunc(told, func(s peer.TrackerChanged) bool { return s.State == peer.TrackerElecting }) {
				t.Errorf("seed %d: the leader handed over, and %s tells %+v: want no electing", e.seed, v.name, told)
			}
		}
		e.talk(100 * time.Millisecond)
		e.start(1)
		e.wantMesh("with a newcomer", 10*time.Second)
		e.wantAll("with a newcomer", 10*time.Second)
		e.wantNoLinkLost("since the leader left", marks)
	})
}

func TestTwoWhoStartedAloneMerge(t *testing.T) {
	inElectorates(t, 3, func(t *testing.T, e *electorate) {
		e.part(1)
		e.start(2)
		for i, v := range e.voters {
			one, _ := e.wantOneLeader("alone", 10*time.Second, wire.PeerID{}, v)
			if s := v.tracker(); one != v || !s.Solo {
				t.Errorf("seed %d: p%d is alone, and tells %+v: want it to host for itself", e.seed, i, s)
			}
		}
		e.talk(100 * time.Millisecond)
		e.heal()
		leader, _ := e.wantOneLeader("after they met", 10*time.Second, wire.PeerID{})
		e.wantMesh("after they met", 10*time.Second)
		e.wantAll("after they met", 10*time.Second)
		e.wantServing("after they met", leader.host)
		e.start(1)
		e.wantMesh("with a newcomer", 10*time.Second)
		e.wantAll("with a newcomer", 10*time.Second)
		if leader.tracker().Solo {
			t.Errorf("seed %d: %s is no longer alone, and tells that it is", e.seed, leader.name)
		}
	})
}
