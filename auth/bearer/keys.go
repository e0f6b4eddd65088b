package bearer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeys limits a key set, and with it the work for a token that does not
	// name its key.
	maxKeys = 100
	// minRSA and maxRSA limit the modulus of an RSA key, in bits: a shorter one
	// is weak, a longer one costs too much time.
	minRSA, maxRSA = 2048, 8192
)

var (
	errKeySet   = errors.New("the key set is not a JSON object with a list of keys")
	errManyKeys = errors.New("the key set has more than 100 keys")
	errNoKeys   = errors.New("the key set has no usable key")
)

// parseKeys returns the keys of a JWK set (RFC 7517) that verify signatures. It
// skips keys of other kinds and uses, and keys whose private part the set
// contains, because those prove nothing.
func parseKeys(document []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(document, &set) != nil {
		return nil, errKeySet
	}
	if len(set.Keys) > maxKeys {
		return nil, errManyKeys
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var secret struct{ D, K, Priv json.RawMessage }
		if json.Unmarshal(raw, &secret) != nil || secret.D != nil || secret.K != nil || secret.Priv != nil {
			continue
		}
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && (key.Use == "" || key.Use == "sig") && key.Valid() && key.IsPublic() {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

// fits reports whether key may verify a signature of the algorithm. The token
// must not choose the kind of the key, or another algorithm than the issuer has
// stated for the key.
func fits(key *jose.JSONWebKey, algorithm jose.SignatureAlgorithm) bool {
	if key.Algorithm != "" && key.Algorithm != string(algorithm) {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		family := strings.HasPrefix(string(algorithm), "RS") || strings.HasPrefix(string(algorithm), "PS")
		return family && minRSA <= bits && bits <= maxRSA
	case *ecdsa.PublicKey:
		switch algorithm {
		case jose.ES256:
			return public.Curve == elliptic.P256()
		case jose.ES384:
			return public.Curve == elliptic.P384()
		case jose.ES512:
			return public.Curve == elliptic.P521()
		}
	case ed25519.PublicKey:
		return algorithm == jose.EdDSA
	}
	return false
}
