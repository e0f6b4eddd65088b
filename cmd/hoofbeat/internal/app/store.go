package app

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker/admin"
	"github.com/hoofbeat/hoofbeat/broker/cluster"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	queuestore "github.com/hoofbeat/hoofbeat/broker/store"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// store is what survives the process. Whatever keeps something in it is opened
// by openStore and closed by closeStore.
type store struct {
	engine *embedded.Server
	// clustered says that other nodes share what is kept.
	clustered bool
	// data carries messages, control everything else, so that an
	// acknowledgement never waits behind messages.
	data, control *nats.Conn
	// state is what is kept besides messages.
	state *cluster.State
	// queues is nil if queues.mode is broadcast.
	queues *queuestore.Queues
	// durables is nil without durable in the configuration.
	durables  *queuestore.Durables
	histories *queuestore.Histories
}

// openStore opens store.dir, if it is set, and waits until the engine has read
// what is there. In a cluster it waits until the nodes have formed it. Meanwhile
// the admin listener says so. Without store.dir and a cluster nothing is started.
func (a *App) openStore(ctx context.Context) error {
	c := a.o.Config
	if c.Store.Dir == "" && !c.Clustered() {
		return nil
	}
	o, err := storeOptions(c)
	if err != nil {
		return err
	}
	if err := memberOptions(&o, c); err != nil {
		return err
	}
	o.Logger = a.o.Logger
	r, err := a.recovering()
	if err != nil {
		return &StoreError{err} // the configuration can be right: the process before may not have ended
	}
	defer func() { a.adminListener = a.recovered(r) }()
	o.Recovering = r.progress
	where := []any{"dir", c.Store.Dir}
	if r.listener != nil {
		where = append(where, "admin", r.listener.Addr().String())
	}
	a.o.Logger.Info("opening the store", where...)
	began := time.Now()
	s := &store{clustered: c.Clustered()}
	if s.engine, err = embedded.Start(ctx, o); err != nil {
		return storeError(err)
	}
	a.store = s
	if s.clustered {
		r.engine.Store(s.engine)
		if err := a.formed(ctx); err != nil {
			return err
		}
	}
	for _, conn := range []**nats.Conn{&s.data, &s.control} {
		if *conn, err = s.engine.Connect(nats.Timeout(connectTime)); err != nil {
			return storeError(err)
		}
	}
	if !s.clustered { // nodes keep no messages together yet
		for _, open := range []func(context.Context) error{a.openQueues, a.openDurables, a.openHistories} {
			if err := open(ctx); err != nil {
				return storeError(err)
			}
		}
	}
	u := s.engine.Usage()
	a.o.Logger.Info("the store is open", "dir", c.Store.Dir, "streams", u.Streams, "messages", u.Messages,
		"stored", u.Stored, "free", u.Free, "reserve", u.Reserve, "encrypted", o.Key != "", "took", time.Since(began).Round(time.Millisecond).String())
	if err := s.engine.Room(); err != nil {
		a.o.Logger.Warn("the store takes nothing new until there is room", "part", "store", "error", err)
	}
	return a.openState(ctx, o)
}

// connectTime limits a connection to the engine. It takes no time, unless the
// machine has none.
const connectTime = time.Minute

// storeOptions returns the options of the engine for store.dir.
func storeOptions(c *config.Config) (embedded.Options, error) {
	key, err := c.StoreKey()
	if err != nil {
		return embedded.Options{}, err
	}
	old, err := c.OldStoreKey()
	if err != nil {
		return embedded.Options{}, err
	}
	return embedded.Options{
		Dir: c.Store.Dir, OldKey: old, SyncInterval: c.Store.Sync.Every, Memory: int64(c.Store.Memory), Disk: int64(c.Store.Disk),
		Reserve: int64(c.Store.Reserve), Payload: storePayload(c), Key: key,
	}, nil
}

// CheckStore reads everything in the store of a configuration. An error is about
// the configuration or a [*StoreError].
func CheckStore(ctx context.Context, c *config.Config) (*embedded.Report, error) {
	o, err := offline(c)
	if err != nil {
		return nil, err
	}
	r, err := embedded.Check(ctx, o)
	return r, located(c, storeError(err))
}

// RekeyStore encrypts the store of a configuration with store.key instead of
// store.old_key, and reports whether there was anything to do. An error is as of
// [CheckStore].
func RekeyStore(ctx context.Context, c *config.Config) (changed bool, err error) {
	o, err := offline(c)
	if err != nil {
		return false, err
	}
	if o.OldKey == "" {
		return false, &config.KeyError{Key: "store.old_key", Text: "is not set: it is the key that opens the directory now, and store.key the one to come"}
	}
	changed, err = embedded.Rekey(ctx, o)
	return changed, located(c, storeError(err))
}

// offline returns the options for a store that must be configured.
func offline(c *config.Config) (embedded.Options, error) {
	if c.Store.Dir == "" {
		return embedded.Options{}, &config.KeyError{Key: "store.dir", Text: "is not set"}
	}
	o, err := storeOptions(c)
	return o, c.Locate(err)
}

// maxPayload is the largest message that the engine takes.
const maxPayload = 64 << 20

// storePayload is the largest message that the store must take: a frame of a
// client, and what the admin API accepts.
func storePayload(c *config.Config) int {
	if c.Limits.Frame == config.Off || c.Limits.Frame > maxPayload {
		return maxPayload
	}
	return max(int(c.Limits.Frame), 1<<20)
}

// closeStore is called last, when nothing can need the store any more. It may
// be called again.
func (a *App) closeStore() {
	s := a.store
	if s == nil {
		return
	}
	if s.state != nil {
		s.state.Close()
	}
	a.closeQueues()
	a.closeDurables()
	a.closeHistories()
	for _, conn := range []*nats.Conn{s.data, s.control} {
		if conn != nil {
			conn.Close()
		}
	}
	if err := s.engine.Close(); err != nil {
		a.o.Logger.Error("closing the store", "error", err)
	}
}

// storeReady says why the store cannot be used, for /readyz.
func (a *App) storeReady() error {
	if a.store == nil {
		return nil
	}
	if a.store.clustered {
		return a.nodesReady()
	}
	if err := a.store.engine.State().Err; err != nil {
		return err
	}
	if err := a.queuesReady(); err != nil {
		return err
	}
	if err := a.durablesReady(); err != nil {
		return err
	}
	return a.historiesReady()
}

// storeStats are those of the admin API, nil without a store.
func (a *App) storeStats() *admin.StoreStats {
	if a.store == nil || a.o.Config.Store.Dir == "" {
		return nil
	}
	u, state := a.store.engine.Usage(), a.store.engine.State()
	st := &admin.StoreStats{
		Status: "ok", Restarts: state.Run - 1, Streams: u.Streams, Messages: u.Messages,
		Stored: u.Stored, Limit: u.Limit, Free: u.Free, Size: u.Size, Reserve: u.Reserve,
		ByStream: []admin.StreamStats{},
	}
	for _, s := range a.store.engine.Streams() {
		st.ByStream = append(st.ByStream, admin.StreamStats(s))
	}
	if err := a.store.engine.Room(); err != nil {
		st.Status = err.Error()
	}
	return st
}

// StoreError says why the store cannot be opened. The configuration can be right
// all the same: another process may still use the directory.
type StoreError struct{ Err error }

func (e *StoreError) Error() string { return e.Err.Error() }
func (e *StoreError) Unwrap() error { return e.Err }

// located is [config.Config.Locate], and leaves a [*StoreError] one.
func located(c *config.Config, err error) error {
	var closed *StoreError
	if errors.As(err, &closed) {
		return &StoreError{c.Locate(err)}
	}
	return c.Locate(err)
}

// storeError turns an error of the engine into one about a key. nil stays nil.
func storeError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, embedded.ErrLeftOut) { // trying again cannot help
		return &config.KeyError{Key: "store.dir", Text: "cannot be used: " + err.Error()}
	}
	var option *embedded.OptionError
	if !errors.As(err, &option) {
		return &StoreError{&config.KeyError{Key: "store.dir", Text: err.Error()}}
	}
	text := option.Err.Error()
	switch option.Field {
	case "Key":
		return &config.KeyError{Key: "store.key", Text: text}
	case "Disk":
		return &config.KeyError{Key: "store.disk", Text: text}
	}
	if field, ok := strings.CutPrefix(option.Field, "Cluster."); ok {
		key := map[string]string{"Name": "cluster.name", "Advertise": "cluster.advertise", "Peers": "cluster.peers", "Secret": "cluster.secret", "TLS": "cluster.tls", "Witness": "cluster.witness"}[field]
		return &StoreError{&config.KeyError{Key: cmp.Or(key, "cluster.listen"), Text: text}}
	}
	return &StoreError{&config.KeyError{Key: "store.dir", Text: text}}
}
