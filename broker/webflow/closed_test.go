package webflow_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// After Close every call fails with ErrClosed, whether its context ends or not:
// Close ends the contexts with which a Flow waits for its Store, and that is no
// failure of the Store.
func TestCallsAfterClose(t *testing.T) {
	_, f := start(t, webflow.Options{Registration: webflow.Open})
	open(t, f, "1", user("ann"))
	ann := &auth.Principal{Name: "ann"}
	if ok, err := f.MayWait(context.Background(), ann, "1"); !ok || err != nil {
		t.Fatalf("before Close: %v, %v", ok, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for name, ctx := range map[string]context.Context{"without end": context.Background(), "with an end": limited} {
		for call, err := range map[string]error{
			"MayWait":   second(f.MayWait(ctx, ann, "1")),
			"Lookup":    second(f.Lookup(ctx, "1")),
			"Open":      second(f.Open(ctx, webflow.Operation{ID: "2", Owner: user("ann")})),
			"Notify":    second(f.Notify(ctx, "1", "CONFIRMED")),
			"Result":    second(f.Result(ctx, "ws-1", webflow.Caller{Principal: ann})),
			"PollToken": second(f.PollToken(ctx, "ws-1", webflow.Caller{Principal: ann})),
		} {
			if !errors.Is(err, webflow.ErrClosed) || errors.Is(err, webflow.ErrUnavailable) {
				t.Errorf("%s with a context %s: %v", call, name, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }
