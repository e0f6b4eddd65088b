package oauth

import (
	"context"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
)

// Records keep what a [Client] must not lose with its process: unfinished
// logins, sessions, logouts and, with [NewRecordTokens], tokens. Package
// broker/cluster has an implementation. Clients of several processes that share
// one work together.
//
// A record has a kind, a name and a value, which is secret: an implementation
// encrypts it, or the disk is. Every method returns when ctx ends, at the
// latest. An error means that it is not known whether the step was done. All
// methods must be safe for concurrent use, and must see what the methods that
// returned before have written, by whatever process.
type Records interface {
	// Create stores a new record and returns its revision, or 0 if there is one
	// with this kind and name. until is when it may be forgotten; the zero time
	// means never.
	Create(ctx context.Context, kind, name string, value []byte, until time.Time) (revision uint64, err error)
	// Get returns a record and its revision, which is 0 if there is none.
	Get(ctx context.Context, kind, name string) (value []byte, revision uint64, err error)
	// Update replaces the record with this revision and returns the new one, or
	// 0 if it has been replaced or removed.
	Update(ctx context.Context, kind, name string, value []byte, revision uint64, until time.Time) (now uint64, err error)
	// Remove removes the record with this revision. Of all calls for a
	// revision, in all processes, at most one reports true.
	Remove(ctx context.Context, kind, name string, revision uint64) (removed bool, err error)
	// Watch reports each record of a kind, calls current, and then reports each
	// change, in the order of the revisions, until ctx ends or the Records
	// fail. key is the same for all reports about a record. value is nil if it
	// was removed. A record that is forgotten need not be reported.
	Watch(ctx context.Context, kind string, changed func(key string, value []byte, revision uint64), current func()) error
}

// The kinds of records.
const (
	kindLogin   = "login"
	kindSession = "session"
	kindLogout  = "logout"
	kindToken   = "token"
)

func (d digest) name() string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// NewRecordTokens returns a [TokenStore] that keeps the tokens in Records,
// encrypted with AES-256-GCM. The key is 32 random bytes; keep it somewhere
// else. It is nil if the Records, or the disk, are encrypted. The error is
// [ErrStoreKey]. The tokens have no limit of their own.
func NewRecordTokens(r Records, key []byte) (TokenStore, error) {
	if key == nil {
		return recordTokens{records: r}, nil
	}
	aead, err := newAEAD(key)
	return recordTokens{r, aead}, err
}

type recordTokens struct {
	records Records
	aead    cipher.AEAD // nil: none
}

// tokenName is the name of an entry's record. No user's name contains a NUL.
func (k Key) tokenName() string { return k.Provider + "\x00" + k.User }

// Load returns the entry of k or [ErrNoToken].
func (s recordTokens) Load(ctx context.Context, k Key) (*Token, error) {
	t, _, err := s.load(ctx, k)
	if err == nil && t == nil {
		return nil, ErrNoToken
	}
	return t, err
}

var errRecord = errors.New("oauth: a record is damaged")

func (s recordTokens) load(ctx context.Context, k Key) (t *Token, revision uint64, err error) {
	value, revision, err := s.records.Get(ctx, kindToken, k.tokenName())
	if err != nil || revision == 0 {
		return nil, 0, err
	}
	e, err := s.decode(value)
	if err == nil && e.Key != k {
		err = errRecord
	}
	return e.Token, revision, err
}

// decode reads a record. It names its user, so that no record is taken for that
// of another one.
func (s recordTokens) decode(value []byte) (e fileEntry, err error) {
	if s.aead != nil {
		if value, err = s.aead.Open(nil, nil, value, []byte(kindToken)); err != nil {
			return fileEntry{}, ErrStoreKey
		}
	}
	if json.Unmarshal(value, &e) != nil || e.Token == nil {
		return fileEntry{}, errRecord
	}
	return e, nil
}

// Keys returns the keys of all entries.
func (s recordTokens) Keys(ctx context.Context) (keys []Key, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var damaged error
	complete := false
	err = s.records.Watch(ctx, kindToken, func(_ string, value []byte, _ uint64) {
		if value == nil || complete {
			return
		}
		e, err := s.decode(value)
		if err != nil {
			damaged = err
			return
		}
		keys = append(keys, e.Key)
	}, func() {
		complete = true
		cancel()
	})
	switch {
	case damaged != nil:
		return nil, damaged
	case !complete:
		return nil, err
	}
	return keys, nil
}

// Update replaces the entry of k. If somebody else does so meanwhile, change
// decides again.
func (s recordTokens) Update(ctx context.Context, k Key, change func(*Token) *Token) error {
	for {
		old, revision, err := s.load(ctx, k)
		if err != nil {
			return err
		}
		t := change(old)
		if t == old {
			return nil
		}
		done, err := s.replace(ctx, k, t, revision)
		if err != nil || done {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// replace reports false if the entry has changed since it had this revision.
func (s recordTokens) replace(ctx context.Context, k Key, t *Token, revision uint64) (done bool, err error) {
	if t == nil {
		return s.records.Remove(ctx, kindToken, k.tokenName(), revision)
	}
	value, err := json.Marshal(fileEntry{k, t})
	if err != nil {
		return false, err
	}
	if s.aead != nil {
		value = s.aead.Seal(nil, nil, value, []byte(kindToken))
	}
	if revision == 0 {
		revision, err = s.records.Create(ctx, kindToken, k.tokenName(), value, time.Time{})
	} else {
		revision, err = s.records.Update(ctx, kindToken, k.tokenName(), value, revision, time.Time{})
	}
	return revision > 0, err
}

// MoveTokens copies the entries of a file into another store and returns their
// number. Entries that the store has already are newer, and stay. It may be
// repeated. The file does not change: rename it afterwards, so that its tokens,
// of which most providers accept each once, are not used again.
func MoveTokens(ctx context.Context, from *FileStore, to TokenStore) (n int, err error) {
	from.mu.Lock()
	defer from.mu.Unlock()
	for k, one := range from.tokens.entries {
		moved := false
		if err := to.Update(ctx, k, func(old *Token) *Token {
			if moved = old == nil; moved {
				return one.token
			}
			return old
		}); err != nil {
			return n, err
		}
		if moved {
			n++
		}
	}
	return n, nil
}
