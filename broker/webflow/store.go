package webflow

import (
	"context"
	"errors"
)

// Errors that a [Store] returns, besides [ErrUnknown] and [ErrExists]. Every
// other error means that the Store does not work, or that it is not known
// whether it did what was asked.
var (
	// ErrConflict is returned by Update and Delete if the record has been
	// replaced since it was read.
	ErrConflict = errors.New("webflow: the operation has changed meanwhile")
	// ErrUnavailable is returned by the methods of a Flow whose Store fails or
	// does not answer in time. Repeat the call later: it may or may not have
	// been done, and repeating it does no harm. It wraps the error of the
	// Store.
	ErrUnavailable = errors.New("webflow: the store of operations does not answer")
)

// A Store keeps the records of operations for one Flow, or for those of several
// nodes. [NewMemory] makes the one for a single process.
//
// A Store does no work of its own: the Flows decide what ends an operation, and
// delete it. Each method returns when ctx ends, at the latest. All methods must
// be safe for concurrent use, and must see what the methods that returned
// before have written, on whatever node.
//
// The Store owns each record that it gets or returns from then on: nobody may
// change it.
type Store interface {
	// Create stores a new operation and sets r.Revision. The error is ErrExists
	// if there is one with its WebSocketID, or another one that is Named and
	// has its ID.
	Create(ctx context.Context, r *Record) error
	// Update replaces the record whose revision is r.Revision, and sets
	// r.Revision to the new one. The error is ErrConflict if the record was
	// replaced before, ErrUnknown if there is none, and ErrExists if r is Named
	// and another operation has its ID.
	Update(ctx context.Context, r *Record) error
	// Delete removes the record whose revision is r.Revision. The error is
	// ErrConflict if the record was replaced before, and ErrUnknown if there is
	// none.
	Delete(ctx context.Context, r *Record) error
	// Get returns the record with this webSocketId, or ErrUnknown.
	Get(ctx context.Context, webSocketID string) (*Record, error)
	// Find returns the record that is Named and has this ID, or ErrUnknown.
	Find(ctx context.Context, id string) (*Record, error)
	// Watch reports each record that exists, then a Change that is Current, and
	// then each change, whoever made it. It returns when ctx ends or when the
	// Store fails; the Flow then calls it again.
	//
	// The calls of changed follow one another, in the order of the revisions.
	// Intermediate states of an operation may be left out. A Store may call
	// changed before the method that makes the change returns. changed does not
	// block for long and does not call the Store.
	Watch(ctx context.Context, changed func(Change)) error
}

// A Change is a report of [Store.Watch].
type Change struct {
	// Record is the new state. If the operation was deleted, it has the
	// WebSocketID and the Revision of the deletion, and nothing else.
	Record  *Record
	Deleted bool
	// Current says that all records which existed when Watch was called have
	// been reported. Record is nil.
	Current bool
}
