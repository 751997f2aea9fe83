package tui

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/tview"
)

// canvas is the screen during one frame. It remembers where clusters stand that terminals disagree about.
type canvas struct {
	tcell.Screen
	doubtful []rect
}

// put writes s cell by cell from (x, y), at most width cells, and returns how many it took. Nothing in s means anything
// to it: no tags, no escapes.
func (c *canvas) put(x, y, width int, s string, style tcell.Style) int {
	used := 0
	for s != "" {
		cluster, shown, w := nextCluster(s)
		s = s[len(cluster):]
		if w == 0 {
			continue
		}
		if used+w > width {
			break
		}
		first, n := utf8.DecodeRuneInString(shown)
		var more []rune
		if len(shown) > n {
			more = []rune(shown[n:])
			if spill := spillOf(shown) - w; spill > 0 {
				c.doubtful = append(c.doubtful, rect{x + used + w, y, spill, 1})
			}
		}
		c.SetContent(x+used, y, first, more, style)
		used += w
	}
	return used
}

// spillOf is how many cells a cluster takes on a terminal that does not know it as one.
func spillOf(cluster string) int {
	n := 0
	for _, r := range cluster {
		if r >= 0x1f1e6 && r <= 0x1f1ff || r >= 0x1f3fb && r <= 0x1f3ff {
			n += 2 // flag letters and skin tones, which have no width of their own only within a sequence
			continue
		}
		_, _, w := nextCluster(string(r))
		n += w
	}
	return n
}

// settle ends the frame. A terminal that draws an emoji sequence as its parts writes over the cells behind it, and
// tcell, which does not know, would leave the rest there for ever: so the blanks behind one get a style that makes no
// difference to the eye but is another one, and are written again when the sequence comes and when it goes.
func (c *canvas) settle() {
	for _, r := range c.doubtful {
		for x := r.x; x < r.x+r.w; x++ {
			if shown, style, _ := c.Get(x, r.y); shown == " " || shown == "" {
				c.SetContent(x, r.y, ' ', nil, style.Bold(true))
			}
		}
	}
}

// fill paints a row of blanks, or of a character of one cell.
func (c *canvas) fill(x, y, width int, r rune, style tcell.Style) {
	for i := range max(width, 0) {
		c.SetContent(x+i, y, r, nil, style)
	}
}

// part is one pane of the screen: a tview primitive that draws from the Model. All panes are drawn in tview's event
// loop, which owns the Model.
type part struct {
	*tview.Box
	model *Model
	theme *theme
	draw  func(*part, *canvas, rect)
}

func newPart(m *Model, t *theme, draw func(*part, *canvas, rect)) *part {
	box := tview.NewBox()
	box.SetBackgroundColor(tcell.ColorDefault)
	return &part{Box: box, model: m, theme: t, draw: draw}
}

// Draw implements tview.Primitive.
func (p *part) Draw(screen tcell.Screen) {
	c := &canvas{Screen: screen}
	p.paint(c)
	c.settle()
}

func (p *part) paint(c *canvas) {
	if x, y, w, h := p.GetRect(); w > 0 && h > 0 {
		p.draw(p, c, rect{x, y, w, h})
	}
}

// root holds the panes and gives them their places. It has the focus all the time: which pane keys go to is the
// Model's business.
type root struct {
	*tview.Box
	app                                                      *App
	top, rooms, timeline, members, status, input, help, code *part
}

func newRoot(a *App) *root {
	box := tview.NewBox()
	box.SetBackgroundColor(tcell.ColorDefault)
	m, t := a.model, &a.theme
	return &root{
		Box: box, app: a,
		top: newPart(m, t, drawTop), rooms: newPart(m, t, drawRooms), timeline: newPart(m, t, drawTimeline),
		members: newPart(m, t, drawMembers), status: newPart(m, t, drawStatus), input: newPart(m, t, drawInput),
		help: newPart(m, t, drawHelp), code: newPart(m, t, drawCode),
	}
}

// Draw implements tview.Primitive.
func (r *root) Draw(screen tcell.Screen) {
	_, _, w, h := r.GetRect()
	m := r.app.model
	if w != m.width || h != m.height {
		m.Resize(w, h)
	}
	screen.HideCursor()
	c := &canvas{Screen: screen}
	defer c.settle()
	l := m.layout
	place := func(p *part, at rect) {
		p.SetRect(at.x, at.y, at.w, at.h)
		p.paint(c)
	}
	if m.overlay.mode == overlayHelp && !m.bare {
		place(r.help, rect{0, 0, w, h})
		return
	}
	if m.overlay.mode == overlayCode && !m.bare {
		place(r.code, rect{0, 0, w, h})
		return
	}
	place(r.top, l.top)
	place(r.rooms, l.rooms)
	place(r.timeline, l.timeline)
	place(r.members, l.members)
	place(r.status, l.status)
	place(r.input, l.input)
	bar := tview.Borders.Vertical
	if m.cfg.ASCII {
		bar = '|'
	}
	for y := l.timeline.y; y < l.timeline.y+l.timeline.h; y++ {
		if l.rooms.w > 0 {
			screen.SetContent(l.rooms.w, y, bar, nil, r.app.theme.line)
		}
		if l.members.w > 0 {
			screen.SetContent(l.members.x-1, y, bar, nil, r.app.theme.line)
		}
	}
}

// PasteHandler implements tview.Primitive.
func (r *root) PasteHandler() func(string, func(tview.Primitive)) {
	return r.WrapPasteHandler(func(text string, _ func(tview.Primitive)) {
		r.app.effects(r.app.model.Paste(r.app.cfg.Now(), text))
	})
}

// MouseHandler implements tview.Primitive.
func (r *root) MouseHandler() func(tview.MouseAction, *tcell.EventMouse, func(tview.Primitive)) (bool, tview.Primitive) {
	return r.WrapMouseHandler(func(action tview.MouseAction, ev *tcell.EventMouse, _ func(tview.Primitive)) (bool, tview.Primitive) {
		now := r.app.cfg.Now()
		switch action {
		case tview.MouseScrollUp:
			r.app.effects(r.app.model.Wheel(now, -3))
		case tview.MouseScrollDown:
			r.app.effects(r.app.model.Wheel(now, 3))
		case tview.MouseLeftDown:
			x, y := ev.Position()
			r.app.effects(r.app.model.Click(now, x, y))
		default:
			return false, nil
		}
		return true, nil
	})
}

func drawTop(p *part, screen *canvas, at rect) {
	t := p.theme
	more := p.model.sign("…", "~")
	screen.fill(at.x, at.y, at.w, ' ', t.bar)
	room, topic, people := p.model.topLine()
	if textWidth(room)+textWidth(people)+4 > at.w {
		people = ""
	}
	x := 1 + screen.put(at.x+1, at.y, at.w-1, truncate(room, at.w-2, more), t.barStrong)
	end := at.w - 1
	if people != "" {
		end -= textWidth(people)
		screen.put(at.x+end, at.y, at.w-end, people, t.bar)
		end -= 2
	}
	if x += 2; topic != "" && x+4 < end {
		screen.put(at.x+x, at.y, end-x, truncate(topic, end-x, more), t.bar)
	}
}

func drawRooms(p *part, screen *canvas, at rect) {
	m := p.model
	top := listTop(m.current, len(m.rooms), at.h)
	if m.focus == paneRooms {
		top = listTop(m.cursor, len(m.rooms), at.h)
	}
	for i := top; i < len(m.rooms) && i-top < at.h; i++ {
		text, count, as := m.roomLine(i, at.w)
		style := p.theme.role(as, false)
		if m.focus == paneRooms && i == m.cursor {
			style = p.theme.selected
			screen.fill(at.x, at.y+i-top, at.w, ' ', style)
		}
		x := screen.put(at.x, at.y+i-top, at.w, text, style)
		if count != "" {
			screen.put(at.x+x+1, at.y+i-top, at.w-x-1, count, style)
		}
	}
}

func drawMembers(p *part, screen *canvas, at rect) {
	m := p.model
	people := m.room().people()
	top := 0
	if m.focus == paneMembers {
		top = listTop(m.cursor, len(people), at.h)
	}
	for i := top; i < len(people) && i-top < at.h; i++ {
		y := at.y + i - top
		if i-top == at.h-1 && i < len(people)-1 && m.focus != paneMembers {
			screen.put(at.x+2, y, at.w-2, "and "+itoa(len(people)-i)+" more", p.theme.dim)
			break
		}
		mem := people[i]
		sign, name, delay, as := m.memberLine(mem, at.w)
		style, dim := p.theme.name(mem.ID), p.theme.dim
		if mem.ID == m.self.ID {
			style = p.theme.own
		}
		if as == roleDim {
			style = p.theme.dim
		}
		signStyle := p.theme.text
		if m.focus == paneMembers && i == m.cursor {
			style, dim, signStyle = p.theme.selected, p.theme.selected, p.theme.selected
			screen.fill(at.x, y, at.w, ' ', style)
		}
		x := screen.put(at.x, y, at.w, sign, signStyle)
		x += screen.put(at.x+x, y, at.w-x, name, style)
		if delay != "" {
			screen.put(at.x+x+1, y, at.w-x-1, delay, dim)
		}
	}
}

func drawTimeline(p *part, screen *canvas, at rect) {
	m := p.model
	if m.overlay.mode == overlaySearch && !m.bare {
		drawSearch(p, screen, at)
		return
	}
	r := m.room()
	nameWidth, textColumn := m.columns()
	rows := m.viewRows(r, textColumn, at.h)
	if len(rows) == 0 {
		p.drawWelcome(screen, at)
		return
	}
	for i, row := range rows {
		y := at.y + at.h - len(rows) + i
		if m.bare {
			p.drawBare(screen, at, y, row)
			continue
		}
		p.drawRow(screen, at, y, row, nameWidth)
	}
}

func (p *part) drawWelcome(screen *canvas, at rect) {
	lines := []string{"It is quiet here.", "Type a line and press Enter to say it. F1 shows keys and commands."}
	if p.model.room().cleared {
		lines = []string{"You have cleared the screen.", "PgUp brings the lines back."}
	}
	if p.model.room().name == "" {
		lines = []string{"You are in no room yet.", "/join ROOM enters one. F1 shows keys and commands."}
	}
	y := at.y + max(0, at.h/2-1)
	for _, line := range lines {
		for _, part := range wrap(line, at.w-2) {
			if y < at.y+at.h {
				screen.put(at.x+max(0, (at.w-textWidth(part))/2), y, at.w, part, p.theme.dim)
			}
			y++
		}
	}
}

// drawRow draws one row: time, mark and name on an item's first one, then the text.
func (p *part) drawRow(screen *canvas, at rect, y int, row row, nameWidth int) {
	m, t := p.model, p.theme
	if row.kind == rowDay || row.kind == rowMarker {
		p.drawRule(screen, at, y, row)
		return
	}
	if row.kind == rowEdge || row.kind == rowHole {
		screen.put(at.x+max(0, (at.w-textWidth(row.text))/2), y, at.w, row.text, t.dim)
		return
	}
	it := row.item
	name, text := t.name(it.peer), t.text
	if it.self {
		name = t.own
	}
	switch row.kind {
	case rowAction:
		text = t.text.Italic(true)
	case rowPresence, rowTopic, rowNotice:
		name, text = t.dim, t.dim
	case rowError:
		name = t.alert
	case rowAnswer:
		screen.put(at.x+8, y, at.w-8, row.text, t.text)
		return
	}
	if row.first {
		screen.put(at.x, y, min(5, at.w), row.stamp, t.dim)
		if it == m.room().found && at.w > 6 {
			screen.put(at.x+5, y, 1, ">", t.match)
		} else if it.mention {
			name = t.mention
			if at.w > 6 {
				screen.put(at.x+5, y, 1, "!", t.mention)
			}
		}
	}
	x, left := at.x+6, nameWidth
	if row.mark != "" && left > textWidth(row.mark)+1 {
		n := screen.put(x, y, left, row.mark, t.dim)
		x, left = x+n+1, left-n-1
	}
	screen.put(x, y, min(left, at.x+at.w-x), padLeft(row.name, left, m.sign("…", "~")), name)
	x += left + 2
	p.putText(screen, x, y, at.x+at.w-x, row, text)
}

// putText writes a row of a line, with the words marked by which the line was found.
func (p *part) putText(screen *canvas, x, y, width int, row row, style tcell.Style) {
	r := p.model.room()
	if row.item != r.found {
		screen.put(x, y, width, row.text, style)
		return
	}
	p.putMarked(screen, rect{x, y, width, 1}, row.text, spansOf(row.text, r.words), style, p.theme.match)
}

// drawRule draws the line at a new day, or above what is new.
func (p *part) drawRule(screen *canvas, at rect, y int, row row) {
	style, r := p.theme.line, '─'
	if p.model.cfg.ASCII {
		r = '-'
	}
	if p.model.bare {
		screen.put(at.x, y, at.w, "--- "+row.text+" ---", style)
		return
	}
	if row.kind == rowMarker {
		style = p.theme.marker
		screen.fill(at.x, y, at.w, r, style)
		label := " " + row.text + " "
		screen.put(at.x+max(0, at.w-len(label)-2), y, at.w, label, style)
		return
	}
	screen.fill(at.x, y, at.w, r, style)
	label := " " + truncate(row.text, at.w-4, "") + " "
	screen.put(at.x+max(0, (at.w-textWidth(label))/2), y, at.w, label, style)
}

// drawBare draws a row as plain text from the left edge, for copying.
func (p *part) drawBare(screen *canvas, at rect, y int, row row) {
	if row.kind == rowDay || row.kind == rowMarker {
		p.drawRule(screen, at, y, row)
		return
	}
	screen.put(at.x, y, at.w, row.text, p.theme.text)
}

func drawStatus(p *part, screen *canvas, at rect) {
	screen.fill(at.x, at.y, at.w, ' ', p.theme.bar)
	x := 1
	if at.w < 60 {
		x = 0
	}
	for _, s := range p.model.statusLine(at.w - x) {
		x += screen.put(at.x+x, at.y, at.w-x, s.text, p.theme.role(s.role, true)) + 1
	}
}

func drawInput(p *part, screen *canvas, at rect) {
	m := p.model
	prompt := m.prompt()
	style := p.theme.strong
	if m.overlay.mode == overlayPaste {
		rows, _ := wrapHard(m.promptText(), m.inputWidth())
		for i := range min(len(rows), at.h) {
			screen.put(at.x, at.y+i, at.w, rows[i], p.theme.alert)
		}
		return
	}
	if m.focus != paneInput {
		style = p.theme.dim
	}
	x := screen.put(at.x, at.y, at.w, prompt, style)
	text, pos := m.promptText(), m.input.pos
	if m.overlay.mode != overlayNone {
		pos = m.overlay.query.pos
	}
	rows, starts := wrapHard(text, m.inputWidth())
	cursor := rowOf(starts, pos)
	top := max(0, min(cursor-at.h/2, len(rows)-at.h))
	for i := top; i < len(rows) && i-top < at.h; i++ {
		screen.put(at.x+x, at.y+i-top, at.w-x, rows[i], p.theme.text)
	}
	cx := at.x + x + textWidth(text[starts[cursor]:pos])
	if hint := m.hint(); hint != "" && len(rows) == 1 {
		left := at.x + at.w - cx
		screen.put(cx, at.y, left, truncate(hint, left, m.sign("…", "~")), p.theme.dim)
	}
	if m.focus == paneInput && cx < at.x+at.w {
		screen.ShowCursor(cx, at.y+cursor-top)
	}
}

func drawHelp(p *part, screen *canvas, at rect) {
	m := p.model
	lines := m.helpLines()
	screen.fill(at.x, at.y, at.w, ' ', p.theme.bar)
	screen.put(at.x+1, at.y, at.w-1, "Help", p.theme.barStrong)
	scroll := m.sign("↑ ↓ scroll, any other key closes", "Up Down scroll, any other key closes")
	if w := textWidth(scroll); w+8 < at.w {
		screen.put(at.x+at.w-w-1, at.y, w, scroll, p.theme.bar)
	}
	top := max(0, min(m.overlay.at, len(lines)-(at.h-2)))
	for i := top; i < len(lines) && i-top < at.h-2; i++ {
		column := 26
		y, line := at.y+2+i-top, lines[i]
		if heading, ok := strings.CutPrefix(line[0], "#"); ok {
			screen.put(at.x+1, y, at.w-1, heading, p.theme.heading)
			continue
		}
		if line[0] == "" {
			screen.put(at.x+5, y, at.w-5, line[1], p.theme.text)
			continue
		}
		if line[1] == "" {
			column = at.w - 3
		}
		screen.put(at.x+3, y, column-1, truncate(line[0], column-1, m.sign("…", "~")), p.theme.strong)
		screen.put(at.x+column+3, y, at.w-column-3, truncate(line[1], at.w-column-3, m.sign("…", "~")), p.theme.text)
	}
}

// drawCode draws the QR code of an invitation, or says why it cannot.
func drawCode(p *part, screen *canvas, at rect) {
	title, code, why := p.model.codePage(at.w, at.h)
	screen.fill(at.x, at.y, at.w, ' ', p.theme.bar)
	screen.put(at.x+1, at.y, at.w-1, truncate(title, at.w-2, p.model.sign("…", "~")), p.theme.barStrong)
	for i, line := range wrap(why, at.w-2) {
		screen.put(at.x+1, at.y+2+i, at.w-1, line, p.theme.text)
	}
	for i, row := range code {
		screen.put(at.x+max(0, (at.w-textWidth(row))/2), at.y+1+i, at.w, row, p.theme.code)
	}
}

// untilNextMinute is how long the clock of the status line stays right.
func untilNextMinute(now time.Time) time.Duration {
	return now.Truncate(time.Minute).Add(time.Minute).Sub(now)
}
