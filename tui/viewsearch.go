package tui

import "github.com/gdamore/tcell/v2"

// drawSearch draws the hits of a search in place of the timeline.
func drawSearch(p *part, screen *canvas, at rect) {
	m, t := p.model, p.theme
	s := m.overlay.search
	title, as := m.searchTitle()
	screen.fill(at.x, at.y, at.w, ' ', t.bar)
	used := screen.put(at.x+1, at.y, at.w-1, truncate(title, at.w-2, m.sign("…", "~")), t.role(as, true))
	if keys := "Enter: go there, Esc: back"; textWidth(keys)+used+4 <= at.w && len(s.hits) > 0 {
		screen.put(at.x+at.w-textWidth(keys)-1, at.y, at.w, keys, t.barDim)
	}
	y, end := at.y+1, at.y+at.h
	for _, line := range m.searchHelp() {
		for _, row := range wrap(line, max(1, at.w-2)) {
			if y < end {
				screen.put(at.x+1, y, at.w-1, row, t.dim)
			}
			y++
		}
	}
	height := at.h - 1
	s.top = max(0, min(s.top, s.at), s.at-height+1)
	for i := s.top; i < len(s.hits) && i-s.top < height; i++ {
		p.drawHit(screen, rect{at.x, at.y + 1 + i - s.top, at.w, 1}, &s.hits[i], i == s.at)
	}
}

// drawHit draws a hit in its row.
func (p *part) drawHit(screen *canvas, at rect, h *hit, selected bool) {
	m, t := p.model, p.theme
	head, name, text, spans := m.hitRow(h, at.w-1)
	dim, who, plain, match := t.dim, t.name(h.line.Peer), t.text, t.match
	if h.line.Self {
		who = t.own
	}
	if selected {
		dim, who, plain, match = t.selected, t.selected, t.selected, t.selected.Underline(true).Bold(true)
		screen.fill(at.x, at.y, at.w, ' ', t.selected)
		screen.put(at.x, at.y, 1, ">", t.selected)
	}
	x := 1 + screen.put(at.x+1, at.y, at.w-1, head, dim) + 1
	x += screen.put(at.x+x, at.y, at.w-x, name, who) + 1
	p.putMarked(screen, rect{at.x + x, at.y, at.w - x, 1}, text, spans, plain, match)
}

// putMarked writes text with spans of it in another style.
func (p *part) putMarked(screen *canvas, at rect, text string, spans [][2]int, plain, match tcell.Style) {
	x, from := 0, 0
	for _, s := range append(spans, [2]int{len(text), len(text)}) {
		x += screen.put(at.x+x, at.y, at.w-x, text[from:s[0]], plain)
		x += screen.put(at.x+x, at.y, at.w-x, text[s[0]:s[1]], match)
		from = s[1]
	}
}
