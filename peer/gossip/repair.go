package gossip

import (
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// digest sends the heads of a room; with only, just those of these logs.
func (m *Machine) digest(now time.Time, l *link, s *share, reply bool, only []*authorLog, out *Output) {
	logs := s.room.sorted
	if reply {
		logs = only
	}
	heads := make([]wire.Head, 0, len(logs))
	for _, a := range logs {
		if m.rebased(now, s.room, a); a.begun() {
			heads = append(heads, wire.Head{Author: a.author, Base: a.base, Seq: a.head})
		}
	}
	for {
		n := min(len(heads), wire.MaxHeads)
		out.Sends = append(out.Sends, Send{To: l.peer,
			Frame: wire.Digest{Room: s.room.name, Reply: reply, Heads: heads[:n:n]}})
		heads = heads[n:]
		if n < wire.MaxHeads || (reply && len(heads) == 0) {
			break
		}
	}
	if !reply {
		s.digested = s.room.lamport
		m.tellParts(l, s.room, logs, out)
	}
}

// digested takes a digest in, and answers with what the neighbour lacks.
func (m *Machine) digested(now time.Time, l *link, s *share, f wire.Digest, out *Output) {
	if len(f.Heads) > 0 {
		m.greet(now, s.room)
	}
	for _, h := range f.Heads {
		m.learn(now, l, s, h.Log(), span{base: h.Base, seq: h.Seq, hops: unknownHops}, true, out)
		if h.Author == l.peer && !s.greeted {
			s.claim(h.Log(), h.Seq)
		}
		if a := s.room.logs[h.Log()]; a != nil {
			s.room.meet(s, a, h.Seq, true)
			if r := s.room; !s.greeted && (r.met.IsZero() || now.Sub(r.met) < lostMost) {
				a.named = max(a.named, h.Seq)
			}
		}
	}
	if !s.greeted && !f.Reply && len(f.Heads) < wire.MaxHeads {
		s.greeted = true
		m.returns(now, s.room, l.peer)
		if s.room.demand != nil {
			m.lookSoon(now, s.room)
		}
		if s.room.met.IsZero() {
			s.room.met = now
		}
	}
	if f.Reply || len(f.Heads) == wire.MaxHeads || l.busy { // one that was busy gets a digest afterwards
		return
	}
	var better []*authorLog
	for _, a := range s.room.sorted {
		if a.begun() && a.head > s.known[a.id].seq {
			better = append(better, a)
		}
	}
	// The answer may be much larger than the question, and so it has its price.
	if len(better) > 0 && m.wasted(now, l, len(better), out) {
		m.digest(now, l, s, true, better, out)
	}
	m.introduce(now, s, out)
}

// antiEntropy compares logs with a random neighbour, unless that seems to have all that is here.
func (m *Machine) antiEntropy(now time.Time, r *room, out *Output) {
	r.digestAt = now.Add(m.jitter(digestMin, digestMax))
	r.rounds++
	m.reviewAbsent(now, r)
	for _, a := range r.sorted {
		m.rebased(now, r, a)
	}
	var free []*link
	for _, l := range m.linkList {
		if !l.busy && l.share(r) != nil {
			free = append(free, l)
		}
	}
	if len(free) == 0 {
		return
	}
	l := free[m.cfg.Rand.Uint64()%uint64(len(free))]
	s := l.share(r)
	m.compareOne(now, s, out)
	m.examine(r, out)
	news := r.rounds%digestForce == 0
	for i := 0; i < len(r.sorted) && !news; i++ {
		a := r.sorted[i]
		// Who gets a log from others was told of its head, and would ask.
		told := a != r.own && a.told&s.bit() != 0 && a.eager&s.bit() == 0
		news = !told && a.head > a.base && a.head > s.known[a.id].seq
	}
	if news {
		m.digest(now, l, s, false, nil, out)
	}
}

// learn notes what a neighbour holds of a log. Told means that it said so, base included, as opposed to that it sent
// the event up to which it is now known to go.
func (m *Machine) learn(now time.Time, l *link, s *share, id wire.LogID, k span, told bool, out *Output) {
	was, ok := s.known[id]
	if !ok {
		if l.known >= maxKnown {
			return
		}
		l.known++
		was.base = id.Start()
	}
	k.base = max(k.base, id.Start())
	if !told {
		k.base = was.base
	}
	if k.seq < was.seq || k.seq == was.seq && k.hops == unknownHops {
		k.seq, k.hops = was.seq, was.hops
	}
	if told {
		s.claimsAgain(id)
	}
	if k == was {
		if told && l.doubt.share != nil {
			m.ackedAgain(now, l, s, id.Author, k.seq)
		}
		return
	}
	s.known[id] = k
	r := s.room
	if id == r.own.id {
		m.acked(l, s, k.seq, out)
	}
	if len(l.hedges) > 0 {
		m.unwatch(now, l, s, id.Author, k.seq)
	}
	a := r.logs[id]
	if told && k.hops != unknownHops && id.Author != l.peer && id.Author != m.self && s.bit() != 0 && (a == nil || a.told&s.bit() == 0) && now.Sub(s.answered) > hedgeMemory {
		s.elsewhere = now
	}
	if told && a != nil && a.ask != nil && a.ask.to == l && !a.ask.part && k.base >= a.ask.from {
		a.drop() // it cannot answer: ask for what it has, or ask another
		m.resume(now, l)
	}
	if told && wire.LogOf(s.spot.author, s.spot.seq) == id && k.base >= s.spot.seq {
		s.spot = spot{} // it has lost it, and says so
	}
	if told && a != nil && a.older != nil && !a.older.part && a.older.to == l && k.base >= a.older.from {
		m.dropOlder(r, a)
		m.fillSoon(r, now)
	}
	if told && a != nil && (a.reaches(k) || a.reaches(was) || a.hole.open && k.base < min(k.seq, a.base)) {
		m.showsOlder(now, r, a)
	}
	if a != nil && told {
		m.wentOn(now, l, s, a, was.seq, k.base, out)
	}
	if a != nil {
		r.meet(s, a, k.seq, false)
	}
	unheard := told && (a == nil || a.claimed != nil) && (s.vanishes(id, k) || m.hears(now, s, id, was.seq, k.seq))
	if told && k.base == k.seq && (unheard || a != nil && k.seq > a.head) {
		m.loseSoon(now, r)
	}
	if a != nil && k.seq <= a.head || r.crowded && (a == nil || !a.begun()) {
		return
	}
	if told {
		if a == nil {
			if k.base == k.seq || !r.admits(id) || len(r.logs) >= maxAuthors/2 || l.claims >= maxClaims || l.lies() && l.claims >= fewClaims {
				return
			}
			a = r.add(id)
			a.joined, a.named = r.fresh, max(was.seq, m.gone(r, id))
			r.meet(s, a, k.seq, false)
			a.claimed = l
			l.claims++
		}
		if !a.isBehind || a.ask == nil && a.head >= a.offered { // what was offered before has come
			a.offered = k.seq
			switch live := k.hops != unknownHops; {
			case live && a.parent != nil && a.parent != s:
				a.askAt = now.Add(max(gapDelay, 3*a.parent.link.trip())) // the parent's copy is likely on its way
			case m.links[id.Author] != nil && id.Author != l.peer:
				a.askAt = now.Add(gapDelay) // or the author's own
			}
			a.late = a.late || k.hops != unknownHops
		}
		if k.hops != unknownHops {
			a.ahead |= s.bit()
		}
		m.fallBehind(now, r, a)
	}
}

// fallBehind has a log looked at by repair.
func (m *Machine) fallBehind(now time.Time, r *room, a *authorLog) {
	if !a.isBehind {
		a.isBehind = true
		r.behind = append(r.behind, a)
	}
	if a.ask == nil {
		m.repairSoon(r, a.askAt)
		if a.askAt.Before(now) {
			m.repairSoon(r, now)
		}
	}
}

func (m *Machine) repairSoon(r *room, t time.Time) {
	r.repairAt = earlier(r.repairAt, t)
	m.at(r.repairAt)
}

// drop ends the question that is out.
func (a *authorLog) drop() {
	if a.ask != nil {
		a.ask.to.asks--
		a.ask = nil
	}
}

// resume has all rooms look again for what is missing, if a neighbour that some question waits for may be asked again.
func (m *Machine) resume(now time.Time, l *link) {
	if !l.short || l.asks >= maxAsks {
		return
	}
	l.short = false
	for _, r := range m.roomList {
		if len(r.behind) > 0 {
			m.repairSoon(r, now)
		}
		if r.lacking > 0 || r.demand != nil {
			m.fillSoon(r, now)
		}
	}
}

// repair asks for what is missing: of each log one question at a time, of one neighbour that says it has the next
// event.
func (m *Machine) repair(now time.Time, r *room, out *Output) {
	r.repairAt = time.Time{}
	places := m.places(r)
	type question struct {
		to     *link
		ranges []wire.Range
		fast   bool
		graft  bool
	}
	var questions []*question
	var unreal, unstored []*authorLog
	r.behind = slices.DeleteFunc(r.behind, func(a *authorLog) bool {
		if a.ask != nil {
			if a.ask.deadline.After(now) {
				m.repairSoon(r, a.ask.deadline)
				return false
			}
			if a.ask.waits(now) {
				m.repairSoon(r, a.ask.deadline)
				return false
			}
			m.inVain(now, r, a, out)
		}
		if a.askAt.After(now) {
			m.repairSoon(r, a.askAt)
			return false
		}
		if a.unstored {
			unstored = append(unstored, a)
			return false
		}
		quota, skip := uint64(max(1, m.windowed())), false
		if !a.begun() && a.joined {
			quota = places.next()
			quota, skip = max(1, quota), quota == 0 && m.most(r, a) <= a.old()
		}
		l, from, to, adopt, behind := m.choose(now, r, a, quota)
		if !behind {
			a.isBehind, a.gap, a.late, a.ahead, a.failed = false, false, false, 0, nil
			m.pardon(r, a)
			if a.claimed != nil { // nobody could show an event of it
				a.real()
				unreal = append(unreal, a)
			}
			return true
		}
		if l == nil {
			return false
		}
		a.ask = &ask{to: l, from: from, up: to, adopt: adopt || a.head == a.base && a.joined, skip: skip, since: now, deadline: now.Add(askTimeout)}
		_, a.ask.part, _ = l.share(r).with(a.id, from)
		first := l.share(r).vain[a.id].tries == 0
		fast := (a.gap || a.late) && to-from < 16 && first
		a.ask.graft = a.late && first
		graft := a.ask.graft
		if a.ask.fast = fast; fast {
			a.ask.deadline = now.Add(min(askTimeout, max(firstTimeout, 3*l.trip(), m.cfg.Patience)))
		}
		l.asks++
		if !a.begun() && a.joined && !skip {
			places.open -= int(to - from + 1)
		}
		m.repairSoon(r, a.ask.deadline)
		if s := l.share(r); graft && s.bit() != 0 {
			if a.parent != s && a.parent != nil && !a.hoped {
				a.failed = a.parent
			}
			a.parent, a.hoped, a.eager = s, false, a.eager|s.bit()
		}
		at := slices.IndexFunc(questions, func(q *question) bool { return q.to == l && q.graft == graft })
		if at < 0 {
			at = len(questions)
			questions = append(questions, &question{to: l, fast: true, graft: graft})
		}
		q := questions[at]
		q.ranges = append(q.ranges, wire.Range{Author: a.author, From: from, To: to})
		q.fast = q.fast && fast
		return false
	})
	if r.fresh {
		m.showsOlder(now, r, r.own) // perhaps all logs have begun
	}
	if len(unreal) > 0 {
		for _, a := range unreal {
			delete(r.logs, a.id)
		}
		r.sorted = slices.DeleteFunc(r.sorted, func(a *authorLog) bool { return r.logs[a.id] != a })
	}
	for _, q := range questions {
		slices.SortFunc(q.ranges, func(a, b wire.Range) int { return wire.LogOf(a.Author, a.From).Compare(wire.LogOf(b.Author, b.From)) })
		f := wire.Frame(wire.Want{Room: r.name, Ranges: q.ranges})
		if q.graft {
			f = wire.Graft{Room: r.name, Ranges: q.ranges}
		}
		out.Sends = append(out.Sends, Send{To: q.to.peer, Frame: f, Fast: q.fast && len(q.ranges) < 8})
	}
	m.storeAgain(now, r, unstored, out)
}

// most is the highest sequence number of an event of a log that a neighbour claims to hold, or what comes before all.
// The word of one of which nothing comes counts only where there is no other.
func (m *Machine) most(r *room, a *authorLog) (seq uint64) {
	var word uint64
	for _, l := range m.linkList {
		if s := l.share(r); s != nil {
			if k := s.known[a.id]; k.seq > k.base && l.lies() {
				word = max(word, k.seq)
			} else if k.seq > k.base {
				seq = max(seq, k.seq)
			}
		}
	}
	if seq == 0 {
		seq = word
	}
	return max(seq, a.id.Start())
}

// choose finds whom to ask for which events of a log. behind is false if nothing is missing; l is nil if nobody can be
// asked now. A neighbour can give the next event if its log begins before it. If the next event is had by nobody, the
// log goes on (adopt) at the first that is: at once if it is empty here, within quota events of its head or with what
// was said since this peer came, and after strandedDelay if not.
func (m *Machine) choose(now time.Time, r *room, a *authorLog, quota uint64) (l *link, from, to uint64, adopt, behind bool) {
	if !a.begun() && r.crowded {
		return nil, 0, 0, false, false
	}
	behind = len(a.pending) > 0
	start := a.head // questions begin after it
	if !a.begun() {
		if top := m.most(r, a); top > a.head+quota {
			start = min(top-quota, max(a.head, a.old()))
		}
	}
	var able []*link
	var next *link // the one whose log begins first, of those whose log begins too late
	var base uint64
	for _, x := range m.linkList {
		s := x.share(r)
		if s == nil {
			continue
		}
		k := s.nearest(a.id, start)
		if k.seq <= max(a.head, k.base) { // nothing new, or nothing at all: a log may be pruned to its head
			continue
		}
		behind = true
		switch until := s.vain[a.id].until; {
		case until.After(now):
			m.repairSoon(r, until)
		case x.asks >= maxAsks:
			x.short = true
		case x.busy || x.cut || k.seq <= start:
		case k.base <= start:
			able = append(able, x)
		case next == nil || k.base < base:
			next, base = x, k.base
		}
	}
	switch {
	case len(able) > 0:
		a.stranded = time.Time{}
		l = m.ablest(now, r, a, able)
	case next == nil:
		return nil, 0, 0, false, behind
	case a.begun() && a.stranded.IsZero():
		a.stranded = now
		fallthrough
	case a.begun() && now.Sub(a.stranded) < strandedDelay:
		m.repairSoon(r, a.stranded.Add(strandedDelay))
		return nil, 0, 0, false, true
	default:
		l, start = next, base
	}
	from = start + 1
	k, _, _ := l.share(r).with(a.id, from)
	to = min(k.seq, from+maxWant-1)
	for seq := range a.pending {
		if seq > from {
			to = min(to, seq-1)
		}
	}
	return l, from, to, start > a.head, true
}

// ablest is whom of those who have the next event of a log to ask for it: its author, else the parent unless that is
// late, else who had it by the fewest links, of those who have done what they should. Among equals chance decides.
func (m *Machine) ablest(now time.Time, r *room, a *authorLog, able []*link) *link {
	cost := func(l *link) int {
		s := l.share(r)
		switch {
		case l.suspected:
			return 1 << 8
		case l.peer == a.author:
			return -2
		case s == a.parent && !a.late:
			return -1
		case l.struck(now) >= maxStrikes || l.lies():
			return 1 << 8
		}
		return int(s.known[a.id].hops)
	}
	n, least := 0, 1<<9
	for _, l := range able {
		if c := cost(l); c < least {
			n, least = 0, c
			able[n], n = l, 1
		} else if c == least {
			able[n] = l
			n++
		}
	}
	return able[m.cfg.Rand.Uint64()%uint64(n)]
}

// serve is a range that a neighbour asked for and has not been sent yet.
type serve struct {
	share    *share
	log      *authorLog
	from, to uint64
}

// wanted takes a question in.
func (m *Machine) wanted(now time.Time, l *link, s *share, ranges []wire.Range, out *Output) {
	var told *authorLog
	for _, q := range ranges {
		a := s.room.logs[wire.LogOf(q.Author, q.From)]
		if a == nil || q.From > a.head {
			continue
		}
		m.rebased(now, s.room, a)
		from, head := q.From, a.head
		if from <= a.base && (a == told || !l.tells.AllowN(now, 1)) {
			continue
		}
		if q.To <= a.base {
			head = m.partOf(s.room, a, from)
		}
		if from <= a.base && q.To > a.base || head == 0 {
			told = a
			if !l.busy { // or it gets a digest afterwards
				m.tellAll(l, s.room, a, out)
			}
			continue
		}
		v := serve{share: s, log: a, from: from, to: min(q.To, head, from+maxWant-1)}
		if slices.ContainsFunc(l.serves, func(x serve) bool { return x.log == a && x.from <= v.from && x.to >= v.to }) {
			continue
		}
		if len(l.serves) >= maxServes {
			m.wasted(now, l, 10*wasteUnit, out)
			return
		}
		l.serves = append(l.serves, v)
	}
	if len(l.serves) > 0 && !l.busy && l.serveAt.IsZero() {
		l.serveAt = now
		m.at(now)
	}
}

// stale is how many events at the start of a run are of the conversation no more, whatever their author has said since:
// they were said long before its last live one, by its own clock.
func (a *authorLog) stale(events []wire.Event) int {
	for i := range events {
		if a.liveSaid.Sub(events[i].Time) < liveFor {
			return i
		}
	}
	return len(events)
}

// serve answers questions, a bounded piece at a time.
func (m *Machine) serve(now time.Time, l *link, out *Output) {
	l.serveAt = time.Time{}
	sent, wait := 0, l.answers.ReserveN(now, 0).DelayFrom(now)
	defer func() { l.answers.ReserveN(now, sent) }() // it is paid for afterwards
	for len(l.serves) > 0 && !l.busy {
		if sent >= serveBytes || wait > 0 {
			l.serveAt = now.Add(max(wait, servePause))
			break
		}
		v := &l.serves[0]
		a, r := v.log, v.share.room
		events, err := m.cfg.Log.Range(r.name, a.author, v.from, v.to, 128)
		if err != nil {
			out.Faults = append(out.Faults, Fault{Peer: m.self, Room: r.name, Code: "log",
				Text: fmt.Sprintf("events %d to %d of %s cannot be read for a neighbour: %v", v.from, v.to, a.author.Tag(), err)})
		}
		if len(events) == 0 {
			l.serves = slices.Delete(l.serves, 0, 1)
			continue
		}
		piece := 0
		for i := range events {
			if piece += events[i].EncodedSize(); piece > serveBytes && i > 0 {
				piece -= events[i].EncodedSize()
				events = events[:i]
				break
			}
		}
		live := a.liveFrom > 0 && v.from >= a.liveFrom && now.Sub(a.liveAt) < liveFor && a.hops < wire.MaxHops
		if old := a.stale(events); live && old > 0 {
			live, events, piece = false, events[:old], 0
			for i := range events {
				piece += events[i].EncodedSize()
			}
		}
		sent += piece
		if live && a.told&v.share.bit() == 0 {
			v.share.answered = now
		}
		frames := m.sendEvents(l, events, live, a.hops, out)
		switch news := v.share.known[a.id].seq < events[len(events)-1].Seq; {
		case !live || a == r.own || !news: // who has it compares, and what it acknowledges again shows nothing
		case l.timed:
			m.watch(now, v.share, a, events, false, out)
		default:
			m.gauge(now, v.share, a, events)
		}
		if a == r.own && frames == 1 && sent+16 <= wire.MaxFastFrame && len(l.hedges) > 0 {
			// It was said just now, and likely lost on the reliable channel, which then stands still for a second.
			out.Sends = append(out.Sends, Send{To: l.peer, Fast: true, Frame: out.Sends[len(out.Sends)-1].Frame})
		}
		v.from = events[len(events)-1].Seq + 1
		if v.from <= v.to {
			continue
		}
		if a == r.own && v.share.lagging {
			if a.head > v.to && a.head-v.to <= 2*maxWant { // what was said meanwhile, and then it has caught up
				v.to = a.head
				continue
			}
			v.share.lagging = a.head > v.to
		}
		l.serves = slices.Delete(l.serves, 0, 1)
	}
	m.at(l.serveAt)
}
