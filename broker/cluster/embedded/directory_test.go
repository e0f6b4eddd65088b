//go:build !nostore

package embedded_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// refused asserts that an engine does not start, and that the error names the
// option and has these texts.
func refused(t *testing.T, o embedded.Options, field string, texts ...string) {
	t.Helper()
	s, err := embedded.Start(t.Context(), o)
	if err == nil {
		_ = s.Close() // the test has failed
		t.Fatalf("started, want an error about %s: %q", field, texts)
	}
	var option *embedded.OptionError
	if !errors.As(err, &option) || option.Field != field {
		t.Errorf("%v: want an error about %s", err, field)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v: want %q", err, text)
		}
	}
	if o.Key != "" && strings.Contains(err.Error(), o.Key) {
		t.Errorf("the key is in the error: %v", err)
	}
}

// stored returns a directory with the streams A and B, each with a message.
func stored(t *testing.T, o embedded.Options) string {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "store")
	s, err := embedded.Start(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	conn, js := connect(t, s)
	for _, name := range []string{"A", "B"} {
		if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: name, Subjects: []string{name}, MaxBytes: 1 << 20}); err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(within(t), name, []byte("kept")); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o.Dir
}

func TestOnlyOneProcessUsesADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	start(t, embedded.Options{Dir: dir})
	refused(t, embedded.Options{Dir: dir}, "Dir", dir+" is used by another process (", "stop it first")
}

func TestADirectoryThatCannotBeUsed(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, embedded.Options{Dir: file}, "Dir", file+" is not a directory")
	refused(t, embedded.Options{Dir: filepath.Join(file, "below")}, "Dir", "is not a directory")
	refused(t, embedded.Options{Dir: filepath.Join(base, "not", "there")}, "Dir", "neither does the directory "+filepath.Join(base, "not"), "mount what belongs there")
	if runtime.GOOS == "windows" {
		return
	}
	open := filepath.Join(base, "open")
	if err := errors.Join(os.Mkdir(open, 0o777), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	refused(t, embedded.Options{Dir: open}, "Dir", "chmod o-w "+open)
	if os.Geteuid() != 0 {
		closed := filepath.Join(base, "closed")
		if err := os.Mkdir(closed, 0o500); err != nil {
			t.Fatal(err)
		}
		refused(t, embedded.Options{Dir: closed}, "Dir", "run hoofbeat as the owner")
		return
	}
	foreign := filepath.Join(base, "foreign")
	if err := errors.Join(os.Mkdir(foreign, 0o700), os.Chown(foreign, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	refused(t, embedded.Options{Dir: foreign}, "Dir", "belongs to nobody, but this process runs as root", "chown")
}

// A read-only file system is told from missing permissions.
func TestADirectoryOnAReadOnlyDisk(t *testing.T) {
	dir := stored(t, embedded.Options{})
	mount(t, "--bind", dir, dir)
	remount := exec.Command("mount", "-o", "remount,ro,bind", dir)
	if out, err := remount.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	refused(t, embedded.Options{Dir: dir}, "Dir", "mounted read-only")
	refused(t, embedded.Options{Dir: filepath.Join(dir, "new")}, "Dir", "mounted read-only")
}

// A start on a disk that is completely full says so, and works once there is
// room.
func TestADirectoryOnAFullDisk(t *testing.T) {
	disk := smallDisk(t)
	o := embedded.Options{Dir: filepath.Join(disk, "store")}
	if err := os.CopyFS(o.Dir, os.DirFS(stored(t, embedded.Options{}))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(disk, "other")
	fill(t, other, 1<<30)
	refused(t, o, "Dir", "the disk of "+o.Dir+" is full: make room on it")
	refused(t, embedded.Options{Dir: filepath.Join(disk, "new")}, "Dir", "the disk of ", " is full: make room on it")
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	start(t, o)
}

func TestFilesOfTheStoreAreForItsOwnerOnly(t *testing.T) {
	dir := stored(t, embedded.Options{})
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The engine itself starts without what it cannot read. An absence is an error,
// not an empty store.
func TestWhatIsMissingIsNoEmptyStore(t *testing.T) {
	for name, x := range map[string]struct {
		damage func(dir string) error
		texts  []string
	}{
		"a stream": {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "jetstream/$G/streams/B")) },
			[]string{"has no files of what it held: B", "backup"}},
		"everything": {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "jetstream")) },
			[]string{"has no files of what it held: A, B"}},
		"the metadata": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "jetstream/$G/streams/A/meta.inf"), []byte("{}"), 0o600)
		}, []string{"is damaged", "'$G > A' could not be recovered", "backup"}},
		"the manifest": {func(dir string) error { return os.Remove(filepath.Join(dir, "manifest.json")) },
			[]string{"has data, but no manifest.json"}},
		"half a manifest": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(`{"format": 1, "no`), 0o600)
		}, []string{"manifest.json is damaged"}},
		"an older program": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(`{"format": 3, "node": {"new": true}}`), 0o600)
		}, []string{"written by a newer version of hoofbeat (format 3, this version reads up to 2)", "Nothing was changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := stored(t, embedded.Options{})
			if err := x.damage(dir); err != nil {
				t.Fatal(err)
			}
			refused(t, embedded.Options{Dir: dir}, "Dir", append(x.texts, dir)...)
			refused(t, embedded.Options{Dir: dir}, "Dir", x.texts...) // nothing has been mended silently
		})
	}
}

func TestAStreamThatWasDeletedIsNotMissing(t *testing.T) {
	dir := stored(t, embedded.Options{})
	s, err := embedded.Start(within(t), embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, js := connect(t, s)
	if err := js.DeleteStream(within(t), "B"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, embedded.Options{Dir: dir})
}

func TestAWrongKeyIsAnError(t *testing.T) {
	dir := stored(t, embedded.Options{Key: "the right key of this directory"})
	refused(t, embedded.Options{Dir: dir, Key: "another key, which is wrong"}, "Key", "encrypted with another key")
	refused(t, embedded.Options{Dir: dir}, "Key", "no key is given")
	s := start(t, embedded.Options{Dir: dir, Key: "the right key of this directory"})
	_, js := connect(t, s)
	stream, err := js.Stream(within(t), "A")
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := stream.GetMsg(within(t), 1); err != nil || string(msg.Data) != "kept" {
		t.Errorf("%v, %v", msg, err)
	}
	plain := stored(t, embedded.Options{})
	refused(t, embedded.Options{Dir: plain, Key: "the right key of this directory"}, "Key", "not encrypted, but a key is given")
}

func TestNothingIsReadableInAnEncryptedDirectory(t *testing.T) {
	const key = "the right key of this directory"
	dir := stored(t, embedded.Options{Key: key})
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), "kept") || strings.Contains(string(data), key) {
			t.Errorf("%s has a message or the key in it", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Message-ids begin with the id of the node, and the number of the run keeps
// those of one run apart from those of the next.
func TestTheIDOfANodeStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	var node string
	for run := range uint64(3) {
		s, err := embedded.Start(within(t), embedded.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if node == "" {
			node = s.Node()
		}
		if !regexp.MustCompile(`^[a-p][a-z2-7]{11}$`).MatchString(node) || s.Node() != node || s.Runs() != run+1 {
			t.Errorf("node %q, run %d; want %q and %d", s.Node(), s.Runs(), node, run+1)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil || m["format"] != 1.0 || m["node"] != node {
		t.Errorf("%s, %v", data, err)
	}
}
