//go:build !nostore

package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// queue, topic and bucket are the streams of filled.
const (
	queue  = "QUEUE"
	topic  = "TOPIC"
	bucket = "KV_BUCKET"
)

// filled returns a directory with a work queue of which something is consumed,
// something delivered and not acknowledged; a stream that lost its beginning; a
// bucket with an entry that was replaced and one that was deleted.
func filled(t *testing.T, o embedded.Options) string {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "filled")
	s, err := embedded.Start(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	conn, js := connect(t, s)
	for _, c := range []jetstream.StreamConfig{
		{Name: queue, Subjects: []string{"q.>"}, Retention: jetstream.WorkQueuePolicy, MaxBytes: 4 << 20, Metadata: map[string]string{"epoch": "one"}},
		{Name: topic, Subjects: []string{"t.>"}, MaxMsgsPerSubject: 5, MaxBytes: 4 << 20, Duplicates: time.Hour},
	} {
		if _, err := js.CreateStream(within(t), c); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		for _, subject := range []string{"q.a", "t.a"} {
			m := nats.NewMsg(subject)
			m.Header.Set("N", fmt.Sprint(i))
			m.Data = []byte(strings.Repeat(fmt.Sprintf("%s %d ", subject, i), 300))
			if _, err := js.PublishMsg(within(t), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := js.Publish(within(t), "t.b", []byte("once"), jetstream.WithMsgID("id of t.b")); err != nil {
		t.Fatal(err)
	}
	c, err := js.CreateConsumer(within(t), queue, jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour, FilterSubject: "q.a"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Fetch(12)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for m := range got.Messages() {
		if n++; n%3 == 0 {
			if err := m.DoubleAck(within(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	kv, err := js.CreateKeyValue(within(t), jetstream.KeyValueConfig{Bucket: "BUCKET", MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range []string{"a 1", "b 1", "a 2", "c 1"} {
		key, value, _ := strings.Cut(entry, " ")
		if _, err := kv.PutString(within(t), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.Delete(within(t), "b"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o.Dir
}

// contents is all that a directory has: each stream's configuration and state,
// each message with its number, time, headers and text, each consumer.
func contents(t *testing.T, o embedded.Options) map[string]any {
	t.Helper()
	s := start(t, o)
	conn, js := connect(t, s)
	all := make(map[string]any)
	streams := js.ListStreams(within(t))
	for info := range streams.Info() {
		info.State.Consumers = 0
		name := info.Config.Name
		all[name] = info.Config
		all[name+" state"] = fmt.Sprintf("%+v", info.State)
		stream, err := js.Stream(within(t), name)
		if err != nil {
			t.Fatal(err)
		}
		for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
			m, err := stream.GetMsg(within(t), seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			all[fmt.Sprint(name, " ", seq)] = fmt.Sprintf("%s %v %v %s", m.Subject, m.Time, m.Header, m.Data)
		}
		consumers := stream.ListConsumers(within(t))
		for c := range consumers.Info() {
			all[name+" consumer "+c.Name] = fmt.Sprintf("%+v delivered %d, floor %d, pending %d, to come %d, again %d", c.Config.AckPolicy, c.Delivered.Stream, c.AckFloor.Stream, c.NumAckPending, c.NumPending, c.NumRedelivered)
		}
		if err := consumers.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name := range want {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s is\n%v, want\n%v", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is too much: %v", name, got[name])
		}
	}
}

// patiently is for what reads or writes much.
func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func exported(t *testing.T, o embedded.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := embedded.Export(patiently(t), o, &b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func imported(t *testing.T, o embedded.Options, data []byte) *embedded.Report {
	t.Helper()
	r, err := embedded.Import(patiently(t), o, bytes.NewReader(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Numbers, times, metadata, consumers and what they have not acknowledged are
// the same after an export and an import, whether either directory is encrypted
// or not.
func TestAnExportHasEverything(t *testing.T) {
	const key, other = "the right key of this directory", "the key of the new directory, so"
	for name, keys := range map[string][2]string{"plain": {}, "encrypted": {key, other}, "decrypted": {key, ""}} {
		t.Run(name, func(t *testing.T) {
			from := embedded.Options{Key: keys[0]}
			from.Dir = filled(t, from)
			data := exported(t, from)
			for _, text := range []string{"q.a 19", keys[0]} {
				if text != "" && keys[0] != "" && bytes.Contains(data, []byte(text)) && text == keys[0] {
					t.Error("the key is in the export")
				}
			}
			to := embedded.Options{Dir: filepath.Join(t.TempDir(), "new"), Key: keys[1]}
			r := imported(t, to, data)
			if len(r.Streams) != 3 || r.Streams[0].Name != bucket || r.Streams[1].Messages != 16 || r.Key != (keys[1] != "") {
				t.Errorf("%+v", r)
			}
			want := contents(t, from)
			if len(want) < 30 {
				t.Fatalf("only %d things to compare", len(want))
			}
			same(t, contents(t, to), want)
			again := exported(t, to) // the copy of a copy
			last := embedded.Options{Dir: filepath.Join(t.TempDir(), "last")}
			imported(t, last, again)
			same(t, contents(t, last), want)
		})
	}
}

// What was delivered and not acknowledged is delivered again, and nothing else
// is missing or comes twice; an id is known as it was; a bucket compares and
// sets by the same revisions.
func TestAnImportedDirectoryGoesOn(t *testing.T) {
	from := embedded.Options{Dir: filled(t, embedded.Options{})}
	to := embedded.Options{Dir: filepath.Join(t.TempDir(), "new")}
	imported(t, to, exported(t, from))
	old, err := embedded.Start(within(t), from)
	if err != nil {
		t.Fatal(err)
	}
	node := old.Node()
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, to)
	if s.Node() == node || s.Runs() != 1 {
		t.Errorf("node %s, run %d: want another node than %s, and its first run", s.Node(), s.Runs(), node)
	}
	_, js := connect(t, s)
	c, err := js.Consumer(within(t), queue, "reader")
	if err != nil {
		t.Fatal(err)
	}
	info, err := c.Info(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if info.NumAckPending != 8 || info.NumPending != 8 {
		t.Errorf("%d are delivered, %d are to come: want 8 and 8", info.NumAckPending, info.NumPending)
	}
	if ack, err := js.Publish(within(t), "t.b", []byte("twice"), jetstream.WithMsgID("id of t.b")); err != nil || !ack.Duplicate {
		t.Errorf("%+v, %v: want a duplicate", ack, err)
	}
	if ack, err := js.Publish(within(t), "q.b", nil); err != nil || ack.Sequence != 21 {
		t.Errorf("%+v, %v: want the number 21", ack, err)
	}
	kv, err := js.KeyValue(within(t), "BUCKET")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Update(within(t), "a", []byte("3"), 1); err == nil {
		t.Error("an old revision is accepted")
	}
	if rev, err := kv.Update(within(t), "a", []byte("3"), 3); err != nil || rev != 6 {
		t.Errorf("revision %d, %v: want 6", rev, err)
	}
}

func TestAnEmptyStoreIsExported(t *testing.T) {
	from := embedded.Options{Dir: filepath.Join(t.TempDir(), "empty")}
	for _, streams := range []int{0, 1} {
		s, err := embedded.Start(within(t), from)
		if err != nil {
			t.Fatal(err)
		}
		conn, js := connect(t, s)
		for range streams {
			if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "NONE", Subjects: []string{"none"}, MaxBytes: 1 << 20}); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		to := embedded.Options{Dir: filepath.Join(t.TempDir(), "new")}
		if r := imported(t, to, exported(t, from)); len(r.Streams) != streams {
			t.Errorf("%+v: want %d streams", r, streams)
		}
		start(t, to)
	}
}

// An import that cannot be completed leaves an empty directory, into which the
// right file can be imported.
func TestWhatIsNoCompleteExport(t *testing.T) {
	data := exported(t, embedded.Options{Dir: filled(t, embedded.Options{})})
	flip := func(at int) []byte {
		b := bytes.Clone(data)
		b[at] ^= 1
		return b
	}
	middle := bytes.Index(data, []byte("streams/"+queue+"/snapshot")) + 512 + 200
	newer := bytes.Replace(data, []byte(`{"format":1,`), []byte(`{"format":2,`), 1)
	moreStreams := bytes.Replace(data, []byte(`"`+queue+`"`), []byte(`"QUEUX"`), 1)
	for name, x := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":            {nil, "not an export of hoofbeat"},
		"something else":     {[]byte(strings.Repeat("something else\n", 100)), "not an export of hoofbeat"},
		"a newer version":    {newer, "written by a newer version of hoofbeat (format 2, this version reads up to 1)"},
		"a wrong header":     {moreStreams, "damaged"},
		"a changed message":  {flip(middle), "damaged"},
		"a changed checksum": {flip(bytes.Index(data, []byte(`{"sha256":"`)) + 20), "the checksum of the export is wrong"},
		"more than its end":  {append(bytes.Clone(data), "and more"...), "something follows its end"},
		"cut in a header":    {data[:700], "truncated"},
		"cut in a message":   {data[:middle], "truncated"},
		"without its end":    {data[:bytes.Index(data, []byte("end.json"))], "truncated"},
	} {
		t.Run(name, func(t *testing.T) {
			o := embedded.Options{Dir: filepath.Join(t.TempDir(), "new")}
			_, err := embedded.Import(patiently(t), o, bytes.NewReader(x.data), nil)
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v, want %q", err, x.want)
			}
			if entries, err := os.ReadDir(o.Dir); !errors.Is(err, os.ErrNotExist) && (err != nil || len(entries) != 1) {
				t.Errorf("%v, %v: want nothing but the lock", entries, err)
			}
			imported(t, o, data)
			start(t, o)
		})
	}
}

// Whatever the moment at which the reader gives up, no engine uses the
// directory, and the import can be repeated.
func TestAnImportIsInterrupted(t *testing.T) {
	data := exported(t, embedded.Options{Dir: filled(t, embedded.Options{})})
	o := embedded.Options{Dir: filepath.Join(t.TempDir(), "new")}
	gone := errors.New("gone")
	for at := 1; at < len(data); at += len(data)/7 + 1 {
		_, err := embedded.Import(patiently(t), o, io.MultiReader(bytes.NewReader(data[:at]), failing{gone}), nil)
		if !errors.Is(err, gone) {
			t.Fatalf("after %d bytes: %v", at, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write(data[:len(data)/2]) // the reader ends it
		cancel()
	}()
	if _, err := embedded.Import(ctx, o, r, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	_ = r.Close() // always nil
	imported(t, o, data)
	start(t, o)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnImportNeedsAnEmptyDirectory(t *testing.T) {
	data := exported(t, embedded.Options{Dir: filled(t, embedded.Options{})})
	used := embedded.Options{Dir: stored(t, embedded.Options{})}
	before := contents(t, used)
	refuse := func(o embedded.Options, want string) {
		t.Helper()
		_, err := embedded.Import(patiently(t), o, bytes.NewReader(data), nil)
		var option *embedded.OptionError
		if !errors.As(err, &option) || option.Field != "Dir" || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refuse(used, "has a store already")
	same(t, contents(t, used), before)
	other := embedded.Options{Dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(other.Dir, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refuse(other, "is not empty (letter.txt)")
	busy := embedded.Options{Dir: filepath.Join(t.TempDir(), "busy")}
	s := start(t, busy)
	refuse(busy, "is used by another process")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Without its manifest a directory is not taken for an import.
	if err := os.Remove(filepath.Join(used.Dir, "manifest.json")); err != nil {
		t.Fatal(err)
	}
	refuse(used, "has a store already")
}

// A process that is killed leaves its mark, with which no engine uses the
// directory.
func TestAnImportThatWasKilled(t *testing.T) {
	data := exported(t, embedded.Options{Dir: filled(t, embedded.Options{})})
	o := embedded.Options{Dir: stored(t, embedded.Options{})}
	if err := errors.Join(
		os.Remove(filepath.Join(o.Dir, "manifest.json")),
		os.WriteFile(filepath.Join(o.Dir, "manifest.json.new"), []byte("{"), 0o600),
		os.WriteFile(filepath.Join(o.Dir, "importing"), nil, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	refused(t, o, "Dir", "an import into "+o.Dir+" has not been completed", "run `hoofbeat store import` again")
	if _, err := embedded.Export(within(t), o, io.Discard, nil); err == nil {
		t.Error("half an import is exported")
	}
	imported(t, o, data)
	if _, ok := contents(t, o)[queue]; !ok {
		t.Error("the queue is not there")
	}
	if _, err := os.Stat(filepath.Join(o.Dir, "importing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark is still there: %v", err)
	}
}

func TestAnImportThatDoesNotFit(t *testing.T) {
	from := embedded.Options{Dir: filepath.Join(t.TempDir(), "large")}
	s, err := embedded.Start(within(t), from)
	if err != nil {
		t.Fatal(err)
	}
	conn, js := connect(t, s)
	if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "LARGE", Subjects: []string{"large"}, MaxBytes: 100 << 20}); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if _, err := js.Publish(within(t), "large", make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data := exported(t, from)
	o := embedded.Options{Dir: filepath.Join(t.TempDir(), "new"), Disk: 64 << 20}
	_, err = embedded.Import(patiently(t), o, bytes.NewReader(data), nil)
	var option *embedded.OptionError
	if !errors.As(err, &option) || option.Field != "Disk" || !strings.Contains(err.Error(), "is 64 MiB, and the streams of the export may take 100 MiB together: set it to 100MiB or more") {
		t.Errorf("%v", err)
	}
	o = embedded.Options{Dir: filepath.Join(smallDisk(t), "new")}
	_, err = embedded.Import(patiently(t), o, bytes.NewReader(data), nil)
	if !errors.As(err, &option) || option.Field != "Dir" || !strings.Contains(err.Error(), "and the import needs 33 MiB: use a larger one") {
		t.Errorf("%v", err)
	}
	if entries, err := os.ReadDir(o.Dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v: want nothing but the lock", entries, err)
	}
}

// Somebody else can fill the disk meanwhile.
func TestTheDiskIsFullDuringAnImport(t *testing.T) {
	data := exported(t, embedded.Options{Dir: filled(t, embedded.Options{})})
	disk := smallDisk(t)
	o := embedded.Options{Dir: filepath.Join(disk, "new")}
	other := filepath.Join(disk, "other")
	half := len(data) / 2
	_, err := embedded.Import(patiently(t), o, io.MultiReader(bytes.NewReader(data[:half]), &first{func() { fill(t, other, 1<<30) }}, bytes.NewReader(data[half:])), nil)
	var option *embedded.OptionError
	if !errors.As(err, &option) || option.Field != "Dir" || !strings.Contains(err.Error(), "was full before the import was complete: use a larger one") {
		t.Fatalf("%v", err)
	}
	if entries, err := os.ReadDir(o.Dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v: want nothing but the lock", entries, err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	imported(t, o, data)
	start(t, o)
}

// first calls f, and has nothing to read.
type first struct{ f func() }

func (r *first) Read([]byte) (int, error) {
	r.f()
	return 0, io.EOF
}
