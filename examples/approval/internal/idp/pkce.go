package idp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// proves reports whether a code verifier matches a challenge (RFC 7636 section
// 4.6).
func proves(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	made := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(made), []byte(challenge)) == 1
}
