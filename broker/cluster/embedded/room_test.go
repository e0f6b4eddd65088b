//go:build !nostore

package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// lacking skips a test for which the machine lacks something. With
// HOOFBEAT_E2E=required in the environment the test fails instead.
func lacking(t *testing.T, format string, v ...any) {
	t.Helper()
	if os.Getenv("HOOFBEAT_E2E") == "required" {
		t.Fatalf(format, v...)
	}
	t.Skipf(format, v...)
}

// mount mounts something until the test ends, or skips the test where that is
// not possible.
func mount(t *testing.T, args ...string) {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		lacking(t, "only root on Linux can mount a file system")
	}
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		lacking(t, "mounting is refused here: %v: %s", err, out)
	}
	target := args[len(args)-1]
	t.Cleanup(func() {
		// Lazily, because the engine leaves files of a restore that failed open.
		if out, err := exec.Command("umount", "-l", target).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// smallDisk returns a directory on a disk of 24 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	disk := t.TempDir()
	mount(t, "-t", "tmpfs", "-o", "size=24m,mode=0700", "none", disk)
	return disk
}

// fill writes a file until the disk is full, or has only so much left.
func fill(t *testing.T, path string, bytes int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil && bytes > 0 {
		var n int
		n, err = f.Write(make([]byte, min(bytes, 1<<16)))
		bytes -= n
	}
	_ = f.Close() // what could not be written is the point
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute: " + what)
		}
	}
}

// Before the disk is full the engine takes no more messages. It goes on to
// deliver and to keep acknowledgements, and takes messages again when there is
// room: on a disk of 24 MiB, fill, free, go on. What was stored and not
// acknowledged is there at the end, and nothing else.
func TestAFullDiskIsNeverMet(t *testing.T) {
	disk := smallDisk(t)
	o := embedded.Options{Dir: filepath.Join(disk, "store"), Reserve: 8 << 20, Disk: 20 << 20}
	s := start(t, o)
	_, js := connect(t, s)
	stream, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "Q", Subjects: []string{"q"}, Retention: jetstream.WorkQueuePolicy, MaxBytes: 19 << 20, Discard: jetstream.DiscardNew})
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := stream.CreateConsumer(within(t), jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1})
	if err != nil {
		t.Fatal(err)
	}
	kept := make(map[string]bool)
	n := 0
	put := func() error {
		s.SetReserve(o.Reserve) // look at the disk now: in 100 ms a tmpfs takes all that is reserved
		if err := s.Room(); err != nil {
			return err
		}
		n++
		id := fmt.Sprint(n)
		if _, err := js.PublishMsg(within(t), &nats.Msg{Subject: "q", Header: nats.Header{"Id": {id}}, Data: make([]byte, 32<<10)}); err != nil {
			t.Fatalf("message %d met the engine: %v", n, err)
		}
		kept[id] = true
		return nil
	}
	take := func(most int) {
		t.Helper()
		batch, err := consumer.Fetch(most, jetstream.FetchMaxWait(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			if err := m.DoubleAck(within(t)); err != nil {
				t.Fatalf("an acknowledgement on the full disk: %v", err)
			}
			delete(kept, m.Headers().Get("Id"))
		}
		if err := batch.Error(); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 2 {
		var full *embedded.FullError
		for err = nil; err == nil; err = put() {
		}
		if !errors.As(err, &full) || full.Key != "store.reserve" || full.Limit != 8<<20 || !strings.Contains(err.Error(), "store.reserve is 8 MiB") {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := s.Health(); err != nil {
			t.Fatal(err)
		}
		take(len(kept) - 5)
		eventually(t, "there is room", func() bool { return s.Room() == nil })
	}
	// Somebody else fills the disk.
	fill(t, filepath.Join(disk, "other"), int(s.Usage().Free)-6<<20)
	eventually(t, "it is full", func() bool { return s.Room() != nil })
	take(2)
	if err := os.Remove(filepath.Join(disk, "other")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is room", func() bool { return s.Room() == nil })
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if state := s.State(); state.Err != nil || state.Run != 1 {
		t.Errorf("the engine was restarted: %+v", state)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, o)
	checkKept(t, s, kept)
}

// checkKept asserts that the stream Q has these messages and no other.
func checkKept(t *testing.T, s *embedded.Server, kept map[string]bool) {
	t.Helper()
	_, js := connect(t, s)
	stream, err := js.Stream(within(t), "Q")
	if err != nil {
		t.Fatal(err)
	}
	state := stream.CachedInfo().State
	found := 0
	for n := state.FirstSeq; n <= state.LastSeq; n++ {
		m, err := stream.GetMsg(within(t), n)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !kept[m.Header.Get("Id")] {
			t.Errorf("message %s was acknowledged and is back", m.Header.Get("Id"))
		}
		found++
	}
	if found != len(kept) {
		t.Errorf("%d messages, want %d", found, len(kept))
	}
}

// states records the states of an engine.
type states struct {
	mu  sync.Mutex
	all []embedded.State
}

func (l *states) add(s embedded.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, s)
}

func (l *states) copy() []embedded.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]embedded.State(nil), l.all...)
}

// If the disk is full all the same, because others write there faster, the
// engine is unavailable at once. It is restarted in the process when there is
// room, connections come back, and what was acknowledged is there.
func TestTheEngineIsRestartedWhenTheDiskTakesData(t *testing.T) {
	disk := smallDisk(t)
	o := embedded.Options{Dir: filepath.Join(disk, "store"), Reserve: 1 << 20, Disk: 20 << 20}
	s := start(t, o)
	var seen states
	stop := s.Watch(seen.add)
	conn, js := connect(t, s)
	if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "Q", Subjects: []string{"q"}, MaxBytes: 19 << 20, Discard: jetstream.DiscardNew}); err != nil {
		t.Fatal(err)
	}
	kept := make(map[string]bool)
	n := 0
	put := func(wait time.Duration) error {
		n++
		id := fmt.Sprint(n)
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		_, err := js.PublishMsg(ctx, &nats.Msg{Subject: "q", Header: nats.Header{"Id": {id}}, Data: make([]byte, 64<<10)})
		if err == nil {
			kept[id] = true
		}
		return err
	}
	if err := put(time.Minute); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(disk, "other"), 64<<20)
	if err := s.Room(); err == nil {
		eventually(t, "it is full", func() bool { return s.Room() != nil })
	}
	failed := time.Now()
	eventually(t, "it is unavailable", func() bool {
		_ = put(time.Second) // nobody asks Room; an engine that is only slow is tried again
		return errors.Is(s.State().Err, embedded.ErrUnavailable)
	})
	if took := time.Since(failed); took > 10*time.Second {
		t.Errorf("it was unavailable after %v", took)
	}
	if err := s.Room(); !errors.Is(err, embedded.ErrUnavailable) || strings.Contains(err.Error(), disk) {
		t.Errorf("Room says %v", err)
	}
	if err := os.Remove(filepath.Join(disk, "other")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is available", func() bool { return s.State().Err == nil })
	eventually(t, "the connection is back", conn.IsConnected)
	eventually(t, "there is room", func() bool { return s.Room() == nil })
	if err := put(time.Minute); err != nil {
		t.Fatal(err)
	}
	// A message without an answer may have been stored.
	_, again := connect(t, s)
	stream, err := again.Stream(within(t), "Q")
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		if m, err := stream.GetMsg(within(t), seq); err == nil {
			there[m.Header.Get("Id")] = true
		}
	}
	for id := range kept {
		if !there[id] {
			t.Errorf("message %s was acknowledged and is lost", id)
		}
	}
	stop()
	all := seen.copy()
	if len(all) < 3 || all[0] != (embedded.State{Run: 1}) || !errors.Is(all[1].Err, embedded.ErrUnavailable) || all[len(all)-1] != (embedded.State{Run: 2}) {
		t.Errorf("states %+v", all)
	}
}

// store.disk limits what is stored, whatever the streams allow. The engine never
// has to refuse a message itself.
func TestTheStoreHoldsNoMoreThanItsDisk(t *testing.T) {
	s := start(t, embedded.Options{Disk: 1 << 20, Reserve: 1 << 20, Payload: 64 << 10})
	_, js := connect(t, s)
	if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "A", Subjects: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		s.SetReserve(1 << 20) // look again
		if err := s.Room(); err != nil {
			var full *embedded.FullError
			if !errors.As(err, &full) || full.Key != "store.disk" || full.Limit != 1<<20 || full.Have < 800<<10 || !strings.Contains(err.Error(), "store.disk is 1 MiB") {
				t.Errorf("after %d messages: %v", n, err)
			}
			break
		}
		if _, err := js.Publish(within(t), "a", make([]byte, 64<<10)); err != nil {
			t.Fatalf("message %d met the limit of the engine: %v", n, err)
		}
	}
	if u := s.Usage(); u.Limit != 1<<20 || u.Streams != 1 || u.Messages < 12 || u.Free <= 0 || u.Size < u.Free || u.Reserve != 1<<20 {
		t.Errorf("%+v", u)
	}
}

func TestAskingForRoomAllocatesNothing(t *testing.T) {
	s := start(t, embedded.Options{})
	if n := testing.AllocsPerRun(1000, func() { _ = s.Room() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// The reserve can change while the engine runs.
func TestTheReserveChanges(t *testing.T) {
	s := start(t, embedded.Options{Reserve: 1 << 20})
	if err := s.Room(); err != nil {
		t.Fatal(err)
	}
	s.SetReserve(1 << 60)
	var full *embedded.FullError
	if err := s.Room(); !errors.As(err, &full) || full.Key != "store.reserve" {
		t.Errorf("with a reserve of 1 EiB: %v", err)
	}
	s.SetReserve(0)
	if want := max(256<<20, s.Usage().Size/50); s.Usage().Reserve != want {
		t.Errorf("the default is %d, want %d", s.Usage().Reserve, want)
	}
}
