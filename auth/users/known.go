package users

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// known remembers the passcodes that were right, as digests under a key that only this process has and that is never
// written down, so that a user who comes back need not wait for a check. It belongs to one list of users and is gone
// with it; a digest covers the hash too, so that none outlives the passcode it is of.
type known struct {
	key [sha256.Size]byte

	mu      sync.Mutex
	digests map[string][sha256.Size]byte // by name, at most one for each user
}

func newKnown() *known {
	k := &known{digests: make(map[string][sha256.Size]byte)}
	_, _ = rand.Read(k.key[:]) // never fails, see crypto/rand
	return k
}

func (k *known) digest(hash []byte, passcode string) (d [sha256.Size]byte) {
	m := hmac.New(sha256.New, k.key[:])
	_, _ = m.Write(hash) // of a fixed length; never fails
	_, _ = m.Write([]byte(passcode))
	m.Sum(d[:0])
	return d
}

// is reports whether the passcode was right for the user before.
func (k *known) is(name string, user record, passcode string) bool {
	k.mu.Lock()
	before, ok := k.digests[name]
	k.mu.Unlock()
	if !ok {
		return false
	}
	now := k.digest(user.hash, passcode)
	return hmac.Equal(before[:], now[:])
}

func (k *known) remember(name string, user record, passcode string) {
	d := k.digest(user.hash, passcode)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.digests[name] = d
}
