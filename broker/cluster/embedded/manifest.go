//go:build !nostore

package embedded

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// format is the version of the directory that this program writes, and
// clusterFormat that of a store node of a cluster, which an earlier program would
// take for one of a server that is alone. It reads no newer one.
const (
	format        = 1
	clusterFormat = 2
)

// nodeIDSize is the number of characters of a node's id.
const nodeIDSize = 12

// manifest says what a directory holds, so that an empty store is told from one
// whose files are gone or cannot be decrypted: the engine itself starts without
// what it cannot read.
type manifest struct {
	Format int `json:"format"`
	// Node is the id of the node, made once.
	Node string `json:"node"`
	// Runs counts the starts.
	Runs uint64 `json:"runs"`
	// Key tells whether a key is that of the directory, without revealing it.
	// "" if the directory is not encrypted.
	Key string `json:"key"`
	// Rekeying is what Key becomes when the key files below rekeyDir are in
	// place.
	Rekeying string `json:"rekeying,omitempty"`
	// Streams are the names of all streams.
	Streams []string `json:"streams"`
	// Ends are the numbers of the last messages of all streams, from the end of
	// a run to the beginning of the next.
	Ends map[string]uint64 `json:"ends,omitempty"`
	// Damage is what a start has found, and the engine has made good by leaving
	// it out: the next start would find nothing. Who can do without what is
	// lost removes it from the file.
	Damage string `json:"damage,omitempty"`
	// Cluster is nil if the directory is that of a server that is alone.
	Cluster *clusterManifest `json:"cluster,omitempty"`
}

// clusterManifest says whose part of a cluster's store a directory is.
type clusterManifest struct {
	// ID is that of the cluster, made when it forms; "" before.
	ID string `json:"id"`
	// Name is that of the node.
	Name string `json:"name"`
	// Stores are the names of all store nodes, as far as they are known.
	Stores []string `json:"stores"`
}

func newManifest(key string) *manifest {
	var random [8]byte
	rand.Read(random[:]) // never fails
	random[0] &= 0x7f    // begins with a letter
	id := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding).EncodeToString(random[:])[:nodeIDSize]
	m := &manifest{Format: format, Node: id, Streams: []string{}}
	m.Key = m.fingerprint(key)
	return m
}

// fingerprint depends on the node, so that equal keys do not look equal.
func (m *manifest) fingerprint(key string) string {
	if key == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("hoofbeat store " + m.Node))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func (m *manifest) isKey(key string) bool {
	return hmac.Equal([]byte(m.fingerprint(key)), []byte(m.Key))
}

// readManifest returns nil if there is none and the directory is empty.
func (d *directory) readManifest() (*manifest, error) {
	path := filepath.Join(d.path, manifestName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if d.importing() {
			return nil, dirError("an import into %s has not been completed: run `hoofbeat store import` again, or remove the directory", d.path)
		}
		if d.engineFiles() {
			return nil, dirError("%s has data, but no %s: it was not written by hoofbeat, or the file was removed. Restore the whole directory from a backup, or use an empty one", d.path, manifestName)
		}
		return nil, nil
	}
	if err != nil {
		return nil, dirError("%w", err)
	}
	// The version first: a newer manifest may have other fields.
	var version struct{ Format int }
	m := new(manifest)
	switch {
	case json.Unmarshal(data, &version) != nil || version.Format < 1:
		return nil, d.damaged()
	case version.Format > clusterFormat:
		return nil, dirError("%s was written by a newer version of hoofbeat (format %d, this version reads up to %d): use that version, or another directory. Nothing was changed", d.path, version.Format, clusterFormat)
	case json.Unmarshal(data, m) != nil || len(m.Node) != nodeIDSize:
		return nil, d.damaged()
	}
	return m, nil
}

func (d *directory) damaged() error {
	return dirError("%s is damaged: restore the whole directory from a backup. Nothing was changed", filepath.Join(d.path, manifestName))
}

func (d *directory) writeManifest(m *manifest) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return d.write(manifestName, append(bytes.TrimSpace(data), '\n'))
}

// checkKey says in words why a key does not open the directory.
func (m *manifest) checkKey(key string) error {
	switch {
	case m.isKey(key):
		return nil
	case m.Key == "":
		return keyError("the directory is not encrypted, but a key is given: remove the key, or begin with an empty directory, which is then encrypted")
	case key == "":
		return keyError("the directory is encrypted, but no key is given")
	}
	return keyError("the directory is encrypted with another key: give that one, or give it as the old key to change it")
}

// streamsOnDisk returns the names of the streams that have files.
func (d *directory) streamsOnDisk() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(d.path, streamsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := []string{}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") { // what is being deleted begins with a dot
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// missing returns the streams of the manifest that have no files.
func (s *Server) missing() ([]string, error) {
	there, err := s.dir.streamsOnDisk()
	if err != nil {
		return nil, err
	}
	s.files.Lock()
	defer s.files.Unlock()
	return without(s.manifest.Streams, there), nil
}

// remember keeps the names of the streams in the manifest. A stream that is gone
// from the disk but not from the engine was not deleted by the engine.
func (s *Server) remember(engine *server.Server) error {
	there, err := s.dir.streamsOnDisk()
	if err != nil {
		return err
	}
	s.files.Lock()
	defer s.files.Unlock()
	if slices.Equal(there, s.manifest.Streams) {
		return nil
	}
	if gone := without(s.manifest.Streams, there); len(gone) > 0 && engine != nil {
		known, err := streamsOf(engine)
		if err != nil {
			return err
		}
		for _, name := range gone {
			if known[name] {
				return fmt.Errorf("the files of %s were removed while the store was running", name)
			}
		}
	}
	next := *s.manifest
	next.Streams = there
	if err := s.dir.writeManifest(&next); err != nil {
		return fmt.Errorf("the list of streams cannot be kept: %w", err)
	}
	s.manifest = &next
	return nil
}

// without returns the names of all that are not in there.
func without(all, there []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(there, name) })
}
