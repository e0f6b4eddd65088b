package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

// durableRig is an engine with durable subscriptions in it.
type durableRig struct {
	*store.Durables
	engine *embedded.Server
	close  func()
}

func openDurables(t testing.TB, dir string, settings ...setting) *durableRig {
	t.Helper()
	eo := embedded.Options{Dir: dir}
	o := store.Options{SyncAlways: true, Timeout: patience, Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	for _, set := range settings {
		set(&eo, &o)
	}
	engine, err := embedded.Start(within(t), eo)
	if err != nil {
		t.Fatal(err)
	}
	data, err := engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	control, err := engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	o.Data, o.Control = data, control
	if o.Health == nil {
		o.Health = func() error { return engine.State().Err }
	}
	d, err := store.OpenDurables(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	r := &durableRig{Durables: d, engine: engine}
	r.close = closing(t, d, data, control, engine)
	return r
}

// loaded is what a store has handed over.
type loaded struct {
	subscriptions []broker.StoredDurable
	positions     map[string]broker.DurablePosition
	messages      []broker.StoredPut
}

// load says of each message that so many subscriptions want it.
func (r *durableRig) load(t testing.TB, wanted int) *loaded {
	t.Helper()
	l := &loaded{positions: make(map[string]broker.DurablePosition)}
	err := r.Load(within(t), broker.DurableLoader{
		Subscription: func(d broker.StoredDurable, p broker.DurablePosition) {
			l.subscriptions = append(l.subscriptions, d)
			l.positions[d.ID] = p
		},
		Message: func(m broker.StoredPut) int {
			l.messages = append(l.messages, m)
			return wanted
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(l.subscriptions, func(a, b broker.StoredDurable) int { return a.Created.Compare(b.Created) })
	return l
}

func (l *loaded) bodies() (list []string) {
	for _, m := range l.messages {
		list = append(list, string(m.Message.Body))
	}
	return list
}

func durablePut(body string, wanted int) broker.DurablePut {
	return broker.DurablePut{Wanted: wanted, Message: &broker.Message{
		Destination: "/topic/orders/eu", ID: "id-" + body, Body: []byte(body), Headers: []broker.Header{{Name: "k", Value: "ü\n"}},
	}}
}

// append stores messages and returns the sequence of the first one.
func (r *durableRig) append(t testing.TB, list ...broker.DurablePut) uint64 {
	t.Helper()
	var first uint64
	if err := result(t, func(done func(error)) {
		r.Append(list, func(n uint64, err error) { first = n; done(err) })
	}); err != nil {
		t.Fatal(err)
	}
	return first
}

// Whatever is stored is loaded after a restart as it was.
func TestDurablesAreLoadedAsTheyWere(t *testing.T) {
	dir := t.TempDir()
	r := openDurables(t, dir)
	r.load(t, 0)
	before := r.append(t, durablePut("0", 1))
	one := broker.StoredDurable{ID: "one", User: "ann\xff", Name: "in/box", Destination: "/topic/**", Selector: "headers.k == 'v'", Created: time.Now().Round(0).UTC(), Shared: true}
	two := broker.StoredDurable{ID: "two", User: "ann", Name: "x", Destination: "/topic/a", Created: one.Created.Add(1)}
	three := broker.StoredDurable{ID: "three", User: "bob", Name: "x", Destination: "/topic/a", Created: one.Created.Add(2)}
	p := broker.DurablePosition{
		High: 9, Settled: []broker.SequenceRange{{First: 1, Last: 3}, {First: 7, Last: 9}}, Given: 8, Attached: true,
		Used: one.Created, Attempts: map[uint64]int{5: 2}, Dropped: 4, Told: 3,
	}
	must := func(call func(done func(error))) {
		t.Helper()
		if err := result(t, call); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []broker.StoredDurable{one, two, three} {
		must(func(done func(error)) { r.Create(d, done) })
		must(func(done func(error)) { r.Save(d.ID, p, done) })
	}
	must(func(done func(error)) { r.Save(one.ID, broker.DurablePosition{High: 1}, done) })
	must(func(done func(error)) { r.Save(one.ID, p, done) })
	must(func(done func(error)) { r.Delete(two, done) })
	put := durablePut("1", 1)
	put.Expires = time.UnixMilli(time.Now().Add(time.Hour).UnixMilli())
	at := r.append(t, put)
	r.close()

	r = openDurables(t, dir)
	l := r.load(t, 1)
	one.After, three.After = before, before
	equal(t, "subscriptions", fmt.Sprintf("%+v", l.subscriptions), fmt.Sprintf("%+v", []broker.StoredDurable{one, three}))
	equal(t, "position", fmt.Sprintf("%+v", l.positions["one"]), fmt.Sprintf("%+v", p))
	equal(t, "messages", l.bodies(), []string{"0", "1"})
	m := l.messages[1]
	if m.Sequence != at || !m.Expires.Equal(put.Expires) || time.Since(m.Stored) > time.Hour || m.Wanted != 0 {
		t.Errorf("the message is %+v", m)
	}
	equal(t, "message", fmt.Sprintf("%+v", *m.Message), fmt.Sprintf("%+v", *put.Message))
}

// Who deletes a subscription and makes it again has the new one, also if the
// deletion reaches the engine late, because it is repeated after a failure.
func TestDurableDeletionLeavesALaterSubscription(t *testing.T) {
	dir := t.TempDir()
	r := openDurables(t, dir)
	r.load(t, 0)
	must := func(call func(done func(error))) {
		t.Helper()
		if err := result(t, call); err != nil {
			t.Fatal(err)
		}
	}
	sub := func(id string) broker.StoredDurable {
		return broker.StoredDurable{ID: id, User: "ann", Name: "x", Destination: "/topic/a", Created: time.Now()}
	}
	there := func(want string) {
		t.Helper()
		r.close()
		r = openDurables(t, dir)
		l := r.load(t, 0)
		if len(l.subscriptions) != 1 || l.subscriptions[0].ID != want || l.positions[want].High != 1 {
			t.Fatalf("the subscriptions are %+v, their positions %+v; want %s", l.subscriptions, l.positions, want)
		}
	}
	for _, id := range []string{"one", "two"} {
		must(func(done func(error)) { r.Create(sub(id), done) })
		must(func(done func(error)) { r.Save(id, broker.DurablePosition{High: 1}, done) })
	}
	must(func(done func(error)) { r.Delete(sub("one"), done) })
	there("two")
	must(func(done func(error)) { r.Create(sub("three"), done) })
	must(func(done func(error)) { r.Save("three", broker.DurablePosition{High: 1}, done) })
	must(func(done func(error)) { r.Delete(sub("two"), done) }) // was loaded
	there("three")
	must(func(done func(error)) { r.Delete(sub("three"), done) })
	r.close()
	r = openDurables(t, dir)
	if l := r.load(t, 0); len(l.subscriptions) != 0 {
		t.Errorf("%+v is there after its deletion", l.subscriptions)
	}
}

// A message stays as long as a subscription wants it, and its sequence is not used
// again.
func TestDurableMessagesAreRemoved(t *testing.T) {
	for mode, set := range modes {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			r := openDurables(t, dir, set)
			r.load(t, 0)
			var list []broker.DurablePut
			for i := range 20 {
				list = append(list, durablePut(strconv.Itoa(i), 2))
			}
			first := r.append(t, list...)
			for i := range uint64(20) {
				r.Settled(first + i)
				if i < 10 || i == 15 || i == 17 {
					r.Settled(first + i)
				}
			}
			r.close()
			r = openDurables(t, dir, set)
			equal(t, "messages", r.load(t, 0).bodies(), []string{"10", "11", "12", "13", "14", "16", "18", "19"})
			r.close()
			r = openDurables(t, dir, set) // nobody wanted them
			equal(t, "messages", r.load(t, 0).bodies(), []string(nil))
			if n := r.append(t, durablePut("x", 1)); n <= first+19 {
				t.Errorf("the sequence %d was used before", n)
			}
		})
	}
}

// Messages of many callers get ascending sequences in the order of the answers,
// and those of each caller keep their order.
func TestDurableAppendsKeepTheirOrder(t *testing.T) {
	for mode, set := range modes {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			r := openDurables(t, dir, set)
			r.load(t, 0)
			var mu sync.Mutex
			var last uint64
			var all, callers sync.WaitGroup
			for k := range 4 {
				callers.Go(func() {
					for i := range 200 {
						all.Add(1)
						r.Append([]broker.DurablePut{durablePut(fmt.Sprint(k, ".", i), 1)}, func(n uint64, err error) {
							mu.Lock()
							defer mu.Unlock()
							defer all.Done()
							if err != nil || n != last+1 {
								t.Errorf("%d after %d: %v", n, last, err)
							}
							last = n
						})
					}
				})
			}
			callers.Wait()
			all.Wait()
			r.close()
			r = openDurables(t, dir, set)
			next := make(map[string]int)
			for _, body := range r.load(t, 1).bodies() {
				k, i := body[:1], body[2:]
				if i != strconv.Itoa(next[k]) {
					t.Fatalf("got %s, want %d of %s", body, next[k], k)
				}
				next[k]++
			}
			equal(t, "messages", next, map[string]int{"0": 200, "1": 200, "2": 200, "3": 200})
		})
	}
}

// What does not fit is refused and names the key; what was stored stays.
func TestDurableFilesAreFull(t *testing.T) {
	r := openDurables(t, t.TempDir(), func(_ *embeddedOptions, o *storeOptions) { o.MaxBytes = 1 << 20 })
	r.load(t, 0)
	body := string(make([]byte, 100<<10))
	for i := 0; ; i++ {
		err := result(t, func(done func(error)) {
			r.Append([]broker.DurablePut{durablePut(body, 1)}, func(_ uint64, err error) { done(err) })
		})
		if err == nil && i < 20 {
			continue
		}
		var full *broker.QueueFullError
		if !errors.As(err, &full) || full.Key != "store.disk" || i < 5 {
			t.Fatalf("after %d: %v", i, err)
		}
		equal(t, "text", full.Error(), "store-full: the messages of durable subscriptions take all of their 1048576 bytes, which are a part of store.disk")
		break
	}
	if err := result(t, func(done func(error)) { r.Save("x", broker.DurablePosition{}, done) }); err != nil {
		t.Errorf("a position: %v", err)
	}
}

// When the engine is restarted, calls that wait get an error, and afterwards
// everything goes on.
func TestDurablesGoOnWhenTheEngineIsRestarted(t *testing.T) {
	var sick error
	var mu sync.Mutex
	set := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		sick = err
	}
	dir := t.TempDir()
	r := openDurables(t, dir, func(_ *embeddedOptions, o *storeOptions) {
		o.Health = func() error {
			mu.Lock()
			defer mu.Unlock()
			return sick
		}
	})
	r.load(t, 0)
	first := r.append(t, durablePut("1", 1), durablePut("2", 1))
	set(errors.New("write error"))
	try := func() error {
		return result(t, func(done func(error)) {
			r.Append([]broker.DurablePut{durablePut("3", 1)}, func(_ uint64, err error) { done(err) })
		})
	}
	for end := time.Now().Add(patience); try() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the failure is not noticed")
		}
	}
	if r.Err() == nil {
		t.Error("it says that it works")
	}
	r.Settled(first)
	set(nil)
	for end := time.Now().Add(patience); try() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not work again")
		}
	}
	r.close()
	r = openDurables(t, dir)
	got := r.load(t, 1).bodies()
	if got[0] != "2" || got[len(got)-1] != "3" {
		t.Errorf("got %v", got)
	}
}

// A message that the engine has stored without our knowledge is removed when the
// store works again, also if it is the first one ever: its sender was told that
// this is not known.
func TestDurablesDropWhatNobodyKnows(t *testing.T) {
	r := openDurables(t, t.TempDir())
	conn, err := r.engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(within(t), "hb.d.topic.orders.eu", []byte("unknown")); err != nil {
		t.Fatal(err)
	}
	r.Fail(errors.New("a test"))
	untilWorks(t, r)
	s, err := js.Stream(within(t), "HB_DURABLE")
	if err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "the message is removed", func() bool {
		info, err := s.Info(within(t))
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Msgs == 0
	})
}
