package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/webhook"
)

// A backend that knows Alice, and the broker's side of it. Backends are usually
// written in another language.
func Example() {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var question struct{ Event, Login, Passcode, User, Destination string }
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		switch {
		case question.Event == "connect" && question.Login == "alice" && question.Passcode == "wonderland":
			fmt.Fprint(w, `{"allow":true,"user":"alice"}`)
		case question.Event == "subscribe" && question.Destination == "/topic/news/"+question.User:
			fmt.Fprint(w, `{"allow":true}`)
		default:
			fmt.Fprint(w, `{"allow":false,"reason":"not here"}`)
		}
	}))
	defer backend.Close()

	hook, err := webhook.New(webhook.Options{
		URL:    backend.URL,
		Secret: os.Getenv("WEBHOOK_SECRET"), // signs each question
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hook.CloseIdleConnections()

	ctx := context.Background()
	attempt := &auth.Attempt{
		Stage: auth.StageConnect, Login: "alice", Passcode: "wonderland",
		Header: func(string) string { return "" },
	}
	alice, err := hook.Authenticate(ctx, attempt)
	fmt.Println(alice.Name, err)
	fmt.Println(hook.Authorize(ctx, alice, auth.Subscribe, "/topic/news/alice"))
	fmt.Println(hook.Authorize(ctx, alice, auth.Subscribe, "/topic/news/bob"))
	attempt.Passcode = "guessed"
	_, err = hook.Authenticate(ctx, attempt)
	fmt.Println(err)
	// Output:
	// alice <nil>
	// <nil>
	// access to this destination is denied
	// not here
}

// The backend says who a client is, and the broker's own rules say what it may
// do unless the backend knows better.
func ExampleOptions_fallback() {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"pass":true}`)
	}))
	defer backend.Close()
	hook, err := webhook.New(webhook.Options{URL: backend.URL, Fallback: auth.Guarded()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hook.CloseIdleConnections()
	ctx, alice := context.Background(), &auth.Principal{Name: "alice"}
	fmt.Println(hook.Authorize(ctx, alice, auth.Subscribe, "/topic/news"))
	fmt.Println(hook.Authorize(ctx, alice, auth.Send, "/topic/news"))
	// Output:
	// <nil>
	// access to this destination is denied
}
