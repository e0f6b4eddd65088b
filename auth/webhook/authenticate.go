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

// Authenticate asks the backend who a client is. The error is an [*auth.Refusal] with the backend's reason if it says
// no, [auth.ErrNotMine] if it passes or is not asked, and [ErrUnavailable], which is a Refusal with status 503 as well,
// if it gives no answer. An answer with a name that is no [auth.ValidName], for another user than the session that is
// renewed, or that has expired, is a Refusal.
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
			return nil, auth.ErrNotMine // who it is, is settled
		}
	}
	if err := w.breaker.refuses(time.Now()); err != nil {
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

// eventOfStage returns the event of a stage, and none for a stage that it does not know.
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

// What is wrong with an answer that lets a client in. It says nothing about the health of the backend: a user who
// can choose his name must not be able to open the circuit for everybody.
var (
	errName    = errors.New("the answer's user is not valid UTF-8")
	errUser    = errors.New("the answer is for another user than the session")
	errExpired = errors.New("the answer has expired already")
)

// principal returns whom an answer lets in. Its name begins with prefix unless it
// is anonymous, and its CredentialID with "webhook:", so that the backend can name
// no other authenticator's credential by accident.
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
	if p.Issued.After(now) { // it would outlive the revocations until then
		p.Issued = now
	}
	if p.CredentialID == "" && a.Bearer != "" {
		sum := sha256.Sum256([]byte(a.Bearer))
		p.CredentialID = "sha256:" + hex.EncodeToString(sum[:])[:32]
	}
	return p, nil
}

// provedPasscode reports whether an attempt has nothing better than a login with
// a passcode, and the backend has let in the user of that name.
func provedPasscode(a *auth.Attempt, user string) bool {
	login := a.Login
	if a.Stage == auth.StageHandshake && a.Handshake != nil {
		r := http.Request{Header: a.Handshake.Header}
		login, _, _ = r.BasicAuth()
	}
	return a.Bearer == "" && login != "" && login == user
}

// CredentialID returns the [auth.Principal.CredentialID] of a principal for which
// an answer has that credential_id: "webhook:" and the id. It is what revokes it.
func CredentialID(id string) string { return "webhook:" + id }

// refusal returns what a client is told whom an answer refuses, with the challenge of RFC 6750 section 3.
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
