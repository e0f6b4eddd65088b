package webhook

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/hoofbeat/hoofbeat/auth"
)

// digest identifies a permission question: it is the SHA-256 of everything that
// distinguishes it from others. A cached answer therefore has the same size,
// whatever destinations a client uses.
type digest [sha256.Size]byte

// keyOf returns the key of the question whether p may do act. It covers
// everything that the backend sees, because principals with different
// permissions must not share an answer.
func keyOf(p *auth.Principal, act auth.Action, destination string) digest {
	var space [512]byte // on the stack, except for the longest
	b := append(space[:0], byte(act))
	b = appendText(b, p.Name)
	b = appendText(b, p.CredentialID)
	b = appendTexts(b, p.Roles)
	b = appendTexts(b, p.Scopes)
	b = appendText(b, destination)
	return sha256.Sum256(b)
}

// appendText writes a text preceded by its length, so that different lists of
// texts give different results.
func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}
