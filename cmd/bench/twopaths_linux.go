package main

import (
	"fmt"
	"slices"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// pathsIdle is how long the bytes are counted that are sent while nothing is said.
const pathsIdle = 2 * time.Second

// lossy is one system that talks over lossy paths in a network of its own, and how its lines came.
type lossy struct {
	net  *lab.Net
	from *lab.Proc
	to   []*lab.Proc

	all, p50, p99 []float64
	bytes         []float64 // that the network carried for each line that was delivered
}

// talk has lines said, and notes when each came to each other peer.
func (l *lossy) talk(tag string) error {
	before, err := carriedBy(l.net)
	if err != nil {
		return err
	}
	began := time.Now()
	took, err := paceAll(l.from, l.to, tag, lossLines, lossEvery)
	if err != nil {
		return err
	}
	length := time.Since(began).Seconds()
	var round []float64
	for _, t := range took {
		round = append(round, msAll(t)...)
	}
	l.all = append(l.all, round...)
	l.p50, l.p99 = append(l.p50, quantile(round, 0.5)), append(l.p99, quantile(round, 0.99))
	time.Sleep(pathsIdle / 4) // late copies
	mark, err := carriedBy(l.net)
	if err != nil {
		return err
	}
	began = time.Now()
	time.Sleep(pathsIdle) // what is counted is what is sent while nothing is said
	end, err := carriedBy(l.net)
	if err != nil {
		return err
	}
	quiet := float64(end-mark) / time.Since(began).Seconds()
	l.bytes = append(l.bytes, (float64(mark-before)-quiet*(length+(pathsIdle/4).Seconds()))/float64(len(round)))
	return nil
}

// carriedBy is what the loopback interface of a network has carried, in bytes from IP upwards.
func carriedBy(n *lab.Net) (b uint64, err error) {
	err = n.Do(func() error { b = loopbackBytes(); return nil })
	return b, err
}

// twoPaths has three peers that are all linked talk under loss: what one link loses can come by the third peer.
func twoPaths(b *bench) ([]table, error) {
	aims := map[int]string{5: "< 50", 20: "< 120"}
	t := table{head: []string{"talking under loss, ms", "p50", "p99 of a round", "p99 of all", "worst", "bytes a delivery", "of those without loss", "aim for p99"}}
	calm := map[string]float64{}
	for _, percent := range []int{0, 5, 20} {
		three, err := b.lossyMesh(3)
		if err != nil {
			return nil, err
		}
		two, err := b.lossyMesh(2)
		if err != nil {
			return nil, err
		}
		bare, err := b.lossyPion()
		if err != nil {
			return nil, err
		}
		for r := range b.rounds {
			for _, l := range []*lossy{three, two, bare} {
				if percent > 0 && r == 0 {
					if err := l.net.Drop(percent, "meta l4proto udp"); err != nil {
						return nil, err
					}
				}
			}
			err := swap(r, func() error { return three.talk(fmt.Sprintf("three-%d", r)) }, func() error {
				if err := two.talk(fmt.Sprintf("two-%d", r)); err != nil {
					return err
				}
				return bare.talk(fmt.Sprintf("pion-%d", r))
			})
			if err != nil {
				return nil, err
			}
		}
		for _, row := range []struct {
			name string
			l    *lossy
			aim  string
		}{
			{"peerchat, 3 peers", three, aims[percent]}, {"peerchat, 2 peers", two, ""}, {"bare pion data channel", bare, ""},
		} {
			bytes := median(row.l.bytes)
			if percent == 0 {
				calm[row.name] = bytes
			}
			t.row(fmt.Sprintf("%d %%: %s", percent, row.name), spread(row.l.p50), spread(row.l.p99), figure(quantile(row.l.all, 0.99)),
				figure(slices.Max(row.l.all)), figure(bytes), figure(bytes/calm[row.name]), row.aim)
		}
		b.end()
	}
	t.note("One of the peers says %d lines a round, one every %v, %d rounds, to each of the others; the links were open before the loss began. Each link loses packets by itself, in both "+
		"directions. Of three peers a line can come by the third, too. Bytes are those of IP upwards that the network carried for each delivery, less what it carries while nothing is said.", lossLines, lossEvery, b.rounds)
	return []table{t}, nil
}

// lossyMesh is peers that are all linked.
func (b *bench) lossyMesh(n int) (*lossy, error) {
	net, err := b.net()
	if err != nil {
		return nil, err
	}
	peers, err := b.mesh(net, n)
	if err != nil {
		return nil, err
	}
	return &lossy{net: net, from: peers[0], to: peers[1:]}, nil
}

// lossyPion is the two ends of a bare data channel.
func (b *bench) lossyPion() (*lossy, error) {
	net, err := b.net()
	if err != nil {
		return nil, err
	}
	from, to, err := b.pionPair(net)
	return &lossy{net: net, from: from, to: []*lab.Proc{to}}, err
}
