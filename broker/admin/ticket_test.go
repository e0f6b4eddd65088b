package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// withTickets returns options of a broker that accepts tickets, and logins from
// clients without one, and the options of its API.
func withTickets(t testing.TB, o ticket.Options) (broker.Options, Options) {
	t.Helper()
	store := auth.NewRevocations()
	tickets, err := ticket.New(ticket.NewMemory(), store, o)
	if err != nil {
		t.Fatal(err)
	}
	return broker.Options{Revocations: store, Authenticator: auth.Chain(tickets, auth.TrustLogin)}, Options{Revocations: store, Tickets: tickets}
}

// consume returns whom a ticket lets in, or fails for the cause.
func consume(t testing.TB, o Options, ticket, origin string) *auth.Principal {
	t.Helper()
	p, err := o.Tickets.Consume(t.Context(), ticket, origin)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantDead(t testing.TB, o Options, value string, cause ticket.Cause) {
	t.Helper()
	_, err := o.Tickets.Consume(t.Context(), value, "")
	var dead *ticket.Error
	if !errors.As(err, &dead) || dead.Cause != cause {
		t.Errorf("the ticket is not dead for being %v: %v", cause, err)
	}
}

func TestMintLetsInOnce(t *testing.T) {
	bo, o := withTickets(t, ticket.Options{})
	s := start(t, bo, o)
	var got minted
	s.do(t, "POST", "/api/v1/tickets", `{"user":"ann/ü","roles":["staff","guest"]}`).json(t, http.StatusCreated, &got)
	c := brokertest.Connect(t, s.b, "ticket", got.Ticket)
	var p page[session]
	s.do(t, "GET", "/api/v1/sessions", "").json(t, http.StatusOK, &p)
	if p.Total != 1 || p.Items[0].ID != c.Session || p.Items[0].User != "ann/ü" || !slices.Equal(p.Items[0].Roles, []string{"staff", "guest"}) {
		t.Errorf("%+v", p)
	}
	wantDead(t, o, got.Ticket, ticket.Used)
}

func TestMintGrantsWhatIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bo, o := withTickets(t, ticket.Options{TTL: time.Minute})
		h := newHandler(t, brokertest.New(t, bo), o)
		mint := func(body string) (got minted) {
			t.Helper()
			serve(h, request(t, "POST", "http://localhost/api/v1/tickets", body, "Content-Type", "application/json")).json(t, http.StatusCreated, &got)
			return got
		}
		full := mint(`{"user":"ann","roles":["a"],"ttl":30,"operation":"sign in","origin":"https://App.example.com:443"}`)
		if d := full.Expires - time.Now().Unix(); d != 30 {
			t.Errorf("it lives for %d s, want 30", d)
		}
		p := consume(t, o, full.Ticket, "https://app.example.com")
		if p.Name != "ann" || !slices.Equal(p.Roles, []string{"a"}) || !p.HasScope("operation:sign in") || !p.Expires.IsZero() || !p.Issued.Equal(time.Now()) {
			t.Errorf("%+v", p)
		}
		for _, body := range []string{`{"user":"ann"}`, `{"user":"ann","roles":null,"ttl":null,"operation":null,"origin":null}`, `{"roles":[],"user":"ann"}`} {
			got := mint(body)
			if d := got.Expires - time.Now().Unix(); d != 60 {
				t.Errorf("%s lives for %d s, want 60", body, d)
			}
			if p := consume(t, o, got.Ticket, "https://any.example.com"); p.Name != "ann" || len(p.Roles)+len(p.Scopes) != 0 {
				t.Errorf("%s: %+v", body, p)
			}
		}
		stolen := mint(`{"user":"ann","origin":"https://app.example.com"}`)
		wantDead(t, o, stolen.Ticket, ticket.WrongOrigin)
		short := mint(`{"user":"ann","ttl":1}`)
		<-time.After(time.Second)
		wantDead(t, o, short.Ticket, ticket.Expired)
	})
}

func TestMintRefuses(t *testing.T) {
	bo, o := withTickets(t, ticket.Options{TTL: time.Minute})
	o.MaxBody = 2000
	s := start(t, bo, o)
	for body, detail := range map[string]string{
		`{`:                                       "not JSON",
		`[]`:                                      "must be a JSON object",
		`{}`:                                      `"user" is missing`,
		`{"user":null}`:                           `"user" is missing`,
		`{"roles":["admin"]}`:                     `"user" is missing`,
		`{"user":""}`:                             "user name is blank",
		`{"user":" \t"}`:                          "user name is blank",
		`{"user":"a\nb"}`:                         "the user name contains",
		`{"user":7}`:                              `"user" must be a string`,
		`{"user":"ann","user":"bob"}`:             `"user" twice`,
		`{"User":"ann"}`:                          `no field "User", only user, roles, backend, ttl, operation and origin`,
		`{"user":"ann","backend":true}`:           `"backend" is for nobody in particular`,
		`{"roles":["a"],"backend":true}`:          `"backend" is for nobody in particular`,
		`{"backend":null}`:                        `"backend" must be true or false`,
		`{"backend":false}`:                       `"user" is missing`,
		`{"user":"ann","claims":{}}`:              `no field "claims"`,
		`{"user":"ann","roles":"a"}`:              `"roles" must be an array of strings`,
		`{"user":"ann","roles":[1]}`:              `"roles" must be an array of strings`,
		`{"user":"ann","roles":["a",null]}`:       `"roles" must be an array of strings that are not empty`,
		`{"user":"ann","roles":[""]}`:             `"roles" must be an array of strings that are not empty`,
		`{"user":"ann","ttl":0}`:                  `"ttl" must be a whole number of seconds from 1 to 3600`,
		`{"user":"ann","ttl":-1}`:                 `"ttl" must be`,
		`{"user":"ann","ttl":1.5}`:                `"ttl" must be`,
		`{"user":"ann","ttl":"30"}`:               `"ttl" must be`,
		`{"user":"ann","ttl":3601}`:               `"ttl" must be`,
		`{"user":"ann","ttl":9223372037}`:         `"ttl" must be`,
		`{"user":"ann","ttl":1e99}`:               `"ttl" must be`,
		`{"user":"ann","ttl":61}`:                 `"ttl" is longer than tickets may live here`,
		`{"user":"ann","operation":""}`:           `"operation" is empty`,
		`{"user":"ann","operation":[]}`:           `"operation" must be a string`,
		`{"user":"ann","operation":"a\tb"}`:       `"operation" must be at most 256 bytes`,
		`{"user":"ann","operation":"` + x257:      `"operation" must be at most 256 bytes`,
		`{"user":"ann","origin":""}`:              `"origin" is empty`,
		`{"user":"ann","origin":"null"}`:          `"origin" must be a scheme, a host`,
		`{"user":"ann","origin":"https://a.b/c"}`: `"origin" must be a scheme, a host`,
	} {
		s.do(t, "POST", "/api/v1/tickets", body).problem(t, http.StatusBadRequest, detail)
	}
	const good = `{"user":"ann"}`
	s.do(t, "POST", "/api/v1/tickets?user=ann", good).problem(t, http.StatusBadRequest, `takes no parameters, not "user"`)
	s.do(t, "POST", "/api/v1/tickets", good, "Content-Type", "text/plain").problem(t, http.StatusUnsupportedMediaType, "application/json")
	s.do(t, "POST", "/api/v1/tickets", good+strings.Repeat(" ", 2000)).problem(t, http.StatusRequestEntityTooLarge, "larger than 2000 bytes")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := request(t, "POST", "http://localhost/api/v1/tickets", good)
	serve(newHandler(t, s.b, o), r.WithContext(ctx)).problem(t, http.StatusServiceUnavailable, "given up")
}

var x257 = strings.Repeat("x", 257) + `"}`

func TestMintSignedTooLong(t *testing.T) {
	bo, o := withTickets(t, ticket.Options{Signed: true, Secrets: []ticket.Secret{{ID: "k", Key: bytes.Repeat([]byte("k"), 32)}}})
	s := start(t, bo, o)
	body := fmt.Sprintf(`{"user":"ann","roles":[%q]}`, strings.Repeat("x", ticket.MaxBytes))
	s.do(t, "POST", "/api/v1/tickets", body).problem(t, http.StatusBadRequest, "signed ticket of 4096 bytes")
	var got minted
	s.do(t, "POST", "/api/v1/tickets", `{"user":"ann"}`).json(t, http.StatusCreated, &got)
	brokertest.Connect(t, s.b, "ticket", got.Ticket)
}

func TestMintTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, to := range map[string]ticket.Options{
			"too many tickets at once":   {Rate: 0.4, Burst: 1}, // one in 2.5 s
			"too many unused tickets":    {PerSubject: 1, TTL: 3 * time.Second},
			"too many unused tickets ":   {MaxOutstanding: 1, TTL: 3 * time.Second},
			"too many tickets at once  ": {Rate: 2, Burst: 1}, // less than a second is not none
		} {
			bo, o := withTickets(t, to)
			h := newHandler(t, brokertest.New(t, bo), o)
			mint := func() answer {
				return serve(h, request(t, "POST", "http://localhost/api/v1/tickets", `{"user":"ann"}`))
			}
			mint().json(t, http.StatusCreated, &minted{})
			a := mint()
			a.problem(t, http.StatusTooManyRequests, strings.TrimSpace(want))
			wait, err := time.ParseDuration(a.header.Get("Retry-After") + "s")
			if err != nil || wait < time.Second || wait > 3*time.Second {
				t.Errorf("%+v: Retry-After %q", to, a.header.Get("Retry-After"))
			}
			<-time.After(wait)
			mint().json(t, http.StatusCreated, &minted{})
		}
	})
}

// No outside caller can make Mint wait between its start and its end.
func TestRevokedWhileMinting(t *testing.T) {
	p := unminted(&auth.Refusal{Status: http.StatusUnauthorized, Reason: "the credential was revoked"})
	if p.Status != http.StatusConflict || p.challenge != "" {
		t.Errorf("%+v", p)
	}
}

// noStore is a store of tickets that cannot be reached.
type noStore struct{ *ticket.Memory }

func (noStore) Put(context.Context, ticket.Record, ticket.Limits) error {
	return errors.New("dial tcp 10.0.0.1:4222: connection refused")
}

// Without its store nothing is minted: the caller is told when to try again, and
// the log says why.
func TestMintWithoutTheStore(t *testing.T) {
	var log bytes.Buffer
	revocations := auth.NewRevocations()
	tickets, err := ticket.New(noStore{ticket.NewMemory()}, revocations, ticket.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, brokertest.New(t, broker.Options{Revocations: revocations, Authenticator: tickets}),
		Options{Tickets: tickets, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	a := serve(h, request(t, "POST", "http://localhost/api/v1/tickets", `{"user":"ann"}`))
	a.problem(t, http.StatusServiceUnavailable, "tickets are not available at the moment")
	if got := a.header.Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After %q", got)
	}
	if !strings.Contains(log.String(), "connection refused") || bytes.Contains(a.body, []byte("refused")) {
		t.Errorf("the log says %s, the answer %s", log.String(), a.body)
	}
}

func TestWithoutTicketsStoreAndFlow(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	for _, body := range []string{`{"user":"ann"}`, `{`, ``} {
		s.do(t, "POST", "/api/v1/tickets", body).problem(t, http.StatusNotFound, "admin.Options.Tickets is not set")
		s.do(t, "POST", "/api/v1/revocations", body).problem(t, http.StatusNotFound, "admin.Options.Revocations is not set")
		s.do(t, "PUT", "/api/v1/operations/x", body).problem(t, http.StatusNotFound, "admin.Options.Flow is not set")
		s.do(t, "POST", "/api/v1/operations/x/result", body).problem(t, http.StatusNotFound, "admin.Options.Flow is not set")
	}
}

// A ticket's value is in the answer that issues it and nowhere else: in no
// other answer, header or log, used or unused.
func TestTicketIsSecret(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	bo, o := withTickets(t, ticket.Options{PerSubject: 2})
	bo.Logger, o.Logger = logger, logger
	bo.Presence, bo.History = []string{"/topic/room"}, []broker.History{{Destination: "/topic/prices"}}
	o.AccessToken = func(context.Context, string, string) (AccessToken, error) { return AccessToken{Token: "x"}, nil }
	b := brokertest.New(t, bo)
	h := newHandler(t, b, o)
	const body = `{"user":"ann","roles":["staff"],"operation":"x"}`
	var others bytes.Buffer
	do := func(method, path, body string, headers ...string) answer {
		return serve(h, request(t, method, "http://localhost"+path, body, headers...))
	}
	keep := func(a answer) { fmt.Fprintf(&others, "%d %v %s\n", a.status, a.header, a.body) }

	var used, unused minted
	for _, m := range []*minted{&used, &unused} {
		a := do("POST", "/api/v1/tickets", body)
		a.json(t, http.StatusCreated, m)
		if got := a.header.Get("Cache-Control"); got != "no-store" || len(m.Ticket) != 43 || bytes.Count(a.body, []byte(m.Ticket)) != 1 {
			t.Errorf("%v %s", a.header, a.body)
		}
		fmt.Fprintln(&others, a.header)
	}
	c := brokertest.Connect(t, b, "ticket", used.Ticket)
	again := brokertest.Dial(b)
	t.Cleanup(again.Close)
	again.Send("CONNECT", "", "accept-version", "1.2", "ticket", used.Ticket)
	fmt.Fprintln(&others, again.Expect(t, "ERROR"))

	keep(do("POST", "/api/v1/tickets", body))
	keep(do("POST", "/api/v1/tickets", body))
	for _, destination := range []string{"/queue/jobs", "/topic/prices"} {
		if err := b.Publish(t.Context(), &broker.Message{Destination: destination}); err != nil {
			t.Fatal(err)
		}
	}
	for _, rt := range (&api{}).routes() {
		if rt.method == http.MethodGet {
			path := strings.NewReplacer("{user}", "ann", "{provider}", "example", "{id}", c.Session, "{queue}", "%2Fqueue%2Fjobs", "{destination}", "%2Ftopic%2Fprices", "/presence", "/presence?destination=/topic/room").Replace(rt.path)
			a := do("GET", path, "")
			// There are no operations, and the answer says so.
			if a.status != http.StatusOK && !(a.status == http.StatusNotFound && strings.HasPrefix(path, "/api/v1/operations")) {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
			keep(a)
		}
	}
	keep(do("POST", "/api/v1/tickets", `{"user":"ann","ticket":"`+unused.Ticket[:1]+`"}`))
	keep(do("POST", "/api/v1/revocations", `{"user":"ann"}`))
	keep(do("GET", "/api/v1/stats", "", "Authorization", "Bearer "+unused.Ticket))
	fmt.Fprintln(&others, c.Expect(t, "ERROR"), c.Ended(t))
	again.Close()
	if err := b.Close(); err != nil { // nothing logs any more
		t.Fatal(err)
	}
	for _, secret := range []string{used.Ticket, unused.Ticket} {
		if strings.Contains(others.String(), secret) {
			t.Error("an answer has a ticket that is not its own")
		}
		if strings.Contains(log.String(), secret) {
			t.Error("the log has a ticket")
		}
	}
	if !strings.Contains(log.String(), "wrong token") || !strings.Contains(others.String(), "429") {
		t.Errorf("too little was looked at:\n%s\n%s", &log, &others)
	}
}
