package idp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strconv"
)

// digest is kept instead of a secret.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

// newSecret returns 256 random bits that need no escaping in a URL, a cookie or
// a header.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// newNumber returns the number, 10 to 99, that the user compares on two
// screens. It is none of those taken, because of two requests with the same
// number a user could approve the wrong one. If all are taken it returns false.
func newNumber(taken map[string]bool) (string, bool) {
	var free []string
	for n := 10; n <= 99; n++ {
		if number := strconv.Itoa(n); !taken[number] {
			free = append(free, number)
		}
	}
	if len(free) == 0 {
		return "", false
	}
	i, err := rand.Int(rand.Reader, big.NewInt(int64(len(free))))
	if err != nil { // never: crypto/rand does not fail
		panic(err)
	}
	return free[i.Int64()], true
}
