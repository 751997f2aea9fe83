package tui

import "strings"

// invited shows an invitation: the link in the timeline, and over everything the code if it was asked for.
func (m *Model) invited(msg Invitation) {
	room, link, note := "#"+SanitizeLine(msg.Room), SanitizeLine(msg.Link), SanitizeLine(msg.Note)
	if link == "" {
		m.note(m.room(), itemError, "no invitation into "+room+": "+note)
		m.room().follow()
		return
	}
	lines := []string{link}
	if note != "" {
		lines = append(lines, note)
	}
	if len(msg.Codes) == 0 {
		lines = append(lines, "as a QR code: /invite "+room+" qr")
	}
	m.answer(m.room(), "whoever opens this link, by peerchat join '…' or /connect, comes into "+room+":", lines)
	if len(msg.Codes) > 0 && !m.bare && m.overlay.mode == overlayNone {
		m.overlay = overlay{mode: overlayCode, text: room, codes: msg.Codes}
	}
}

// codePage is the page of a QR code on a screen of w by h cells: its title, and the most complete code that fits below,
// or the reason why there is none.
func (m *Model) codePage(w, h int) (title string, code []string, why string) {
	o := m.overlay
	title = "Scan to come into " + o.text + "; any key closes"
	if m.cfg.ASCII {
		return title, nil, "This terminal has no half blocks to draw a QR code with. The link itself is in the timeline: any key goes back to it."
	}
	for i, c := range o.codes {
		if len(c)+1 > h || len(c) == 0 || textWidth(c[0]) > w {
			continue
		}
		if i > 0 {
			title += " (" + itoa(len(o.codes)-i) + " of " + plural(len(o.codes), "address", "addresses") + ")"
		}
		return title, c, ""
	}
	smallest := o.codes[len(o.codes)-1]
	return title, nil, "This terminal is too small for the QR code: it takes " + itoa(textWidth(strings.Join(smallest[:min(1, len(smallest))], ""))) +
		" by " + itoa(len(smallest)+1) + " cells, and there are " + itoa(w) + " by " + itoa(h) +
		". Make it larger, or the letters smaller. The link itself is in the timeline: any key goes back to it."
}
