package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// Authenticate asks the backend to identify a client. The error is an
// [*auth.Refusal] with the backend's reason if the backend rejects the client,
// [auth.ErrNotMine] if it passes or is not asked, and [ErrUnavailable], which
// is also a Refusal with status 503, if it gives no answer. An answer is
// rejected with a Refusal if its name is not an [auth.ValidName], if it is for
// another user than the session that is renewed, or if it has expired.
func (w *Webhook) Authenticate(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	event := eventOfStage(a.Stage)
	if !w.asks(event) || a.Ticket != "" {
		return nil, auth.ErrNotMine
	}
	if event == Connect {
		if err := a.CheckLogin(); err != nil {
			return nil, err
		}
		if a.Principal != nil {
			return nil, auth.ErrNotMine // the user is already known
		}
	}
	if err := w.refuses(time.Now()); err != nil {
		return nil, refusedForNow(err)
	}
	body, err := w.identityQuestion(event, a)
	if err != nil {
		return nil, refused(err)
	}
	ans, err := begin(ctx, w, w.identities, httpsec.Network(a.Remote.Addr()), body, nil).wait(ctx)
	if err != nil {
		return nil, refusedForNow(err)
	}
	switch ans.decision {
	case allow:
		p, err := ans.principal(a, w.userPrefix, time.Now())
		if err == nil {
			w.remind(p, a)
		}
		return p, err
	case pass:
		return nil, auth.ErrNotMine
	default:
		return nil, ans.refusal(a)
	}
}

// eventOfStage returns the event of a stage, or "" for an unknown stage.
func eventOfStage(s auth.Stage) Event {
	switch s {
	case auth.StageHandshake:
		return Handshake
	case auth.StageConnect:
		return Connect
	case auth.StageRenew:
		return Renew
	default:
		return ""
	}
}

// Problems of an answer that accepts a client. They do not count as failures of
// the backend: a user who can choose a name must not be able to open the
// circuit for everyone.
var (
	errName    = errors.New("the answer's user is not valid UTF-8")
	errUser    = errors.New("the answer is for another user than the session")
	errExpired = errors.New("the answer's expires has already passed")
)

// principal returns the principal of an answer. Its name begins with prefix
// unless it is anonymous. Its CredentialID begins with "webhook:", so that the
// backend cannot name another authenticator's credential by accident.
func (ans *answer) principal(a *auth.Attempt, prefix string, now time.Time) (*auth.Principal, error) {
	p := auth.Foreign(auth.Principal{
		Method:       "webhook",
		Name:         ans.user,
		Roles:        ans.roles,
		Claims:       ans.claims,
		Expires:      ans.expires,
		Issued:       ans.issued,
		CredentialID: ans.credentialID,
		Scopes:       ans.scopes,
		Passcode:     provedPasscode(a, ans.user),
	})
	if p.CredentialID != "" {
		p.CredentialID = CredentialID(p.CredentialID)
	}
	if p.Name != "" {
		if err := auth.ValidName(p.Name); err != nil {
			return nil, refused(err)
		}
		p.Name = prefix + p.Name
		if err := auth.ValidName(p.Name); err != nil {
			return nil, refused(err)
		}
		if strings.ContainsRune(p.Name, utf8.RuneError) {
			return nil, refused(errName) // half a surrogate pair: several names would become the same
		}
	}
	if a.Stage == auth.StageRenew && (a.Principal == nil || a.Principal.Name != p.Name) {
		return nil, refused(errUser)
	}
	if p.Expired(now) {
		return nil, refused(errExpired)
	}
	if p.Issued.After(now) { // otherwise it would escape the revocations until then
		p.Issued = now
	}
	if p.CredentialID == "" && a.Bearer != "" {
		sum := sha256.Sum256([]byte(a.Bearer))
		p.CredentialID = "sha256:" + hex.EncodeToString(sum[:])[:32]
	}
	return p, nil
}

// provedPasscode reports whether an attempt's only credential is a login with a
// passcode, and the backend has accepted that user.
func provedPasscode(a *auth.Attempt, user string) bool {
	login := a.Login
	if a.Stage == auth.StageHandshake && a.Handshake != nil {
		r := http.Request{Header: a.Handshake.Header}
		login, _, _ = r.BasicAuth()
	}
	return a.Bearer == "" && login != "" && login == user
}

// CredentialID returns the [auth.Principal.CredentialID] for an answer's
// credential_id: "webhook:" and the id. Use it to revoke the credential.
func CredentialID(id string) string { return "webhook:" + id }

// refusal returns the refusal for a rejected client, with the challenge of RFC
// 6750 section 3.
func (ans *answer) refusal(a *auth.Attempt) *auth.Refusal {
	r := &auth.Refusal{Status: ans.status, Reason: ans.reason}
	switch {
	case r.StatusCode() == http.StatusForbidden && a.Bearer != "":
		r.Challenge = `Bearer error="insufficient_scope"`
	case r.StatusCode() != http.StatusUnauthorized:
	case a.Bearer != "":
		r.Challenge = httpsec.InvalidToken
	default:
		r.Challenge = "Bearer"
	}
	return r
}
