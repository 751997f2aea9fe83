package member

import (
	"math/rand/v2"
	"slices"
)

// Graph is the active views of a room, as a directed graph: an edge leads from a peer to each that it takes for a
// neighbour, which may be dead, or think otherwise.
type Graph struct {
	Out  [][]int
	Node []bool // who is alive
}

// Symmetric is the part of the edges that lead both ways between living peers; 1 if there are none.
func (g *Graph) Symmetric() float64 {
	both, all := 0, 0
	for i, out := range g.Out {
		for _, k := range out {
			if all++; g.Node[k] && slices.Contains(g.Out[k], i) {
				both++
			}
		}
	}
	if all == 0 {
		return 1
	}
	return float64(both) / float64(all)
}

// Mutual is the graph of those edges only that lead both ways between living peers: what a message can use.
func (g *Graph) Mutual() *Graph {
	m := &Graph{Out: make([][]int, len(g.Out)), Node: g.Node}
	for i, out := range g.Out {
		for _, k := range out {
			if g.Node[k] && slices.Contains(g.Out[k], i) {
				m.Out[i] = append(m.Out[i], k)
			}
		}
	}
	return m
}

// Components are the groups of living peers that can reach each other over mutual edges, the largest first.
func (g *Graph) Components() [][]int {
	m := g.Mutual()
	seen := make([]bool, len(m.Out))
	var list [][]int
	for i := range m.Out {
		if !m.Node[i] || seen[i] {
			continue
		}
		seen[i] = true
		group := []int{i}
		for at := 0; at < len(group); at++ {
			for _, k := range m.Out[group[at]] {
				if !seen[k] {
					seen[k] = true
					group = append(group, k)
				}
			}
		}
		list = append(list, group)
	}
	slices.SortStableFunc(list, func(a, b []int) int { return len(b) - len(a) })
	return list
}

// Largest is the part of the living that is in the largest component.
func (g *Graph) Largest() float64 {
	c := g.Components()
	if len(c) == 0 {
		return 1
	}
	n := 0
	for _, group := range c {
		n += len(group)
	}
	return float64(len(c[0])) / float64(n)
}

// Clustering is the mean, over the living, of the part of the pairs of neighbours that are neighbours themselves.
// Whoever has fewer than two neighbours counts as 0.
func (g *Graph) Clustering() float64 {
	sum, n := 0.0, 0
	for i, out := range g.Out {
		if !g.Node[i] {
			continue
		}
		n++
		if len(out) < 2 {
			continue
		}
		links := 0
		for a, x := range out {
			for _, y := range out[:a] {
				if slices.Contains(g.Out[x], y) || slices.Contains(g.Out[y], x) {
					links++
				}
			}
		}
		sum += float64(links) / float64(len(out)*(len(out)-1)/2)
	}
	return sum / float64(max(n, 1))
}

// Paths are the mean and the longest of the shortest paths from samples random living peers to all that they reach, and
// the mean of the longest one of each: the last hop of a flood in rounds.
func (g *Graph) Paths(r *rand.Rand, samples int) (mean float64, longest int, last float64) {
	var alive []int
	for i := range g.Out {
		if g.Node[i] {
			alive = append(alive, i)
		}
	}
	r.Shuffle(len(alive), func(i, j int) { alive[i], alive[j] = alive[j], alive[i] })
	alive = alive[:min(samples, len(alive))]
	sum, n := 0, 0
	hops := make([]int, len(g.Out))
	for _, from := range alive {
		for i := range hops {
			hops[i] = -1
		}
		hops[from] = 0
		queue := []int{from}
		for at := 0; at < len(queue); at++ {
			for _, k := range g.Out[queue[at]] {
				if g.Node[k] && hops[k] < 0 {
					hops[k] = hops[queue[at]] + 1
					sum += hops[k]
					n++
					queue = append(queue, k)
				}
			}
		}
		most := hops[queue[len(queue)-1]]
		longest = max(longest, most)
		last += float64(most) / float64(len(alive))
	}
	return float64(sum) / float64(max(n, 1)), longest, last
}

// InDegrees counts the living by how many living peers have them in the active view: the i-th number is how many are in
// i views.
func (g *Graph) InDegrees() []int {
	in := make([]int, len(g.Out))
	for i, out := range g.Out {
		if g.Node[i] {
			for _, k := range out {
				in[k]++
			}
		}
	}
	var list []int
	for i, d := range in {
		if !g.Node[i] {
			continue
		}
		for len(list) <= d {
			list = append(list, 0)
		}
		list[d]++
	}
	return list
}
