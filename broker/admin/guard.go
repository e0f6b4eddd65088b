package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

const (
	// penalty is how long the answer to a wrong token is held back.
	penalty = 500 * time.Millisecond
	// maxPenalties is how many of them may be held back at a time.
	maxPenalties = 16
)

// whereToken helps the operator, who is the only one to be able to follow it.
const whereToken = "; with the binary, `hoofbeat token` on the broker's machine prints it, and the log says at the start where it is from"

// guard lets requests with the right token through, at once and always: what
// others get wrong from the same address, which on loopback and behind a proxy
// is everybody's, never locks a good caller out. A wrong token is answered late,
// so that a connection can try two a second. Beyond maxPenalties the answer
// comes at once, on a connection that is then closed: strangers can neither make
// us hold any number of requests nor fill the log.
type guard struct {
	hash  [sha256.Size]byte
	slots chan struct{}
	log   *slog.Logger
	quiet loglimit.Limiter
}

func newGuard(token string, log *slog.Logger) *guard {
	return &guard{hash: sha256.Sum256([]byte(token)), slots: make(chan struct{}, maxPenalties), log: log}
}

// admit returns nil for a request that carries the token, else the answer.
func (g *guard) admit(r *http.Request) *problem {
	token, _ := httpsec.RequestToken(r.Header)
	if token == "" && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return problemf(http.StatusNotFound, "this is the admin API: WebSocket clients connect to the public listener")
	}
	if token == "" {
		p := problemf(http.StatusUnauthorized, "this path needs the header Authorization: Bearer TOKEN"+whereToken)
		p.challenge = "Bearer"
		return p
	}
	// Hashed, the comparison takes the same time whatever the lengths are.
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], g.hash[:]) == 1 {
		return nil
	}
	g.warn(r)
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	default:
		p := problemf(http.StatusTooManyRequests, "more than %d wrong tokens at a time", maxPenalties)
		p.retryAfter, p.hangUp = time.Second, true
		return p
	}
	time.Sleep(penalty) // also for who hangs up: coming back is no way to try faster
	p := problemf(http.StatusUnauthorized, "wrong token"+whereToken)
	p.challenge = httpsec.InvalidToken
	return p
}

// warn logs a wrong token, once a second for each network of clients.
func (g *guard) warn(r *http.Request) {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // zero for other networks
	key := loglimit.Key{Kind: "admin: wrong token", Network: loglimit.Network(peer.Addr())}
	g.quiet.Log(r.Context(), g.log, slog.LevelWarn, key, "remote", r.RemoteAddr)
}
