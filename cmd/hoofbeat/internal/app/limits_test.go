package app

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config/configtest"
)

// The configured limits on connections reach the broker.
func TestAdmissionLimitsReachTheBroker(t *testing.T) {
	o := brokerOptions(configtest.Load(t, quiet+`
limits:
  sessions: 11
  sessions_per_user: 12
  sessions_per_address: 13
  login_failures: 14
  address_failures: off
  failure_wait: 15s
  failure_decay: 16m
`))
	got, want := o.Limits, broker.Limits{Sessions: 11, SessionsPerUser: 12, SessionsPerAddress: 13, LoginFailures: 14, AddressFailures: -1}
	if got.Sessions != want.Sessions || got.SessionsPerUser != want.SessionsPerUser || got.SessionsPerAddress != want.SessionsPerAddress ||
		got.LoginFailures != want.LoginFailures || got.AddressFailures != want.AddressFailures ||
		o.FailureWait != 15*time.Second || o.FailureDecay != 16*time.Minute {
		t.Errorf("got %+v, %v, %v", got, o.FailureWait, o.FailureDecay)
	}
}

// The configured limits on what one session or user keeps waiting reach the
// broker, at the start and by a reload. Queues in memory answer at once, so
// nothing in the binary meets limits.in_flight.
func TestSharedLimitsReachTheBroker(t *testing.T) {
	c := configtest.Load(t, quiet+`
limits:
  slow_patterns: 11
  slow_patterns_per_user: 12
  selectors_per_user: 13
  in_flight: 14
  in_flight_bytes: 15KiB
`)
	want := broker.Limits{SlowPatterns: 11, SlowPatternsPerUser: 12, SelectorsPerUser: 13, InFlight: 14, InFlightBytes: 15 << 10}
	for name, c := range map[string]*config.Config{"at the start": c, "by a reload": config.Default().Adopt(c)} {
		l := brokerOptions(c).Limits
		got := broker.Limits{SlowPatterns: l.SlowPatterns, SlowPatternsPerUser: l.SlowPatternsPerUser, SelectorsPerUser: l.SelectorsPerUser, InFlight: l.InFlight, InFlightBytes: l.InFlightBytes}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

// Lowered defaults are one line in the log, and there is no line if nothing is
// lowered.
func TestLowerDefaultsAreOneLine(t *testing.T) {
	l := new(log)
	logger := slog.New(slog.NewTextHandler(l, nil))
	c := config.Default()
	fitLimits(c, 1<<30).log(logger, fitting{})
	if l.String() != "" {
		t.Errorf("nothing is lower: %s", l)
	}
	few := fitLimits(c, 1024)
	few.log(logger, fitting{})
	if text := l.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "limits.connections=256") || !strings.Contains(text, "limits.sessions=512") {
		t.Errorf("logged %s", text)
	}
	before := l.String()
	few.log(logger, few)
	if l.String() != before {
		t.Errorf("the same is logged again: %s", l)
	}
}

// A reload applies a change of every limit that is documented so: the limit
// reaches the broker's policy, or the limit on HTTP connections.
func TestLiveLimitsAreAdopted(t *testing.T) {
	start := config.Default()
	n := 0
	for _, k := range config.Keys() {
		if !k.Live || !strings.HasPrefix(k.Path, "limits.") {
			continue
		}
		n++
		text := "off"
		if k.Path == "limits.nul" {
			text = "refuse"
		}
		c, err := config.Load(config.Sources{Env: []string{k.Env() + "=" + text}})
		if err != nil {
			t.Errorf("%s: %v", k.Path, err)
			continue
		}
		next := start.Adopt(c)
		http := next.Limits.Connections != start.Limits.Connections || next.Limits.ConnectionsPerAddress != start.Limits.ConnectionsPerAddress
		if !http && brokerOptions(next).Limits == brokerOptions(start).Limits {
			t.Errorf("%s: a reload changes nothing", k.Path)
		}
	}
	if n < 25 {
		t.Errorf("only %d limits", n)
	}
}
