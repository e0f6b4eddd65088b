package auth

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// Revocation takes back what has been granted. Exactly one of User, Session and Credential is set.
type Revocation struct {
	// User is the name of a user: every credential issued to it before At is refused, its unused tickets are dead
	// and its sessions end.
	User string
	// Session is the id of one session, which ends. Its credential stays good.
	Session string
	// Credential is a [Principal.CredentialID]: it is refused from now on, unused tickets minted with it are dead
	// and its sessions end.
	Credential string
	// At is the moment that what a User revocation refuses was issued before; the zero time means now. It may not be
	// more than [MaxClockSkew] in the future.
	At time.Time
	// Until is when a revoked Credential runs out by itself, so that its revocation can be forgotten; the zero time
	// means that it is not known, and then it is remembered as long as the Store lives, in some 100 bytes.
	Until time.Time
}

// ErrRevocation says that a [Revocation] names nothing, more than one thing, or a time too far in the future.
var ErrRevocation = errors.New("auth: a revocation names exactly one of user, session and credential, and no future time")

// Store holds what all nodes of a broker have to agree on: the tickets that have not been used, those that have, the
// credential epochs of users, and revocations. It is in memory and belongs to one process, so a ticket is single-use
// within one Store, and it is one Store that all [Tickets] and the broker of a process share.
//
// What it keeps is bounded: tickets by [TicketOptions], used and dead ones until they would have expired, epochs and
// user revocations to one small record a user. It sweeps a few entries at a time as new ones come and starts no
// goroutine. A Store is safe for concurrent use; the zero value is not ready, use [NewStore].
type Store struct {
	mu          sync.RWMutex
	clock       int64 // the last stamp
	born        int64 // the first one
	entries     map[digest]*entry
	expiry      expiryHeap        // of all entries
	outstanding map[string][]*entry // the unused tickets of each subject
	remembered  int               // entries of dead opaque tickets
	users       map[string]mark
	credentials lapsing // revoked until

	watching sync.Mutex
	watchers map[*func(Revocation)]struct{}
}

// mark is what is kept of a user whose credentials were changed or revoked.
type mark struct {
	epoch   int64
	revoked time.Time
}

// NewStore returns an empty Store.
func NewStore() *Store {
	s := &Store{
		entries:     make(map[digest]*entry),
		outstanding: make(map[string][]*entry),
		users:       make(map[string]mark),
		watchers:    make(map[*func(Revocation)]struct{}),
	}
	s.born = s.stamp()
	return s
}
