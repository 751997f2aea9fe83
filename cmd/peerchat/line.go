package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// Bounds of line mode.
const (
	// maxUnsaid is how many own messages, and bytes of them, may be on their way into the log. Input beyond is not
	// read.
	maxUnsaid      = 4096
	maxUnsaidBytes = 4 << 20
	// unsaidPatience is how long a message may stay away before it is taken for lost and input is read on.
	unsaidPatience = 2 * time.Second
	// At the end of input, that many may pass until this peer is in its rooms, and then until what was said is
	// delivered.
	joinPatience    = 5 * time.Second
	deliverPatience = 2 * time.Second
	// soundPatience is how long, at the end of input, what needs sound devices may go on.
	soundPatience = 30 * time.Second
	// leavePatience bounds saying goodbye, storePatience what a node that is late may still write, flushPatience the
	// reader of the last lines.
	leavePatience = 3 * time.Second
	storePatience = time.Second
	flushPatience = 250 * time.Millisecond
)

// printer turns what happened into lines: text for people, or JSON for programs. It appends to b, whole lines only.
type printer interface {
	event(b []byte, ev peer.Event, v *view) []byte
	problem(b []byte, code, text string) []byte
	notice(b []byte, code, text string) []byte
	help(b []byte, topic string) []byte
	voice(b []byte, n voiceNews) []byte
	found(b []byte, f found, v *view) []byte
	// asking says that others are asked for older lines, older prints what came of /older.
	asking(b []byte, room wire.Room) []byte
	older(b []byte, o olderLines, v *view) []byte
	// tick tells what has lasted long enough to be told; waits is whether there may be something.
	tick(b []byte, v *view) []byte
	waits() bool
	// rest prints what waits in any case: nothing will come any more.
	rest(b []byte, v *view) []byte
}

// found is what a search found.
type found struct {
	room  wire.Room // empty: all
	query string
	res   history.Results
	err   error
}

// doer is a peer.Node, as far as line mode needs it.
type doer interface {
	Do(peer.Command)
	Stop(context.Context) error
}

// view is what line mode knows of the world, for its answers.
type view struct {
	self  peer.Person
	room  wire.Room   // where text goes
	rooms []wire.Room // joined, in that order
	topic map[wire.Room]string
	count map[wire.Room]int
	gaps  map[wire.Room]int // events that are missing; a room of which nothing was told is not in it
}

// pending are the own messages of a room that are not known to be held by all.
type pending struct {
	seq  uint64 // the last one said
	held uint64 // up to which all members hold them
}

// lineMode is the plain and the JSON mode: lines in, lines out. One goroutine owns it, in run.
type lineMode struct {
	node   doer
	events *peer.Mailbox[peer.Event]
	lines  chan []inputLine
	out    *output
	print  printer
	voice  *voice
	dial   func(addr string) error // adds a tracker by hand
	seen   func(peer.Event)        // told of each event first; may be nil
	// archive is searched, and its answers come by finds.
	archive   *archive
	finds     *peer.Mailbox[found]
	searching int
	backlogs  map[wire.Room]*backlog
	olders    []olderAsk
	pages     *peer.Mailbox[olderEvents]

	view    view
	buf     []byte
	queue   []inputLine
	ended   bool      // no more input
	endedAt time.Time // since then
	unsaid  []int     // sizes of own messages that did not come back yet, oldest first
	bytes   int       // their sum
	movedAt time.Time // when unsaid last shrank
	said    map[wire.Room]*pending
	ready   bool
	stopped bool
}

// run works until the input ends, a command or ctx says to leave, or standard output is gone.
func (m *lineMode) run(ctx context.Context) error {
	m.said = map[wire.Room]*pending{}
	m.view.topic, m.view.count, m.view.gaps = map[wire.Room]string{}, map[wire.Room]int{}, map[wire.Room]int{}
	m.finds = peer.NewMailbox(1, func(found) int { return 0 }) // as many as were asked for
	m.pages = peer.NewMailbox(1, func(olderEvents) int { return 0 })
	m.backlogs = map[wire.Room]*backlog{}
	tick := time.NewTicker(100 * time.Millisecond) // only for patience; it is stopped while nothing is waited for
	defer tick.Stop()
	var deadline time.Time // of the end of input
	quit := false
	for !quit && !m.stopped && m.out.err == nil {
		var lines <-chan []inputLine
		if len(m.queue) == 0 && !m.ended {
			lines = m.lines
		}
		var ticks <-chan time.Time
		if len(m.unsaid) > 0 || m.ended || m.print.waits() {
			ticks = tick.C
		}
		select {
		case <-m.events.Wake():
			for _, ev := range m.events.TryTake() {
				m.take(ev)
			}
			m.startOlder()
		case <-m.voice.news.Wake():
			m.voiced()
		case batch := <-lines:
			m.queue = batch
		case <-m.out.written:
			if n := m.out.drained(); n > 0 {
				m.problem("overflow", fmt.Sprintf("whoever reads this output was too slow (lines dropped: %d)", n))
			}
		case <-m.finds.Wake():
			for _, f := range m.finds.TryTake() {
				m.searching--
				m.buf = m.print.found(m.buf[:0], f, &m.view)
				m.out.add(m.buf)
			}
		case <-m.pages.Wake():
			for _, page := range m.pages.TryTake() {
				m.olderRead(page)
			}
		case <-ticks:
			m.patience(time.Now())
			m.buf = m.print.tick(m.buf[:0], &m.view)
			m.out.add(m.buf)
		case <-ctx.Done():
			quit = true
			select { // what was read before is said
			case m.queue = <-lines:
			default:
			}
		}
		if m.typed() {
			quit = true
		}
		if m.ended && len(m.queue) == 0 && !quit {
			if deadline.IsZero() {
				m.endedAt = time.Now()
				deadline = m.endedAt.Add(joinPatience + deliverPatience)
			}
			quit = m.finished(&deadline)
		}
		m.out.flush()
	}
	return m.leave()
}

// leave says goodbye, prints what comes until then, and gives the last lines to their reader.
func (m *lineMode) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), leavePatience)
	defer cancel()
	m.voice.finish(ctx)
	stopErr := m.node.Stop(ctx)
	for _, ev := range m.events.TryTake() {
		m.take(ev)
	}
	m.voiced()
	m.buf = m.print.rest(m.buf[:0], &m.view)
	m.out.add(m.buf)
	err := m.out.close(flushPatience)
	switch {
	case errors.Is(err, syscall.EPIPE):
		return nil // nobody wants to know any more
	case err != nil:
		return fmt.Errorf("write to standard output: %w", err)
	}
	return stopErr
}

// voiced prints what voice tells.
func (m *lineMode) voiced() {
	for _, n := range m.voice.news.TryTake() {
		m.buf = m.print.voice(m.buf[:0], n)
		m.out.add(m.buf)
	}
}

// take prints an event and keeps what it tells.
func (m *lineMode) take(ev peer.Event) {
	if m.seen != nil {
		m.seen(ev)
	}
	v := &m.view
	switch ev := ev.(type) {
	case peer.Ready:
		v.self, m.ready = ev.Self, true
	case peer.Stopped:
		m.stopped = true
	case peer.RoomJoined:
		m.backlog(ev.Room).entered = true
		v.joined(ev.Room)
		v.count[ev.Room] = len(ev.Members) + 1
	case peer.RoomLeft:
		v.left(ev.Room)
		delete(m.said, ev.Room)
		m.leaveOlder(ev.Room)
	case peer.MemberJoined:
		v.count[ev.Room] = ev.Members
	case peer.MemberLeft:
		v.count[ev.Room] = ev.Members
	case peer.MemberRenamed:
		if ev.Person.Peer == v.self.Peer {
			v.self = ev.Person
		}
	case peer.Message:
		if ev.Kind == wire.KindTopic {
			v.topic[ev.Room] = ev.Text
		}
		m.backlog(ev.Room).saw(ev)
		if ev.Self && !ev.History {
			m.landed()
			m.pending(ev.Room).seq = ev.Seq
		}
	case peer.Delivered:
		if p := m.pending(ev.Room); ev.Peers >= ev.Of && ev.Seq > p.held {
			p.held = ev.Seq
		}
	case peer.Synced:
		v.gaps[ev.Room] = ev.Missing
	case peer.Answer:
		if a, ok := ev.Value.(peer.OlderAnswer); ok {
			m.olderFetched(a)
		}
	case peer.Failure:
		switch ev.Code {
		case "room", "too-long", "encoding": // what was said was refused
			m.landed()
		case "rooms": // there are too many to join another
			v.left(ev.Room)
			m.leaveOlder(ev.Room)
		case "log":
			m.unsaid, m.bytes = nil, 0
		}
	}
	m.buf = m.print.event(m.buf[:0], ev, v)
	m.out.add(m.buf)
}

func (m *lineMode) pending(room wire.Room) *pending {
	p := m.said[room]
	if p == nil {
		p = &pending{}
		m.said[room] = p
	}
	return p
}

// landed takes note that an own message came back.
func (m *lineMode) landed() {
	if len(m.unsaid) == 0 {
		return
	}
	m.bytes -= m.unsaid[0]
	m.unsaid = m.unsaid[1:]
	m.movedAt = time.Now()
}

// patience gives up messages that do not come back, so that input flows on.
func (m *lineMode) patience(now time.Time) {
	if len(m.unsaid) > 0 && now.Sub(m.movedAt) > unsaidPatience {
		m.unsaid, m.bytes = nil, 0
	}
}

// finished reports, at the end of the input, whether what was said had its chance to be delivered.
func (m *lineMode) finished(deadline *time.Time) bool {
	now := time.Now()
	if now.After(*deadline) {
		return true
	}
	if !m.ready || len(m.unsaid) > 0 || m.searching > 0 {
		return false
	}
	if len(m.olders) > 0 && now.Sub(m.endedAt) < olderPatience {
		*deadline = now.Add(deliverPatience)
		return false
	}
	if m.voice.busy.Load() > 0 && now.Sub(m.endedAt) < soundPatience {
		*deadline = now.Add(deliverPatience)
		return false
	}
	if limit := now.Add(deliverPatience); limit.Before(*deadline) {
		*deadline = limit
	}
	for room, p := range m.said {
		if p.held < p.seq && m.view.count[room] > 1 {
			return false
		}
	}
	return true
}

// typed does what the input says, as long as there is some and the Node keeps up. It reports whether to leave.
func (m *lineMode) typed() (quit bool) {
	for len(m.queue) > 0 && len(m.unsaid) < maxUnsaid && m.bytes < maxUnsaidBytes {
		line := m.queue[0]
		m.queue = m.queue[1:]
		var coded *codedError
		switch {
		case errors.Is(line.err, errInputEnd):
			m.ended = true
		case errors.As(line.err, &coded):
			m.problem(coded.code, coded.text)
		case line.err != nil:
			m.problem("input", fmt.Sprintf("reading standard input failed: %v; leaving", line.err))
			m.ended = true
		default:
			action, err := tui.ParsePlain(line.text, string(m.view.room))
			if err != nil {
				m.problem("command", err.Error())
			} else if action != nil && m.do(action) {
				return true
			}
		}
	}
	return false
}

// do carries out what was typed. It reports whether to leave.
func (m *lineMode) do(a tui.Action) (quit bool) {
	switch a := a.(type) {
	case tui.Say:
		m.say(a, len(a.Text))
	case tui.Me:
		m.say(a, len(a.Text))
	case tui.SetTopic:
		m.say(a, len(a.Text))
	case tui.Join:
		m.node.Do(toCommand(a))
		m.view.joined(wire.Room(a.Room))
		m.view.room = wire.Room(a.Room)
	case tui.Switch:
		if !m.view.in(wire.Room(a.Room)) {
			m.problem("room", fmt.Sprintf("you are not in %s; enter it with /join %s", wire.Room(a.Room), a.Room))
			break
		}
		m.view.room = wire.Room(a.Room)
	case tui.Leave:
		m.node.Do(toCommand(a))
		m.view.left(wire.Room(a.Room))
	case tui.AskTopic:
		text := m.view.topic[wire.Room(a.Room)]
		if text == "" {
			text = "none; set one with /topic TEXT"
		}
		m.note("topic", fmt.Sprintf("topic of %s: %s", wire.Room(a.Room), text))
	case tui.Connect:
		room, err := connect(a.Addr, m.dial)
		if err != nil {
			m.problem("address", err.Error())
			break
		}
		if room != "" {
			m.do(tui.Join{Room: string(room)})
		}
		m.node.Do(peer.Reconnect{})
	case tui.Search:
		m.search(a)
	case tui.ShowOlder:
		m.older(a)
	case tui.Version:
		m.note("version", versionText())
	case tui.Help:
		m.buf = m.print.help(m.buf[:0], a.Topic)
		m.out.add(m.buf)
	case tui.Quit:
		return true
	default:
		if m.voice.do(a) {
			break
		}
		if cmd := toCommand(a); cmd != nil {
			m.node.Do(cmd)
		} else { // what concerns a screen: /clear, /bell, /mouse, /joins
			m.note("screen", "that is for the full screen; it does nothing here")
		}
	}
	return false
}

// say has the Node say something, and keeps account of it until it comes back.
func (m *lineMode) say(a tui.Action, size int) {
	m.node.Do(toCommand(a))
	if len(m.unsaid) == 0 {
		m.movedAt = time.Now()
	}
	m.unsaid = append(m.unsaid, size)
	m.bytes += size
}

func (m *lineMode) problem(code, text string) {
	m.buf = m.print.problem(m.buf[:0], code, text)
	m.out.add(m.buf)
}

func (m *lineMode) note(code, text string) {
	m.buf = m.print.notice(m.buf[:0], code, text)
	m.out.add(m.buf)
}

func (v *view) in(room wire.Room) bool {
	for _, r := range v.rooms {
		if r == room {
			return true
		}
	}
	return false
}

func (v *view) joined(room wire.Room) {
	if v.in(room) {
		return
	}
	v.rooms = append(v.rooms, room)
	if v.room == "" {
		v.room = room
	}
}

func (v *view) left(room wire.Room) {
	for i, r := range v.rooms {
		if r == room {
			v.rooms = append(v.rooms[:i:i], v.rooms[i+1:]...)
			break
		}
	}
	delete(v.gaps, room)
	if v.room == room {
		v.room = ""
		if len(v.rooms) > 0 {
			v.room = v.rooms[len(v.rooms)-1]
		}
	}
}
