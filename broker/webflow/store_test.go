package webflow_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

func unavailable(id string) string {
	return subRegistration + ` {"webSocketId":"` + id + `","registrationSucceeded":false,"reason":"unavailable"}`
}

// failing makes every call of the Store fail.
func failing(ctx context.Context, _ string, _ *webflow.Record) error { return errDisk }

// blocking makes every call of the Store wait until nobody waits for it.
func blocking(ctx context.Context, _ string, _ *webflow.Record) error {
	<-ctx.Done()
	return ctx.Err()
}

// conflicting makes every change lose a race.
func conflicting(_ context.Context, method string, _ *webflow.Record) error {
	if method == "Update" || method == "Delete" {
		return webflow.ErrConflict
	}
	return nil
}

// A Store that fails, does not answer, or never takes a change: the page is
// told to try again, whether the operation exists or not, the program gets
// ErrUnavailable, the log says it, and nothing has happened. When it works
// again, so does all that waited.
func TestStoreFails(t *testing.T) {
	for name, hook := range map[string]func(context.Context, string, *webflow.Record) error{
		"fails": failing, "does not answer": blocking, "always conflicts": conflicting,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d diary
				var log strings.Builder
				s := newFaulty()
				o := d.in(webflow.Options{Store: s, Logger: logger(&log), PollInterval: -1})
				b, f := start(t, o)
				open(t, f, "op", user("alice"))
				open(t, f, "held", user("alice"))
				c := page(t, b, "alice", "client")
				c.register("ws-held")
				want(t, c, accepted("ws-held"))
				synctest.Wait()
				d.wantEvents(t, "registered")
				s.set(hook, nil)

				c.register("ws-op")
				want(t, c, unavailable("ws-op"))
				began := time.Now()
				_, err := f.Notify(t.Context(), "op", "CONFIRMED")
				if !errors.Is(err, webflow.ErrUnavailable) {
					t.Errorf("Notify: %v", err)
				}
				if name == "fails" && !errors.Is(err, errDisk) {
					t.Errorf("the cause is not in %v", err)
				}
				if took := time.Since(began); took > 6*time.Second {
					t.Errorf("Notify took %v", took)
				}
				if _, err := f.Open(t.Context(), webflow.Operation{ID: "op", WebSocketID: "ws-op", Owner: user("alice"), TTL: time.Hour}); !errors.Is(err, webflow.ErrUnavailable) {
					t.Errorf("Open: %v", err)
				}
				if i, err := f.Lookup(t.Context(), "op"); err != nil || i.Result != "" || i.Registered {
					t.Errorf("%+v, %v", i, err)
				}
				alice := webflow.Caller{Principal: &auth.Principal{Name: "alice"}}
				if s, err := f.Result(t.Context(), "ws-op", alice); err != nil || s.Result != "" { // it is known here
					t.Errorf("Result: %+v, %v", s, err)
				}
				if _, err := f.PollToken(t.Context(), "ws-op", alice); !errors.Is(err, webflow.ErrUnavailable) {
					t.Errorf("PollToken: %v", err)
				}
				if name != "always conflicts" { // reading works
					c.register("ws-none")
					want(t, c, unavailable("ws-none"))
					mallory := &auth.Principal{Name: "mallory"}
					for _, id := range []string{"op", "none"} {
						if ok, err := f.MayWait(t.Context(), mallory, id); ok || !errors.Is(err, webflow.ErrUnavailable) {
							t.Errorf("MayWait(%s): %v, %v", id, ok, err)
						}
						w := poll(handler(f), "ws-"+id, "mallory", "")
						wantAnswer(t, w, 503, `{"error":"unavailable"}`)
						if w.Header().Get("Retry-After") == "" {
							t.Error("the answer does not say when to try again")
						}
					}
				}
				// A session ends meanwhile, and an operation.
				c.Close()
				synctest.Wait()
				d.wantEvents(t, "lost") // told at once
				if !strings.Contains(log.String(), "store of operations fails") || strings.Contains(log.String(), "ws-op") {
					t.Errorf("the log has %s", log.String())
				}
				if n := strings.Count(log.String(), "\n"); n > 12 {
					t.Errorf("the log has %d lines", n)
				}

				s.set(nil, nil)
				later(7 * time.Second)
				c = page(t, b, "alice", "client")
				c.register("ws-op")
				notify(t, f, "op", "CONFIRMED", true)
				want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))
				if !strings.Contains(log.String(), "works again") {
					t.Errorf("the log has %s", log.String())
				}
				later(time.Minute)
				if i, err := f.Lookup(t.Context(), "held"); err != nil || i.Registered {
					t.Errorf("the loss was not written: %+v, %v", i, err)
				}
				d.wantEvents(t, "registered", "abandoned")
			})
		})
	}
}

// While the Store fails, the end of an operation waits; the operation cannot be
// used any more.
func TestExpiryWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		s := newFaulty()
		b, f := start(t, d.in(webflow.Options{Store: s}))
		open(t, f, "op", user("alice"))
		later(time.Minute)
		s.set(failing, nil)
		later(10 * time.Minute)
		if _, err := f.Notify(t.Context(), "op", "CONFIRMED"); !errors.Is(err, webflow.ErrUnavailable) {
			t.Errorf("Notify: %v", err)
		}
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		want(t, c, unavailable("ws-op"))
		d.wantEvents(t)
		s.set(nil, nil)
		later(time.Second)
		d.wantEvents(t, "expired")
		if s := f.Stats().Operations; s != 0 {
			t.Errorf("%d operations", s)
		}
	})
}

// Another node is faster: the decision is made again, on what is there then.
func TestConflictIsDecidedAgain(t *testing.T) {
	s := newFaulty()
	b, f := start(t, webflow.Options{Store: s})
	_, other := start(t, webflow.Options{Store: s.Store})
	meanwhile := func(do func()) {
		var done atomic.Bool
		s.set(func(_ context.Context, method string, _ *webflow.Record) error {
			if (method == "Update" || method == "Create") && done.CompareAndSwap(false, true) {
				do()
			}
			return nil
		}, nil)
	}
	report := func(id, result string) func() {
		return func() {
			if _, err := other.Notify(context.Background(), id, result); err != nil {
				t.Error(err)
			}
		}
	}
	c := page(t, b, "alice", "auto")
	open(t, f, "1", user("alice"))
	meanwhile(report("1", "CANCELED"))
	if _, err := f.Notify(t.Context(), "1", "CONFIRMED"); err != webflow.ErrDecided {
		t.Errorf("another result: %v", err)
	}
	open(t, f, "2", user("alice"))
	meanwhile(report("2", "CONFIRMED"))
	notify(t, f, "2", "CONFIRMED", false) // the same result

	open(t, f, "3", user("alice"))
	meanwhile(report("3", "CONFIRMED"))
	c.register("ws-3")
	want(t, c, accepted("ws-3"), told("ws-3", "CONFIRMED"))

	meanwhile(func() { open(t, other, "4", user("bob")) })
	if _, err := f.Open(t.Context(), webflow.Operation{ID: "4", WebSocketID: "ws-4", Owner: user("alice")}); err != webflow.ErrExists {
		t.Errorf("announced with another owner: %v", err)
	}
	meanwhile(func() { open(t, other, "5", user("alice")) })
	open(t, f, "5", user("alice"))
}

// The Store does what it was asked and does not say so. Repeating the call does
// no harm: a result stays one result, a registration is taken up, and a page
// that leaves is reported as lost.
func TestUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		s := newFaulty()
		b, f := start(t, d.in(webflow.Options{Store: s, Grace: -1}))
		unknown := func(method string) {
			s.set(nil, func(m string, _ *webflow.Record) error {
				if m == method {
					return errDisk
				}
				return nil
			})
		}
		unknown("Create")
		if _, err := f.Open(t.Context(), webflow.Operation{ID: "op", WebSocketID: "ws-op", Owner: user("alice")}); !errors.Is(err, webflow.ErrUnavailable) {
			t.Errorf("Open: %v", err)
		}
		s.set(nil, nil)
		open(t, f, "op", user("alice"))

		unknown("Update")
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		want(t, c, unavailable("ws-op"))
		s.set(nil, nil)
		c.register("ws-op")
		want(t, c, accepted("ws-op"))

		unknown("Update")
		if _, err := f.Notify(t.Context(), "op", "CONFIRMED"); !errors.Is(err, webflow.ErrUnavailable) {
			t.Errorf("Notify: %v", err)
		}
		synctest.Wait()
		s.set(nil, nil)
		notify(t, f, "op", "CONFIRMED", true)
		if _, err := f.Notify(t.Context(), "op", "CANCELED"); err != webflow.ErrDecided {
			t.Errorf("another result: %v", err)
		}
		want(t, c, told("ws-op", "CONFIRMED"))
		later(2 * time.Second)
		d.take()

		// A page gives up after its registration was answered with "unavailable".
		open(t, f, "2", anyone)
		unknown("Update")
		c.register("ws-2")
		want(t, c, unavailable("ws-2"))
		s.set(nil, nil)
		c.Close()
		synctest.Wait()
		d.wantEvents(t, "lost", "lost", "abandoned")
		bob := page(t, b, "bob", "auto")
		bob.register("ws-2")
		want(t, bob, accepted("ws-2"))
	})
}

// A page leaves after its registration was answered with "unavailable", and
// nobody has told this node that it took effect. When the Store answers again
// the page is reported as lost, and another one can register.
func TestDoubtIsResolvedByTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		late := &deaf{Store: webflow.NewMemory(), hear: make(chan struct{})}
		defer close(late.hear)
		s := newFaulty()
		s.Store = late
		b, f := start(t, d.in(webflow.Options{Store: s, Grace: -1}))
		open(t, f, "op", anyone)
		s.set(nil, func(method string, _ *webflow.Record) error {
			if method == "Update" {
				return errDisk
			}
			return nil
		})
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		want(t, c, unavailable("ws-op"))
		s.set(failing, nil)
		c.Close()
		later(3 * time.Second)
		d.wantEvents(t)
		s.set(nil, nil)
		later(2 * time.Second)
		d.wantEvents(t, "lost", "abandoned")
		bob := page(t, b, "bob", "auto")
		bob.register("ws-op")
		want(t, bob, accepted("ws-op"))
	})
}

// What this node has not heard yet it reads before it refuses anybody.
func TestNothingIsRefusedOnHearsay(t *testing.T) {
	late := &deaf{Store: webflow.NewMemory(), hear: make(chan struct{})}
	_, f := start(t, webflow.Options{Store: late.Store, PollInterval: -1})
	b, g := start(t, webflow.Options{Store: late, PollInterval: -1})
	defer close(late.hear)
	open(t, f, "op", user("alice"))
	if _, err := f.Open(t.Context(), webflow.Operation{ID: "derived", Owner: anyone}); err != nil {
		t.Fatal(err)
	}
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	want(t, c, accepted("ws-op"))
	for _, id := range []string{"op", "derived"} {
		if i, err := g.Lookup(t.Context(), id); err != nil || i.ID != id {
			t.Errorf("Lookup(%s): %+v, %v", id, i, err)
		}
	}
	if ok, err := g.MayWait(t.Context(), &auth.Principal{Name: "alice"}, "op"); !ok || err != nil {
		t.Errorf("MayWait: %v, %v", ok, err)
	}
	token, err := f.PollToken(t.Context(), webflow.WebSocketID("derived"), webflow.Caller{Principal: &auth.Principal{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Result(t.Context(), webflow.WebSocketID("derived"), webflow.Caller{PollToken: token}); err != nil {
		t.Errorf("a poll with a new token: %v", err)
	}
	notify(t, f, "op", "CONFIRMED", false)
	if _, err := g.Notify(t.Context(), "op", "CANCELED"); err != webflow.ErrDecided {
		t.Errorf("another result: %v", err)
	}
}

// deaf is a Store whose Watch reports no change before hear is closed.
type deaf struct {
	webflow.Store
	hear chan struct{}
}

func (s *deaf) Watch(ctx context.Context, changed func(webflow.Change)) error {
	changed(webflow.Change{Current: true})
	select {
	case <-s.hear:
		return s.Store.Watch(ctx, changed)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A Watch that breaks is repeated. What happened meanwhile is made up for.
func TestWatchBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		store := webflow.NewMemory()
		broken := &breaking{Store: store, again: make(chan struct{}, 1)}
		_, f := start(t, webflow.Options{Store: store})
		b, g := start(t, webflow.Options{Store: broken, Logger: logger(&log)})
		if _, err := f.Open(t.Context(), webflow.Operation{ID: "short", TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
		open(t, f, "op", user("alice"))
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		want(t, c, accepted("ws-op"))
		broken.stop()
		later(time.Minute + time.Second/2)
		notify(t, f, "op", "CONFIRMED", false)
		want(t, c)
		if s := g.Stats().Operations; s != 2 {
			t.Errorf("%d operations", s)
		}
		broken.again <- struct{}{}
		later(time.Second)
		want(t, c, told("ws-op", "CONFIRMED"))
		if s := g.Stats().Operations; s != 1 {
			t.Errorf("%d operations", s)
		}
		if !strings.Contains(log.String(), "watch") {
			t.Errorf("the log has %s", log.String())
		}
	})
}

// breaking is a Store whose Watch can be broken.
type breaking struct {
	webflow.Store
	cancel context.CancelFunc
	again  chan struct{}
}

func (s *breaking) stop() { s.cancel() }

func (s *breaking) Watch(ctx context.Context, changed func(webflow.Change)) error {
	if s.cancel != nil {
		select {
		case <-s.again:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	s.cancel = cancel
	return s.Store.Watch(inner, changed)
}

// New fails if the Store does: it would know nothing of what there is.
func TestNewNeedsTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, err := range []error{errDisk, nil} {
			b, berr := broker.New(broker.Options{})
			if berr != nil {
				t.Fatal(berr)
			}
			began := time.Now()
			if _, got := webflow.New(b, webflow.Options{Store: &unwatched{err: err}}); !errors.Is(got, webflow.ErrUnavailable) || err != nil && !errors.Is(got, err) {
				t.Errorf("New: %v", got)
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("New took %v", took)
			}
			_ = b.Close()
		}
	})
}

// unwatched is a Store whose Watch fails, or reports nothing.
type unwatched struct {
	webflow.Store
	err error
}

func (s *unwatched) Watch(ctx context.Context, _ func(webflow.Change)) error {
	if s.err == nil {
		<-ctx.Done()
	}
	return s.err
}

// The caller may give up before the Store does.
func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := newFaulty()
		_, f := start(t, webflow.Options{Store: s, Logger: logger(&log)})
		open(t, f, "op", user("alice"))
		s.set(blocking, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := f.Notify(ctx, "op", "DONE"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Notify: %v after %v", err, time.Since(began))
		}
		r := httptest.NewRequest("GET", "/operations/none/result", nil)
		r.Header.Set("X-User", "alice")
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		w := httptest.NewRecorder()
		handler(f).ServeHTTP(w, r.WithContext(ctx))
		wantAnswer(t, w, 503, `{"error":"unavailable"}`)
		// Close does not wait for the Store either.
		go func() { _, _ = f.Notify(context.Background(), "op", "DONE") }()
		synctest.Wait()
		began = time.Now()
		_ = f.Close()
		synctest.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
	})
}
