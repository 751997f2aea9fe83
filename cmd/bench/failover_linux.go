package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
	"peerchat/signaling"
)

const (
	killsPerWorld = 25 // then everything is made anew, the tracker that is no peer with it
	calmBefore    = 1100 * time.Millisecond
	calmAfter     = 1200 * time.Millisecond
	elected       = 60 * time.Second // an election takes longer: it has failed
)

// kills is what happened at the kills of some leaders.
type kills struct {
	all, newcomer []time.Duration
	busy          []float64 // share of the machine's processor time that was used before each, in percent
	contested     int       // somebody followed another new leader for a while
	talked
}

// failover kills the leader again and again, while the others talk and somebody new comes.
func failover(b *bench) ([]table, error) {
	sizes, err := numbers(b.peers)
	if err != nil {
		return nil, err
	}
	t := table{head: []string{"kill -9 of the leader, ms", "kills", "all survivors know the new one: p50", "p99", "worst",
		"newcomer admitted: p50", "p99", "worst"}}
	lines := table{head: []string{"the survivors' talk meanwhile", "lines shown", "lost", "doubled", "longest gap in the second before, ms",
		"in the second after, ms", "ways with a long gap: before", "after", "processors in use before, %"}}
	var failed error
	for _, n := range sizes {
		var byPeer, byHome kills
		left := b.rounds
		for left > 0 && failed == nil {
			times := min(left, killsPerWorld)
			left -= times
			failed = b.killWorld(n, times, &byPeer, &byHome)
			b.end()
		}
		for _, k := range []struct {
			what string
			*kills
		}{{"an elected peer", &byPeer}, {"a tracker that is no peer", &byHome}} {
			if len(k.all) == 0 {
				continue
			}
			row := append([]string{fmt.Sprintf("%d peers, %s", n, k.what), count(len(k.all))}, summary(k.all)...)
			t.row(append(row, summary(k.newcomer)...)...)
			lines.row(fmt.Sprintf("%d peers, %s", n, k.what), count(k.lines), count(k.lost), count(k.doubled),
				figure(ms(k.before.worst)), figure(ms(k.after.worst)), fmt.Sprintf("%d of %d", k.before.long, k.before.ways),
				fmt.Sprintf("%d of %d", k.after.long, k.after.ways), figure(median(k.busy)))
			if k.contested > 0 {
				t.note("%d peers, %s: after %d of these kills somebody followed another leader first.", n, k.what, k.contested)
			}
		}
	}
	t.note("From the moment before the signal is sent to the line of JSON with the new leader, at the last of the survivors; and to the "+
		"admission of a client (`signaling.Client`, in the process that measures) that starts at that moment and knows the addresses of all "+
		"candidates, the dead one's first. A killed peer is started again before the next kill; every %d kills all processes are new. "+
		"The tracker that is no peer is not started again.", killsPerWorld)
	lines.note("One survivor says a line every 5 ms, and one of the others, by turns, at every fifth of these steps; with n > 3 others a step is n/3 × 5 ms, "+
		"so that about 700 lines are shown a second. Shown is counted at every survivor. A gap is the time between two arrivals of lines of the first, less what it was late itself; it is long if it is "+
		"more than the step and %v. A way is one from the first to one of the others, at one kill.", gapExtra)
	if failed != nil && len(t.rows) == 0 {
		return nil, failed
	}
	if failed != nil {
		t.note("It ended early: %v", failed)
	}
	return []table{t, lines}, nil
}

// killWorld makes a world of n peers and kills its leader so many times.
func (b *bench) killWorld(n, times int, byPeer, byHome *kills) error {
	net, err := b.net()
	if err != nil {
		return err
	}
	e, err := b.electorate(net, n)
	if err != nil {
		return err
	}
	for i := range times {
		if err := e.killOnce(net, fmt.Sprintf("k%d", i), byPeer, byHome); err != nil {
			return fmt.Errorf("kill %d of %d: %w", i+1, times, err)
		}
	}
	return nil
}

// killOnce kills the leader, measures, and starts it again.
func (e *electorate) killOnce(net *lab.Net, tag string, byPeer, byHome *kills) error {
	if err := e.settled(); err != nil {
		return err
	}
	was, dead, err := e.leader()
	if err != nil {
		return err
	}
	into := byPeer
	if was == homeTracker {
		into = byHome
	}
	survivors := e.living(was)
	addresses := slices.DeleteFunc(e.listeners(net), func(a string) bool { return a == dead })
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	addresses = append([]string{dead}, addresses...)

	talk := startTalk(tag, survivors)
	used, err := busy(func() error { time.Sleep(calmBefore); return nil })
	if err != nil {
		return err
	}
	into.busy = append(into.busy, used)
	at, err := e.kill(was)
	if err != nil {
		return err
	}
	type admission struct {
		at  time.Time
		err error
	}
	admitted := make(chan admission, 1)
	go func() {
		t, err := admit(net, addresses)
		admitted <- admission{t, err}
	}()
	_, failed := e.agreed(survivors, was, elected)
	time.Sleep(time.Until(at.Add(calmAfter)))
	result, err := talk.finish(at)
	newcomer := <-admitted
	if err := errors.Join(failed, err, newcomer.err); err != nil {
		return err
	}
	if _, err := e.agreed(survivors, was, elected); err != nil { // it may have changed its mind
		return err
	}
	into.add(at, was, survivors, newcomer.at, result)
	if was == homeTracker {
		return nil
	}
	_, now, err := e.leader()
	if err != nil {
		return err
	}
	return e.start(e.voter(was), "--tracker", now)
}

// add counts one kill.
func (k *kills) add(at time.Time, was string, survivors []*voter, admitted time.Time, t talked) {
	var last time.Time
	contested := false
	for _, v := range survivors {
		since := v.since()
		if since.After(last) {
			last = since
		}
		contested = contested || slices.ContainsFunc(v.leads, func(l lead) bool {
			return l.at.After(at) && l.at.Before(since) && l.known() && l.Leader != was
		})
	}
	k.all = append(k.all, last.Sub(at))
	k.newcomer = append(k.newcomer, admitted.Sub(at))
	if contested {
		k.contested++
	}
	k.lines, k.lost, k.doubled = k.lines+t.lines, k.lost+t.lost, k.doubled+t.doubled
	k.before.join(t.before)
	k.after.join(t.after)
}

// admit has a new client join a network by these addresses, and returns the moment at which a tracker has admitted it.
func admit(n *lab.Net, addresses []string) (time.Time, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return time.Time{}, err
	}
	connected := make(chan time.Time, 1)
	client := signaling.NewClient(signaling.ClientConfig{
		Key: key, Name: "newcomer", Agent: "bench", Seed: rand.Uint64(),
		Sources: []signaling.Source{{Label: "named", Named: true, Find: func(context.Context) []string { return addresses }}},
		Dial: func(ctx context.Context, network, address string) (c net.Conn, err error) {
			err = n.Do(func() error { c, err = (&net.Dialer{}).DialContext(ctx, network, address); return err })
			return c, err
		},
		Sink: func(ev signaling.ClientEvent) {
			if s, ok := ev.(signaling.StateChanged); ok && s.State == signaling.Connected {
				select {
				case connected <- time.Now():
				default: // it has been there already
				}
			}
		},
	})
	client.Start()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = client.Close(ctx) // it was measured; nothing is asked of it any more
	}()
	select {
	case at := <-connected:
		return at, nil
	case <-time.After(elected):
		return time.Time{}, fmt.Errorf("admit a newcomer at %v: not within %v", addresses, elected)
	}
}
