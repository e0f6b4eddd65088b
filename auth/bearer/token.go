package bearer

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// MaxTokenBytes is the maximum length of a token. Tokens with a few hundred
// group names fit. It is also the default maximum of a frame before CONNECTED.
const MaxTokenBytes = 8 << 10

// digest replaces a token, or the signed part of one, in caches, so that no
// memory image of a cache contains a token.
type digest [sha256.Size]byte

func digestOf(token string) digest {
	var ordinary [512]byte // holds an opaque token without allocation
	return sha256.Sum256(append(ordinary[:0], token...))
}

// credential returns the CredentialID of a token without a jti.
func (d digest) credential() string { return "sha256:" + hex.EncodeToString(d[:16]) }

// checkSyntax rejects a text that is not a b64token (RFC 6750 section 2.1). In
// particular it rejects white space, which base64 decoders skip, so that one
// token would have many spellings.
func checkSyntax(token string) error {
	if len(token) > MaxTokenBytes {
		return errTooLong
	}
	for i := range len(token) {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return errSyntax
		}
	}
	return nil
}

// claimedIssuer returns the iss that a signed JWT claims, or "" for any other
// token. It is not verified: it only chooses the verifier, which compares it
// again.
func claimedIssuer(token string) string {
	_, rest, ok := strings.Cut(token, ".")
	if !ok {
		return ""
	}
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(raw, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

var strict = base64.RawURLEncoding.Strict()

// oneSpelling reports whether a compact JWS sets no bits that base64 ignores.
// The signature does not cover such bits, so without this check one token would
// have many spellings, and many digests.
func oneSpelling(token string) bool {
	for segment := range strings.SplitSeq(token, ".") {
		var out [3]byte
		if _, err := strict.Decode(out[:], []byte(segment[len(segment)&^3:])); err != nil {
			return false
		}
	}
	return true
}

// signedPart returns a compact JWS without its signature. Anyone can derive a
// second valid signature from an ECDSA signature, but cannot change this part.
func signedPart(token string) string { return token[:strings.LastIndexByte(token, '.')] }
