package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// The words for people that plain mode and the screen share.

// searchLine says how the search for a tracker goes.
func searchLine(t peer.TrackerChanged) string {
	text := "looking for a tracker"
	if t.State == peer.TrackerLost || t.Err != nil {
		text = "no tracker yet"
	}
	if t.Err != nil {
		text += ": " + tui.SanitizeLine(t.Err.Error())
	}
	return text + tryingText(t)
}

func tryingText(t peer.TrackerChanged) string {
	if t.Trying == "" {
		return ""
	}
	return "; trying " + tui.SanitizeLine(t.Trying)
}

// pathText says how a link goes: " (host, 0.4 ms)".
func pathText(p peer.Path) string {
	var parts []string
	if p.Kind != "" {
		parts = append(parts, p.Kind)
	}
	if p.RTT > 0 {
		parts = append(parts, rttText(p.RTT))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func rttText(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", milliseconds(d))
	}
	return fmt.Sprintf("%.0f ms", milliseconds(d))
}

func roomList(rooms []wire.Room) string {
	names := make([]string, 0, len(rooms))
	for _, r := range rooms {
		names = append(names, r.String())
	}
	return strings.Join(names, ", ")
}

// answerLines writes an answer for people. gaps says of rooms how many events are missing.
func answerLines(a peer.Answer, gaps map[wire.Room]int) []string {
	switch v := a.Value.(type) {
	case peer.PeersAnswer:
		if room, ok := a.Ref.(wire.Room); ok {
			return namesLines(room, v.Peers)
		}
		return peersLines(v.Peers)
	case peer.RoomsAnswer:
		if len(v.Rooms) == 0 {
			return []string{"there are no rooms yet: /join one"}
		}
		lines := make([]string, 0, len(v.Rooms))
		for _, r := range v.Rooms {
			l := fmt.Sprintf("%-20s %4d here", r.Room, r.Members)
			if r.Joined {
				l += ", and you"
			}
			if missing, known := gaps[r.Room]; known {
				l += ", " + gapText(missing)
			}
			if r.Topic != "" {
				l += "  " + tui.SanitizeLine(r.Topic)
			}
			lines = append(lines, l)
		}
		return lines
	case peer.NetAnswer:
		return netLines(v)
	case peer.InviteAnswer:
		ref, _ := a.Ref.(inviteRef)
		return inviteLines(v, ref)
	}
	return nil
}

// sortedRooms are the rooms that something is known of, in order.
func sortedRooms[T any](of map[wire.Room]T) []wire.Room { return slices.Sorted(maps.Keys(of)) }

// gapText says whether a room lacks something.
func gapText(missing int) string {
	if missing > 0 {
		return fmt.Sprintf("%d missing", missing)
	}
	return "synced"
}

func namesLines(room wire.Room, all []peer.PeerInfo) []string {
	names := []string{"you"}
	for _, i := range all {
		if slices.Contains(i.Rooms, room) {
			names = append(names, personText(i.Person))
		}
	}
	return []string{fmt.Sprintf("%s, %d here: %s", room, len(names), strings.Join(names, ", "))}
}

func personText(p peer.Person) string { return tui.SanitizeLine(p.Name) + "#" + p.Peer.Tag() }

func peersLines(list []peer.PeerInfo) []string {
	if len(list) == 0 {
		return []string{"nobody else is known yet"}
	}
	lines := make([]string, 0, len(list))
	for _, i := range list {
		l := fmt.Sprintf("%-20s %-8s", personText(i.Person), i.State)
		if i.State == "linked" {
			l += fmt.Sprintf(" %s %s", i.Path.Kind, i.Path.Remote)
			if i.Path.RTT > 0 {
				l += " " + rttText(i.Path.RTT)
			}
		}
		if len(i.Rooms) > 0 {
			l += "  " + roomList(i.Rooms)
		}
		if i.Voice.Room != "" {
			l += "  in the voice of " + i.Voice.Room.String()
		}
		lines = append(lines, l)
	}
	return lines
}

func netLines(n peer.NetAnswer) []string {
	lines := []string{
		"you      " + personText(n.Self) + " " + n.Self.Peer.String(),
		"tracker  " + trackerText(n.Tracker),
	}
	if n.Term > n.Tracker.Term {
		lines = append(lines, fmt.Sprintf("term     %d is the highest that was seen", n.Term))
	}
	if n.Observed != "" {
		lines = append(lines, "seen as  "+tui.SanitizeLine(n.Observed))
	}
	if len(n.STUN) > 0 {
		lines = append(lines, "stun     "+tui.SanitizeLine(strings.Join(n.STUN, ", ")))
	}
	lines = append(lines, fmt.Sprintf("peers    %d linked of %d known", n.Linked, n.Known))
	if len(n.Peers) > 0 {
		for _, l := range peersLines(n.Peers) {
			lines = append(lines, "  "+l)
		}
	}
	lines = append(lines, candidateLines(n.Candidates)...)
	keys := make([]string, 0, len(n.Counters))
	for k := range n.Counters {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		lines = append(lines, fmt.Sprintf("%-28s %d", k, n.Counters[k]))
	}
	return lines
}

// trackerText says how this peer stands to its tracker, in one line.
func trackerText(t peer.TrackerChanged) string {
	text := string(t.State)
	if t.URL != "" {
		text += " " + shortURL(tui.SanitizeLine(t.URL))
	}
	switch {
	case t.Self:
		text += ", which is you"
	case !t.Leader.IsZero() && t.State == peer.TrackerConnected:
		text += ", hosted by " + personText(peer.Person{Peer: t.Leader, Name: t.Name})
	}
	if t.Term > 0 {
		text += fmt.Sprintf(", term %d", t.Term)
	}
	if t.InMesh {
		text += ", only inside the mesh: nobody could dial it"
	}
	if t.Solo {
		text += ", alone"
	}
	if t.Trying != "" {
		text += ", trying " + tui.SanitizeLine(t.Trying)
	}
	return text
}

// candidateLines is a table of those who could be the tracker, the best first.
func candidateLines(list []peer.CandidateInfo) []string {
	if len(list) == 0 {
		return []string{"if the tracker is lost, nobody that is known could host another"}
	}
	lines := []string{"if the tracker is lost, the first of these that lives becomes it:",
		fmt.Sprintf("  %2s  %-20s %-12s %8s %6s  %s", "#", "peer", "reachable", "priority", "port", "address")}
	for _, c := range list {
		reachable := "not dialable"
		if c.Dialable {
			reachable = "dialable"
		}
		addr := "-"
		if len(c.Addresses) > 0 {
			addr = shortURL(tui.SanitizeLine(c.Addresses[0]))
		}
		l := fmt.Sprintf("  %2d  %-20s %-12s %8d %6d  %s", c.Place, personText(c.Person), reachable, c.Priority, c.Port, addr)
		if c.Leader {
			l += "  the tracker"
		}
		if c.Self {
			l += "  you"
		}
		lines = append(lines, l)
	}
	return lines
}
