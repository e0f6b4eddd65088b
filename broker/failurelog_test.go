package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Code of the program that fails at every message fills no log: there is one
// record a second, and the next one says how many were suppressed.
func TestFailuresOfTheProgramAreLoggedOnceASecond(t *testing.T) {
	down := errors.New("the database is down")
	consumer := func(fail func() error) func(*testing.T, broker.Options) func() {
		return func(t *testing.T, o broker.Options) func() {
			b := brokertest.New(t, o)
			if _, err := b.Subscribe(t.Context(), "/topic/a", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return fail() }); err != nil {
				t.Fatal(err)
			}
			return func() { publish(t, b, "/topic/a", "x") }
		}
	}
	for text, tc := range map[string]struct {
		level slog.Level
		start func(*testing.T, broker.Options) (once func())
	}{
		"an in-process subscription refused a message": {slog.LevelWarn, consumer(func() error { return down })},
		"a hook panicked": {slog.LevelError, consumer(func() error { panic(down) })},
		"a handler failed": {slog.LevelError, func(t *testing.T, o broker.Options) func() {
			b := brokertest.New(t, o)
			handle(t, b, "/a", func(context.Context, *broker.Request) error { return down })
			return func() {
				c := brokertest.Connect(t, b)
				c.Send("SEND", "", "destination", "/app/a")
				wantError(t, c, 1011, "internal error")
			}
		}},
		"a handler or hook panicked": {slog.LevelError, func(t *testing.T, o broker.Options) func() {
			b := brokertest.New(t, o)
			handle(t, b, "/a", func(context.Context, *broker.Request) error { panic(down) })
			return func() {
				c := brokertest.Connect(t, b)
				c.Send("SEND", "", "destination", "/app/a")
				wantError(t, c, 1011, "internal error")
			}
		}},
		"the authorizer failed, so the request is denied": {slog.LevelWarn, func(t *testing.T, o broker.Options) func() {
			o.SoftDenial = true
			o.Authorizer = auth.AuthorizerFunc(func(context.Context, *auth.Principal, auth.Action, string) error { return down })
			c := brokertest.Connect(t, brokertest.New(t, o))
			return func() { c.Send("SEND", "", "destination", "/topic/a") }
		}},
	} {
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newJournal()
				once := tc.start(t, broker.Options{Logger: log.logger()})
				const failures = 20
				for range failures {
					once()
				}
				synctest.Wait()
				if n := len(log.all(text)); n != 1 {
					t.Fatalf("%d records of %d failures at once, want 1", n, failures)
				}
				<-time.After(time.Second)
				once()
				synctest.Wait()
				found := log.all(text)
				if len(found) != 2 {
					t.Fatalf("%d records a second later, want 2", len(found))
				}
				wantAttrs(t, found[1], "suppressed", fmt.Sprint(failures-1))
				if found[1].level != tc.level {
					t.Errorf("the level is %v, want %v", found[1].level, tc.level)
				}
			})
		})
	}
}
