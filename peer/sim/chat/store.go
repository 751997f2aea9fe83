package chat

import (
	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// store is a peer's log, which outlives its lives. It tells the judge what its owner has stored of its own, because
// nothing else may be sent.
type store struct {
	*history.Memory
	room *Room
	i    int
}

// Append is gossip.Log's.
func (s *store) Append(events []wire.Event) error {
	if err := s.Memory.Append(events); err != nil {
		return err
	}
	for k := range events {
		if e := &events[k]; e.Author == s.room.ID(s.i) {
			s.room.stored(s.i, e)
		}
	}
	return nil
}
