package bearer

import (
	"context"
	"strings"
	"testing"
)

// FuzzVerify checks that only tokens made by the issuer are accepted.
func FuzzVerify(f *testing.F) {
	s := es256("k")
	srv := newServer(f, keySetOf(f, s.public()))
	v, _ := issuerAt(f, srv, everything)
	good := s.sign(f, goodClaims(issuerName), nil)
	accept(f, v, good)
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for _, token := range []string{
		"", "x", "..", good, good[:len(good)-1], payload + "." + header + "." + signature,
		header + "." + payload + ".", strings.Repeat("a.", 5),
		segment(f, claims{"alg": "none"}) + "." + payload + ".",
		segment(f, claims{"alg": "HS256", "kid": "k"}) + "." + payload + "." + signature,
		forge(f, s, nil, claims{"iss": issuerName}),
	} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, err := v.Verify(context.Background(), token)
		if (p == nil) == (err == nil) {
			t.Fatalf("answered %v, %v", p, err)
		}
		if err == nil && token != good {
			t.Fatalf("accepted %q", token)
		}
	})
}
