package webhook

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/hoofbeat/hoofbeat/auth"
)

// digest names a question of what a client may do: it is the SHA-256 of all that distinguishes one from another. So
// an answer that is remembered costs the same whatever a client writes into its destinations.
type digest [sha256.Size]byte

// keyOf returns the name of the question whether p may do act. All that the backend is told is in it; whoever may not
// do the same must not share an answer.
func keyOf(p *auth.Principal, act auth.Action, destination string) digest {
	var space [512]byte // on the stack, for all but the longest
	b := append(space[:0], byte(act))
	b = appendText(b, p.Name)
	b = appendText(b, p.CredentialID)
	b = appendTexts(b, p.Roles)
	b = appendTexts(b, p.Scopes)
	b = appendText(b, destination)
	return sha256.Sum256(b)
}

// appendText writes a text with its length in front, so that no two lists of texts are written the same.
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
