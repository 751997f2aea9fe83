package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// The words for people that plain mode and the screen share.

// trackerLine says how this peer stands to its tracker.
func trackerLine(t peer.TrackerChanged) string {
	why, trying := "", ""
	if t.Err != nil {
		why = ": " + tui.SanitizeLine(t.Err.Error())
	}
	if t.Trying != "" {
		trying = "; trying " + tui.SanitizeLine(t.Trying)
	}
	switch t.State {
	case peer.TrackerHosting:
		return fmt.Sprintf("no tracker answered, so this peer is the tracker now: %s", shortURL(t.URL))
	case peer.TrackerConnected:
		return fmt.Sprintf("connected to the tracker %s", shortURL(tui.SanitizeLine(t.URL)))
	case peer.TrackerLost:
		return "lost the tracker" + why + trying
	case peer.TrackerElecting:
		return "the peers elect a new tracker"
	}
	if why == "" {
		return "looking for a tracker" + trying
	}
	return "no tracker yet" + why + trying
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

// answerLines writes an answer for people.
func answerLines(a peer.Answer) []string {
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
			if r.Topic != "" {
				l += "  " + tui.SanitizeLine(r.Topic)
			}
			lines = append(lines, l)
		}
		return lines
	case peer.NetAnswer:
		return netLines(v)
	}
	return nil
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
		lines = append(lines, l)
	}
	return lines
}

func netLines(n peer.NetAnswer) []string {
	t := strings.TrimSpace(fmt.Sprintf("%s %s", n.Tracker.State, shortURL(tui.SanitizeLine(n.Tracker.URL))))
	if n.Tracker.Term > 0 {
		t += fmt.Sprintf(", term %d", n.Tracker.Term)
	}
	if n.Tracker.Trying != "" {
		t += ", trying " + tui.SanitizeLine(n.Tracker.Trying)
	}
	lines := []string{
		"you      " + personText(n.Self) + " " + n.Self.Peer.String(),
		"tracker  " + t,
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
