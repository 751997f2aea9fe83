package tui

// wideEnough is the width, in columns, from which on the side panes are shown.
const wideEnough = 80

// pane is a part of the screen that can have the focus.
type pane uint8

const (
	paneInput pane = iota
	paneRooms
	paneTimeline
	paneMembers
)

// rect is a part of the screen, in cells.
type rect struct{ x, y, w, h int }

func (r rect) has(x, y int) bool { return x >= r.x && x < r.x+r.w && y >= r.y && y < r.y+r.h }

// layout says where everything is. What is not shown has no size.
type layout struct {
	top, rooms, timeline, members, status, input rect
}

func (l layout) shows(p pane) bool {
	switch p {
	case paneRooms:
		return l.rooms.w > 0
	case paneMembers:
		return l.members.w > 0
	}
	return l.timeline.w > 0 && l.timeline.h > 0
}

// arrange computes the layout from the size of the screen and what is to be shown. The smaller the screen, the less
// stays: the side panes go first, then the top line, then the status line; the input is always there.
func (m *Model) arrange() {
	w, h := max(m.width, 0), max(m.height, 0)
	l := layout{}
	if m.bare {
		l.timeline = rect{0, 0, w, h}
		m.layout = l
		return
	}
	rows, _ := wrapHard(m.promptText(), max(1, m.inputWidth()))
	input := min(len(rows), max(1, min(h/3, 8)))
	input = min(input, h)
	l.input = rect{0, h - input, w, input}
	rest := h - input
	if rest >= 2 {
		rest--
		l.status = rect{0, rest, w, 1}
	}
	if rest >= 3 {
		l.top = rect{0, 0, w, 1}
	}
	l.timeline = rect{0, l.top.h, w, rest - l.top.h}
	if w >= wideEnough && l.timeline.h > 0 && len(m.rooms) > 0 {
		if m.showRooms {
			l.rooms = rect{0, l.timeline.y, 16, l.timeline.h}
			l.timeline.x += 18 // a separator and a blank
			l.timeline.w -= 18
		}
		if m.showMembers {
			side := 16
			if w >= 100 {
				side = 20
				l.timeline.w-- // room for a blank
			}
			l.members = rect{w - side, l.timeline.y, side, l.timeline.h}
			l.timeline.w -= side + 1
		}
	}
	m.layout = l
	if m.focus != paneInput && !l.shows(m.focus) {
		m.focus = paneInput
	}
}

// listTop is the first line shown of a list of size lines in height rows, so that the cursor is in view.
func listTop(cursor, size, height int) int {
	if size <= height {
		return 0
	}
	return max(0, min(cursor-height/2, size-height))
}
