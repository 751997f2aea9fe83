package history

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"
)

// db is a connection to SQLite. It speaks to the driver's connection itself, because database/sql would add a lock, a
// pool and a context to every statement, for a file that has one owner and one connection.
type db struct {
	conn  driver.Conn // nil once it is closed
	stmts map[string]driver.Stmt
	args  [9]driver.NamedValue
}

// connect opens the file at path; query is that of SQLite's URI.
func connect(path, query string) (db, error) {
	uri := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query}
	conn, err := (&sqlite.Driver{}).Open(uri.String())
	if err != nil {
		return db{}, err
	}
	return db{conn: conn, stmts: make(map[string]driver.Stmt)}, nil
}

// close closes the connection. A second one does nothing.
func (d *db) close() error {
	if d.conn == nil {
		return nil
	}
	var errs []error
	for _, st := range d.stmts {
		errs = append(errs, st.Close())
	}
	errs = append(errs, d.conn.Close())
	d.conn, d.stmts = nil, nil
	return errors.Join(errs...)
}

func blob(v driver.Value) []byte { b, _ := v.([]byte); return b }

func str(v driver.Value) string { t, _ := v.(string); return t }

func num(v driver.Value) int64 { n, _ := v.(int64); return n }

// first reads the number that a row begins with.
func first(n *int64) func([]driver.Value) error {
	return func(row []driver.Value) error {
		*n = num(row[0])
		return nil
	}
}

// script runs statements without arguments that are run once.
func (d *db) script(sql string) error {
	st, err := d.conn.Prepare(sql)
	if err != nil {
		return err
	}
	_, err = st.(driver.StmtExecContext).ExecContext(context.Background(), nil)
	return errors.Join(err, st.Close())
}

// stmt is a prepared statement, kept for the life of the connection.
func (d *db) stmt(sql string) (driver.Stmt, error) {
	if st, ok := d.stmts[sql]; ok {
		return st, nil
	}
	if d.conn == nil {
		return nil, errClosed
	}
	st, err := d.conn.Prepare(sql)
	if err == nil {
		d.stmts[sql] = st
	}
	return st, err
}

func (d *db) bind(args []driver.Value) []driver.NamedValue {
	for i, v := range args {
		d.args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return d.args[:len(args)]
}

func (d *db) exec(sql string, args ...driver.Value) error {
	st, err := d.stmt(sql)
	if err != nil {
		return err
	}
	_, err = st.(driver.StmtExecContext).ExecContext(context.Background(), d.bind(args))
	return err
}

// errEnough is what a row function returns to be given no more rows; query returns nil then.
var errEnough = errors.New("enough")

// query calls row for each row of the result. What row is given is valid until it returns; it may run other statements,
// but not this one.
func (d *db) query(sql string, row func([]driver.Value) error, args ...driver.Value) error {
	return d.queryContext(context.Background(), sql, row, args...)
}

// queryContext is query that ends when ctx does.
func (d *db) queryContext(ctx context.Context, sql string, row func([]driver.Value) error, args ...driver.Value) (err error) {
	st, err := d.stmt(sql)
	if err != nil {
		return err
	}
	rows, err := st.(driver.StmtQueryContext).QueryContext(ctx, d.bind(args))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // resets the statement; errors came with Next
	values := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(values); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if row == nil {
			continue
		}
		if err := row(values); err == errEnough {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// transact runs f in a transaction that writes.
func (d *db) transact(f func() error) error { return d.within(sqlBegin, f) }

// within runs f between begin and the end of the transaction.
func (d *db) within(begin string, f func() error) error {
	err := d.exec(begin)
	if ended(err) { // the last transaction has not: it could not be rolled back then
		_ = d.exec(sqlRollback)
		err = d.exec(begin)
	}
	if err != nil {
		return err
	}
	err = f()
	if err == nil {
		err = d.exec(sqlCommit)
	}
	if err != nil {
		if back := d.exec(sqlRollback); back != nil && !ended(back) {
			err = fmt.Errorf("%w (and it could not be rolled back: %v)", err, back)
		}
	}
	return err
}

// ended reports whether err says that there is no transaction: SQLite has rolled it back by itself, as it does when the
// disk is full.
func ended(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == codeError
}
