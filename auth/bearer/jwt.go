package bearer

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoofbeat/hoofbeat/auth"
)

// issuer verifies the JSON Web Tokens of one issuer.
type issuer struct {
	rules       rules
	algorithms  []jose.SignatureAlgorithm
	requireType bool
	keys        keySet
	now         func() time.Time
}

func newIssuer(o *JWT, c *http.Client, now func() time.Time) (*issuer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	allowed, err := o.algorithms()
	if err != nil {
		return nil, err
	}
	i := &issuer{
		rules:       newRules(o.UserClaim, o.UserPrefix, o.RolesClaim, o.Scopes),
		algorithms:  allowed,
		requireType: o.RequireType,
		now:         now,
	}
	if o.Leeway != 0 {
		i.rules.leeway = max(o.Leeway, 0)
	}
	i.rules.issuer, i.rules.audience, i.rules.selfMade = o.Issuer, o.Audience, true
	i.keys.fetch, i.keys.now = fetchFrom(c, o.Issuer, o.JWKS), now
	return i, nil
}

// verify runs the checks that the package comment lists.
func (i *issuer) verify(ctx context.Context, token string) (*auth.Principal, error) {
	signed, err := jose.ParseSignedCompact(token, i.algorithms)
	if err != nil {
		var algorithm *jose.ErrUnexpectedSignatureAlgorithm
		if errors.As(err, &algorithm) {
			return nil, invalid(errAlgorithm)
		}
		return nil, invalid(errMalformed)
	}
	if !oneSpelling(token) {
		return nil, invalid(errMalformed)
	}
	certain, err := i.checkHeader(&signed.Signatures[0].Protected)
	if err != nil {
		return nil, invalid(err)
	}
	payload, err := i.keys.verify(ctx, signed)
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	if json.Unmarshal(payload, &claims) != nil {
		return nil, invalid(errClaims)
	}
	p, err := i.rules.principal(claims, i.now())
	if err != nil {
		return nil, invalidOf(i.rules.nameIn(claims), err)
	}
	p.Method = "jwt"
	if !certain && looksLikeID(claims) {
		return nil, invalidOf(p.Name, errUse)
	}
	if id, ok := claims["jti"].(string); ok && auth.ValidName(id) == nil {
		p.CredentialID = CredentialID(i.rules.issuer, id)
	} else {
		p.CredentialID = digestOf(signedPart(token)).credential()
	}
	if err := i.rules.granted(p); err != nil {
		return nil, err
	}
	return p, nil
}

// checkHeader checks the parts of the header other than the algorithm and the
// key. certain reports that the header identifies an access token; without a
// typ, or with the general one, the claims must decide.
func (i *issuer) checkHeader(h *jose.Header) (certain bool, err error) {
	if h.ExtraHeaders["crit"] != nil || h.ExtraHeaders["b64"] != nil {
		return false, errCritical
	}
	typ, present := h.ExtraHeaders[jose.HeaderType]
	text, _ := typ.(string)
	switch strings.TrimPrefix(strings.ToLower(text), "application/") {
	case "at+jwt":
		return true, nil
	case "jwt":
		if !i.requireType {
			return false, nil
		}
	case "":
		if !present && !i.requireType {
			return false, nil
		}
	}
	return false, errType
}
