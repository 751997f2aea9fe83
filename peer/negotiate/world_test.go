package negotiate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/machinetest"
	"peerchat/peer/wire"
)

// world is two machines, a tracker that delays, loses and doubles their messages, and a transport whose sessions may
// fail. It is deterministic.
type world struct {
	now    time.Time
	end    [2]*endpoint
	queue  machinetest.Queue[func()]
	ids    uint64
	runs   byte
	pick   func(n int) int // a number from 0 to n-1
	calm   bool            // nothing is lost and nothing fails any more
	log    func(string)
	faults []string
	said   [2][]Message // by each end: whoever relays it can say it again
}

// endpoint is one machine and its transport.
type endpoint struct {
	i        int
	m        *Machine
	up       uuid.UUID // the link by the Changes; zero: none
	sessions map[uuid.UUID]*half
	last     [2]time.Time // when the last message in flight to this end arrives
	changed  time.Time
	peak     int
	offers   int
	wake     time.Time
}

// half is one end of a session in the transport.
type half struct {
	open, closed, answered bool
}

func newWorld(pick func(int) int, self, other Config) *world {
	w := &world{now: time.Unix(1e9, 0), pick: pick, log: func(string) {}}
	for i, cfg := range []Config{self, other} {
		w.end[i] = &endpoint{i: i}
		w.restart(i, cfg)
	}
	return w
}

// restart gives an end a new machine that knows nothing; its old sessions die silently.
func (w *world) restart(i int, cfg Config) {
	e := w.end[i]
	cfg.NewID = func() uuid.UUID {
		w.ids++
		var id uuid.UUID
		binary.BigEndian.PutUint64(id[:], w.ids)
		id[15] = byte(i + 1)
		return id
	}
	w.runs++
	cfg.Instance = uuid.UUID{14: w.runs, 15: byte(i + 1)}
	cfg.Rand = rand.New(rand.NewPCG(uint64(w.pick(1000)), 1))
	e.m = New(cfg)
	e.up = uuid.Nil
	for id, h := range e.sessions {
		w.lose(e, id, h)
	}
	e.sessions = map[uuid.UUID]*half{}
}

// lose ends a half without a word; the other half notices when it has heard nothing for a while.
func (w *world) lose(e *endpoint, id uuid.UUID, h *half) {
	h.closed = true
	other := w.end[1-e.i]
	if o := other.sessions[id]; o != nil && !o.closed {
		w.after(4*time.Second, func() { w.fail(other, id, o) })
	}
}

func (w *world) fail(e *endpoint, id uuid.UUID, h *half) {
	if e.sessions[id] == h && !h.closed {
		w.lose(e, id, h)
		delete(e.sessions, id)
		w.step(e.i, Closed{Session: id, Err: errors.New("nothing has come from the peer")})
	}
}

func (w *world) step(i int, in Input) {
	e := w.end[i]
	w.log(fmt.Sprintf("%s < %s", name(i), show(in)))
	var out Output
	e.m.Step(w.now, in, &out)
	e.wake = out.Wake
	if !out.Wake.IsZero() {
		at := out.Wake
		w.after(max(0, at.Sub(w.now)), func() {
			if e.wake.Equal(at) {
				w.step(i, Tick{})
			}
		})
		if !out.Wake.After(w.now) {
			w.fault("%s wants to wake at once, for ever", name(i))
		}
	}
	for _, a := range out.Actions {
		w.log(fmt.Sprintf("%s > %s", name(i), show(a)))
		w.act(e, a)
	}
	for _, m := range out.Signals {
		w.log(fmt.Sprintf("%s > %s", name(i), show(m)))
		w.send(i, m)
	}
	for _, c := range out.Changes {
		w.log(fmt.Sprintf("%s > %s", name(i), show(c)))
		w.change(e, c)
	}
	e.peak = max(e.peak, e.m.Sessions())
}

func (w *world) change(e *endpoint, c Change) {
	e.changed = w.now
	switch c := c.(type) {
	case LinkUp:
		if e.up != uuid.Nil {
			w.fault("%s: the link came up while it was up", name(e.i))
		}
		e.up = c.Session
	case LinkMoved:
		if e.up == uuid.Nil || e.up == c.Session {
			w.fault("%s: the link moved from %v to %v", name(e.i), e.up, c.Session)
		}
		e.up = c.Session
	case LinkDown:
		if e.up == uuid.Nil {
			w.fault("%s: the link went down while it was down", name(e.i))
		}
		e.up = uuid.Nil
	}
	if id, ok := e.m.Link(); ok != (e.up != uuid.Nil) || id != e.up {
		w.fault("%s: Link is %v, by the changes it is %v", name(e.i), id, e.up)
	}
}

func (w *world) fault(format string, a ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, a...))
}

// act is the transport.
func (w *world) act(e *endpoint, a Action) {
	describe := func(id uuid.UUID, h *half) {
		w.after(w.some(20*time.Millisecond), func() {
			if e.sessions[id] == h && !h.closed {
				w.step(e.i, Described{Session: id, Description: Description{SDP: "sdp", Fingerprint: "fingerprint"}})
			}
		})
	}
	switch a := a.(type) {
	case Offer:
		e.offers++
		if e.sessions[a.Session] != nil {
			w.fault("%s offered %v twice", name(e.i), a.Session)
		}
		h := &half{}
		e.sessions[a.Session] = h
		describe(a.Session, h)
	case Accept:
		if e.sessions[a.Session] != nil {
			w.fault("%s accepted %v twice", name(e.i), a.Session)
		}
		h := &half{}
		e.sessions[a.Session] = h
		describe(a.Session, h)
	case Answer:
		h := e.sessions[a.Session]
		if h == nil || h.answered {
			w.fault("%s answered %v which it does not have, or twice", name(e.i), a.Session)
			return
		}
		h.answered = true
		w.connect(a.Session)
	case CloseSession:
		h := e.sessions[a.Session]
		if h == nil || h.closed {
			w.fault("%s closed %v which it does not have", name(e.i), a.Session)
			return
		}
		h.closed = true
		delete(e.sessions, a.Session)
		other := w.end[1-e.i]
		if o := other.sessions[a.Session]; o != nil && !o.closed {
			d := 4 * time.Second // a session that is not open cannot tell
			if h.open || o.open {
				d = w.some(50 * time.Millisecond)
			}
			w.after(d, func() { w.fail(other, a.Session, o) })
		}
		w.after(w.some(50*time.Millisecond), func() { w.step(e.i, Closed{Session: a.Session}) })
	}
}

// connect opens both halves of a session, each at its own time, or neither.
func (w *world) connect(id uuid.UUID) {
	halves := [2]*half{w.end[0].sessions[id], w.end[1].sessions[id]}
	fails := !w.calm && w.pick(3) == 0
	for i, h := range halves {
		if h == nil {
			continue
		}
		e := w.end[i]
		d := w.some(400 * time.Millisecond)
		if !w.calm && w.pick(4) == 0 {
			d += w.some(3 * time.Second)
		}
		w.after(d, func() {
			if e.sessions[id] != h || h.closed {
				return
			}
			o := halves[1-i]
			if fails || o == nil || o.closed && !o.open {
				w.after(4*time.Second, func() { w.fail(e, id, h) })
				return
			}
			h.open = true
			w.step(i, Opened{Session: id})
		})
	}
}

// send is the tracker: in order in each direction.
func (w *world) send(from int, m Message) {
	to := w.end[1-from]
	w.said[from] = append(w.said[from], m)
	copies := 1
	delay := w.some(50 * time.Millisecond)
	if !w.calm {
		switch w.pick(8) {
		case 0:
			copies = 0
		case 1:
			copies = 2
		case 2:
			delay = w.some(5 * time.Second)
		}
	}
	for range copies {
		at := w.now.Add(delay)
		if at.Before(to.last[0]) {
			at = to.last[0]
		}
		to.last[0] = at
		w.after(at.Sub(w.now), func() { w.step(1-from, Remote{Message: m}) })
	}
}

func (w *world) some(d time.Duration) time.Duration {
	return time.Duration(w.pick(int(d/time.Millisecond)+1)) * time.Millisecond
}

func (w *world) after(d time.Duration, do func()) {
	w.queue.Push(w.now.Add(d), do)
}

// run lets so much time pass. It reports a fault if there is no end of work.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for range 20000 {
		at, do, ok := w.queue.Pop(end)
		if !ok {
			w.now = end
			return
		}
		w.now = at
		do()
	}
	w.fault("there is no end of work")
}

var names = [2]wire.PeerID{{1}, {2}}

func name(i int) string { return [2]string{"polite", "impolite"}[i] }

// show writes an input or an output as a line of a transcript.
func show(x any) string {
	switch x := x.(type) {
	case Want:
		return fmt.Sprintf("want eager=%v", x.Eager)
	case Unwant:
		return "unwant"
	case Described:
		return "described " + short(x.Session)
	case Gathered:
		return "gathered " + short(x.Session)
	case Opened:
		return "opened " + short(x.Session)
	case Closed:
		return fmt.Sprintf("closed %s: %v", short(x.Session), x.Err)
	case Remote:
		return "hears " + show(x.Message)
	case Tick:
		return "tick"
	case Message:
		return string(x.Kind) + " " + short(x.Session)
	case Offer:
		return "transport: offer " + short(x.Session)
	case Accept:
		return "transport: accept " + short(x.Session)
	case Answer:
		return "transport: answer " + short(x.Session)
	case AddCandidate:
		return "transport: candidate " + short(x.Session)
	case CloseSession:
		return "transport: close " + short(x.Session)
	case LinkUp:
		return "LINK UP " + short(x.Session)
	case LinkMoved:
		return "LINK MOVED " + short(x.Session)
	case LinkDown:
		return "LINK DOWN: " + x.Reason
	}
	return fmt.Sprintf("%T", x)
}

func short(id uuid.UUID) string { return fmt.Sprintf("s%d", binary.BigEndian.Uint64(id[:])) }
