package peer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/gossip"
	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// Whoever has no link while more is said than histories keep is told how much is lost, whose, and what to do: by a
// notice and where it is missing.
func TestWhatAllHaveLetGoOfIsToldToWhoNeverSawIt(t *testing.T) {
	const lines = 800
	w := newWorld(33, 3, general)
	for _, p := range w.peers {
		p.store = history.NewMemoryWith(history.Limits{Events: 200})
		p.start(general)
	}
	w.run(10 * time.Second)
	author, behind := w.peers[0], w.peers[2]
	for i := range 20 {
		author.say(general, fmt.Sprint("line ", i))
	}
	w.run(5 * time.Second)
	for i := range 2 {
		w.cutLink(i, behind.n, true)
	}
	for i := range lines {
		author.say(general, fmt.Sprint("flood ", i))
		if i%50 == 49 {
			w.run(200 * time.Millisecond)
		}
	}
	w.run(10 * time.Second)
	for i := range 2 {
		w.cutLink(i, behind.n, false)
	}
	w.run(90 * time.Second)
	shown := len(behind.messages(general)[author.id])
	lost := 20 + lines - shown
	var gaps uint64
	for _, ev := range behind.events {
		if m, ok := ev.(Message); ok && m.Missing > 0 {
			gaps = m.Missing
		}
	}
	if lost < 400 || gaps != uint64(lost) {
		t.Errorf("it is shown %d lines, and a gap of %d: want one of %d", shown, gaps, lost)
	}
	told := behind.trouble("lost")
	if want := fmt.Sprintf("%d lines of %s#%s in #general are lost: ", lost, author.name, author.id.Tag()); len(told) != 1 || !strings.HasPrefix(told[0], want) ||
		!strings.Contains(told[0], "history-events") {
		t.Errorf("it is told %q: want one notice, %q", told, want)
	}
	for _, p := range w.peers[:2] {
		if told := p.trouble("lost"); len(told) > 0 {
			t.Errorf("%s has seen all, and is told %q", p.name, told)
		}
	}
}

func TestANoticeOfLossesNamesThoseWithTheMost(t *testing.T) {
	w := newWorld(34, 1, general)
	w.run(time.Second)
	p := w.peers[0]
	id := func(n byte) wire.PeerID { return wire.PeerID{n << 3} }
	for _, c := range []struct {
		logs []gossip.LostOf
		want string
	}{
		{[]gossip.LostOf{{Author: id(1), Events: 1}}, "1 line of #baaa in #general is lost: "},
		{[]gossip.LostOf{{Author: id(1), Events: 12}}, "12 lines of #baaa in #general are lost: "},
		{[]gossip.LostOf{{Author: id(1), Events: 2}, {Author: id(2), Events: 30}}, "32 lines of #caaa (30), #baaa (2) in #general are lost: "},
		{[]gossip.LostOf{{Author: id(1), Events: 1}, {Author: id(2), Events: 2}, {Author: id(3), Events: 3}, {Author: id(4), Events: 4}, {Author: id(5), Events: 5}},
			"15 lines of #faaa (5), #eaaa (4), #daaa (3), others (2) in #general are lost: "},
		{[]gossip.LostOf{{Author: id(1), Events: 12}, {Author: id(2), Events: 1, Perhaps: true}}, "up to 13 lines of #baaa (12), #caaa (1) in #general may be lost: "},
		{[]gossip.LostOf{{Author: id(1), Events: 1, Perhaps: true}}, "1 line of #baaa in #general may be lost: "},
		{[]gossip.LostOf{{Author: id(1), Events: 3}}, "3 lines of #baaa in #general are lost: nobody linked keeps them any more, and they"},
		{[]gossip.LostOf{{Author: id(1), Events: 3, Unkept: true}},
			"3 lines of #baaa in #general are lost: nobody linked keeps them any more, or the history here is full and keeps nothing so old, and they"},
		{[]gossip.LostOf{{Author: id(1), Events: 1 << 40}, {Author: id(2), Events: 1}}, "lines of #baaa, #caaa in #general may be lost: "},
	} {
		var out CoreOutput
		p.core.lost(p.w.now, gossip.Lost{Room: general, Logs: slices.Clone(c.logs)}, &out)
		if n, ok := out.Events[0].(Notice); !ok || n.Code != "lost" || n.Room != general || !strings.HasPrefix(n.Text, c.want) {
			t.Errorf("of %v it is told %+v: want %q", c.logs, out.Events, c.want)
		}
	}
}
