package bearer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestA20Algorithms(t *testing.T) {
	for _, s := range []signer{
		{"rsa", jose.RS256, rsaKey()}, {"rsa", jose.RS384, rsaKey()}, {"rsa", jose.RS512, rsaKey()},
		{"rsa", jose.PS256, rsaKey()}, {"rsa", jose.PS384, rsaKey()}, {"rsa", jose.PS512, rsaKey()},
		{"p256", jose.ES256, p256Key()}, {"ed", jose.EdDSA, edKey()},
		{"p384", jose.ES384, must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))},
		{"p521", jose.ES512, must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))},
	} {
		t.Run(string(s.alg), func(t *testing.T) {
			srv := newServer(t, keySetOf(t, s.public()))
			token := s.sign(t, goodClaims(issuerName), nil)
			v, _ := issuerAt(t, srv, func(o *JWT) { o.Algorithms = []string{string(s.alg)} })
			accept(t, v, token)
			cut := strings.LastIndexByte(token, '.') + 1
			refuse(t, v, token[:cut]+flip(token[cut:]), errSignature)

			other := "RS256"
			if s.alg == jose.RS256 {
				other = "PS256"
			}
			v, _ = issuerAt(t, srv, func(o *JWT) { o.Algorithms = []string{other} })
			refuse(t, v, token, errAlgorithm)
		})
	}
}

// flip changes the first character of a base64url text.
func flip(s string) string {
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

func TestA20DefaultAlgorithmIsRS256Alone(t *testing.T) {
	good := signer{"k", jose.RS256, rsaKey()}
	srv := newServer(t, keySetOf(t, jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "k"}))
	v, _ := issuerAt(t, srv, func(o *JWT) { o.Algorithms = nil })
	accept(t, v, good.sign(t, goodClaims(issuerName), nil))
	refuse(t, v, signer{"k", jose.PS256, rsaKey()}.sign(t, goodClaims(issuerName), nil), errAlgorithm)
}

func TestA20Principal(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, _ := issuerAt(t, srv, func(o *JWT) {
		o.UserClaim, o.RolesClaim = "preferred_username", "realm_access.roles"
		o.Scopes = []string{"profile", "sensor-data"}
	})
	c := goodClaims(issuerName).with("preferred_username", "Alice A.").
		with("realm_access", claims{"roles": []any{"admin", "user"}})
	p := accept(t, v, s.sign(t, c, nil))
	if p.Name != "Alice A." || !reflect.DeepEqual(p.Roles, []string{"admin", "user"}) ||
		!reflect.DeepEqual(p.Scopes, []string{"sensor-data", "profile"}) || p.CredentialID != "jwt:"+issuerName+"#token-1" ||
		!p.Issued.Equal(epoch.Add(-10*time.Second)) || !p.Expires.Equal(epoch.Add(600*time.Second+Skew)) {
		t.Fatalf("%+v", p)
	}
	if sub, _ := p.Claim("sub"); sub != "alice" {
		t.Fatalf("claims %v", p.Claims)
	}

	token := s.sign(t, c.with("jti", nil), nil)
	if id := accept(t, v, token).CredentialID; id != fmt.Sprintf("sha256:%x", digestOf(token[:strings.LastIndexByte(token, '.')]))[:7+32] {
		t.Fatalf("CredentialID %q", id)
	}
	if id := accept(t, v, s.sign(t, c.with("jti", "a\nb"), nil)).CredentialID; !strings.HasPrefix(id, "sha256:") {
		t.Fatalf("CredentialID %q", id)
	}
	c = c.with("scope", nil).with("scp", []string{"sensor-data", "profile"})
	if p := accept(t, v, s.sign(t, c, nil)); !p.HasScope("profile") {
		t.Fatalf("scopes %q", p.Scopes)
	}
}

func TestA20Claims(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, _ := issuerAt(t, srv, nil)
	good := goodClaims(issuerName)
	for _, test := range []struct {
		claim string
		value any
		rule  error // nil: accepted
	}{
		{"iss", issuerName + "/", errUnknown},
		{"iss", nil, errUnknown},
		{"iss", []string{issuerName}, errUnknown},
		{"aud", []string{"x", audience}, nil},
		{"aud", []any{1, audience}, nil},
		{"aud", audience + "/", errAudience},
		{"aud", []string{"x"}, errAudience},
		{"aud", []string{}, errAudience},
		{"aud", claims{audience: audience}, errAudience},
		{"aud", nil, errAudience},
		{"sub", nil, errSubject},
		{"sub", "", errSubject},
		{"sub", 7, errSubject},
		{"sub", "a\r\nb", errName},
		{"sub", " ", errName},
		{"sub", strings.Repeat("a", 1025), errName},
		{"exp", nil, errTime},
		{"exp", "1900000000", errTime},
		{"exp", -1, errTime},
		{"exp", 1e300, errTime},
		{"exp", 0, errExpired},
		{"exp", float64(epoch.Unix()) + 0.5, nil},
		{"nbf", "now", errTime},
		{"nbf", 0, nil},
		{"iat", true, errTime},
		{"iat", nil, nil},
		{"iat", epoch.Unix() + 61, errNotYet},
		{"cnf", claims{"jkt": "x"}, errBound},
		{"token_use", "access", nil},
		{"token_use", "id", errUse},
		{"typ", "Bearer", nil},
		{"typ", "Refresh", errUse},
		{"roles", nil, nil},
		{"roles", "one role", nil},
		{"roles", []any{}, nil},
		{"roles", 7, errRoles},
		{"roles", true, errRoles},
		{"roles", claims{"guest": true}, errRoles},
		{"roles", []any{"admin", 7}, errRoles},
		{"roles", []any{[]any{"guest"}}, errRoles},
		{"scope", 7, errScopes},
		{"scope", []any{"chat", 7}, errScopes},
		{"scope", claims{"guest": true}, errScopes},
	} {
		token := s.sign(t, good.with(test.claim, test.value), nil)
		t.Run(fmt.Sprintf("%s=%v", test.claim, test.value), func(t *testing.T) {
			if test.rule == nil {
				accept(t, v, token)
			} else {
				refuse(t, v, token, test.rule)
			}
		})
	}
	p := accept(t, v, s.sign(t, good.with("roles", "one role"), nil))
	if !reflect.DeepEqual(p.Roles, []string{"one role"}) {
		t.Errorf("roles %q", p.Roles)
	}
	for _, payload := range []string{`null`, `[]`, `"iss"`, `7`} {
		refuse(t, v, s.signRaw(t, []byte(payload), nil), ErrInvalid)
	}
	// A claim is what its exact name says, although the choice of the issuer is
	// made less strictly.
	raw := strings.Replace(string(must(json.Marshal(good))), `"iss"`, `"ISS"`, 1)
	refuse(t, v, s.signRaw(t, []byte(raw), nil), errIssuer)
}

func TestA20EmailAsUser(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, _ := issuerAt(t, srv, func(o *JWT) { o.UserClaim = "email" })
	c := goodClaims(issuerName).with("email", "alice@example.com")
	refuse(t, v, s.sign(t, c, nil), errEmail)
	refuse(t, v, s.sign(t, c.with("email_verified", false), nil), errEmail)
	accept(t, v, s.sign(t, c.with("email_verified", true), nil))
	accept(t, v, s.sign(t, c.with("email_verified", "true"), nil))
}

func TestA20ClaimNames(t *testing.T) {
	c := map[string]any{
		"https://example.com/roles": "url",
		"a":                         map[string]any{"b": map[string]any{"c": "deep"}, "": "empty"},
		"a.b":                       "dotted",
	}
	for name, want := range map[string]any{
		"https://example.com/roles": "url", "a.b.c": "deep", "a.b": "dotted", "a.": "empty",
		"a.c": nil, "a.b.c.d": nil, "": nil, ".": nil, "x.y": nil,
	} {
		if got, ok := find(c, name); got != want || ok != (name != "a.b.c.d") {
			t.Errorf("find(%q) = %v %v, want %v", name, got, ok, want)
		}
	}
}

func TestA20ClockEdges(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, clock := issuerAt(t, srv, nil)
	c := goodClaims(issuerName).with("exp", epoch.Unix()+120).with("nbf", epoch.Unix()+60).with("iat", epoch.Unix()+60)
	token := s.sign(t, c, nil)

	clock.advance(-1)
	refuse(t, v, token, errNotYet)
	clock.advance(1) // exactly 60 s before nbf
	p := accept(t, v, token)
	clock.advance(180*time.Second - 1) // just not 60 s after exp
	accept(t, v, token)
	if p.Expired(clock.now()) {
		t.Error("the principal expires before the token is refused")
	}
	clock.advance(1)
	refuse(t, v, token, errExpired)
	if !p.Expired(clock.now()) {
		t.Error("the principal outlives the token")
	}
}

func TestA20Types(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	lax, _ := issuerAt(t, srv, nil)
	strict, _ := issuerAt(t, srv, func(o *JWT) { o.RequireType = true })
	for _, test := range []struct {
		typ         any // nil: absent
		lax, strict bool
	}{
		{nil, true, false},
		{"JWT", true, false}, {"jwt", true, false}, {"application/jwt", true, false},
		{"at+jwt", true, true}, {"AT+JWT", true, true}, {"application/at+jwt", true, true},
		{"", false, false}, {7, false, false}, {"id+jwt", false, false}, {"logout+jwt", false, false},
		{"dpop+jwt", false, false}, {"secevent+jwt", false, false}, {"JOSE", false, false},
	} {
		header := map[jose.HeaderKey]any{}
		if test.typ != nil {
			header[jose.HeaderType] = test.typ
		}
		token := s.sign(t, goodClaims(issuerName), header)
		for v, want := range map[*Verifier]bool{lax: test.lax, strict: test.strict} {
			if want {
				accept(t, v, token)
			} else {
				refuse(t, v, token, errType)
			}
		}
	}
}

func TestA20IDTokens(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, _ := issuerAt(t, srv, nil)
	good := goodClaims(issuerName)
	access := map[jose.HeaderKey]any{jose.HeaderType: "at+jwt"}
	for name, c := range map[string]claims{
		"nonce":   good.with("nonce", "n"),
		"at_hash": good.with("at_hash", "h"),
		"c_hash":  good.with("c_hash", "h"),
		"logout":  good.with("events", claims{"http://schemas.openid.net/event/backchannel-logout": claims{}}),
		"azp":     good.with("azp", audience).with("scope", nil),
	} {
		t.Run(name, func(t *testing.T) {
			refuse(t, v, s.sign(t, c, nil), errUse)
			accept(t, v, s.sign(t, c, access)) // the issuer says what it is
		})
	}
	refuse(t, v, s.sign(t, good.with("typ", "ID"), access), errUse)
	accept(t, v, s.sign(t, good.with("azp", audience), nil)) // it has a scope
	accept(t, v, s.sign(t, good.with("azp", "app").with("scope", nil), nil))
}

func TestA20Headers(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, _ := issuerAt(t, srv, nil)
	good := goodClaims(issuerName)
	for name, header := range map[string]map[jose.HeaderKey]any{
		"crit":       {"crit": []string{"exp"}},
		"crit b64":   {"crit": []string{"b64"}, "b64": true},
		"b64":        {"b64": false},
		"crit empty": {"crit": []string{}},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, v, forge(t, s, header, good), errCritical) })
	}
}

// forge signs a token with ES256 and an arbitrary header.
func forge(t testing.TB, s signer, header map[jose.HeaderKey]any, c claims) string {
	t.Helper()
	h := map[jose.HeaderKey]any{"alg": string(s.alg), "kid": s.kid}
	for name, value := range header {
		h[name] = value
	}
	input := segment(t, h) + "." + segment(t, c)
	return input + "." + base64.RawURLEncoding.EncodeToString(signES256(t, s, input))
}

func segment(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestA20Syntax(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, _ := issuerAt(t, srv, nil)
	good := s.sign(t, goodClaims(issuerName), nil)
	accept(t, v, good)
	h, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for _, token := range []string{
		" " + good, good + "\n", h + ".\n" + rest, good + "é", good + "\x00",
	} {
		refuse(t, v, token, errSyntax)
	}
	for _, token := range []string{
		good + "=", good + ".", "." + good, h + "." + payload, h + "." + payload + ".", h + ".." + signature,
		"." + payload + "." + signature, "eyJ." + payload + "." + signature, "..", "x", good + "." + good,
	} {
		refuse(t, v, token, ErrInvalid)
	}
	refuse(t, v, strings.Repeat("a", MaxTokenBytes), errUnknown)
	refuse(t, v, strings.Repeat("a", MaxTokenBytes+1), errTooLong)
	// The JSON serialisation, which has other headers than the protected ones.
	refuse(t, v, `{"payload":"`+payload+`","protected":"`+h+`","signature":"`+signature+`"}`, errSyntax)
}

// A token always has the same CredentialID, whatever its holder changes;
// otherwise the holder could escape a revocation.
func TestA20OneTokenOneCredentialID(t *testing.T) {
	const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, _ := issuerAt(t, srv, nil)
	token := s.sign(t, goodClaims(issuerName).with("jti", nil), nil)
	id := accept(t, v, token).CredentialID

	for cut, c := range token + "." {
		if c != '.' {
			continue
		}
		for _, last := range base64url {
			if other := token[:cut-1] + string(last) + token[cut:]; other != token {
				refuse(t, v, other, ErrInvalid)
			}
		}
	}

	// (r, n-s) is a signature wherever (r, s) is.
	dot := strings.LastIndexByte(token, '.') + 1
	signature := must(base64.RawURLEncoding.DecodeString(token[dot:]))
	other := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(signature[32:]))
	other.FillBytes(signature[32:])
	twin := token[:dot] + base64.RawURLEncoding.EncodeToString(signature)
	if got := accept(t, v, twin).CredentialID; twin == token || got != id {
		t.Errorf("CredentialID %q, then %q", id, got)
	}
}

// The log names the user of a rejected token only if the issuer has signed the
// name.
func TestRefusedTokenNamesItsUserIfSigned(t *testing.T) {
	s := es256("k")
	srv := newServer(t, keySetOf(t, s.public()))
	v, _ := issuerAt(t, srv, func(o *JWT) { o.Algorithms, o.Scopes = []string{"ES256"}, []string{"needed"} })
	good := goodClaims(issuerName)
	expired := good.with("exp", epoch.Add(-time.Hour).Unix())
	user := good["sub"].(string)
	for name, c := range map[string]struct {
		token string
		rule  error
		want  string
	}{
		"expired":           {s.sign(t, expired, nil), errExpired, user},
		"audience":          {s.sign(t, good.with("aud", "other"), nil), errAudience, user},
		"scope":             {s.sign(t, good, nil), ErrScope, user},
		"another signature": {signer{"k", jose.ES256, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}.sign(t, expired, nil), errSignature, ""},
	} {
		_, err := v.Verify(t.Context(), c.token)
		e, ok := errors.AsType[*Error](err)
		if !ok || !errors.Is(err, c.rule) || e.Whose() != c.want {
			t.Errorf("%s: %v, of %q, want %v, of %q", name, err, e.Whose(), c.rule, c.want)
		}
	}
}
