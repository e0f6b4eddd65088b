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
	// penalty is the delay before the answer to a wrong token.
	penalty = 500 * time.Millisecond
	// maxPenalties is how many answers may be delayed at one time.
	maxPenalties = 16
)

// whereToken helps the operator to find the token. Nobody else can follow it.
const whereToken = "; if you run the hoofbeat binary, `hoofbeat token` on the broker's machine prints it, and the log names its source at startup"

// guard admits requests with the right token, always and at once: wrong tokens
// from the same address never lock a valid caller out, because on loopback and
// behind a proxy all callers share an address. The answer to a wrong token is
// delayed, so that a connection can try two a second. Beyond maxPenalties
// delayed answers, it comes at once and closes the connection. So attackers can
// neither occupy many requests nor fill the log.
type guard struct {
	hash  [sha256.Size]byte
	slots chan struct{}
	log   *slog.Logger
	quiet loglimit.Limiter
}

func newGuard(token string, log *slog.Logger) *guard {
	return &guard{hash: sha256.Sum256([]byte(token)), slots: make(chan struct{}, maxPenalties), log: log}
}

// admit returns nil for a request with the right token, otherwise the answer.
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
	// Comparing hashes takes the same time for tokens of any length.
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
	time.Sleep(penalty) // does not end early if the client disconnects: reconnecting is no faster way to guess
	p := problemf(http.StatusUnauthorized, "wrong token"+whereToken)
	p.challenge = httpsec.InvalidToken
	return p
}

// warn logs a wrong token, at most once a second for each client network.
func (g *guard) warn(r *http.Request) {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // zero for networks other than IP
	key := loglimit.Key{Kind: "admin: wrong token", Network: loglimit.Network(peer.Addr())}
	g.quiet.Log(r.Context(), g.log, slog.LevelWarn, key, "remote", r.RemoteAddr)
}
