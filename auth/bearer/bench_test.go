package bearer

import (
	"context"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// A cached answer allocates only a principal, its Recheck, and a copy of the
// token: the cache does not contain it, and the text that it came in, a frame or
// a header, must not live as long as a session.
func TestCachedIntrospectionAllocatesLittle(t *testing.T) {
	v, _ := introspector(t, newServer(t, active("")), nil)
	const token = "opaque-token-of-an-ordinary-length-43-characters"
	accept(t, v, token)
	if n := testing.AllocsPerRun(100, func() { accept(t, v, token) }); n > 3 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCachedIntrospection(b *testing.B) {
	v, _ := introspector(b, newServer(b, active("")), nil)
	const token = "opaque-token-of-an-ordinary-length-43-characters"
	accept(b, v, token)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJWT(b *testing.B) {
	for _, s := range []signer{{"k", jose.RS256, rsaKey()}, es256("k"), {"k", jose.EdDSA, edKey()}} {
		b.Run(string(s.alg), func(b *testing.B) {
			v, _ := issuerAt(b, newServer(b, keySetOf(b, s.public())), everything)
			token := s.sign(b, goodClaims(issuerName), nil)
			accept(b, v, token)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkForged measures the cost of a forged token.
func BenchmarkForged(b *testing.B) {
	s := signer{"k", jose.RS256, rsaKey()}
	v, _ := issuerAt(b, newServer(b, keySetOf(b, s.public())), everything)
	token := s.sign(b, goodClaims(issuerName), nil)
	cut := len(token) - 300
	token = token[:cut] + flip(token[cut:])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token); err == nil {
			b.Fatal("accepted")
		}
	}
}
