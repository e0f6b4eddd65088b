//go:build !nostore

package embedded

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// rekeyDir has the new key files until they are put in place.
const rekeyDir = "rekey"

// Rekey encrypts a directory that OldKey opens with Key, and reports whether
// there was anything to do. No engine may use the directory. Whenever the
// process ends meanwhile, the directory opens with OldKey, or with Key at the
// next start. [Start] does the same if OldKey is given.
//
// Each file is encrypted with a random key of its own, and only that is
// encrypted anew. So it takes no time to speak of, and what was written before
// stays readable for somebody who has the old key and copies of the old files.
func Rekey(ctx context.Context, o Options) (changed bool, err error) {
	if o.Key == "" || o.OldKey == "" {
		return false, keyError("and OldKey are both required")
	}
	s, err := newServer(ctx, o)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.dir.close()) }()
	m, err := s.dir.readManifest()
	if err != nil {
		return false, err
	}
	if m == nil {
		return false, dirError("%s is empty", s.dir.path)
	}
	before := m.Key
	if err := s.rekey(ctx, m); err != nil {
		return false, err
	}
	if err := m.checkKey(o.Key); err != nil {
		return false, err
	}
	return m.Key != before, nil
}

// rekey ends a change of the key that was interrupted, and begins the one that
// the options ask for.
func (s *Server) rekey(ctx context.Context, m *manifest) error {
	if m.Rekeying != "" {
		if err := s.dir.putKeys(m); err != nil {
			return dirError("%w", err)
		}
	}
	if s.o.OldKey == "" || m.Key == "" || m.isKey(s.o.Key) {
		return nil
	}
	if !m.isKey(s.o.OldKey) {
		return keyError("the directory is encrypted with another key, which is neither this one nor the old one")
	}
	if s.o.Key == "" {
		return keyError("an old key is given, but no key to change to")
	}
	// The engine tidies up after a crash, and shows that everything can be read.
	old := &Server{o: s.o, log: s.log, dir: s.dir, manifest: m}
	old.o.Key = s.o.OldKey
	engine, err := old.start(ctx)
	if err != nil {
		return err
	}
	if err := stop(engine, stopTimeout); err != nil {
		return err
	}
	if err := s.dir.wrapKeys(s.o.OldKey, s.o.Key); err != nil {
		return dirError("changing the key of %s: %w. It still opens with the old key", s.dir.path, err)
	}
	m.Rekeying = m.fingerprint(s.o.Key)
	if err := s.dir.writeManifest(m); err != nil {
		return dirError("%w", err)
	}
	if err := s.dir.putKeys(m); err != nil {
		return dirError("%w", err)
	}
	s.log.line(slog.LevelWarn, "the store is now encrypted with the new key: remove the old one", nil)
	return nil
}

// wrapKeys writes each key file, encrypted with the new key, below rekeyDir.
func (d *directory) wrapKeys(old, key string) error {
	base := filepath.Join(d.path, engineDir)
	staged := filepath.Join(d.path, rekeyDir)
	if err := os.RemoveAll(staged); err != nil {
		return err
	}
	return filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".key" {
			return err
		}
		name, err := filepath.Rel(base, path)
		if err != nil {
			return err
		}
		account, asset, err := keyedAsset(filepath.ToSlash(name))
		if err != nil {
			return err
		}
		wrapped, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if wrapped, err = rewrap(wrapped, wrappingKey(old, account, asset), wrappingKey(key, account, asset)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		to := filepath.Join(staged, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return writeSynced(to, wrapped)
	})
}

// keyedAsset returns the account of a key file of the engine, and the name of
// what it encrypts: a stream, a block of messages or a consumer.
func keyedAsset(name string) (account, asset string, err error) {
	parts := strings.Split(name, "/")
	if len(parts) > 3 && parts[1] == "streams" {
		account, stream := parts[0], parts[2]
		switch rest := parts[3:]; {
		case len(rest) == 1 && rest[0] == "meta.key":
			return account, stream, nil
		case len(rest) == 2 && rest[0] == "msgs":
			return account, stream + ":" + strings.TrimSuffix(rest[1], ".key"), nil
		case len(rest) == 3 && rest[0] == "obs" && rest[2] == "meta.key":
			return account, stream + "." + rest[1], nil
		}
	}
	return "", "", fmt.Errorf("%s is not known", name)
}

// wrappingKey is what the engine encrypts the key of an asset with.
func wrappingKey(key, account, asset string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(account + asset))
	return mac.Sum(nil)
}

// rewrap decrypts the key in a file and encrypts it with another. The nonce
// stays: the engine uses it for the asset, too.
func rewrap(wrapped, old, key []byte) ([]byte, error) {
	from, err := chacha20poly1305.NewX(old)
	if err != nil {
		return nil, err
	}
	var to cipher.AEAD
	if to, err = chacha20poly1305.NewX(key); err != nil {
		return nil, err
	}
	if len(wrapped) < from.NonceSize() {
		return nil, errors.New("is damaged")
	}
	nonce := wrapped[:from.NonceSize()]
	plain, err := from.Open(nil, nonce, wrapped[len(nonce):], nil)
	if err != nil {
		return nil, errors.New("the old key does not open it")
	}
	return to.Seal(bytes.Clone(nonce), nonce, plain, nil), nil
}

// putKeys puts the key files in place that a manifest has committed to.
func (d *directory) putKeys(m *manifest) error {
	base, staged := filepath.Join(d.path, engineDir), filepath.Join(d.path, rekeyDir)
	changed := make(map[string]bool)
	err := filepath.WalkDir(staged, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(staged, path)
		if err != nil {
			return err
		}
		to := filepath.Join(base, name)
		changed[filepath.Dir(to)] = true
		return os.Rename(path, to)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // not there: all were in place before the interruption
		return err
	}
	for dir := range changed {
		if err := syncDirectory(dir); err != nil {
			return err
		}
	}
	m.Key, m.Rekeying = m.Rekeying, ""
	return errors.Join(d.writeManifest(m), os.RemoveAll(staged))
}
