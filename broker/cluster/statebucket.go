package cluster

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Errors of a bucket. Every other error means that it is not known whether the
// bucket did what was asked, or that it refused.
var (
	// errChanged: the entry is not the one that was expected.
	errChanged = errors.New("the entry has changed meanwhile")
	// errNone: there is no such entry.
	errNone = errors.New("there is no such entry")
)

// bucket is a key-value bucket of JetStream. The client's own type always
// permits direct reads, which a node that lags behind answers with what was
// there before: of 100 reads on another node right after a write some 40 are
// stale. So the bucket makes its stream itself, and asks the leader.
type bucket struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	name    string // of the bucket
	holds   string // what is in it, for people
	bytes   int64  // its limit
	subject string // of all keys, up to the key
	made    time.Time
	id      string // random, of this bucket: another one under the same name has another
	seal    *sealer
	room    func() error
	health  *health
}

type bucketOptions struct {
	name     string
	holds    string
	replicas int
	bytes    int64
	seal     *sealer
	room     func() error
	health   *health
}

// entry is the latest value of a key, or what remains of a key that was purged.
type entry struct {
	key      string
	value    []byte
	header   nats.Header
	revision uint64
	purged   bool
}

// maxValue is the maximum size of an entry, which leaves room for principals
// with all claims that the broker accepts.
const maxValue = 1 << 20

func openBucket(ctx context.Context, js jetstream.JetStream, o bucketOptions) (*bucket, error) {
	b := &bucket{js: js, name: o.name, holds: o.holds, bytes: o.bytes, subject: "$KV." + o.name + ".", seal: o.seal, room: o.room, health: o.health}
	var err error
	b.stream, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:     "KV_" + o.name,
		Subjects: []string{b.subject + ">"},
		Storage:  jetstream.FileStorage, Replicas: o.replicas,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		MaxMsgsPerSubject: 1, MaxMsgs: -1, MaxBytes: o.bytes, MaxMsgSize: maxValue + 4<<10,
		MaxConsumers: 1000, Duplicates: time.Second,
		AllowRollup: true, AllowMsgTTL: true, DenyDelete: true,
		AllowDirect: false,
	})
	if err != nil {
		return nil, fmt.Errorf("cluster: stream KV_%s: %w", o.name, err)
	}
	info, err := b.stream.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("cluster: stream KV_%s: %w", o.name, err)
	}
	b.made = info.Created
	if err := b.identify(ctx); err != nil {
		return nil, fmt.Errorf("cluster: stream KV_%s: %w", o.name, err)
	}
	return b, nil
}

// keyIdentity is the key of the first entry of each bucket. It says what the
// bucket is, and is encrypted as all others are, so that a wrong key is noticed
// before anything is written with it.
const keyIdentity = "hoofbeat"

const (
	identity    = "hoofbeat state "
	stateFormat = "1 "
)

var errFormat = errors.New("it was written with or without encryption, the other way around than it is opened now, or by something else than hoofbeat")

func (b *bucket) identify(ctx context.Context) error {
	e, err := b.get(ctx, keyIdentity)
	if errors.Is(err, errNone) {
		if _, err = b.create(ctx, keyIdentity, []byte(identity+stateFormat+rand.Text()), nil, time.Time{}); err == nil || errors.Is(err, errChanged) {
			e, err = b.get(ctx, keyIdentity) // another node may have been faster
		}
	}
	if err != nil {
		return err
	}
	rest, ours := strings.CutPrefix(string(e.value), identity)
	if !ours {
		return errFormat
	}
	id, known := strings.CutPrefix(rest, stateFormat)
	if !known {
		return fmt.Errorf("its format %s is of a later version of hoofbeat", strings.Fields(rest)[0])
	}
	b.id = id
	return nil
}

// put stores a value if the entry of the key has the given revision; 0 means
// that there is none, or that it was purged. until is when the engine may
// forget the value; the zero time means never.
func (b *bucket) put(ctx context.Context, key string, value []byte, header nats.Header, revision uint64, until time.Time) (uint64, error) {
	at, err := b.publish(ctx, key, value, header, revision, until)
	if !errors.Is(err, errChanged) || revision != 0 {
		return at, err
	}
	// A key that was purged has an entry that says so.
	old, err := b.get(ctx, key)
	switch {
	case errors.Is(err, errNone):
		return b.publish(ctx, key, value, header, 0, until) // it has just expired
	case err != nil:
		return 0, err
	case !old.purged:
		return 0, errChanged
	}
	return b.publish(ctx, key, value, header, old.revision, until)
}

// create stores a value for a key that was never used, or so long ago that it
// is forgotten. Unlike put it does not use a key again that was purged.
func (b *bucket) create(ctx context.Context, key string, value []byte, header nats.Header, until time.Time) (uint64, error) {
	return b.publish(ctx, key, value, header, 0, until)
}

func (b *bucket) publish(ctx context.Context, key string, value []byte, header nats.Header, revision uint64, until time.Time) (uint64, error) {
	if len(value) > maxValue {
		return 0, fmt.Errorf("the value has %d bytes, and at most %d are kept", len(value), maxValue)
	}
	if b.seal != nil {
		value = b.seal.seal(b.name, key, value)
	}
	m := &nats.Msg{Subject: b.subject + key, Data: value, Header: header}
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	return b.send(ctx, m, revision, until)
}

// purge removes the entry with this revision. Until the given time the key
// remains known as used.
func (b *bucket) purge(ctx context.Context, key string, header nats.Header, revision uint64, until time.Time) error {
	m := &nats.Msg{Subject: b.subject + key, Header: header}
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	m.Header.Set(headerOperation, operationPurge)
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	_, err := b.send(ctx, m, revision, until)
	return err
}

const (
	headerOperation = "KV-Operation"
	operationPurge  = "PURGE"
)

func (b *bucket) send(ctx context.Context, m *nats.Msg, revision uint64, until time.Time) (uint64, error) {
	options := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(revision)}
	if !until.IsZero() {
		// The engine counts whole seconds, from one on.
		ttl := max(until.Sub(auth.Now()), 0).Truncate(time.Second) + time.Second
		options = append(options, jetstream.WithMsgTTL(ttl))
	}
	var ack *jetstream.PubAck
	err := b.health.call(ctx, func(ctx context.Context) (err error) {
		ack, err = b.js.PublishMsg(ctx, m, options...)
		return err
	})
	if err != nil {
		return 0, b.refused(err)
	}
	return ack.Sequence, nil
}

// codeMaximum is the engine's code for a message that exceeds a limit of the
// stream.
const codeMaximum = jetstream.ErrorCode(10077)

// refused makes the engine's error for another revision errChanged, and the one
// for a bucket that is full what the client is told.
func (b *bucket) refused(err error) error {
	e, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return err
	}
	switch e.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return errChanged
	case codeMaximum:
		return &auth.Refusal{
			Status: http.StatusServiceUnavailable, RetryAfter: fullRetry, Key: "store.disk",
			Reason: fmt.Sprintf("store-full: %s take all of their %d bytes, which are a part of store.disk", b.holds, b.bytes),
		}
	}
	return err
}

// fullRetry is when there may be room again.
const fullRetry = 2 * time.Second

// get returns the entry of a key. The error is errNone if there is none. An
// entry that was purged is one, without a value.
func (b *bucket) get(ctx context.Context, key string) (entry, error) {
	var m *jetstream.RawStreamMsg
	err := b.health.call(ctx, func(ctx context.Context) (err error) {
		m, err = b.stream.GetLastMsgForSubject(ctx, b.subject+key)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return entry{}, errNone
	case err != nil:
		return entry{}, err
	}
	return b.entry(m.Subject, m.Data, m.Header, m.Sequence, false)
}

func (b *bucket) entry(subject string, value []byte, header nats.Header, revision uint64, headersOnly bool) (entry, error) {
	e := entry{key: strings.TrimPrefix(subject, b.subject), header: header, revision: revision}
	// The engine marks what it removed in a header of its own.
	if header.Get(headerOperation) != "" || header.Get(jetstream.MarkerReasonHeader) != "" {
		e.purged = true
		return e, nil
	}
	if headersOnly {
		return e, nil
	}
	e.value = value
	if b.seal != nil {
		var err error
		if e.value, err = b.seal.open(b.name, e.key, value); err != nil {
			return entry{}, err
		}
	}
	return e, nil
}

// watch reports each entry whose key matches the filter, then calls current,
// and then reports each change, in the order of the revisions. It returns when
// ctx ends, or with the error that broke it: then what was reported may be out
// of date.
func (b *bucket) watch(ctx context.Context, filter string, headersOnly bool, change func(entry), current func()) error {
	info, err := b.stream.Info(ctx)
	if err != nil {
		return err
	}
	last := info.State.LastSeq
	c, err := b.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{b.subject + filter}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, HeadersOnly: headersOnly,
	})
	if err != nil {
		return err
	}
	broken := make(chan error, 1)
	fail := func(err error) {
		select {
		case broken <- err:
		default:
		}
	}
	// Without entries nothing will be delivered that says so.
	isCurrent := c.CachedInfo().NumPending == 0
	if isCurrent {
		current()
	}
	over := ctx.Done()
	consuming, err := c.Consume(func(m jetstream.Msg) {
		at, err := m.Metadata()
		if err != nil {
			fail(err)
			return
		}
		if ctx.Err() != nil {
			return
		}
		e, err := b.entry(m.Subject(), m.Data(), m.Headers(), at.Sequence.Stream, headersOnly)
		if err != nil {
			fail(err)
			return
		}
		change(e)
		if !isCurrent && (at.NumPending == 0 || e.revision >= last) {
			isCurrent = true
			current()
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { fail(err) }))
	if err != nil {
		return err
	}
	defer func() {
		consuming.Stop()
		<-consuming.Closed()
	}()
	select {
	case <-over:
		return ctx.Err()
	case err := <-broken:
		return err
	}
}

// hashed returns the key of a name: a hash, because a key has few characters
// and no more than a line of them, and because it is not encrypted.
func hashed(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sealer encrypts values.
type sealer struct{ aead cipher.AEAD }

var errSealed = errors.New("the entry cannot be decrypted with this key, or is damaged")

func (s *sealer) seal(bucket, key string, value []byte) []byte {
	return s.aead.Seal(nil, nil, value, []byte(bucket+" "+key))
}

func (s *sealer) open(bucket, key string, value []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, value, []byte(bucket+" "+key))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}
