package broker_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A journal is a log that a test reads record by record.
type journal struct {
	mu      sync.Mutex
	records []logged
	more    chan struct{}
}

type logged struct {
	level slog.Level
	text  string
	attrs map[string]string
}

func newJournal() *journal { return &journal{more: make(chan struct{}, 1)} }

func (j *journal) logger() *slog.Logger { return slog.New(j) }

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	l := logged{r.Level, r.Message, make(map[string]string)}
	r.Attrs(func(a slog.Attr) bool { l.attrs[a.Key] = a.Value.String(); return true })
	j.mu.Lock()
	j.records = append(j.records, l)
	j.mu.Unlock()
	select {
	case j.more <- struct{}{}:
	default:
	}
	return nil
}

func (j *journal) all(text string) (found []logged) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.records {
		if l.text == text {
			found = append(found, l)
		}
	}
	return found
}

// await returns the nth record with this text.
func (j *journal) await(t *testing.T, text string, nth int) logged {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		if found := j.all(text); len(found) >= nth {
			return found[nth-1]
		}
		select {
		case <-j.more:
		case <-deadline:
			t.Fatalf("the log has %d records %q, want %d", len(j.all(text)), text, nth)
		}
	}
}

func wantAttrs(t *testing.T, l logged, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := l.attrs[pairs[i]]; got != pairs[i+1] {
			t.Errorf("%q has %s=%q, want %q; all: %v", l.text, pairs[i], got, pairs[i+1], l.attrs)
		}
	}
}

func TestSessionLogTellsTheLifeOfASession(t *testing.T) {
	j := newJournal()
	srv := brokertest.Start(t, broker.Options{Logger: j.logger(), Authenticator: auth.TrustLogin, Origins: []string{"https://app.example.com"}})
	c := rawWebSocket(t, srv, "Origin", "https://app.example.com", "User-Agent", "a browser").connect(t, "login", "ann")
	started := j.await(t, "session started", 1)
	wantAttrs(t, started, "user", "ann", "transport", "websocket", "version", "1.2",
		"authenticated_by", "anonymous", "user_agent", "a browser", "origin", "https://app.example.com")
	if started.level != slog.LevelInfo || started.attrs["remote"] == "" || started.attrs["session"] == "" {
		t.Errorf("started: %v %v", started.level, started.attrs)
	}
	c.subscribe(t, "1", "/topic/a")
	publish(t, srv.Broker, "/topic/a", "x")
	c.want(t, "MESSAGE")
	c.send(t, "DISCONNECT", "", "receipt", "bye")
	c.receipt(t, "bye")
	ended := j.await(t, "session ended", 1)
	wantAttrs(t, ended, "session", started.attrs["session"], "user", "ann", "reason", "disconnect",
		"received", "3", // CONNECT, SUBSCRIBE, DISCONNECT
		"sent", "5") // CONNECTED, two receipts, MESSAGE, close frame
	if d, err := time.ParseDuration(ended.attrs["duration"]); err != nil || d < 0 || d > time.Minute {
		t.Errorf("duration %q", ended.attrs["duration"])
	}
	if ended.level != slog.LevelInfo {
		t.Errorf("ended at level %v", ended.level)
	}
}

func TestSessionLogLevels(t *testing.T) {
	for name, tc := range map[string]struct {
		level slog.Leveler
		want  slog.Level
	}{
		"default": {nil, slog.LevelInfo},
		"debug":   {slog.LevelDebug, slog.LevelDebug},
		"off":     {broker.LogOff, broker.LogOff},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal()
			b := brokertest.New(t, broker.Options{Logger: j.logger(), SessionLog: tc.level})
			c := brokertest.Connect(t, b)
			c.Send("DISCONNECT", "", "receipt", "bye")
			c.ExpectReceipt(t, "bye")
			if err := c.Ended(t); err != nil {
				t.Log("ended:", err)
			}
			brokertest.Eventually(t, "the session has gone", func() bool { return b.Stats().Sockets == 0 })
			if err := b.Close(); err != nil { // waits for the record
				t.Fatal(err)
			}
			records := append(j.all("session started"), j.all("session ended")...)
			if tc.want == broker.LogOff {
				if len(records) != 0 {
					t.Errorf("%d records", len(records))
				}
				return
			}
			if len(records) != 2 || records[0].level != tc.want || records[1].level != tc.want {
				t.Errorf("records: %v, want 2 at %v", records, tc.want)
			}
		})
	}
}

// A client that is denied is a warning with everything that an operator needs,
// also when sessions are not logged, and one that tries again and again does not
// fill the log.
func TestDenialsAreWarnedAboutWithACountOfWhatWasSuppressed(t *testing.T) {
	for _, soft := range []bool{false, true} {
		t.Run(fmt.Sprintf("soft=%v", soft), func(t *testing.T) {
			j := newJournal()
			rules, err := auth.NewRules(auth.Rule{Effect: auth.Deny, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/secret"})
			if err != nil {
				t.Fatal(err)
			}
			b := brokertest.New(t, broker.Options{Logger: j.logger(), SessionLog: broker.LogOff, Authenticator: auth.TrustLogin, Authorizer: rules, SoftDenial: soft})
			text := map[bool]string{false: "session ended", true: "denied"}[soft]
			users := 0
			deny := func() { // four users in turn, none of whom is slowed down at first
				users++
				c := brokertest.Connect(t, b, "login", fmt.Sprint("user", users%4))
				c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/secret")
				if soft {
					c.Sync(t)
					c.Close()
				} else {
					c.Expect(t, "ERROR")
				}
				_ = c.Ended(t)
			}
			const tries = 20
			for range tries {
				deny()
			}
			first := j.await(t, text, 1)
			if first.level != slog.LevelWarn || !strings.Contains(first.attrs["detail"], `"/topic/secret"`) || first.attrs["session"] == "" {
				t.Errorf("the warning is %v %v", first.level, first.attrs)
			}
			brokertest.Eventually(t, "the next warning says how many were suppressed", func() bool {
				deny()
				for _, l := range j.all(text) {
					if n, _ := strconv.Atoi(l.attrs["suppressed"]); n > 0 {
						return true
					}
				}
				return false
			})
			if n := len(j.all(text)); n > tries {
				t.Errorf("%d records for %d denials", n, tries)
			}
		})
	}
}

// "ann cannot sign in" is answered by the log: it has the login that was tried.
func TestRejectedLoginIsLogged(t *testing.T) {
	j := newJournal()
	b := brokertest.New(t, broker.Options{Logger: j.logger(), Authenticator: auth.AuthenticatorFunc(
		func(context.Context, *auth.Attempt) (*auth.Principal, error) { return nil, &auth.Refusal{Reason: "no"} })})
	c := brokertest.Dial(b)
	defer c.Close()
	c.Send("CONNECT", "", "accept-version", "1.2", "login", "ann", "passcode", "s3cret")
	c.Expect(t, "ERROR")
	l := j.await(t, "authentication rejected", 1)
	wantAttrs(t, l, "login", "ann")
	for name, value := range l.attrs {
		if strings.Contains(value, "s3cret") {
			t.Errorf("%s has the passcode", name)
		}
	}
}

// Another user behind the same address has a line of its own, and one address with
// many names does not fill the log.
func TestWarningsTellUsersOfOneAddressApart(t *testing.T) {
	log := newJournal()
	// Nobody is slowed down here, so all of it happens in one second.
	b := brokertest.Start(t, broker.Options{Logger: log.logger(), Authenticator: auth.TrustLogin, Authorizer: auth.Guarded(), SoftDenial: true})
	denied := func(user string) {
		c := dialTCP(t, b, "login", user)
		c.send(t, frame("SUBSCRIBE", "", "id", "1", "destination", "/queue/jobs"))
		c.send(t, frame("SUBSCRIBE", "", "id", "2", "destination", "/user/queue/errors", "receipt", "r"))
		if f := c.next(t); f.Command != "RECEIPT" {
			t.Fatalf("got %v", f)
		}
		_ = c.tcp.Close()
	}
	for _, user := range []string{"ann", "bob"} {
		denied(user)
	}
	wantAttrs(t, log.await(t, "denied", 1), "user", "ann")
	wantAttrs(t, log.await(t, "denied", 2), "user", "bob")
	since := time.Now()
	const names = 100
	for i := range names {
		denied(fmt.Sprintf("user-%d", i))
	}
	seconds := int(time.Since(since)/time.Second) + 2
	if lines := len(log.all("denied")); lines > seconds*loglimit.PerNetwork {
		t.Errorf("%d lines in %d seconds about one address, want at most %d a second", lines, seconds, loglimit.PerNetwork)
	}
}
