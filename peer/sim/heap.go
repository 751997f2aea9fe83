package sim

// kind is what an event does.
type kind uint8

const (
	evWake    kind = iota + 1 // node to: Tick
	evUp                      // link is up at node to
	evDown                    // link is down at node to
	evOffer                   // somebody wants a link: it arrives at to; from is the asker
	evFailed                  // the link that node to asked for, to from, cannot be made
	evDeliver                 // message over link to node to
	evDrained                 // link's queue toward the other of to may be short again
	evCall                    // of the world's user
)

// event is 64 bytes, and there are millions: what is only for one kind shares a field where that is plain.
type event struct {
	at      int64 // nanoseconds since the start
	seq     uint64
	kind    kind
	to      int32
	from    int32
	life    uint32 // of evWake; the dial, for evOffer and evFailed; of evDown 1 if somebody closed it; of evDrained 1 if it is full
	link    *link
	message Message
}

func (e *event) before(f *event) bool {
	if e.at != f.at {
		return e.at < f.at
	}
	return e.seq < f.seq
}

// heap is a 4-ary heap: half as deep as a binary one, which counts where events are far apart in memory.
type heap []event

func (h *heap) push(e event) {
	s := append(*h, e)
	i := len(s) - 1
	for i > 0 {
		p := (i - 1) / 4
		if !e.before(&s[p]) {
			break
		}
		s[i] = s[p]
		i = p
	}
	s[i] = e
	*h = s
}

func (h *heap) pop() event {
	s := *h
	top := s[0]
	last := s[len(s)-1]
	s[len(s)-1] = event{}
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		c := 4*i + 1
		if c >= len(s) {
			break
		}
		least := c
		for k := c + 1; k < min(c+4, len(s)); k++ {
			if s[k].before(&s[least]) {
				least = k
			}
		}
		if !s[least].before(&last) {
			break
		}
		s[i] = s[least]
		i = least
	}
	s[i] = last
	return top
}
