package bearer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/internal/turns"
	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
)

const (
	// goodFor is how long a positive answer is cached, so that a revocation
	// takes effect within it.
	goodFor = 30 * time.Second
	// badFor is how long a negative answer is cached.
	badFor = 5 * time.Second
	// maxQuestions is the maximum number of concurrent requests to an endpoint;
	// further ones wait for a turn. One network of clients gets at most three
	// quarters of them.
	maxQuestions = 64
)

var (
	errAnswer = errors.New("the answer is malformed")
	errStatus = errors.New("unexpected status")
	errQueue  = errors.New("too many tokens are being checked at once")
)

// endpoint asks a server about tokens and caches the answers.
type endpoint struct {
	method string // of the principals, for logs
	rules  rules
	client *http.Client
	now    func() time.Time
	every  time.Duration // maximum age of an answer about an open session; 0 means any age
	grace  time.Duration
	turns  *turns.Turns[netip.Addr] // by the network of the client
	pace   *pace                    // of all endpoints

	// request returns the request about a token.
	request func(ctx context.Context, token string) (*http.Request, error)
	// read returns the claims in an answer about a token. The error is
	// errInactive for a token that the server rejects; any other error means
	// that the answer says nothing about the token.
	read func(status int, body []byte) (map[string]any, error)

	mu      sync.Mutex
	good    *cache[verdict]
	bad     *cache[error]
	pending map[digest]*call[verdict]
}

// verdict is the answer about a token: a principal, or the rule that the token
// breaks.
type verdict struct {
	principal *auth.Principal
	rule      error
	asked     time.Time
}

func newEndpoint(r rules, c *http.Client, now func() time.Time, size int) *endpoint {
	return &endpoint{
		rules:   r,
		client:  c,
		now:     now,
		turns:   turns.New[netip.Addr](turns.Fair(maxQuestions)),
		pace:    newPace(-1), // New sets that of the Verifier
		good:    newWeighedCache[verdict](size),
		bad:     newCache[error](size),
		pending: make(map[digest]*call[verdict]),
	}
}

// verify returns the principal of a token.
func (e *endpoint) verify(ctx context.Context, token string) (*auth.Principal, error) {
	v, err := e.answer(ctx, token, goodFor)
	if err != nil {
		return nil, err
	}
	return e.reminded(v, token), nil
}

// answer returns the cached verdict on a token, or asks the server if the
// verdict is older than maxAge.
func (e *endpoint) answer(ctx context.Context, token string, maxAge time.Duration) (verdict, error) {
	v, err := e.verdict(ctx, token, maxAge)
	switch {
	case err != nil:
		return v, unavailable(err)
	case v.rule != nil:
		return v, invalid(v.rule)
	}
	return v, e.rules.granted(v.principal)
}

// verdict returns the cached verdict on a token if it is no older than maxAge.
// Otherwise it asks the server, once for all concurrent callers.
func (e *endpoint) verdict(ctx context.Context, token string, maxAge time.Duration) (verdict, error) {
	key := digestOf(token)
	e.mu.Lock()
	now := e.now()
	if v, ok := e.good.get(key, now); ok && now.Sub(v.asked) <= maxAge {
		e.mu.Unlock()
		return v, nil
	}
	if rule, ok := e.bad.get(key, now); ok {
		e.mu.Unlock()
		return verdict{rule: rule}, nil
	}
	c := e.pending[key]
	if c == nil {
		c = e.ask(ctx, key, token)
		e.pending[key] = c
	}
	e.mu.Unlock()
	return c.wait(ctx)
}

// ask starts the request about a token. The caller holds e.mu.
func (e *endpoint) ask(ctx context.Context, key digest, token string) *call[verdict] {
	var asked time.Time
	work := func(ctx context.Context) (verdict, error) {
		network := httpsec.Network(auth.RemoteOf(ctx))
		if err := e.turn(ctx, network); err != nil {
			return verdict{}, err
		}
		defer e.turns.Give(network)
		asked = e.now()
		v, err := e.question(ctx, key, token)
		v.asked = asked
		if err == nil && v.rule != nil {
			e.pace.wrong(network)
		}
		return v, err
	}
	return start(ctx, work, func(v verdict, err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.pending, key)
		if err != nil {
			return // it says nothing about the token, so the next caller asks again
		}
		if v.rule != nil {
			e.good.remove(key)
			e.bad.put(key, v.rule, asked.Add(badFor), e.now())
			return
		}
		until := asked.Add(goodFor)
		if exp := v.principal.Expires; !exp.IsZero() && exp.Add(-Skew).Before(until) {
			// From then on the server itself must confirm that the token is
			// still valid.
			until = exp.Add(-Skew)
		}
		e.good.putOf(v.principal.Name, ownBytes+weigh(v.principal), key, v, until, e.now())
	})
}

// turn waits until a question about a token of a network may be asked; the caller
// gives the turn back. The pace is looked at in the turn: of those who waited
// for one, the first may have been wrong too often meanwhile. Nobody sleeps in a
// turn.
func (e *endpoint) turn(ctx context.Context, network netip.Addr) error {
	for paced := false; ; paced = true {
		if !e.turns.Take(ctx, network) {
			return errQueue
		}
		if paced || !e.pace.over(network) {
			return nil
		}
		e.turns.Give(network)
		if err := e.pace.wait(ctx, network); err != nil {
			return err
		}
	}
}

func (e *endpoint) question(ctx context.Context, key digest, token string) (verdict, error) {
	r, err := e.request(ctx, token)
	if err != nil {
		return verdict{}, err
	}
	status, body, err := do(e.client, r, maxAnswer)
	if err != nil {
		return verdict{}, err
	}
	claims, err := e.read(status, body)
	if errors.Is(err, errInactive) {
		return verdict{rule: err}, nil
	}
	if err != nil {
		return verdict{}, fmt.Errorf("%s: %w", r.URL, err)
	}
	p, err := e.rules.principal(claims, e.now())
	if err != nil {
		return verdict{rule: err}, nil
	}
	p.Method, p.CredentialID = e.method, key.credential()
	return verdict{principal: p}, nil
}

// weigh returns the memory of a principal's claims and of the lists made from
// them, in bytes.
func weigh(p *auth.Principal) int64 {
	return weight.Of(p.Claims) + weight.Heads(p.Roles) + weight.Heads(p.Scopes)
}

// object returns the JSON object in body.
func object(body []byte) (map[string]any, error) {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil || members == nil {
		return nil, errAnswer
	}
	return members, nil
}
