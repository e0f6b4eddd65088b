package dedup

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key stands for the id of a message within its scope.
type Key [16]byte

// KeyOf returns the key of an id that one user sends to one destination. It is
// a part of a SHA-256: nobody can find two that are alike and so have the
// message of another user ignored.
func KeyOf(user, destination, id string) Key {
	var space [256]byte
	b := space[:0]
	for _, part := range [...]string{user, destination, id} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return Key(sum[:len(Key{})])
}
