package bearer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func signES256(t testing.TB, s signer, input string) []byte {
	t.Helper()
	hash := sha256.Sum256([]byte(input))
	r, v, err := ecdsa.Sign(rand.Reader, s.key.(*ecdsa.PrivateKey), hash[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return signature
}

// everything lists all algorithms that a configuration can have.
func everything(o *JWT) {
	o.Algorithms = nil
	for _, a := range algorithms {
		o.Algorithms = append(o.Algorithms, string(a))
	}
}

// A public key is known to everyone. With the public key as the secret of an
// HMAC, anyone could make tokens.
func TestA20HMACWithPublicKey(t *testing.T) {
	public := jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "k"}
	srv := newServer(t, keySetOf(t, public))
	v, _ := issuerAt(t, srv, everything)
	der := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	for name, secret := range map[string][]byte{
		"DER":     der,
		"PEM":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"PKCS1":   x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey),
		"modulus": rsaKey().N.Bytes(),
		"JWK":     must(json.Marshal(public)),
		"empty":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			input := segment(t, claims{"alg": "HS256", "kid": "k"}) + "." + segment(t, goodClaims(issuerName))
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			refuse(t, v, input+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), errAlgorithm)
		})
	}
}

func TestA20None(t *testing.T) {
	srv := newServer(t, keySetOf(t, es256("k").public()))
	v, _ := issuerAt(t, srv, everything)
	for _, alg := range []any{"none", "None", "NONE", "nOnE", "", nil, "HS256", "es256", "ES256K", 7, []string{"ES256"}} {
		input := segment(t, claims{"alg": alg, "kid": "k"}) + "." + segment(t, goodClaims(issuerName)) + "."
		refuse(t, v, input, ErrInvalid)
		refuse(t, v, input+"AAAA", ErrInvalid)
	}
}

// A token must choose neither the kind of a key nor the key's use.
func TestA20AlgorithmOfAnotherKey(t *testing.T) {
	es := es256("k")
	good := goodClaims(issuerName)
	for name, test := range map[string]struct {
		key   jose.JSONWebKey
		token string
	}{
		"RS256 with an EC key":         {es.public(), forge(t, es, map[jose.HeaderKey]any{"alg": "RS256"}, good)},
		"EdDSA with an EC key":         {es.public(), forge(t, es, map[jose.HeaderKey]any{"alg": "EdDSA"}, good)},
		"ES384 with a P-256 key":       {es.public(), forge(t, es, map[jose.HeaderKey]any{"alg": "ES384"}, good)},
		"ES256 with an RSA key":        {jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "k"}, forge(t, es, nil, good)},
		"PS256 with a key for RS256":   {jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "k", Algorithm: "RS256"}, signer{"k", jose.PS256, rsaKey()}.sign(t, good, nil)},
		"RS256 with a key for OAEP":    {jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "k", Algorithm: "RSA-OAEP"}, signer{"k", jose.RS256, rsaKey()}.sign(t, good, nil)},
		"a key of the same name":       {jose.JSONWebKey{Key: otherKey().Public(), KeyID: "k"}, forge(t, es, nil, good)},
		"a key of another name":        {jose.JSONWebKey{Key: p256Key().Public(), KeyID: "other"}, forge(t, es, nil, good)},
		"a key without a name":         {jose.JSONWebKey{Key: p256Key().Public()}, forge(t, es, nil, good)},
		"another key, none named":      {jose.JSONWebKey{Key: otherKey().Public(), KeyID: "k"}, forge(t, signer{"", jose.ES256, p256Key()}, nil, good)},
		"EdDSA key for another's name": {jose.JSONWebKey{Key: edKey().Public(), KeyID: "k"}, forge(t, es, nil, good)},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := issuerAt(t, newServer(t, keySetOf(t, test.key)), everything)
			refuse(t, v, test.token, ErrInvalid)
		})
	}
}

// The maker of a token chooses the keys in its header, so they are ignored.
func TestA20KeysInTheToken(t *testing.T) {
	attacker := signer{"k", jose.ES256, otherKey()}
	srv := newServer(t, keySetOf(t, es256("k").public()))
	evil := newServer(t, keySetOf(t, attacker.public()))
	v, _ := issuerAt(t, srv, everything)
	for _, kid := range []string{"k", "", "../../keys", evil.URL} {
		attacker.kid = kid
		for _, header := range []map[jose.HeaderKey]any{
			{"jwk": attacker.public()},
			{"jku": evil.URL}, {"x5u": evil.URL},
		} {
			refuse(t, v, forge(t, attacker, header, goodClaims(issuerName)), ErrInvalid)
		}
	}
	evil.asked(t, 0)
}

func TestA20UnusableKeys(t *testing.T) {
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	for name, test := range map[string]struct {
		keys  http.HandlerFunc
		token signer
		rule  error
	}{
		"short RSA key":  {keySetOf(t, jose.JSONWebKey{Key: weak.Public(), KeyID: "k"}), signer{"k", jose.RS256, weak}, errKey},
		"encryption key": {keySetOf(t, jose.JSONWebKey{Key: p256Key().Public(), KeyID: "k", Use: "enc"}), es256("k"), ErrUnavailable},
		"private key":    {keySetOf(t, jose.JSONWebKey{Key: p256Key(), KeyID: "k"}), es256("k"), ErrUnavailable},
		"symmetric key":  {keySetOf(t, jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "k"}), es256("k"), ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := issuerAt(t, newServer(t, test.keys), everything)
			refuse(t, v, test.token.sign(t, goodClaims(issuerName), nil), test.rule)
		})
	}
}

// A key set may contain unknown kinds of keys; they must not affect the others.
func TestA20OtherKeysInTheSet(t *testing.T) {
	s := es256("k")
	set := `{"keys":[{"kty":"OKP","crv":"X448","x":"AA"},{"kty":"new"},{},7,null,{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},` +
		`{"kty":"RSA","n":"","e":""},` + string(must(json.Marshal(s.public()))) + `],"more":1}`
	v, _ := issuerAt(t, newServer(t, text(set)), everything)
	accept(t, v, s.sign(t, goodClaims(issuerName), nil))
}

func TestA20AlgorithmsThatCannotBeListed(t *testing.T) {
	for _, name := range []string{"none", "HS256", "HS384", "HS512", "", "rs256", "RSA-OAEP", "ES256K"} {
		_, err := New(Options{JWT: []JWT{{Issuer: issuerName, Audience: audience, Algorithms: []string{"RS256", name}}}})
		if err == nil {
			t.Errorf("%q can be listed", name)
		}
	}
}

func TestA20FitsNoForeignKey(t *testing.T) {
	ed := jose.JSONWebKey{Key: edKey().Public().(ed25519.PublicKey)}
	symmetric := jose.JSONWebKey{Key: []byte("secret")}
	for _, a := range algorithms {
		if fits(&ed, a) != (a == jose.EdDSA) || fits(&symmetric, a) {
			t.Errorf("%s", a)
		}
	}
}

// No issuer can grant the roles and scopes with a meaning to Hoofbeat, and a
// token within the clock tolerance does not escape its user's revocation.
func TestTokensAreForeign(t *testing.T) {
	s := es256("k")
	v, clock := issuerAt(t, newServer(t, keySetOf(t, s.public())), nil)
	c := goodClaims(issuerName).with("scope", "chat operation:x").with("roles", []string{"backend", "editor"}).
		with("iat", clock.now().Add(50*time.Second).Unix())
	p := accept(t, v, s.sign(t, c, nil))
	if !slices.Equal(p.Scopes, []string{"chat"}) || !slices.Equal(p.Roles, []string{"editor"}) || !p.Issued.Equal(clock.now()) {
		t.Errorf("%+v", p)
	}
}
