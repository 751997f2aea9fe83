package overlay_test

// plant puts a bug into all members born from now on.
func (l *lab) plant(b *bug) { l.bug = b }
