//go:build !race

package history

import (
	"database/sql"
	"testing"

	"peerchat/peer/wire"
)

// bare is what SQLite does by itself with the same driver: a table, an FTS5 index of external content, one statement
// for each thing.
type bare struct{ db *sql.DB }

func openBare(tb testing.TB, path string) *bare {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	for _, q := range []string{
		`CREATE TABLE lines (id INTEGER PRIMARY KEY, room TEXT, author BLOB, seq INTEGER, lamport INTEGER, time INTEGER, body TEXT)`,
		`CREATE VIRTUAL TABLE words USING fts5 (body, content = 'lines', content_rowid = 'id')`,
	} {
		if _, err := db.Exec(q); err != nil {
			tb.Fatal(err)
		}
	}
	return &bare{db}
}

// insert stores and indexes events in one transaction.
func (s *bare) insert(tb testing.TB, events []wire.Event) {
	tb.Helper()
	tx, err := s.db.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	for i := range events {
		e := &events[i]
		res, err := tx.Exec(`INSERT INTO lines (room, author, seq, lamport, time, body) VALUES (?, ?, ?, ?, ?, ?)`,
			string(e.Room), e.Author[:], e.Seq, e.Lamport, e.Time.UnixMilli(), string(e.Body))
		if err != nil {
			tb.Fatal(err)
		}
		id, err := res.LastInsertId()
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := tx.Exec(`INSERT INTO words (rowid, body) VALUES (?, ?)`, id, string(e.Body)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		tb.Fatal(err)
	}
}

// search finds the newest lines of a room, or of all if it has no name.
func (s *bare) search(tb testing.TB, room wire.Room, query string, limit int) (hits int) {
	tb.Helper()
	rows, err := s.db.Query(`SELECT lines.body FROM words JOIN lines ON lines.id = words.rowid
		WHERE words MATCH ? AND (? = '' OR lines.room = ?) ORDER BY words.rowid DESC LIMIT ?`, query, string(room), string(room), limit)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	for body := ""; rows.Next(); hits++ {
		if err := rows.Scan(&body); err != nil {
			tb.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return hits
}
