package tui

import (
	"hash/fnv"

	"github.com/gdamore/tcell/v2"
)

// ColorMode says which colours the screen uses. Colour is never the only sign of anything.
type ColorMode uint8

// The modes of colour.
const (
	ColorAuto ColorMode = iota // 16 colours, or none if NO_COLOR is set or the terminal has fewer than 8
	ColorNone                  // bold, dim, underlined and reverse only
	Color16                    // the terminal's own 16 colours
)

// theme is the styles of the screen.
type theme struct {
	text, dim, strong, alert, unread, mention tcell.Style

	bar, barStrong, barDim tcell.Style // top and status line
	barAlert, barUnread    tcell.Style
	barMention             tcell.Style
	line                   tcell.Style // separators, day lines
	marker                 tcell.Style
	selected               tcell.Style
	match                  tcell.Style
	heading                tcell.Style
	names                  []tcell.Style
	own                    tcell.Style
	code                   tcell.Style // light half blocks on dark
}

func newTheme(color bool) theme {
	d := tcell.StyleDefault
	if !color {
		bar := d.Reverse(true)
		return theme{
			text: d, dim: d.Dim(true), strong: d.Bold(true), alert: d.Bold(true), unread: d.Bold(true),
			mention: d.Bold(true).Underline(true),
			bar:     bar, barStrong: bar.Bold(true), barDim: bar, barAlert: bar.Bold(true), barUnread: bar.Bold(true),
			barMention: bar.Bold(true).Underline(true),
			line:       d.Dim(true), marker: d.Bold(true), selected: d.Reverse(true), match: d.Reverse(true).Underline(true),
			heading: d.Bold(true), names: []tcell.Style{d.Bold(true)}, own: d, code: d,
		}
	}
	bar := d.Background(tcell.ColorGray).Foreground(tcell.ColorWhite)
	t := theme{
		text: d, dim: d.Dim(true), strong: d.Bold(true), alert: d.Foreground(tcell.ColorRed).Bold(true),
		unread: d.Foreground(tcell.ColorTeal).Bold(true), mention: d.Foreground(tcell.ColorFuchsia).Bold(true),
		bar: bar, barStrong: bar.Bold(true), barDim: bar.Foreground(tcell.ColorSilver),
		barAlert: bar.Foreground(tcell.ColorYellow).Bold(true), barUnread: bar.Foreground(tcell.ColorAqua).Bold(true),
		barMention: bar.Foreground(tcell.ColorYellow).Bold(true),
		line:       d.Dim(true), marker: d.Foreground(tcell.ColorRed),
		selected: d.Reverse(true), match: d.Background(tcell.ColorOlive).Foreground(tcell.ColorBlack).Bold(true).Underline(true),
		heading: d.Bold(true).Foreground(tcell.ColorTeal), own: d.Bold(true),
		code: d.Foreground(tcell.ColorWhite).Background(tcell.ColorBlack),
	}
	// Of the 16 colours those that can be read on light and on dark; red is for
	// errors. What is dim is not grey, which some palettes give the colour of the background.
	for _, c := range []tcell.Color{
		tcell.ColorGreen, tcell.ColorTeal, tcell.ColorPurple, tcell.ColorOlive, tcell.ColorBlue, tcell.ColorFuchsia,
		tcell.ColorAqua, tcell.ColorMaroon,
	} {
		t.names = append(t.names, d.Foreground(c))
	}
	return t
}

// name is the style of a peer's name: stable, because it comes from the ID.
func (t *theme) name(id string) tcell.Style {
	return t.names[ColorKey(id)%uint32(len(t.names))]
}

// ColorKey is a number that is the same for a peer wherever it is shown, to choose a colour by.
func ColorKey(id string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(id))
	return h.Sum32()
}

func (t *theme) role(r role, bar bool) tcell.Style {
	if bar {
		return [...]tcell.Style{t.bar, t.barDim, t.barStrong, t.barAlert, t.barUnread, t.barMention}[r]
	}
	return [...]tcell.Style{t.text, t.dim, t.strong, t.alert, t.unread, t.mention}[r]
}
