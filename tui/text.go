package tui

import (
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// maxCluster bounds the code points of one grapheme cluster on the screen. The longest emoji has ten; longer ones are
// meant to spill over their cell, and are drawn as a replacement character.
const maxCluster = 16

// nextCluster cuts the first grapheme cluster (Unicode UAX 29) from s and says how many cells it takes, 0 to 2. Where
// the cluster is not fit to be drawn, shown differs from it.
func nextCluster(s string) (cluster, shown string, width int) {
	if s == "" {
		return "", "", 0
	}
	if c := s[0]; c >= 0x20 && c < 0x7f && (len(s) == 1 || s[1] < 0x80) {
		return s[:1], s[:1], 1
	}
	cluster, _, width, _ = uniseg.FirstGraphemeClusterInString(s, -1)
	shown = cluster
	if len(cluster) > maxCluster && utf8.RuneCountInString(cluster) > maxCluster {
		shown, width = "\uFFFD", 1
	}
	if width > 2 {
		width = 2 // terminals have no wider cells
	}
	return cluster, shown, width
}

// textWidth is the number of cells that s takes on one line.
func textWidth(s string) int {
	n := 0
	for s != "" {
		c, _, w := nextCluster(s)
		n += w
		s = s[len(c):]
	}
	return n
}

// truncate cuts s to at most width cells; what is cut ends in more, if that fits.
func truncate(s string, width int, more string) string {
	if width <= 0 {
		return ""
	}
	if len(s) <= width || textWidth(s) <= width {
		return s // a cell takes at least a byte
	}
	if width <= textWidth(more) {
		more = ""
	}
	room := width - textWidth(more)
	used, end := 0, 0
	for end < len(s) {
		c, _, w := nextCluster(s[end:])
		if used+w > room {
			break
		}
		used += w
		end += len(c)
	}
	return s[:end] + more
}

// padRight and padLeft bring s to exactly width cells.
func padRight(s string, width int, more string) string {
	s = truncate(s, width, more)
	return s + strings.Repeat(" ", max(0, width-textWidth(s)))
}

func padLeft(s string, width int, more string) string {
	s = truncate(s, width, more)
	return strings.Repeat(" ", max(0, width-textWidth(s))) + s
}

// wrap breaks text into rows of at most width cells: at newlines, at spaces where there are any, else within a word
// between two clusters. A space at which it breaks is not shown. There is at least one row.
func wrap(text string, width int) []string {
	if width < 1 {
		width = 1
	}
	var rows []string
	for {
		line, rest, more := strings.Cut(text, "\n")
		rows = wrapLine(rows, line, width)
		if !more {
			return rows
		}
		text = rest
	}
}

func wrapLine(rows []string, line string, width int) []string {
	if len(line) <= width {
		return append(rows, line)
	}
	start, used := 0, 0
	space := -1 // where the last space of the row is, if a word precedes it
	word := false
	for i := 0; i < len(line); {
		c, _, w := nextCluster(line[i:])
		if c == " " {
			if word {
				space = i
			}
		} else {
			word = true
		}
		if used+w > width && i > start {
			end := i
			if c != " " && space >= 0 {
				end = space
			}
			rows = append(rows, strings.TrimRight(line[start:end], " "))
			start = end
			for start < len(line) && line[start] == ' ' {
				start++
			}
			i, used, space, word = start, 0, -1, false
			continue
		}
		used += w
		i += len(c)
	}
	if start < len(line) || start == 0 {
		rows = append(rows, line[start:])
	}
	return rows
}

// wrapHard breaks text into rows of exactly what fits, as an editor does, and reports the byte offset at which each
// row starts. A row ends before its newline.
func wrapHard(text string, width int) (rows []string, starts []int) {
	if width < 1 {
		width = 1
	}
	start, used := 0, 0
	for i := 0; i < len(text); {
		if text[i] == '\n' {
			rows, starts = append(rows, text[start:i]), append(starts, start)
			i++
			start, used = i, 0
			continue
		}
		c, _, w := nextCluster(text[i:])
		if used+w > width && i > start {
			rows, starts = append(rows, text[start:i]), append(starts, start)
			start, used = i, 0
		}
		used += w
		i += len(c)
	}
	return append(rows, text[start:]), append(starts, start)
}
