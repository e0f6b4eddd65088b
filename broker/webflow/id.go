package webflow

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
)

// WebSocketID returns the webSocketId that Web Flow derives from an operation
// id: its SHA-512 in lower-case hex. Anyone who knows the operation id can
// compute it; see [Options.HMACKey].
func WebSocketID(operationID string) string {
	sum := sha512.Sum512([]byte(operationID))
	var digits [2 * sha512.Size]byte
	hex.Encode(digits[:], sum[:])
	return string(digits[:])
}

// WebSocketID returns the webSocketId that [Flow.Open] derives for an
// operation: the result of the function [WebSocketID], or the HMAC-SHA-256 in
// lower-case hex if [Options.HMACKey] is set.
func (f *Flow) WebSocketID(operationID string) string { return f.derive(operationID) }

// derivation returns the function that derives webSocketIds. The closure holds
// the key so that printing a Flow does not show it.
func derivation(key []byte) func(string) string {
	if key == nil {
		return WebSocketID
	}
	return func(operationID string) string {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(operationID))
		return hex.EncodeToString(h.Sum(nil))
	}
}
