//go:build !nostore

package embedded

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const oldKey, newKey = "the key with which it was made", "the key to which it is changed"

// large is the size of a message of which three fill a block. The engine makes
// its smallest blocks, of 32 kB, for a stream that may have four of them.
const large, fourBlocks = 9 << 10, 120 << 10

// encrypted returns a directory with a work queue of four messages, of which
// the first is acknowledged and the second is with a consumer, and a stream of
// several blocks.
func encrypted(t *testing.T, key string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s, js := opened(t, Options{Dir: dir, Key: key})
	ctx := soon(t)
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "Q", Subjects: []string{"q"}, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := js.Publish(ctx, "q", []byte("kept")); err != nil {
			t.Fatal(err)
		}
	}
	batch, err := consumer.Fetch(2, jetstream.FetchMaxWait(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	first := true
	for m := range batch.Messages() {
		if first {
			if err := m.DoubleAck(ctx); err != nil {
				t.Fatal(err)
			}
		}
		first = false
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "B", Subjects: []string{"b"}, MaxBytes: fourBlocks}); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		if _, err := js.Publish(ctx, "b", make([]byte, large)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if blocks, err := filepath.Glob(filepath.Join(dir, streamsDir, "B/msgs/*.blk")); err != nil || len(blocks) < 2 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	return dir
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func opened(t *testing.T, o Options) (*Server, jetstream.JetStream) {
	t.Helper()
	s, err := Start(soon(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return s, js
}

// checkEncrypted asserts that a directory opens with a key and with no other,
// that it has everything that encrypted has put there, and that it takes more.
func checkEncrypted(t *testing.T, dir, key, other string) {
	t.Helper()
	if s, err := Start(soon(t), Options{Dir: dir, Key: other}); err == nil {
		_ = s.Close() // the test has failed
		t.Fatal("it opens with the other key")
	}
	s, js := opened(t, Options{Dir: dir, Key: key})
	ctx := soon(t)
	stream, err := js.Stream(ctx, "Q")
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := stream.Consumer(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	info := consumer.CachedInfo()
	if stream.CachedInfo().State.Msgs != 3 || info.NumAckPending != 1 || info.NumPending != 2 {
		t.Errorf("%d messages, %d delivered, %d to come", stream.CachedInfo().State.Msgs, info.NumAckPending, info.NumPending)
	}
	for seq := uint64(1); seq <= 12; seq++ {
		b, err := js.Stream(ctx, "B")
		if err != nil {
			t.Fatal(err)
		}
		if m, err := b.GetMsg(ctx, seq); err != nil || len(m.Data) != large {
			t.Errorf("message %d: %v", seq, err)
		}
	}
	for _, subject := range []string{"q", "b"} {
		if _, err := js.Publish(ctx, subject, []byte("more")); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheKeyOfADirectoryChanges(t *testing.T) {
	for name, change := range map[string]func(o Options) error{
		"by Rekey": func(o Options) error {
			if changed, err := Rekey(soon(t), o); err != nil || !changed {
				t.Errorf("%v, %v", changed, err)
			}
			changed, err := Rekey(soon(t), o) // again
			if changed {
				t.Error("the same key changes again")
			}
			return err
		},
		"at the start": func(o Options) error {
			s, err := Start(soon(t), o)
			if err != nil {
				return err
			}
			return s.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := encrypted(t, oldKey)
			if err := change(Options{Dir: dir, Key: newKey, OldKey: oldKey}); err != nil {
				t.Fatal(err)
			}
			checkEncrypted(t, dir, newKey, oldKey)
			if _, err := os.Stat(filepath.Join(dir, rekeyDir)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what was prepared is still there: %v", err)
			}
		})
	}
}

// Wherever the change of a key is interrupted, the directory opens with one of
// the keys, and has everything.
func TestTheChangeOfAKeyIsInterrupted(t *testing.T) {
	prepare := func(t *testing.T, dir string) (*directory, *manifest) {
		t.Helper()
		d := &directory{path: dir}
		m, err := d.readManifest()
		if err != nil {
			t.Fatal(err)
		}
		if err := d.wrapKeys(oldKey, newKey); err != nil {
			t.Fatal(err)
		}
		return d, m
	}
	commit := func(t *testing.T, d *directory, m *manifest) {
		t.Helper()
		m.Rekeying = m.fingerprint(newKey)
		if err := d.writeManifest(m); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("while it prepares", func(t *testing.T) {
		dir := encrypted(t, oldKey)
		prepare(t, dir)
		checkEncrypted(t, dir, oldKey, newKey)
	})
	t.Run("before the first file is in place", func(t *testing.T) {
		dir := encrypted(t, oldKey)
		d, m := prepare(t, dir)
		commit(t, d, m)
		checkEncrypted(t, dir, newKey, oldKey)
	})
	t.Run("when some are in place", func(t *testing.T) {
		dir := encrypted(t, oldKey)
		d, m := prepare(t, dir)
		commit(t, d, m)
		if err := os.Rename(filepath.Join(dir, rekeyDir, "$G/streams/B/meta.key"), filepath.Join(dir, streamsDir, "B/meta.key")); err != nil {
			t.Fatal(err)
		}
		checkEncrypted(t, dir, newKey, oldKey)
	})
	t.Run("when all are in place", func(t *testing.T) {
		dir := encrypted(t, oldKey)
		d, m := prepare(t, dir)
		committed := *m
		committed.Rekeying = m.fingerprint(newKey)
		commit(t, d, m)
		if err := errors.Join(d.putKeys(m), d.writeManifest(&committed)); err != nil {
			t.Fatal(err)
		}
		checkEncrypted(t, dir, newKey, oldKey)
	})
}

func TestAKeyThatCannotChange(t *testing.T) {
	plain := encrypted(t, "")
	dir := encrypted(t, oldKey)
	for name, x := range map[string]struct {
		o    Options
		want string
	}{
		"not encrypted":      {Options{Dir: plain, Key: newKey, OldKey: oldKey}, "not encrypted"},
		"another old key":    {Options{Dir: dir, Key: newKey, OldKey: "neither of the two"}, "neither this one nor the old one"},
		"no new key":         {Options{Dir: dir, OldKey: oldKey}, "both required"},
		"an empty directory": {Options{Dir: t.TempDir(), Key: newKey, OldKey: oldKey}, "is empty"},
	} {
		if _, err := Rekey(soon(t), x.o); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
	if _, err := Start(soon(t), Options{Dir: dir, OldKey: oldKey}); err == nil || !strings.Contains(err.Error(), "no key to change to") {
		t.Errorf("a start without a new key: %v", err)
	}
	checkEncrypted(t, dir, oldKey, newKey)
}

func TestCheckTellsWhatADirectoryHolds(t *testing.T) {
	dir := encrypted(t, oldKey)
	r, err := Check(soon(t), Options{Dir: dir, Key: oldKey})
	if err != nil {
		t.Fatal(err)
	}
	if r.Runs != 1 || r.Format != 1 || len(r.Node) != nodeIDSize || !r.Key || r.Damaged() || len(r.Streams) != 2 {
		t.Fatalf("%+v", r)
	}
	b, q := r.Streams[0], r.Streams[1]
	if b.Name != "B" || b.Messages != 12 || b.Bytes < 12*large || b.First != 1 || b.Last != 12 ||
		q.Name != "Q" || q.Messages != 3 || q.Consumers != 1 || q.First != 2 || q.Last != 4 {
		t.Errorf("%+v", r)
	}
	if again, err := Check(soon(t), Options{Dir: dir, Key: oldKey}); err != nil || again.Runs != 1 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := Check(soon(t), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "no key is given") {
		t.Errorf("without the key: %v", err)
	}
	if _, err := Check(soon(t), Options{Dir: filepath.Join(dir, "missing")}); err == nil {
		t.Error("it has checked what is not there")
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); err == nil {
		t.Error("it has made what is not there")
	}
}

// Bits that changed on the disk are found.
func TestCheckFindsDamage(t *testing.T) {
	dir := encrypted(t, "")
	block := filepath.Join(dir, streamsDir, "B/msgs/1.blk")
	data, err := os.ReadFile(block)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(block, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Check(soon(t), Options{Dir: dir})
	if err != nil || !r.Damaged() || r.Streams[0].Damaged == 0 || r.Streams[1].Damaged != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
