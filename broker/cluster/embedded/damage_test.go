//go:build !nostore

package embedded_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// Each kind of file in a directory is damaged, one at a time: changed, cut,
// emptied, removed. What the engine would leave out silently is an error that
// says what to do, and what it can make anew loses nothing.
func TestEachFileIsDamaged(t *testing.T) {
	const key = "the right key of this directory"
	const harmless = ""
	for _, x := range []struct {
		key                            string
		file                           string
		changed, cut, emptied, removed string // the error; "-": not tried
	}{
		{"", "lock", harmless, harmless, harmless, harmless},
		{"", "manifest.json", "manifest.json is damaged", "manifest.json is damaged", "manifest.json is damaged", "no manifest.json"},
		// A change within a block shows when the message is read: `store check`.
		{"", "jetstream/$G/streams/QUEUE/msgs/1.blk", "-", "[QUEUE] Recovering stream state from index errored", "[QUEUE] Recovering stream state from index errored", "[QUEUE] Recovering stream state from index errored"},
		{"", "jetstream/$G/streams/QUEUE/msgs/index.db", harmless, harmless, harmless, harmless},
		{"", "jetstream/$G/streams/QUEUE/meta.inf", "-", "is damaged", "meta.inf is empty", "is damaged"},
		{"", "jetstream/$G/streams/QUEUE/obs/reader/meta.inf", "is damaged", "is damaged", "meta.inf is empty", "o.dat has no meta.inf"},
		{"", "jetstream/$G/streams/QUEUE/obs/reader/meta.sum", harmless, harmless, harmless, "o.dat has no meta.sum"},
		{"", "jetstream/$G/streams/QUEUE/obs/reader/o.dat", "-", "is damaged", "-", "-"},
		{key, "jetstream/$G/streams/QUEUE/msgs/1.key", "cannot be decrypted", "cannot be decrypted", "cannot be decrypted", "1.blk has no 1.key"},
		{key, "jetstream/$G/streams/QUEUE/meta.key", "cannot be decrypted", "cannot be decrypted", "cannot be decrypted", "is damaged"},
		{key, "jetstream/$G/streams/QUEUE/meta.inf", "is damaged", "is damaged", "meta.inf is empty", "is damaged"},
		{key, "jetstream/$G/streams/QUEUE/obs/reader/meta.key", "cannot be decrypted", "cannot be decrypted", "cannot be decrypted", "is damaged"},
		{key, "jetstream/$G/streams/QUEUE/obs/reader/meta.inf", "is damaged", "is damaged", "meta.inf is empty", "o.dat has no meta.inf"},
	} {
		base := filled(t, embedded.Options{Key: x.key})
		want := contents(t, embedded.Options{Dir: base, Key: x.key})
		for how, text := range map[string]string{"changed": x.changed, "cut": x.cut, "emptied": x.emptied, "removed": x.removed} {
			if text == "-" {
				continue
			}
			t.Run(how+" "+x.file, func(t *testing.T) {
				o := embedded.Options{Dir: filepath.Join(t.TempDir(), "copy"), Key: x.key}
				if err := os.CopyFS(o.Dir, os.DirFS(base)); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(o.Dir, 0o700); err != nil {
					t.Fatal(err)
				}
				damage(t, filepath.Join(o.Dir, x.file), how)
				if text == harmless {
					same(t, contents(t, o), want)
					return
				}
				refused(t, o, "Dir", text)
				refused(t, o, "Dir", "") // nothing has been mended silently
			})
		}
	}
}

func damage(t *testing.T, path, how string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch how {
	case "changed":
		if len(data) > 0 {
			data[len(data)/2] ^= 0x55
		}
		err = os.WriteFile(path, data, 0o600)
	case "cut":
		err = os.WriteFile(path, data[:len(data)*2/3], 0o600)
	case "emptied":
		err = os.WriteFile(path, nil, 0o600)
	case "removed":
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
}
