package users

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/hoofbeat/hoofbeat/auth"
)

// User is one user of a [Store].
type User struct {
	// Name is the login that the client sends. It must be an [auth.ValidName]
	// and unique, compared byte by byte.
	Name string
	// Hash is the bcrypt hash of the passcode, as made by [Hash] or htpasswd
	// -B: $2a$, $2b$ or $2y$ with a cost from MinCost to MaxCost.
	Hash string
	// Roles are the principal's roles.
	Roles []string
}

// UserError describes an invalid user given to [New] or [Store.Replace]. It
// never shows a hash.
type UserError struct {
	// Index is the user's position among those given, from 0.
	Index int
	// Name is the user's name.
	Name string
	// Err is the problem.
	Err error
}

// Error returns the position, the name and the problem on one line.
func (e *UserError) Error() string {
	return fmt.Sprintf("users: user %d (%q): %v", e.Index, e.Name, e.Err)
}

// Unwrap returns Err.
func (e *UserError) Unwrap() error { return e.Err }

// ErrDuplicate reports that a name occurs twice.
var ErrDuplicate = errors.New("the name is already taken by an earlier user")

// table is one list of users. It is immutable except for the cache known.
type table struct {
	users   map[string]record
	cost    int            // the highest cost of all users
	dummies map[int][]byte // by cost: hashes used to spend the same time on unknown names
	known   *known
}

type record struct {
	hash       []byte
	cost       int
	roles      []string
	credential string
}

func newTable(list []User) (*table, error) {
	t := &table{users: make(map[string]record, len(list)), cost: DefaultCost, dummies: make(map[int][]byte), known: newKnown()}
	if len(list) > 0 {
		t.cost = MinCost
	}
	for i, u := range list {
		r, err := newRecord(u)
		if _, taken := t.users[u.Name]; err == nil && taken {
			err = ErrDuplicate
		}
		if err != nil {
			return nil, &UserError{Index: i, Name: u.Name, Err: err}
		}
		t.users[u.Name] = r
		t.cost = max(t.cost, r.cost)
	}
	for cost := MinCost; cost <= t.cost; cost++ {
		t.dummies[cost] = []byte(dummyHash(cost))
	}
	return t, nil
}

func newRecord(u User) (record, error) {
	if err := auth.ValidName(u.Name); err != nil {
		return record{}, err
	}
	cost, err := parseHash(u.Hash)
	if err != nil {
		return record{}, err
	}
	sum := sha256.Sum256([]byte(u.Name + "\x00" + u.Hash))
	return record{
		hash:       []byte(u.Hash),
		cost:       cost,
		roles:      slices.Clone(u.Roles),
		credential: "users:" + hex.EncodeToString(sum[:8]),
	}, nil
}
