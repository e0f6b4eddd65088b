package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// digest is the SHA-256 of a browser's secret. The Client keeps only the
// digest.
type digest [sha256.Size]byte

const secretLength = 43 // characters of newSecret: 32 bytes in base64url

// newSecret returns 256 random bits, safe in URLs and cookies.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

// newCredentialID returns the id of a session's credential. It is not secret
// and not derived from a secret.
func newCredentialID() string {
	var b [16]byte
	rand.Read(b[:])
	return "oidc:" + hex.EncodeToString(b[:])
}
