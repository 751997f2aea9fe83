package tui

import (
	"sort"
	"strings"
)

// This file is who is in a room, and what is told of their coming and going.

// setMembers replaces what is known of a room's members. Oneself is always one of them.
func (m *Model) setMembers(r *room, members []Member, count int) {
	r.members = make(map[string]Member, len(members)+1)
	for _, mem := range members {
		r.learn(Member{ID: SanitizeLine(mem.ID), Name: SanitizeLine(mem.Name)})
	}
	if m.self.ID != "" {
		r.learn(Member(m.self))
	}
	r.count = max(count, len(r.members))
}

// learn puts somebody into the room, or renames who is in it.
func (r *room) learn(mem Member) {
	r.members[mem.ID] = mem
	r.sorted = nil
	r.own(mem.ID, mem.Name)
}

// own notes who has a name, so that two of one name are told apart from then on.
func (r *room) own(id, name string) {
	key := strings.ToLower(name)
	if first, ok := r.owners[key]; ok {
		if first != id {
			r.shared[key] = true
		}
		return
	}
	if len(r.owners) >= maxPeople {
		clear(r.owners)
		for _, mem := range r.members {
			r.owners[strings.ToLower(mem.Name)] = mem.ID
		}
	}
	r.owners[key] = id
}

// shownName is a name as the room shows it: with the tag where another peer has the same one.
func (m *Model) shownName(r *room, id, name string) string {
	if name == "" {
		return "#" + Tag(id)
	}
	if r.shared[strings.ToLower(name)] {
		return name + "#" + Tag(id)
	}
	return name
}

// people are the members, by name.
func (r *room) people() []Member {
	if r.sorted == nil && len(r.members) > 0 {
		for _, mem := range r.members {
			r.sorted = append(r.sorted, mem)
		}
		sort.Slice(r.sorted, func(i, j int) bool {
			a, b := strings.ToLower(r.sorted[i].Name), strings.ToLower(r.sorted[j].Name)
			if a != b {
				return a < b
			}
			return r.sorted[i].ID < r.sorted[j].ID
		})
	}
	return r.sorted
}

// allLinked is the most people of a room that all have links with each other; in a larger one each has links with some,
// and what they say goes from one to the next.
const allLinked = 6

// meshed reports whether the members of a room without a link are reached through others.
func (m *Model) meshed(r *room) bool {
	linked, others := m.others(r)
	return linked > 0 && others >= allLinked
}

// others is how many members are not oneself, linked how many of them this peer has a link to.
func (m *Model) others(r *room) (linked, others int) {
	for id := range r.members {
		if id == m.self.ID {
			continue
		}
		others++
		if _, up := m.links[id]; up {
			linked++
		}
	}
	return linked, max(others, r.count-1)
}

func (m *Model) memberCame(msg MemberJoined) {
	r := m.find(msg.Room)
	if r == nil {
		return
	}
	mem := Member{ID: SanitizeLine(msg.Member.ID), Name: SanitizeLine(msg.Member.Name)}
	_, there := r.members[mem.ID]
	r.learn(mem)
	r.count = max(msg.Count, len(r.members))
	if !there && mem.ID != m.self.ID && r.arrivals.Came(m.now, 1, msg.Count) {
		m.notePresence(r, mem, true)
	}
}

func (m *Model) memberWent(msg MemberLeft) {
	r := m.find(msg.Room)
	if r == nil {
		return
	}
	id := SanitizeLine(msg.Member.ID)
	mem, there := r.members[id]
	delete(r.members, id)
	delete(r.voices, id)
	r.sorted = nil
	r.count = max(msg.Count, len(r.members))
	if there && id != m.self.ID && r.arrivals.Went() {
		m.notePresence(r, mem, false)
	}
}

// notePresence tells of a join or leave, in the last line if that is of the same sort.
func (m *Model) notePresence(r *room, mem Member, joined bool) {
	recent := m.now.Sub(r.spoke[mem.ID].at) < spokeLately
	name := m.shownName(r, mem.ID, mem.Name)
	if last := r.last(); last != nil && last.kind == itemPresence {
		if last.presence.add(mem.ID, name, joined, recent) {
			return
		}
	}
	p := &presence{by: map[string]*coming{}}
	p.add(mem.ID, name, joined, recent)
	r.add(&item{kind: itemPresence, at: m.now, presence: p})
}

func (m *Model) memberRenamed(msg MemberRenamed) {
	mem := Member{ID: SanitizeLine(msg.Member.ID), Name: SanitizeLine(msg.Member.Name)}
	was := SanitizeLine(msg.Was)
	if mem.ID == m.self.ID {
		m.self.Name = mem.Name
		m.arrange() // the prompt has another width
	}
	r := m.find(msg.Room)
	if r == nil {
		return
	}
	r.learn(mem)
	if msg.Count > 0 {
		r.count = max(msg.Count, len(r.members))
	}
	who := was + " is"
	if mem.ID == m.self.ID {
		who = "you are"
	}
	m.note(r, itemNotice, who+" now called "+m.shownName(r, mem.ID, mem.Name))
}

func (m *Model) updateLink(l Link) {
	l.Peer, l.Name, l.Path = SanitizeLine(l.Peer), SanitizeLine(l.Name), SanitizeLine(l.Path)
	if !l.Up {
		delete(m.links, l.Peer)
		return
	}
	m.links[l.Peer] = l
}
