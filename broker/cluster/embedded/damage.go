//go:build !nostore

package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/crypto/chacha20poly1305"
)

// restoreIt is what to do about damage.
const restoreIt = "Restore the whole directory from a backup"

// checkFiles finds what the engine would take for nothing: a key that cannot be
// decrypted empties a stream, and metadata of a consumer that is gone or empty
// makes it begin anew, or the engine end. What a process that was killed leaves
// is no damage: a block or a consumer that it has just begun.
func (s *Server) checkFiles() error {
	if s.manifest != nil && s.manifest.Damage != "" {
		return dirError("%s is damaged: %s. %s", s.dir.path, s.manifest.Damage, s.remedy())
	}
	base := filepath.Join(s.dir.path, engineDir)
	err := filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && e.Name() == "$SYS" {
			return fs.SkipDir // of the cluster: the others have it, too
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(base, path)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		switch {
		case filepath.Ext(path) == ".key":
			return checkKeyFile(path, filepath.ToSlash(name), s.o.Key)
		case e.Name() == server.JetStreamMetaFile && info.Size() == 0:
			return errors.New(name + " is empty")
		case filepath.Ext(path) == blockExt && info.Size() > 0 && s.o.Key != "":
			return wants(strings.TrimSuffix(path, blockExt)+".key", name)
		case e.Name() == "o.dat":
			return errors.Join(wants(filepath.Join(dir, server.JetStreamMetaFile), name), wants(filepath.Join(dir, server.JetStreamMetaFileSum), name))
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dirError("%s is damaged: %w. %s", s.dir.path, err, s.remedy())
	}
	return nil
}

// remedy is what to do about damage.
func (s *Server) remedy() string {
	if s.member != nil {
		return "Begin with an empty directory, under the same name: the other store nodes have what it held"
	}
	return restoreIt
}

// wants checks that a file is there, without which another one is nothing.
func wants(path, of string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has no %s", of, filepath.Base(path))
	}
	return nil
}

// checkKeyFile checks that the key opens the key of a file.
func checkKeyFile(path, name, key string) error {
	account, asset, err := keyedAsset(name)
	if err != nil {
		return nil // it is none of the engine's, which ignores it
	}
	wrapped, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sealer, err := chacha20poly1305.NewX(wrappingKey(key, account, asset))
	if err != nil {
		return err
	}
	if n := sealer.NonceSize(); len(wrapped) >= n {
		if _, err := sealer.Open(nil, wrapped[:n], wrapped[n:], nil); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s cannot be decrypted", name)
}

// checkEnds compares each stream with the number of its last message when the
// directory was last closed. Numbers never go down: a stream that ends earlier
// has lost its end.
func (s *Server) checkEnds(engine *server.Server) error {
	if len(s.ends) == 0 {
		return nil
	}
	ends := endsOf(engine)
	for name, was := range s.ends {
		if now, ok := ends[name]; ok && now < was {
			text := fmt.Sprintf("%s ends with the number %d, and had %d", name, now, was)
			return errors.Join(dirError("%s is damaged: %s. %s", s.dir.path, text, s.remedy()), s.keepDamage(text))
		}
	}
	return nil
}

// keepDamage has the next start refuse the directory, too.
func (s *Server) keepDamage(text string) error {
	s.files.Lock()
	defer s.files.Unlock()
	next := *s.manifest
	next.Damage = text
	s.manifest = &next
	if err := s.dir.writeManifest(&next); err != nil {
		return diskError(s.dir.path, err)
	}
	return nil
}

// endsOf returns the number of the last message of each stream on disk.
func endsOf(engine *server.Server) map[string]uint64 {
	ends := make(map[string]uint64)
	info, err := engine.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Config: true})
	if err != nil {
		return ends // only for options that are wrong
	}
	for _, a := range info.AccountDetails {
		for _, stream := range a.Streams {
			if stream.Config != nil && stream.Config.Storage == server.FileStorage {
				ends[stream.Name] = stream.State.LastSeq
			}
		}
	}
	return ends
}

// closeManifest keeps the ends of all streams for the next start. The engine has
// stopped and written all its indexes, so the next one must find them to be
// true.
func (s *Server) closeManifest(ends map[string]uint64) error {
	if len(ends) == 0 || s.member != nil { // in a cluster they can go down
		return nil
	}
	next := *s.manifest
	next.Ends = ends
	return s.dir.writeManifest(&next)
}
