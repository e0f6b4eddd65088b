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
	maxWaiting        = 1024 // logins that wait for a turn, all together
	maxWaitingNetwork = 64   // of one network
)

// Store is an [auth.Authenticator] over a list of users. It knows the login and passcode headers of CONNECT and,
// at the handshake, HTTP's "Authorization: Basic" unless a ticket came with it. An attempt with neither is
// [auth.ErrNotMine].
//
// A name that is not in the list costs the same time as one that is, whatever the costs of the hashes, so that
// the time tells nobody which names exist. At most half of the processors, and at least one, check passcodes at any
// time; further logins wait their turn until their context is done, so that a flood of them leaves the broker
// running for those who are in already. The turns go round among the networks that the logins come from (an IPv4
// address, or the /64 of an IPv6 address): at most 64 of one wait, and 1,024 in all. A user whose passcode was right
// before, since the list was last replaced, takes no turn and waits for nobody.
//
// A Store is safe for concurrent use. It starts no goroutine.
type Store struct {
	// OnChange, if set, is called by Replace for every user whose hash it has changed or whom it has removed, after
	// the old hash has become worthless and before Replace returns. It is the place to call BumpEpoch of an
	// [auth.Store], which kills the tickets that the old passcode has obtained. Set it before the Store is used.
	OnChange func(user string)

	table   atomic.Pointer[table]
	turns   *turns.Turns[netip.Addr] // by network
	compare func(hash, passcode []byte) error
}

var (
	_ auth.Authenticator = (*Store)(nil)
	_ auth.NameSource    = (*Store)(nil)
)

// New returns a Store of the given users, which may be none. The error is a [*UserError] about the first user with
// a name that is no [auth.ValidName] or is taken, or with a hash that is not bcrypt's or too costly.
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

// newTurns returns n turns. One network may have all of them, for they are few, and
// another's comes after one check.
func newTurns(n int) *turns.Turns[netip.Addr] {
	return turns.New[netip.Addr](turns.Limits{Turns: n, Share: n, Line: maxWaitingNetwork, Waiting: maxWaiting})
}

// Replace exchanges all users at once. Every login from now on is decided by the new list, also one whose passcode
// is being checked at this moment: it fails if the user is gone or has another hash by then. Sessions that are
// open stay open. OnChange hears of the users that the old list let in by another hash. If the list has an error, which
// is the same as that of [New], the old one stays in force.
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

// NameSpaces returns the names of the users that there are now, for
// [auth.CheckNames]. Check again when [Store.Replace] has brought new ones.
func (s *Store) NameSpaces() []auth.NameSpace {
	t := s.table.Load()
	names := slices.AppendSeq(make([]string, 0, len(t.users)), maps.Keys(t.users))
	slices.Sort(names)
	return []auth.NameSpace{{Source: "users", Names: names}}
}

// Authenticate checks the name and passcode of an attempt. The principal has the user's name and roles, was issued
// just now, never expires by itself, and its CredentialID changes whenever the user's hash does.
//
// A CONNECT with a login on a connection for which the handshake has established a principal is refused if the
// login is another name than the principal's, and otherwise [auth.ErrNotMine]: who the client is, is known.
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
		return nil, auth.ErrNotMine // beside a ticket no passcode is judged, nor is a try of it counted
	}
	r := http.Request{Header: a.Handshake.Header}
	name, passcode, ok := r.BasicAuth()
	if !ok {
		return nil, wrong()
	}
	return s.login(ctx, a.Remote.Addr(), name, passcode)
}

// hasBasic tells credentials of the Basic scheme, however broken, from those of others.
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
	// The list may have been replaced meanwhile, and a hash that was withdrawn lets nobody in.
	now, still := s.table.Load().users[name]
	if !still || !bytes.Equal(now.hash, user.hash) {
		return nil, wrong()
	}
	t.known.remember(name, user, passcode)
	return now.principal(name), nil
}

// right reports whether the passcode is known to be the user's without a check.
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

// check reports whether the passcode is the user's. It always takes the time of one check at the table's highest
// cost: a check at cost c takes 2^c, and 2^c + 2^c + 2^(c+1) + … + 2^(max-1) = 2^max.
func (s *Store) check(t *table, user record, known bool, passcode string) bool {
	acceptable := checkPasscode(passcode) == nil
	if !acceptable {
		passcode = "" // bcrypt is not to see it, but the time is spent all the same
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

// spend takes the time of a check at that cost. No passcode is right for a dummy, and none would be let in by it.
func (s *Store) spend(cost int, t *table, passcode string) {
	_ = s.compare(t.dummies[cost], []byte(passcode))
}

// wait takes a turn, or gives up when ctx is done or too many wait.
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

// wrong is one and the same refusal for an unknown name and a wrong passcode.
func wrong() error { return &auth.Refusal{Reason: "the login or the passcode is wrong"} }
