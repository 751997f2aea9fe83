package history

import "peerchat/peer/wire"

// Gaps tells of each of some events of a room, in display order, how many events of its log are missing just before it: those between it
// and the last one before it that is held, or that is among the events already. 0 is none, or that nothing before it is held.
func (r *Reader) Gaps(room wire.Room, events []wire.Event) (gaps []uint64, err error) {
	err = r.at(func(sn *snapshot) error {
		id, err := sn.id(room)
		if err != nil {
			return err
		}
		gaps = make([]uint64, len(events))
		last := map[wire.LogID]uint64{}
		for i := range events {
			e := &events[i]
			before := last[logOf(e)]
			if last[logOf(e)] = e.Seq; before == e.Seq-1 {
				continue
			}
			if before, err = sn.before(id, e); err != nil {
				return err
			}
			if before > 0 {
				gaps[i] = e.Seq - 1 - before
			}
		}
		return nil
	})
	return gaps, err
}

// before is the number of the last event that is held of the log of e and comes before it; 0 if there is none.
func (sn *snapshot) before(room int64, e *wire.Event) (last uint64, err error) {
	var author, seq int64
	if err := sn.query("SELECT id FROM authors WHERE peer = ?", first(&author), e.Author[:]); err != nil {
		return 0, err
	}
	if err := sn.query(sqlParted, first(&seq), room, author, int64(logOf(e).Start()), int64(e.Seq-1)); err != nil {
		return 0, err
	}
	last = uint64(seq)
	for i := range sn.lines {
		if l := &sn.lines[i]; l.Room == e.Room && logOf(l) == logOf(e) && l.Seq < e.Seq {
			last = max(last, l.Seq)
		}
	}
	return last, nil
}
