// Package tui is peerchat's full-screen terminal: rooms, timeline, members, status and input, and the command language
// that plain mode shares with it.
//
// The pure part (msg, command, sanitize, text, timeline, editor, complete, keys, model, tracker, invite, status,
// layout) is a function of what it is told: Model.Update takes a Msg, Model.Key a key stroke, both take the time, and
// what the user wants comes out as Effects. It holds no goroutine, clock or screen. The shell (theme, view, app) is
// rivo/tview over tcell: App owns the Model in tview's event loop, and everybody else only posts to it.
//
// The package imports nothing of ours: peers, rooms and messages are plain strings here, and cmd/peerchat translates.
// All text that came from elsewhere passes Sanitize before it is kept, and is drawn cell by cell, never through tview's
// markup.
package tui
