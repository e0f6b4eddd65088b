package users

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// known caches correct passcodes, so that a returning user need not wait for a
// bcrypt check. It stores digests under a random key that never leaves this
// process. It belongs to one list of users and is discarded with the list. A
// digest also covers the hash, so it becomes useless when the passcode changes.
type known struct {
	key [sha256.Size]byte

	mu      sync.Mutex
	digests map[string][sha256.Size]byte // by name, at most one per user
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

// is reports whether the passcode was correct for the user before.
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
