package tui

import (
	"slices"
	"strings"
	"time"
)

// How long it takes until one knows who is in a room. The tracker tells some of them, neighbours tell the rest when
// links are up.
const (
	listQuiet   = time.Second      // all are known whom the room is said to have, and nobody else came for so long
	listShort   = 4 * time.Second  // nobody came for so long, though the room is said to have more
	listMost    = 10 * time.Second // since the first of them came, in any case
	listNobody  = 2 * time.Second  // there is a tracker, and it told of nobody
	maxListed   = 20               // names in the line that says who is here
	namesJoined = ", "
)

// Arrivals tells who was in a room already when one came into it from who comes later. What is known of a room comes in
// pieces, so whoever one hears of until no more come for a moment was there. The zero value is a room that was just
// entered.
type Arrivals struct {
	settled     bool
	tracked     time.Time // since when there is a tracker that would tell; zero: there is none yet
	first, last time.Time // when the first and the last of them came; zero: nobody did
	known, said int       // how many of the others are known, and how many there are by what was said
}

// Tracked takes note that there is a tracker, which tells who is in the room.
func (a *Arrivals) Tracked(now time.Time) {
	if a.tracked.IsZero() {
		a.tracked = now
	}
}

// Came takes note of so many who are in the room, which is said to have count members, oneself included. It reports
// whether they have come only now.
func (a *Arrivals) Came(now time.Time, people, count int) bool {
	if a.settled {
		return true
	}
	if people > 0 {
		if a.first.IsZero() {
			a.first = now
		}
		a.last = now
	}
	a.known += people
	a.said = max(a.known, count-1)
	return false
}

// Went takes note of somebody who has left. It reports whether that is to be told: of who was never told of it is not.
func (a *Arrivals) Went() bool {
	if !a.settled {
		a.known--
		a.said--
	}
	return a.settled
}

// Due is when Settle is to be called; zero: not before somebody comes, or there is a tracker.
func (a *Arrivals) Due() time.Time {
	switch {
	case a.settled, a.known == 0 && a.tracked.IsZero():
		return time.Time{}
	case a.known == 0:
		return a.tracked.Add(listNobody)
	case a.known >= a.said:
		return a.last.Add(listQuiet)
	}
	if most := a.first.Add(listMost); most.Before(a.last.Add(listShort)) {
		return most
	}
	return a.last.Add(listShort)
}

// Settle reports, once, that it is known who was in the room. Whoever comes after that has come only then.
func (a *Arrivals) Settle(now time.Time) bool {
	due := a.Due()
	a.settled = a.settled || !due.IsZero() && !now.Before(due)
	return a.settled && !due.IsZero()
}

// Settled reports whether it is known who was in the room.
func (a *Arrivals) Settled() bool { return a.settled }

// HereText says who is in a room besides oneself: names, which are clean, and count, everybody with oneself.
func HereText(room string, names []string, count int) string {
	if len(names) == 0 && count <= 1 {
		return "nobody else is in #" + room
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	verb, shown := "are", names[:min(len(names), maxListed)]
	text := strings.Join(shown, namesJoined)
	switch others := max(count-1, len(names)) - len(shown); {
	case others > 0 && len(shown) == 0:
		text = plural(others, "other", "others")
	case others > 0:
		text += " and " + plural(others, "other", "others")
	case len(shown) == 1:
		verb = "is"
	}
	return "in #" + room + " " + verb + " " + text + " (" + itoa(max(count, len(names)+1)) + " here)"
}

// trackArrivals takes note in all rooms that there is a tracker.
func (m *Model) trackArrivals() {
	if m.tracker.settled() {
		for _, r := range m.rooms {
			r.arrivals.Tracked(m.now)
		}
	}
}

// settle says of rooms who is there, when that is known.
func (m *Model) settle() {
	for _, r := range m.rooms {
		if !r.arrivals.Settle(m.now) || m.joins == "none" {
			continue
		}
		var names []string
		for _, mem := range r.people() {
			if mem.ID != m.self.ID {
				names = append(names, m.shownName(r, mem.ID, mem.Name))
			}
		}
		m.note(r, itemNotice, HereText(r.name, names, r.count))
	}
}

// Wake is when the Model is to be told the time, for what it says by itself; zero: not at all.
func (m *Model) Wake() (at time.Time) {
	for _, r := range m.rooms {
		if due := r.arrivals.Due(); at.IsZero() || !due.IsZero() && due.Before(at) {
			at = due
		}
	}
	return at
}
