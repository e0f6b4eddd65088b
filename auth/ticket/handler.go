package ticket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// HandlerOptions configure [Issuer.Handler]: who may request a ticket. Without
// Bearer, Passcode and Session, no request is accepted.
type HandlerOptions struct {
	// Bearer verifies the token of an "Authorization: Bearer" header. A
	// [*auth.Refusal] is sent to the client; any other error is answered with
	// 503, because it says nothing about the token; a nil principal rejects the
	// token. [auth.RemoteOf] its context is the client's address. Nil means
	// that bearer tokens are not accepted.
	Bearer func(ctx context.Context, token string) (*auth.Principal, error)
	// Passcode verifies the name and passcode of HTTP Basic authentication in a
	// POST. Errors are handled as for Bearer. The function itself must limit
	// guessing. Nil means that passcodes are not accepted.
	Passcode func(r *http.Request, login, passcode string) (*auth.Principal, error)
	// Session returns the principal that the request's cookies identify, if
	// any. Only a POST from an allowed origin gets a ticket by a cookie. Nil
	// means that cookies are ignored.
	Session func(r *http.Request) (*auth.Principal, bool)
	// Origins are the web origins, besides the handler's own, whose pages may
	// request tickets: https://app.example.com, or https://*.example.com for
	// all subdomains; see [httpsec.NewList]. Their answers get CORS headers.
	// "*" allows all origins. With Session, "*", "null" and "file://" are
	// errors, because any page could then get tickets in the name of its
	// visitors.
	Origins []string
	// OnForeignOrigin, if set, is called for each request that is rejected with
	// 403 for its Origin, before the answer is sent. Use it to log. It is
	// called concurrently.
	OnForeignOrigin func(r *http.Request)
	// OnRefused, if set, is called for each other rejected request, before the
	// answer is sent. Use it to log. [errors.As] finds the [*auth.Refusal] for
	// the client in err; the text of err may say more. Neither contains a
	// credential. It is called concurrently.
	OnRefused func(r *http.Request, err error)
	// MayWait reports whether p may have a ticket for an operation that another
	// program announced, as broker/webflow.Flow.MayWait does. An error is
	// answered with 503. The rate limit for p's tickets also limits these
	// calls. Nil means never: a request that names an operation is answered
	// with 403, unless the principal from Bearer or Session is already bound to
	// that operation by its scope.
	MayWait func(ctx context.Context, p *auth.Principal, operation string) (bool, error)
	// ClientAddress returns the client address of a request. Nil means
	// Request.RemoteAddr. Behind a proxy set it to broker.Broker.ClientAddress
	// or similar; otherwise all clients share the request allowance of one
	// address when their tokens are verified at another server.
	ClientAddress func(*http.Request) netip.Addr
	// BindOrigin binds tickets to the Origin of the requesting page. The page
	// must open the WebSocket from the same origin. A client that sends no
	// Origin gets unbound tickets.
	BindOrigin bool
}

// maxTicketRequest is the maximum length of a ticket request's body in bytes.
const maxTicketRequest = 4096

// Handler returns the endpoint that exchanges a credential for a ticket,
// usually at /ws_ticket:
//
//	POST /ws_ticket                          200 OK
//	Authorization: Bearer …                  Cache-Control: no-store
//
//	{"operation":"…"}                        {"ticket":"…","expires":1767225600}
//
// The body is optional; expires is in seconds since 1970. GET also works with a
// bearer token. Instead of the token, a POST may have HTTP Basic
// authentication, or a login cookie. With a cookie it must come from the
// handler's own origin or one of o.Origins. Requests are rejected with
// {"error":"…"} and
//
//   - 400 for a token in the URL, which RFC 9700 section 4.3.2 forbids, or
//     a body that is not such JSON; 413 for a body that is too long, and
//     415 for one of another type than application/json
//   - 401 with WWW-Authenticate (RFC 6750 section 3) for a missing, wrong,
//     expired, revoked or anonymous credential
//   - 403 for a page of another origin, and for an operation that o.MayWait
//     does not allow
//   - 405 for another method, and for GET with only a cookie
//   - 429 with Retry-After for too many tickets
//   - 503 if the credential cannot be checked, or the Store has no answer
//     within 10 s
//
// The error is about o.Origins.
func (t *Issuer) Handler(o HandlerOptions) (http.Handler, error) {
	origins, err := httpsec.NewList(o.Origins)
	if err != nil {
		return nil, &auth.OptionError{Of: "ticket: HandlerOptions", Field: "Origins", Err: err}
	}
	if anybody := origins.Anybody(); anybody != "" && o.Session != nil {
		return nil, &auth.OptionError{Of: "ticket: HandlerOptions", Field: "Origins", Err: fmt.Errorf("%q cannot be combined with the cookies of login sessions: pages of any site can have that origin", anybody)}
	}
	if o.ClientAddress == nil {
		o.ClientAddress = peerAddress
	}
	cors := httpsec.CORS{
		Methods: "GET, POST", Headers: "Authorization, Content-Type", Expose: "Retry-After, WWW-Authenticate", Credentials: o.Session != nil,
	}
	return &handler{tickets: t, o: o, origins: origins, cors: cors}, nil
}

// origin returns the origin of a request, "" if no page sent it, or an error if
// that origin is not allowed. For an allowed origin it sets the CORS headers.
func (h *handler) origin(header http.Header, r *http.Request) (string, error) {
	o, err := h.cors.Check(header, r, &h.origins, false)
	if err != nil {
		return "", auth.ForeignOrigin(r)
	}
	return o.String(), nil
}

type handler struct {
	tickets *Issuer
	o       HandlerOptions
	origins httpsec.List
	cors    httpsec.CORS
}

// issued is the body of a successful answer.
type issued struct {
	Ticket  string `json:"ticket"`
	Expires int64  `json:"expires"`
}

// peerAddress returns the address of a request without a proxy.
func peerAddress(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // zero for other networks
	return peer.Addr()
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = r.WithContext(auth.WithRemote(r.Context(), h.o.ClientAddress(r)))
	origin, err := h.origin(w.Header(), r)
	if err != nil {
		if h.o.OnForeignOrigin != nil {
			h.o.OnForeignOrigin(r)
		}
		auth.WriteRefusal(w, err)
		return
	}
	if r.Method == http.MethodOptions && origin != "" {
		h.cors.Preflight(w)
		return
	}
	ticket, err := h.mint(w, r, origin)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	httpsec.WriteJSON(w, http.StatusOK, issued{ticket.Value, ticket.Expires.Unix()})
}

func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if h.o.OnRefused != nil {
		h.o.OnRefused(r, err)
	}
	auth.WriteRefusal(w, err)
}

// judged is a refusal for the client with the cause for the operator.
type judged struct {
	*auth.Refusal
	cause error
}

func (j *judged) Error() string   { return j.cause.Error() }
func (j *judged) Unwrap() []error { return []error{j.Refusal, j.cause} }

// mint runs the cheapest checks first.
func (h *handler) mint(w http.ResponseWriter, r *http.Request, origin string) (Ticket, error) {
	if r.Method != http.MethodPost && (r.Method != http.MethodGet || h.o.Bearer == nil) {
		return Ticket{}, h.wrongMethod(w.Header())
	}
	if r.URL.Query().Has("access_token") {
		return Ticket{}, &auth.Refusal{
			Status: http.StatusBadRequest, Reason: "an access token must not be in the URL", Challenge: httpsec.InvalidRequest,
		}
	}
	since := h.tickets.revocations.Now()
	p, err := h.principal(w.Header(), r, origin)
	if err != nil {
		return Ticket{}, err
	}
	g := Grant{Principal: p, Since: since}
	if r.Method == http.MethodPost {
		if g.Operation, err = operation(w, r); err != nil {
			return Ticket{}, err
		}
	}
	if h.o.BindOrigin {
		if origin == httpsec.Null.String() {
			return Ticket{}, &auth.Refusal{Status: http.StatusForbidden, Reason: "a ticket cannot be bound to the origin null, which pages of any site can have", Key: "auth.tickets.bind_origin"}
		}
		g.Origin = origin
	}
	ticket, err := h.tickets.mintFor(r.Context(), g, func(ctx context.Context) error { return h.mayWait(ctx, p, g.Operation) })
	return ticket, httpRefusal(err)
}

// mayWait returns nil if p may have a ticket for the operation. The refusal is
// the same for an operation that does not exist and for one of another user.
func (h *handler) mayWait(ctx context.Context, p *auth.Principal, operation string) error {
	if operation == "" || p.HasScope(auth.OperationScope+operation) {
		return nil
	}
	if h.o.MayWait != nil {
		ok, err := h.o.MayWait(ctx, p, operation)
		if err != nil {
			return &auth.Refusal{
				Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
				Reason: "whether the operation is yours cannot be checked at the moment",
			}
		}
		if ok {
			return nil
		}
	}
	return &auth.Refusal{Status: http.StatusForbidden, Reason: "the operation is not this user's"}
}

// httpRefusal adds an HTTP status to the errors of Mint that a client can
// cause.
func httpRefusal(err error) error {
	switch {
	case errors.Is(err, ErrOperation):
		return &auth.Refusal{Status: http.StatusBadRequest, Reason: "the operation is at most 256 bytes of printable text, and no other than the credential's own"}
	case errors.Is(err, ErrNobody):
		return invalidToken()
	case errors.Is(err, ErrContent):
		return &auth.Refusal{Status: http.StatusBadRequest, Reason: "the credential says too much to fit into a ticket"}
	}
	return err
}

func (h *handler) wrongMethod(header http.Header) error {
	allow := http.MethodPost
	if h.o.Bearer != nil {
		allow = "GET, POST"
	}
	header.Set("Allow", allow)
	return &auth.Refusal{Status: http.StatusMethodNotAllowed, Reason: "the method must be " + strings.ReplaceAll(allow, ",", " or")}
}

// principal returns the principal that requests a ticket. A bearer token, if
// present, decides, even beside a valid cookie.
func (h *handler) principal(header http.Header, r *http.Request, origin string) (*auth.Principal, error) {
	if token, ok := httpsec.RequestToken(r.Header); ok && h.o.Bearer != nil {
		return h.bearer(r.Context(), token)
	}
	if login, passcode, ok := r.BasicAuth(); ok && h.o.Passcode != nil && r.Method == http.MethodPost {
		return h.passcode(r, login, passcode)
	}
	if h.o.Session == nil || r.Header.Get("Cookie") == "" {
		return nil, h.missing(r)
	}
	if r.Method != http.MethodPost {
		header.Set("Allow", http.MethodPost)
		return nil, &auth.Refusal{Status: http.StatusMethodNotAllowed, Reason: "with a cookie the method must be POST"}
	}
	if origin == "" {
		return nil, auth.ForeignOrigin(r) // browsers send an Origin with every POST
	}
	p, ok := h.o.Session(r)
	if !ok || p.Anonymous() {
		return nil, h.missing(r)
	}
	return p, nil
}

// missing refuses a request without a usable credential, and names the kinds of
// credential that are accepted.
func (h *handler) missing(r *http.Request) error {
	refusal := &auth.Refusal{Status: http.StatusUnauthorized, Challenge: "Bearer"}
	if h.o.Bearer == nil && h.o.Passcode != nil {
		refusal.Challenge = basicChallenge
	}
	switch {
	case r.Header.Get("Authorization") != "":
		refusal.Reason = "authentication failed: no credential of this kind is accepted here"
	case h.o.Session != nil && r.Header.Get("Cookie") != "":
		refusal.Reason = "authentication failed: the cookie belongs to no login, or the login has ended"
	default:
		refusal.Reason = "authentication failed: no credential was sent"
	}
	var wanted []string
	if h.o.Bearer != nil {
		wanted = append(wanted, "a bearer token")
	}
	if h.o.Session != nil {
		wanted = append(wanted, "the cookie of a login")
	}
	if h.o.Passcode != nil {
		wanted = append(wanted, "a login with its passcode, by POST with HTTP Basic")
	}
	if len(wanted) > 0 {
		refusal.Reason += "; a ticket is given for " + strings.Join(wanted, ", or ")
	}
	return refusal
}

const basicChallenge = `Basic realm="hoofbeat", charset="UTF-8"`

// passcode authenticates by HTTP Basic authentication. Pages of other origins,
// for which a browser could add stored passcodes, have already been rejected.
func (h *handler) passcode(r *http.Request, login, passcode string) (*auth.Principal, error) {
	p, err := h.o.Passcode(r, login, passcode)
	var refusal *auth.Refusal
	switch {
	case errors.As(err, &refusal):
		if refusal.StatusCode() != http.StatusUnauthorized {
			return nil, err
		}
		withChallenge := *refusal
		withChallenge.Challenge = basicChallenge
		return nil, &judged{&withChallenge, err}
	case errors.Is(err, auth.ErrNotMine) || err == nil && p.Anonymous():
		return nil, &auth.Refusal{Status: http.StatusUnauthorized, Challenge: basicChallenge}
	case err != nil:
		return nil, &judged{&auth.Refusal{Status: http.StatusServiceUnavailable, Reason: "the passcode cannot be checked at the moment"}, err}
	}
	return p, nil
}

func (h *handler) bearer(ctx context.Context, token string) (*auth.Principal, error) {
	p, err := h.o.Bearer(ctx, token)
	var refusal *auth.Refusal
	switch {
	case errors.As(err, &refusal):
		if refusal.StatusCode() != http.StatusUnauthorized || refusal.Challenge != "" {
			return nil, err
		}
		withChallenge := *refusal
		withChallenge.Challenge = httpsec.InvalidToken
		return nil, &judged{&withChallenge, err}
	case errors.Is(err, auth.ErrNotMine) || err == nil && p.Anonymous():
		return nil, invalidToken()
	case err != nil:
		return nil, &judged{&auth.Refusal{Status: http.StatusServiceUnavailable, Reason: "the token cannot be checked at the moment"}, err}
	}
	return p, nil
}

func invalidToken() error {
	return &auth.Refusal{Status: http.StatusUnauthorized, Challenge: httpsec.InvalidToken}
}

// operation reads the name of the operation from the body.
func operation(w http.ResponseWriter, r *http.Request) (string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTicketRequest))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return "", &auth.Refusal{Status: http.StatusRequestEntityTooLarge, Reason: "the body is longer than 4096 bytes"}
	case err != nil:
		return "", &auth.Refusal{Status: http.StatusBadRequest, Reason: "the body could not be read"}
	case len(body) == 0:
		return "", nil
	}
	// This type makes browsers send a preflight request from another origin.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "", &auth.Refusal{Status: http.StatusUnsupportedMediaType, Reason: "the body's type must be application/json"}
	}
	var request struct {
		Operation string `json:"operation"`
	}
	if json.Unmarshal(body, &request) != nil {
		return "", &auth.Refusal{Status: http.StatusBadRequest, Reason: `the body must be JSON such as {"operation":"…"}`}
	}
	return request.Operation, nil
}
