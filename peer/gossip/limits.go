package gossip

import (
	"fmt"
	"time"

	"peerchat/peer/wire"
)

// Times and bounds of the protocol. What a neighbour or an author can make this machine keep or do is bounded by one of
// them.
const (
	defaultWindow = 1000
	defaultAge    = 7 * 24 * time.Hour
	endOfLog      = 32 // events at the end of each log that come first, of a room that is new here

	maxUnproven  = 1024    // events delivered early, of all neighbours together
	maxAuthors   = 1 << 14 // logs in a room
	maxClaims    = 1 << 11 // logs of a room that exist only because one neighbour claims them
	fewClaims    = 64      // the same of one that does not send what it offers
	maxKnown     = 1 << 15 // heads remembered of one neighbour, over all rooms
	maxPending   = 256     // events of one log held back behind a gap
	maxAhead     = 4096    // how far ahead of its log an event may be to be held back
	maxHeldBytes = 8 << 20 // held back over all logs

	maxWant          = 512 // events asked for in one range, and answered to one
	maxAsks          = 64  // ranges asked of one neighbour at a time
	maxOlderAsks     = 4   // logs of a room whose older events are asked for at a time
	firstStep        = 64
	minStep          = 16
	stepBytes        = 256 << 10             // about as many are asked for at once
	maxOlderBytes    = 1 << 20               // of one answer that is not whole yet
	maxAllOlderBytes = 8 << 20               // of all
	olderTime        = 10 * time.Second      // for one answer
	maxSilent        = 3                     // questions for older events without an answer, until what was claimed is not believed
	stuckTime        = 10 * time.Second      // when what would be asked for again could not be stored
	tryAgain         = 2 * time.Second       // when what is kept in memory could not
	lookPause        = 50 * time.Millisecond // between two looks at what is older, by what neighbours say
	lookAgain        = time.Second           // and while something is lacking for which nobody could be asked
	demandTime       = 10 * time.Second
	maxDemand        = 1 << 14

	maxServes  = 128 // ranges that one neighbour may have waiting here
	serveBytes = 256 << 10
	servePause = 2 * time.Millisecond // between answers of serveBytes to one neighbour
	tellRate   = 100                  // looks a second into what is before a hole that one neighbour may cause, as each reads the Log
	tellBurst  = 500
	serveRate  = 16 << 20 // bytes a second that one neighbour is answered with in the long run
	serveBurst = 64 << 20 // and at once: a room's whole window of the longest texts

	offerFirst   = 5 * time.Millisecond   // at most, before the first live event of a log without a tree is offered
	treeLife     = 10 * time.Minute       // of a tree since the last live event of its author
	unknownTrip  = 60 * time.Millisecond  // assumed where to wait too long is better than too short
	compareSlack = 2 * time.Millisecond   // how much later a way of fewer links may be
	maxAge       = 255 * time.Millisecond // of an event in an offer; it stands for all that are older
	longCut      = 2                      // so many links must be saved by a way of which nothing else is known
	pruneAgain   = time.Second            // when one that still pushes is told again
	maxAdopted   = wire.MaxRanges         // logs that get a new parent at once, as when a link ends
	maxStrikes   = 3                      // failures of a neighbour, until it is no good as a parent
	strikeLife   = 20 * time.Second       // how long each of them counts
	maxUnkept    = 5                      // seconds in which nothing came of what a neighbour offered, until it is told

	gapDelay      = 20 * time.Millisecond // a gap may close by itself: fast and reliable frames overtake each other
	contactDelay  = 50 * time.Millisecond // how long the first event of an unknown author waits for a digest
	contactTime   = 2 * time.Second       // how long a new room's first contact lasts
	askTimeout    = 2 * time.Second
	firstTimeout  = 150 * time.Millisecond // of the first question after a gap, which may be lost
	askTime       = 10 * time.Second       // for one question, as long as answers to others come from who was asked
	askLate       = 50 * time.Millisecond  // by so much the end of a question's time may be seen late, before it is put off
	vainPause     = 250 * time.Millisecond // before a question is put again to who did not answer it; it doubles
	maxVain       = 7                      // questions for one log without an answer, until a claim is forgotten
	strandedDelay = 2 * time.Second        // how long nobody has the next event before a log goes on without it

	ackDelay      = time.Millisecond      // when the caller sends no Flush
	ackCalm       = 10 * time.Millisecond // on a link that loses nothing
	ackInterval   = 5 * time.Millisecond  // between acknowledgements to one neighbour for one room
	maxAcks       = 16                    // logs acknowledged in one frame, which fits the fast channel
	frameHead     = 16                    // bytes of Events beside its events, at most
	elsewhereLife = time.Minute           // how long it counts that a neighbour had a live event of somebody else before it was offered here
	offerMin      = 30 * time.Millisecond
	offerMax      = 120 * time.Millisecond
	calmMin       = 100 * time.Millisecond // where trees bring all events
	calmMax       = 400 * time.Millisecond
	pauseMin      = 300 * time.Millisecond // between offers, as long as trees bring all events
	pauseMax      = 600 * time.Millisecond
	troubleLife   = 10 * time.Second // since they were last seen not to
	digestMin     = 4 * time.Second
	digestMax     = 6 * time.Second
	digestForce   = 6 // every so many rounds the digest is sent though it seems to say nothing new

	liveFor = 10 * time.Second // how long an event counts as live when it is relayed

	maxHedges   = 16                    // own events per neighbour that are sent again when not acknowledged
	maxCopies   = 5                     // of one event, the first included
	maxLight    = 4                     // single events on the way to a neighbour, of which the next goes without the reliable channel
	hedgeLate   = 5 * time.Millisecond  // how late it may be sent, before it is put off
	hedgeDelay  = 25 * time.Millisecond // least time before the second copy, on a link that loses some
	calmDelay   = 80 * time.Millisecond // on one that does not
	calmLoss    = 1. / 256              // share of events sent again above which it does: once in the last 45 or so
	hedgeMost   = time.Second           // longest
	hedgeSlack  = 10 * time.Millisecond // more than the round trip, at least
	strainLife  = 2 * time.Second       // how long acknowledgements that were late say something of this machine
	lossy       = 0.15                  // share of events sent again above which a link is lossy
	hedgeMemory = 2 * time.Second       // how long an acknowledgement is of interest
	firstRTT    = 12 * time.Millisecond // assumed before it is measured
	firstSwing  = 3 * time.Millisecond

	clockSkew = 10 * time.Minute // of an author's wall clock, before it is remarked on
	farAhead  = 1 << 20          // sequence numbers, likewise

	suspectDelay = 150 * time.Millisecond // least time without an acknowledgement before a neighbour is suspected
	maxProbes    = 32                     // copies of one event to a neighbour that is suspected
	lookShare    = 4                      // one peer in so many looks after its neighbours when an author speaks that has no tree
	leastLoss    = 0.02                   // assumed of each link
	doubtful     = 0.005                  // a neighbour is suspected when its link loses as many copies in a row with this chance

	// What a neighbour may waste: duplicates and needless frames.
	wasteRate  = 2_000 // a second
	wasteBurst = 20_000
	wasteUnit  = 16 // what one of them costs; what a frame lists costs 1 each
)

// The Lamport clock of an honest author counts events, so it is far below the milliseconds since 1970. A hostile author
// may claim any: what is beyond believed is not taken in, or the room's clock, and with it what is shown last, what the
// topic is and what is kept longest, would be its author's for ever.
const (
	clockLeast = 1 << 40        // for machines whose own clock stands at 1970
	clockAhead = 24 * time.Hour // for machines whose own clock is late
	clockRoom  = 10 * time.Minute
)

// believed is the highest Lamport clock that is taken in.
func believed(now time.Time) uint64 {
	return max(clockLeast, uint64(max(0, now.UnixMilli()))) + uint64(clockAhead.Milliseconds())
}

// follow is what an event's Lamport clock does to a room's. It stays so far below believed that those whose clock is a
// little late believe it, too.
func (r *room) follow(now time.Time, lamport uint64) {
	r.lamport = max(r.lamport, min(lamport, believed(now)-uint64(clockRoom.Milliseconds())))
}

// wasted charges a neighbour for what was of no use, and reports whether it may go on.
func (m *Machine) wasted(now time.Time, l *link, cost int, out *Output) bool {
	if l.cut {
		return false
	}
	if l.waste.AllowN(now, cost) {
		return true
	}
	m.fault(l, "", wire.PeerID{}, "flood", true, out, "it sends more useless frames than the %d a second that are let pass", wasteRate)
	return false
}

// shared is the share of a room with a neighbour; nil if there is none, or the neighbour may send no more frames that
// list so much.
func (m *Machine) shared(now time.Time, l *link, name wire.Room, listed int, out *Output) *share {
	if !m.wasted(now, l, wasteUnit+listed, out) {
		return nil
	}
	if r := m.rooms[name]; r != nil {
		return l.share(r)
	}
	return nil
}

// fit is how many events, at least one, at the start of events go into one frame of at most size bytes.
func fit(events []wire.Event, size int) int {
	total := wire.EventOverhead
	for i := range events {
		total += events[i].EncodedSize()
		if i > 0 && (total > size || i == wire.MaxEvents) {
			return i
		}
	}
	return len(events)
}

// fault reports misbehaviour of a neighbour, or of an author whose event came from it.
func (m *Machine) fault(l *link, room wire.Room, author wire.PeerID, code string, drop bool, out *Output, format string, args ...any) {
	l.cut = l.cut || drop
	out.Faults = append(out.Faults, Fault{Peer: l.peer, Author: author, Room: room, Code: code, Text: fmt.Sprintf(format, args...), Drop: drop})
}
