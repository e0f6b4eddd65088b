//go:build !nostore

package embedded_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// A disk whose device fails: a loop device of 96 MiB over a file for which there
// are 24 MiB, 8 of which free frees. The file system believes that there is
// room, and learns of the failure when it writes, as with a broken disk. again
// unmounts and mounts it, so that what is read is what is on the device.
func failingDisk(t *testing.T) (disk string, free, again func()) {
	t.Helper()
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		lacking(t, "there is no mkfs.ext4")
	}
	below := smallDisk(t)
	image, ballast := filepath.Join(below, "image"), filepath.Join(below, "ballast")
	fill(t, ballast, 8<<20)
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(96<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-O", "^has_journal", image).CombinedOutput(); err != nil {
		lacking(t, "no file system can be made here: %v: %s", err, out)
	}
	disk = t.TempDir()
	options := []string{"-o", "loop,errors=continue", image, disk}
	mount(t, options...)
	free = func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	again = func() {
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if out, err := exec.Command("mount", options...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return disk, free, again
}

// When the device fails, the store is not available within two seconds, and
// nothing is acknowledged. When it works again, so does the store. What was
// acknowledged is on the device.
func TestADeviceThatFails(t *testing.T) {
	disk, free, again := failingDisk(t)
	o := embedded.Options{Dir: filepath.Join(disk, "store"), Reserve: 4 << 20}
	s, err := embedded.Start(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	t.Cleanup(func() {
		if !closed {
			_ = s.Close() // the test has failed
		}
	})
	conn, js := connect(t, s)
	if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "A", Subjects: []string{"a"}, MaxBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	var kept []uint64
	put := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		ack, err := js.Publish(ctx, "a", make([]byte, 256<<10))
		if err == nil {
			kept = append(kept, ack.Sequence)
		}
		return err
	}
	for n := 0; n < 200 && s.State().Err == nil; n++ { // an engine that is only slow is tried again
		if e := put(); e != nil {
			err = e
		}
	}
	if err == nil {
		t.Fatalf("the device took %d messages", len(kept))
	}
	eventually(t, "the store is not available", func() bool { return s.State().Err != nil })
	if err := s.Room(); !errors.Is(err, embedded.ErrUnavailable) {
		t.Errorf("there is room: %v", err)
	}
	t.Logf("%d messages were acknowledged, then: %v", len(kept), err)
	free()
	eventually(t, "the store is available again", func() bool { return s.State().Err == nil && conn.IsConnected() })
	eventually(t, "it takes messages again", func() bool { return put() == nil })
	conn.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closed = true
	again()
	s = start(t, o)
	_, js = connect(t, s)
	stream, err := js.Stream(within(t), "A")
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range kept {
		if _, err := stream.GetMsg(within(t), seq); err != nil {
			t.Errorf("message %d was acknowledged: %v", seq, err)
		}
	}
}
