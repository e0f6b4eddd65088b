package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// SignatureHeader is the header that proves that a question comes from a holder
// of [Options.Secret]. The package documentation describes how to verify it.
const SignatureHeader = "Hoofbeat-Signature"

// Signature returns the value of the header for a body: "t=", the seconds since
// 1970, ",v1=", and the HMAC-SHA-256 of the seconds, a dot and the body, in
// hexadecimal. The time is signed too, so that an old question cannot be
// replayed.
func Signature(secret, body []byte, now time.Time) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
