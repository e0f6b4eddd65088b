package bearer

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// MaxTokenBytes is the longest token that is looked at. Tokens of a few hundred group names fit; the frame that
// carries one before CONNECTED is not allowed to be longer by default.
const MaxTokenBytes = 8 << 10

// digest stands for a token, or the signed part of one, wherever it is remembered, so that no memory image of a cache has a token in it.
type digest [sha256.Size]byte

func digestOf(token string) digest {
	var ordinary [512]byte // an opaque token fits, and then this allocates nothing
	return sha256.Sum256(append(ordinary[:0], token...))
}

// credential is the CredentialID of a token that has no name of its own.
func (d digest) credential() string { return "sha256:" + hex.EncodeToString(d[:16]) }

// checkSyntax keeps out what is no b64token (RFC 6750 section 2.1), above all white space, which base64 decoders
// skip: one token would have many spellings.
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

// claimedIssuer returns the iss that a token in the form of a signed JWT claims, and "" for any other. Nobody has
// verified it: it serves to choose who verifies the token, and whoever does compares it again.
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

// oneSpelling reports whether no bit of a compact JWS is set that base64 ignores. Such bits do not count for the
// signature either, so without this check one token would have many spellings, and many digests.
func oneSpelling(token string) bool {
	for segment := range strings.SplitSeq(token, ".") {
		var out [3]byte
		if _, err := strict.Decode(out[:], []byte(segment[len(segment)&^3:])); err != nil {
			return false
		}
	}
	return true
}

// signedPart is a compact JWS without its signature. Whoever has an ECDSA signature can make another one that is as
// good; this part he cannot change.
func signedPart(token string) string { return token[:strings.LastIndexByte(token, '.')] }
