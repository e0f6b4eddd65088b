package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/circuit"
)

const (
	failuresToOpen = circuit.Failures
	firstPause     = circuit.FirstPause
	maxPause       = circuit.MaxPause
)

// flaky is a backend in memory that can be switched off. It counts the
// questions.
type flaky struct {
	off   atomic.Bool
	asked atomic.Int64
	logs  bytes.Buffer
}

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	f.asked.Add(1)
	if f.off.Load() {
		return silent(r)
	}
	return response(200, `{"allow":true,"user":"alice","max_age":0}`), nil
}

func (f *flaky) hook(t *testing.T) *Webhook {
	return newHook(t, Options{
		URL:    inMemory + "?key=" + secretText,
		Client: &http.Client{Transport: f},
		Logger: slog.New(slog.NewTextHandler(&f.logs, nil)),
	})
}

func (f *flaky) lines() []string {
	return strings.Split(strings.TrimSpace(f.logs.String()), "\n")
}

func TestCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flaky
		w := f.hook(t)
		start := time.Now()
		ask := func() error {
			_, err := w.Authenticate(t.Context(), connect("alice", secretText))
			return err
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}

		// A success in between begins the count again.
		f.off.Store(true)
		for range failuresToOpen - 1 {
			_ = ask()
		}
		f.off.Store(false)
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		f.off.Store(true)
		for range failuresToOpen {
			if err := ask(); !errors.Is(err, ErrUnavailable) {
				t.Fatal(err)
			}
		}
		if want := (2*failuresToOpen - 1) * DefaultTimeout; time.Since(start) != want {
			t.Errorf("that took %v, want %v", time.Since(start), want)
		}

		// Open: everything is refused at once, and nothing is asked.
		asked := f.asked.Load()
		opened := time.Now()
		for range 100 {
			err := ask()
			if r := refusalOf(t, err); r.Status != 503 || r.RetryAfter != time.Second || !errors.Is(err, ErrUnavailable) {
				t.Fatalf("%+v", r)
			}
			err = w.Authorize(t.Context(), alice, auth.Send, "/a")
			if !errors.Is(err, auth.ErrDenied) || !errors.Is(err, ErrUnavailable) {
				t.Fatal(err)
			}
		}
		if time.Since(opened) != 0 || f.asked.Load() != asked {
			t.Errorf("an open circuit took %v and %d questions", time.Since(opened), f.asked.Load()-asked)
		}

		// Each probe that fails doubles the pause, up to half a minute.
		for _, pause := range []int{1, 2, 4, 8, 16, 30, 30} {
			pause := time.Duration(pause) * time.Second
			advance(pause - 1)
			if r := refusalOf(t, ask()); r.RetryAfter != time.Second || f.asked.Load() != asked {
				t.Fatalf("a question was put before the pause of %v was over", pause)
			}
			advance(1)

			// Of those who come at once, one probes. The others do not wait for
			// it.
			var all sync.WaitGroup
			for i := range 10 {
				all.Go(func() { _ = w.Authorize(t.Context(), alice, auth.Send, fmt.Sprintf("/%d", i)) })
			}
			all.Wait()
			if asked++; f.asked.Load() != asked {
				t.Fatalf("after a pause of %v, %d questions were put", pause, f.asked.Load()-asked+1)
			}
		}
		if r := refusalOf(t, ask()); r.RetryAfter != maxPause {
			t.Errorf("Retry-After is %v, want %v", r.RetryAfter, maxPause)
		}
		if n := len(f.lines()); n != 1 {
			t.Errorf("%d lines were logged of one outage, want 1:\n%s", n, &f.logs)
		}

		// It answers again.
		f.off.Store(false)
		advance(maxPause)
		for range 3 {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
		}
		outage := time.Since(opened)
		lines := f.lines()
		if len(lines) != 2 {
			t.Fatalf("%d lines were logged, want 2:\n%s", len(lines), &f.logs)
		}
		if !strings.Contains(lines[0], `level=WARN`) || !strings.Contains(lines[0], `cause="no answer within 2s"`) ||
			!strings.Contains(lines[0], "url="+inMemory+" ") {
			t.Errorf("opened: %s", lines[0])
		}
		if !strings.Contains(lines[1], `level=INFO`) || !strings.Contains(lines[1], "outage="+outage.String()) {
			t.Errorf("closed: %s", lines[1])
		}
		if strings.Contains(f.logs.String(), secretText) {
			t.Error("a secret is in the log")
		}

		// The next outage begins with the first pause.
		f.off.Store(true)
		for range failuresToOpen {
			_ = ask()
		}
		if r := refusalOf(t, ask()); r.RetryAfter != firstPause {
			t.Errorf("Retry-After is %v, want %v", r.RetryAfter, firstPause)
		}
	})
}

// Cached answers remain valid while the circuit is open.
func TestOpenCircuitRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var off atomic.Bool
		w := newHook(t, Options{URL: inMemory, Client: &http.Client{Transport: transport(
			func(*http.Request) (*http.Response, error) {
				if off.Load() {
					return response(500, ""), nil
				}
				return response(200, `{"allow":true}`), nil
			})}})
		if err := w.Authorize(t.Context(), alice, auth.Send, "/a"); err != nil {
			t.Fatal(err)
		}
		off.Store(true)
		for range failuresToOpen {
			_ = w.Authorize(t.Context(), alice, auth.Send, "/b")
		}
		if err := w.Authorize(t.Context(), alice, auth.Send, "/b"); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("what is not remembered: %v", err)
		}
		if err := w.Authorize(t.Context(), alice, auth.Send, "/a"); err != nil {
			t.Errorf("what is remembered: %v", err)
		}
		if n := testing.AllocsPerRun(100, func() {
			_ = w.Authorize(context.Background(), alice, auth.Send, "/b")
		}); n > 1 {
			t.Errorf("a refusal by the open circuit allocates %v times", n)
		}
	})
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var under, most atomic.Int64
		let := make(chan struct{})
		w := newHook(t, Options{URL: inMemory, Concurrency: 2, Client: &http.Client{Transport: transport(
			func(r *http.Request) (*http.Response, error) {
				most.Store(max(most.Load(), under.Add(1)))
				defer under.Add(-1)
				select {
				case <-let:
					return response(200, `{"allow":true}`), nil
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			})}})
		ask := func(ctx context.Context) <-chan error {
			result := make(chan error, 1)
			go func() {
				_, err := w.Authenticate(ctx, connect("alice", "x"))
				result <- err
			}()
			return result
		}
		first := [2]<-chan error{ask(t.Context()), ask(t.Context())}
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		left := ask(ctx)
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, ErrUnavailable) {
			t.Errorf("who left the queue: %v", err)
		}
		advance(time.Second)
		late := ask(t.Context())
		permission := make(chan error, 1)
		go func() { permission <- w.Authorize(t.Context(), alice, auth.Send, "/a") }()
		synctest.Wait()
		if n := under.Load(); n != 3 {
			t.Errorf("%d questions are under way, want 2 about identities and 1 about a permission", n)
		}
		advance(time.Second) // the first two time out, and the late one gets its turn
		for _, r := range first {
			if err := <-r; !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
		}
		synctest.Wait()
		close(let)
		if err := <-late; err != nil {
			t.Errorf("the late one: %v", err)
		}
		if err := <-permission; err != nil {
			t.Errorf("the permission: %v", err)
		}
		if n := most.Load(); n != 3 {
			t.Errorf("at most %d questions were under way, want 3", n)
		}
	})
}

// A question that gets no turn is rejected, but does not count as a failure of
// the backend.
func TestQueueTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHook(t, Options{URL: inMemory, Concurrency: 1})
		w.permissions.Take(t.Context(), asker{}) // somebody has the only turn, for good
		start := time.Now()
		for range failuresToOpen + 1 {
			err := w.Authorize(t.Context(), alice, auth.Send, "/a")
			if !errors.Is(err, errQueue) || errors.Is(err, auth.ErrDenied) {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != (failuresToOpen+1)*DefaultTimeout {
			t.Errorf("that took %v", took)
		}
	})
}

// The circuit may open while a question waits for its turn.
func TestCircuitOpensForTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		var asked atomic.Int64
		w := newHook(t, Options{URL: inMemory, Concurrency: 1, Client: &http.Client{Transport: transport(
			func(*http.Request) (*http.Response, error) {
				if asked.Add(1) == failuresToOpen {
					<-let
				}
				return response(500, ""), nil
			})}})
		for range failuresToOpen - 1 {
			_ = w.Authorize(t.Context(), alice, auth.Send, "/a")
		}
		waiting := make(chan error, 2)
		for _, destination := range []string{"/a", "/b"} {
			go func() { waiting <- w.Authorize(t.Context(), alice, auth.Send, destination) }()
		}
		synctest.Wait()
		close(let)
		// One of them is the failure that opens the circuit, and the other must
		// not be put any more.
		first, second := <-waiting, <-waiting
		if errors.Is(first, auth.ErrDenied) == errors.Is(second, auth.ErrDenied) || asked.Load() != failuresToOpen {
			t.Errorf("%v and %v after %d questions", first, second, asked.Load())
		}
	})
}
