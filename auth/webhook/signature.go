package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// SignatureHeader is the header of a question that says that it comes from a holder of [Options.Secret]. How to verify
// it is described in the documentation of the package.
const SignatureHeader = "Hoofbeat-Signature"

// signature returns the value of the header. The time is signed too, so that an old question cannot be used again.
func signature(secret, body []byte, now time.Time) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
