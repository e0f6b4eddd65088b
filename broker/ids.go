package broker

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

// idEncoding encodes ids as lower-case letters and digits, which need no
// escaping.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

const (
	nodeIDSize  = 12 // characters
	nodeTagSize = 6  // of them, at the beginning of a session's id

	sessionIDSize = nodeTagSize + 26
)

// newNodeID returns a unique id for this run of the broker: 59 random bits.
// Message-ids begin with it. It begins with a letter, so no message-id looks
// like the value of an `ack` header.
func newNodeID() string {
	var random [8]byte
	rand.Read(random[:]) // never fails
	random[0] &= 0x7f    // a to p
	return idEncoding.EncodeToString(random[:])[:nodeIDSize]
}

// likeID reports whether an id is like the message-ids of this broker, or with a
// Relay like those of any broker.
func (b *Broker) likeID(id string) bool {
	if b.o.Relay == nil {
		return strings.HasPrefix(id, b.idPrefix)
	}
	return len(id) > nodeIDSize+1 && id[nodeIDSize] == '-' && id[0] >= 'a' && id[0] <= 'p'
}

// newSessionID returns the tag of the node and 128 random bits as text: the id
// of a session, or of one of its destinations for answers. It must not be
// guessable: who knows the id of a session may get its data through a program or
// the admin API, and who knows that of a destination may send to it; a UUID of
// version 4 has 122 random bits. The tag identifies the node of the session and
// is not part of the secret.
func newSessionID(node string) string {
	var random [16]byte
	rand.Read(random[:]) // never fails
	var id [sessionIDSize]byte
	copy(id[:], node[:nodeTagSize])
	idEncoding.Encode(id[nodeTagSize:], random[:])
	return string(id[:])
}
