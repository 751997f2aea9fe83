package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

const (
	// inVoice is how many peers talk while leaders are killed; the gaps of all pairs of survivors are counted.
	inVoice = 4
	// listened is the length of the stretch before a kill, and of the one after it.
	listened = time.Second
)

// voiceArgs make a peer talk all the time, with no sound card.
func voiceArgs(i int) []string {
	return []string{"--voice", "--speaker", "none", "--mic", fmt.Sprintf("tone:%d", 300+100*i)}
}

// voiceKill kills the leader again and again while everybody is in voice and talks.
func voiceKill(b *bench) ([]table, error) {
	t := table{head: []string{"killed", "kills", "ways from talker to listener", "frames heard: before", "after", "lost: before", "after",
		"made up: before", "after", "links lost", "processors in use before, %"}}
	byPeer, byHome := new(voiceKills), new(voiceKills)
	var failed error
	for left := b.rounds; left > 0 && failed == nil; left -= killsPerWorld {
		failed = b.voiceWorld(min(left, killsPerWorld), byPeer, byHome)
		b.end()
	}
	for _, k := range []struct {
		what string
		*voiceKills
	}{{"an elected peer", byPeer}, {"a tracker that is no peer", byHome}} {
		if k.ways > 0 {
			t.row(k.what, count(k.kills), count(k.ways), count(int(k.before.Played)), count(int(k.after.Played)),
				count(int(k.before.Lost)), count(int(k.after.Lost)), figure(k.before.Concealed), figure(k.after.Concealed),
				count(k.links), figure(median(k.busy)))
		}
	}
	t.note("%d peers in one voice room, each talking without a pause: a frame is 20 ms. Before and after are the %v until the leader is killed and "+
		"the %v from then on, over all ways between survivors. Lost frames never came; made up are those that the buffer had to conceal, "+
		"because they were lost or late.", inVoice, listened, listened)
	if failed != nil && byPeer.ways+byHome.ways == 0 {
		return nil, failed
	}
	if failed != nil {
		t.note("It ended early: %v", failed)
	}
	return []table{t}, nil
}

// voiceKills is what happened to voice at the kills of some leaders.
type voiceKills struct {
	kills, ways, links int
	before, after      heard
	busy               []float64
}

// heard counts frames of voice.
type heard struct {
	Peer      string  `json:"peer"`
	Played    uint64  `json:"played"`
	Lost      uint64  `json:"lost"`
	Concealed float64 `json:"concealed"`
}

func (h *heard) add(from, to heard) {
	h.Played += to.Played - from.Played
	h.Lost += to.Lost - from.Lost
	h.Concealed += to.Concealed - from.Concealed
}

// voiceWorld makes a world of peers in voice and kills its leader so many times.
func (b *bench) voiceWorld(times int, byPeer, byHome *voiceKills) error {
	net, err := b.net()
	if err != nil {
		return err
	}
	e := &electorate{b: b}
	if e.home, err = b.tracker(net); err != nil {
		return err
	}
	for i := range inVoice {
		args := append(voiceArgs(i), "--tracker", trackerAddress)
		if err := e.add(net, "127.0.0.1", 5001+i, args...); err != nil {
			return err
		}
		if err := e.voters[i].Say("/vad off"); err != nil {
			return err
		}
	}
	for i := range times {
		if err := e.voiceKillOnce(byPeer, byHome); err != nil {
			return fmt.Errorf("kill %d of %d: %w", i+1, times, err)
		}
	}
	return nil
}

// voiceKillOnce kills the leader, counts what was heard, and starts it again.
func (e *electorate) voiceKillOnce(byPeer, byHome *voiceKills) error {
	if err := e.settled(); err != nil {
		return err
	}
	was, _, err := e.leader()
	if err != nil {
		return err
	}
	into := byPeer
	if was == homeTracker {
		into = byHome
	}
	survivors := e.living(was)
	if err := audible(e.living("")); err != nil {
		return err
	}
	var calm []map[string]heard
	used, err := busy(func() (err error) {
		calm, err = listen(survivors)
		time.Sleep(listened)
		return err
	})
	if err != nil {
		return err
	}
	before, err := listen(survivors)
	if err != nil {
		return err
	}
	at, err := e.kill(was)
	if err != nil {
		return err
	}
	if _, err := e.agreed(survivors, was, elected); err != nil {
		return err
	}
	time.Sleep(time.Until(at.Add(listened)))
	after, err := listen(survivors)
	if err != nil {
		return err
	}
	into.kills++
	into.busy = append(into.busy, used)
	for i, v := range survivors {
		into.links += len(survivors) - 1 - linksAmong(v, survivors)
		for _, talker := range survivors {
			if talker == v {
				continue
			}
			into.ways++
			into.before.add(calm[i][talker.id], before[i][talker.id])
			into.after.add(before[i][talker.id], after[i][talker.id])
		}
	}
	if was == homeTracker {
		return nil
	}
	_, now, err := e.leader()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(e.voters, func(v *voter) bool { return v.id == was })
	v := e.voters[i]
	if err := e.start(v, append(voiceArgs(i), "--tracker", now)...); err != nil {
		return err
	}
	return v.Say("/vad off")
}

// linksAmong is to how many of some others a peer has a link.
func linksAmong(v *voter, others []*voter) (n int) {
	for _, o := range others {
		if o != v && v.links[o.id] {
			n++
		}
	}
	return n
}

// listen asks some peers what they have heard of whom, and returns it in their order, by the ID of the talker.
func listen(voters []*voter) ([]map[string]heard, error) {
	marks := make([]int, len(voters))
	for i, v := range voters {
		marks[i] = len(v.Lines())
		if err := v.Say("/stats"); err != nil {
			return nil, err
		}
	}
	all := make([]map[string]heard, len(voters))
	for i, v := range voters {
		line, err := v.Await(marks[i], patience, v.name+" says what it hears", func(e lab.Event) bool {
			return strings.HasPrefix(e.Raw, `{"type":"stats"`)
		})
		if err != nil {
			return nil, err
		}
		var answer struct {
			Peers []heard `json:"peers"`
		}
		if err := json.Unmarshal([]byte(line.Raw), &answer); err != nil {
			return nil, fmt.Errorf("read what %s hears: %w", v.name, err)
		}
		all[i] = map[string]heard{}
		for _, h := range answer.Peers {
			all[i][h.Peer] = h
		}
	}
	return all, nil
}

// audible awaits that each of these hears each other: that it has played two seconds of it.
func audible(voters []*voter) error {
	const enough = 100
	deadline := time.Now().Add(settles)
	for {
		all, err := listen(voters)
		if err != nil {
			return err
		}
		missing := ""
		for i, v := range voters {
			for _, talker := range voters {
				if talker != v && all[i][talker.id].Played < enough {
					missing = fmt.Sprintf("%s has heard %d frames of %s", v.name, all[i][talker.id].Played, talker.name)
				}
			}
		}
		if missing == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d peers hear each other: not within %v: %s", len(voters), settles, missing)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
