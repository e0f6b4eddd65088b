package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// verify is what a backend does, written from the documentation alone.
func verify(secret, header, body string, now time.Time) bool {
	t, v1, found := strings.Cut(header, ",")
	if !found || !strings.HasPrefix(t, "t=") || !strings.HasPrefix(v1, "v1=") {
		return false
	}
	seconds, err := strconv.ParseInt(t[2:], 10, 64)
	if err != nil || math.Abs(float64(now.Unix()-seconds)) > 300 {
		return false
	}
	// HMAC as RFC 2104 defines it: H(K xor opad, H(K xor ipad, text)).
	key := make([]byte, sha256.BlockSize)
	if len(secret) > len(key) {
		sum := sha256.Sum256([]byte(secret))
		copy(key, sum[:])
	} else {
		copy(key, secret)
	}
	inner, outer := sha256.New(), sha256.New()
	for _, k := range key {
		inner.Write([]byte{k ^ 0x36})
		outer.Write([]byte{k ^ 0x5c})
	}
	inner.Write([]byte(t[2:] + "." + body))
	outer.Write(inner.Sum(nil))
	return hmac.Equal([]byte(fmt.Sprintf("%x", outer.Sum(nil))), []byte(v1[3:]))
}

func TestSignature(t *testing.T) {
	for _, secret := range []string{"s3cret", strings.Repeat("long", 40)} {
		b := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			header := r.Header.Get(SignatureHeader)
			if err != nil || !verify(secret, header, string(body), time.Now()) {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			for name, good := range map[string]bool{
				"another secret": verify(secret+"x", header, string(body), time.Now()),
				"another body":   verify(secret, header, string(body)+" ", time.Now()),
				"another time":   verify(secret, strings.Replace(header, "t=", "t=0", 1), string(body), time.Now()),
				"later":          verify(secret, header, string(body), time.Now().Add(time.Hour)),
			} {
				if good {
					t.Errorf("the signature holds for %s", name)
				}
			}
			_, _ = io.WriteString(w, `{"allow":true}`)
		})
		w := newHook(t, Options{URL: b.URL, Secret: secret})
		if _, err := w.Authenticate(t.Context(), connect("alice", "wönder\u2028land")); err != nil {
			t.Errorf("connect: %v", err)
		}
		if err := w.Authorize(t.Context(), alice, auth.Send, "/a"); err != nil {
			t.Errorf("send: %v", err)
		}
		other := newHook(t, Options{URL: b.URL, Secret: "another"})
		if err := other.Authorize(t.Context(), alice, auth.Send, "/a"); err != auth.ErrDenied {
			t.Errorf("with another secret: %v", err)
		}
	}
}

// The value that RFC 4231's algorithm gives for a question that backends can
// test themselves with.
func TestSignatureOfAKnownQuestion(t *testing.T) {
	got := Signature([]byte("secret"), []byte(`{"event":"connect"}`), time.Unix(1800000000, 0))
	if want := "t=1800000000,v1=3f4474684c3a2713aacbd38f798c7e4aabd4987fa042888b042cbeea1ed30c7b"; got != want {
		t.Errorf("signature is %s, want %s", got, want)
	}
}

func TestNoSecretNoSignature(t *testing.T) {
	b := answering(t, 200, `{"allow":true}`)
	if err := newHook(t, Options{URL: b.URL}).Authorize(t.Context(), alice, auth.Send, "/a"); err != nil {
		t.Fatal(err)
	}
	if _, there := b.lastHeader()[SignatureHeader]; there {
		t.Error("there is a signature")
	}
}
