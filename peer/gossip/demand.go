package gossip

import (
	"fmt"
	"slices"
	"time"
)

// demand is what the user asked for.
type demand struct {
	goal, got int
	until     time.Time
}

// demanded takes a FetchOlder in.
func (m *Machine) demanded(now time.Time, in FetchOlder, out *Output) {
	r := m.rooms[in.Room]
	if r == nil {
		out.Fetched = append(out.Fetched, Fetched{Room: in.Room, Err: fmt.Errorf("fetch older messages of %s: you are not in that room", in.Room)})
		return
	}
	if r.demand == nil {
		r.demand = &demand{until: now.Add(demandTime)}
		r.full = false // there may be room now
		for _, a := range r.sorted {
			a.full = false
		}
	}
	r.demand.goal = min(r.demand.goal+max(0, in.Events), maxDemand)
	m.fillSoon(r, now)
}

// supply answers the demand of a room when there is nothing more to be done about it. More says that somebody has older
// events.
func (m *Machine) supply(now time.Time, r *room, more, contact bool, out *Output) {
	d := r.demand
	if d == nil {
		return
	}
	f := Fetched{Room: r.name, Events: d.got, More: more}
	switch {
	case d.got >= d.goal:
	case !more && len(r.asked) == 0 && !contact && m.oldest(r): // there is nothing older
	case r.full:
		f.Err = fmt.Errorf("fetch older messages of %s: the history keeps no more of this room: raise its limits", r.name)
	case !more && len(r.asked) == 0 && !contact && (!m.ungreeted(r) || !d.until.After(now)):
		f.Err = fmt.Errorf("fetch older messages of %s: nobody who is linked has older ones, though there are some", r.name)
	case !d.until.After(now):
		f.Err = fmt.Errorf("fetch older messages of %s: not all came within %v: try again", r.name, demandTime)
	default:
		m.fillSoon(r, d.until)
		return
	}
	r.demand = nil
	out.Fetched = append(out.Fetched, f)
}

// ungreeted tells whether a neighbour has not told yet what it holds.
func (m *Machine) ungreeted(r *room) bool {
	return slices.ContainsFunc(m.linkList, func(l *link) bool {
		s := l.share(r)
		return s != nil && !l.cut && !s.greeted
	})
}

// oldest tells whether the first events of all logs of a room are here, whatever is missing between.
func (m *Machine) oldest(r *room) bool {
	return !slices.ContainsFunc(r.sorted, func(a *authorLog) bool {
		parts, err := m.cfg.Log.Parts(r.name, a.id)
		return !a.whole() && (err != nil || len(parts) == 0 || parts[len(parts)-1].Base > a.id.Start())
	})
}
