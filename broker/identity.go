package broker

import (
	"crypto/rand"
	"encoding/base32"
)

// Ids are letters and digits that nobody need escape, in lower case.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

const (
	nodeIDSize  = 12 // characters
	nodeTagSize = 6  // of them, at the beginning of a session's id
)

// newNodeID returns the id of this run of the broker among all others: 59 random
// bits. Message-ids begin with it. It begins with a letter, so no message-id looks
// like the value of an `ack` header.
func newNodeID() string {
	var random [8]byte
	rand.Read(random[:]) // never fails
	random[0] &= 0x7f    // a to p
	return idEncoding.EncodeToString(random[:])[:nodeIDSize]
}

// newSessionID returns the tag of the node and 128 random bits as text. Whoever
// knows the id of a session may get what is meant for it, from a program or by
// the admin API, so it cannot be guessed; a UUID of version 4 has 122. The tag
// says which node has the session, and is no part of the secret.
func newSessionID(node string) string {
	var random [16]byte
	rand.Read(random[:]) // never fails
	var id [nodeTagSize + 26]byte
	copy(id[:], node[:nodeTagSize])
	idEncoding.Encode(id[nodeTagSize:], random[:])
	return string(id[:])
}
