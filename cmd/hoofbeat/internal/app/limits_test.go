package app

import (
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// What the configuration says of who may come in reaches the broker.
func TestAdmissionLimitsReachTheBroker(t *testing.T) {
	o := brokerOptions(load(t, quiet+`
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
