package sqlstore

import (
	"errors"
	"fmt"

	sqlitedriver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/handset-oidc/handset/storage"
)

var errReadOnly = errors.New("the database was opened to be read")

var errClosed = fmt.Errorf("%w: the store is closed", storage.ErrUnavailable)

// unavailable says that nothing was decided, and why.
func unavailable(cause error) error {
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, cause)
}

// code is the driver's extended result code, 0 for other errors.
func code(err error) int {
	if e, ok := errors.AsType[*sqlitedriver.Error](err); ok {
		return e.Code()
	}
	return 0
}

func isBusy(err error) bool {
	primary := code(err) & 0xff
	return primary == codes.SQLITE_BUSY || primary == codes.SQLITE_LOCKED
}

// classify turns the driver's errors into those of package storage. What the
// database can't do now (locked, disk full, I/O error, a disk that was
// remounted read-only) is ErrUnavailable.
func classify(err error) error {
	c := code(err)
	if c == 0 || errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	if c == codes.SQLITE_CONSTRAINT_UNIQUE || c == codes.SQLITE_CONSTRAINT_PRIMARYKEY {
		return fmt.Errorf("%w: %w", storage.ErrConflict, err)
	}
	switch c & 0xff {
	case codes.SQLITE_NOTADB:
		return fmt.Errorf("the file is not a SQLite database (%w)", err)
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_FULL, codes.SQLITE_IOERR, codes.SQLITE_CANTOPEN,
		codes.SQLITE_READONLY:
		return unavailable(err)
	}
	return err
}
