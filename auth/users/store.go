package users

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/internal/turns"
)

const (
	maxWaiting        = 1024 // maximum number of waiting logins in all
	maxWaitingNetwork = 64   // maximum number of waiting logins of one network
)

// Store is an [auth.Authenticator] for a list of users. It checks the login and
// passcode headers of CONNECT and, at the handshake, HTTP's "Authorization:
// Basic" unless there is also a ticket. Without either it returns
// [auth.ErrNotMine].
//
// An unknown name takes the same time as a known one, whatever the costs of the
// hashes, so the time does not reveal which names exist. At most half of the
// processors, and at least one, check passcodes at any time; further logins
// wait for a turn until their context is done. A flood of logins therefore
// leaves processors for connected clients. The turns alternate between the
// networks of the logins (an IPv4 address, or the /64 of an IPv6 address): at
// most 64 logins of one network wait, and 1,024 in all. A user whose passcode
// was correct before, since the list was last replaced, needs no turn and does
// not wait.
//
// A Store is safe for concurrent use and starts no goroutine.
type Store struct {
	// OnChange, if set, is called by Replace for every user that it removed or
	// whose hash it changed, after the old hash has become invalid and before
	// Replace returns. Call BumpEpoch of an [auth.Revocations] in it, to invalidate
	// the tickets obtained with the old passcode. Set OnChange before the Store
	// is used.
	OnChange func(user string)

	table   atomic.Pointer[table]
	turns   *turns.Turns[netip.Addr] // by network
	compare func(hash, passcode []byte) error
}

var (
	_ auth.Authenticator = (*Store)(nil)
	_ auth.NameSource    = (*Store)(nil)
)

// New returns a Store of the given users; the list may be empty. The error is a
// [*UserError] about the first user with an invalid [auth.ValidName], a
// duplicate name, or a hash that is not a bcrypt hash or costs too much.
func New(list []User) (*Store, error) {
	t, err := newTable(list)
	if err != nil {
		return nil, err
	}
	s := &Store{
		turns:   newTurns(max(1, runtime.GOMAXPROCS(0)/2)),
		compare: bcrypt.CompareHashAndPassword,
	}
	s.table.Store(t)
	return s, nil
}

// newTurns returns n turns. One network may use all of them, because they are
// few and another network gets the next turn after one check.
func newTurns(n int) *turns.Turns[netip.Addr] {
	return turns.New[netip.Addr](turns.Limits{Turns: n, Share: n, Line: maxWaitingNetwork, Waiting: maxWaiting})
}

// Replace replaces all users at once. The new list decides every login from now
// on, including one whose passcode is being checked at this moment: it fails if
// the user was removed or has another hash. Open sessions stay open. OnChange
// is called for each user that was removed or whose hash changed. The errors
// are those of [New]; after an error the old list remains in force.
func (s *Store) Replace(list []User) error {
	t, err := newTable(list)
	if err != nil {
		return err
	}
	old := s.table.Swap(t)
	if s.OnChange == nil {
		return nil
	}
	for name, was := range old.users {
		if is, still := t.users[name]; !still || !bytes.Equal(is.hash, was.hash) {
			s.OnChange(name)
		}
	}
	return nil
}

// NameSpaces returns the current users' names, for [auth.CheckNames]. Check
// again after [Store.Replace] has added names.
func (s *Store) NameSpaces() []auth.NameSpace {
	t := s.table.Load()
	names := slices.AppendSeq(make([]string, 0, len(t.users)), maps.Keys(t.users))
	slices.Sort(names)
	return []auth.NameSpace{{Source: "users", Names: names}}
}

// Authenticate checks the name and passcode of an attempt. The principal has
// the user's name and roles, is issued now and does not expire. Its
// CredentialID changes whenever the user's hash does.
//
// If the handshake established a principal, a CONNECT with another login is
// rejected, and one with the same login gets [auth.ErrNotMine], because the
// user is already known.
func (s *Store) Authenticate(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	switch a.Stage {
	case auth.StageHandshake:
		return s.handshake(ctx, a)
	case auth.StageConnect:
		return s.connect(ctx, a)
	default:
		return nil, auth.ErrNotMine
	}
}

func (s *Store) handshake(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Ticket != "" || a.Handshake == nil || !hasBasic(a.Handshake.Header) {
		return nil, auth.ErrNotMine // the broker does not count passcode attempts beside a ticket
	}
	r := http.Request{Header: a.Handshake.Header}
	name, passcode, ok := r.BasicAuth()
	if !ok {
		return nil, wrong()
	}
	return s.login(ctx, a.Remote.Addr(), name, passcode)
}

// hasBasic reports whether the Authorization header has the scheme Basic, even
// with a malformed value.
func hasBasic(h http.Header) bool {
	const scheme = "basic"
	value := h.Get("Authorization")
	return len(value) >= len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) &&
		(len(value) == len(scheme) || value[len(scheme)] == ' ')
}

func (s *Store) connect(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Login == "" {
		return nil, auth.ErrNotMine
	}
	if err := a.CheckLogin(); err != nil {
		return nil, err
	}
	if a.Principal != nil {
		return nil, auth.ErrNotMine
	}
	return s.login(ctx, a.Remote.Addr(), a.Login, a.Passcode)
}

func (s *Store) login(ctx context.Context, from netip.Addr, name, passcode string) (*auth.Principal, error) {
	if user, ok := s.right(name, passcode); ok {
		return user.principal(name), nil
	}
	network := httpsec.Network(from)
	if err := s.wait(ctx, network); err != nil {
		return nil, err
	}
	defer s.turns.Give(network)
	t := s.table.Load()
	user, exists := t.users[name]
	if !s.check(t, user, exists, passcode) {
		return nil, wrong()
	}
	// The list may have been replaced meanwhile. A withdrawn hash must not let
	// a client in.
	now, still := s.table.Load().users[name]
	if !still || !bytes.Equal(now.hash, user.hash) {
		return nil, wrong()
	}
	t.known.remember(name, user, passcode)
	return now.principal(name), nil
}

// right reports whether the passcode is known to be correct without a bcrypt
// check.
func (s *Store) right(name, passcode string) (record, bool) {
	t := s.table.Load()
	user, exists := t.users[name]
	return user, exists && t.known.is(name, user, passcode) && s.table.Load() == t
}

func (r record) principal(name string) *auth.Principal {
	return &auth.Principal{
		Method: "users", Name: name, Roles: slices.Clone(r.roles), Issued: time.Now(), CredentialID: r.credential,
		Passcode: true,
	}
}

// check reports whether the passcode is the user's. It always takes the time of
// one check at the table's highest cost: a check at cost c takes 2^c, and 2^c +
// 2^c + 2^(c+1) + … + 2^(max-1) = 2^max.
func (s *Store) check(t *table, user record, known bool, passcode string) bool {
	acceptable := checkPasscode(passcode) == nil
	if !acceptable {
		passcode = "" // bcrypt must not see it, but the time must be the same
	}
	if !known {
		s.spend(t.cost, t, passcode)
		return false
	}
	right := s.compare(user.hash, []byte(passcode)) == nil
	for cost := user.cost; cost < t.cost; cost++ {
		s.spend(cost, t, passcode)
	}
	return right && acceptable
}

// spend takes the time of a check at the given cost. Its result is ignored.
func (s *Store) spend(cost int, t *table, passcode string) {
	_ = s.compare(t.dummies[cost], []byte(passcode))
}

// wait takes a turn. It returns an error when ctx is done or too many logins
// wait.
func (s *Store) wait(ctx context.Context, network netip.Addr) error {
	if s.turns.Take(ctx, network) {
		return nil
	}
	return &auth.Refusal{
		Status:     http.StatusServiceUnavailable,
		RetryAfter: time.Second,
		Reason:     "too many logins at once, try again later",
	}
}

// wrong returns the same refusal for an unknown name and a wrong passcode.
func wrong() error { return &auth.Refusal{Reason: "the login or the passcode is wrong"} }
