//go:build !nostore

package embedded_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

const notClosed = "the store was not closed the last time"

// unclosed returns a copy of the directory of a process that is killed: its
// messages are newer than its indexes.
func unclosed(t *testing.T) string {
	t.Helper()
	dir := filled(t, embedded.Options{})
	s := start(t, embedded.Options{Dir: dir})
	_, js := connect(t, s)
	if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "EXPIRES", Subjects: []string{"e.>"}, AllowMsgTTL: true, AllowMsgSchedules: true, MaxBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		for _, subject := range []string{"q.a", "t.a", "e.a"} {
			var options []jetstream.PublishOpt
			if subject == "e.a" {
				options = append(options, jetstream.WithMsgTTL(time.Hour))
			}
			if _, err := js.Publish(within(t), subject, fmt.Append(nil, i), options...); err != nil {
				t.Fatal(err)
			}
		}
	}
	return copied(t, dir)
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o700); err != nil {
		t.Fatal(err)
	}
	return to
}

// logged returns the log of a start and a stop.
func logged(t *testing.T, dir string) string {
	t.Helper()
	var log bytes.Buffer
	s := start(t, embedded.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return log.String()
}

// A start after a kill does not look like damage: it says what has happened, and
// nothing is a warning.
func TestAKillLooksLikeNoDamage(t *testing.T) {
	dir := unclosed(t)
	log := logged(t, dir)
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=INFO msg=\""+notClosed) {
		t.Errorf("after a kill:\n%s", log)
	}
	if log := logged(t, dir); log != "" { // it was closed now
		t.Errorf("after a stop:\n%s", log)
	}
}

// An index that is not as it was when the store was closed has been damaged,
// although nothing is lost by it.
func TestADamagedIndexIsAWarning(t *testing.T) {
	dir := filled(t, embedded.Options{})
	damage(t, filepath.Join(dir, "jetstream/$G/streams/QUEUE/msgs/index.db"), "changed")
	if log := logged(t, dir); !strings.Contains(log, "level=WARN msg=\"Filestore [QUEUE] Stream state checksum did not match") || strings.Contains(log, notClosed) {
		t.Errorf("got\n%s", log)
	}
}
