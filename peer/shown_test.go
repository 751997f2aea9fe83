package peer

import (
	"cmp"
	"slices"
)

// Shown are the texts of one author as a screen shows them that was told of messages: what was fetched is in its place,
// what was broadcast has to come in order, or all is as it came.
func Shown(messages []Message) []string {
	ordered := slices.Clone(messages)
	live := slices.DeleteFunc(slices.Clone(messages), func(m Message) bool { return m.History })
	bySeq := func(a, b Message) int { return cmp.Compare(a.Seq, b.Seq) }
	if slices.IsSortedFunc(live, bySeq) {
		slices.SortStableFunc(ordered, bySeq)
	}
	var texts []string
	for _, m := range ordered {
		texts = append(texts, m.Text)
	}
	return texts
}
