package oauth

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// Errors of [OpenFileStore] that the operator must resolve.
var (
	// ErrStoreKey reports that the key is not 32 bytes long or is not the key
	// of the file or of the record, or that this is damaged.
	ErrStoreKey = errors.New("oauth: the stored tokens cannot be decrypted with this key")
	// ErrStoreMode reports that other accounts than the file's owner can read
	// or write the file.
	ErrStoreMode = errors.New("oauth: the token file is accessible to others than its owner; its mode has to be 0600")
)

// fileMagic begins the file and identifies its format version. It is
// authenticated with the content.
const fileMagic = "hoofbeat-tokens-1\n"

// FileStore is a [TokenStore] in one file, encrypted with AES-256-GCM. Each
// change rewrites the whole file and renames it into place, so that a crash
// leaves either the old or the new file. It suits some thousands of users: the
// tokens take at most [MaxStored] bytes of memory. Only one process may use the
// file at a time.
type FileStore struct {
	path string
	aead cipher.AEAD

	mu     sync.Mutex
	tokens tokens
}

var _ TokenStore = (*FileStore)(nil)

// OpenFileStore reads the file, which need not exist yet; its directory must
// exist. The key is 32 random bytes; keep it somewhere else. The error is
// [ErrStoreKey], [ErrStoreMode] or the file system's.
func OpenFileStore(path string, key []byte) (*FileStore, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	s := &FileStore{path: path, aead: aead, tokens: newTokens()}
	return s, s.read()
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, ErrStoreKey
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("oauth: token file: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("oauth: token file: %w", err)
	}
	return aead, nil
}

// fileEntry is one entry in the file.
type fileEntry struct {
	Key
	*Token
}

func (s *FileStore) read() error {
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("oauth: token file: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return ErrStoreMode
	}
	content, err := os.ReadFile(s.path)
	if err != nil {
		return fmt.Errorf("oauth: token file: %w", err)
	}
	sealed, ok := bytes.CutPrefix(content, []byte(fileMagic))
	if !ok {
		return ErrStoreKey
	}
	plain, err := s.aead.Open(nil, nil, sealed, []byte(fileMagic))
	if err != nil {
		return ErrStoreKey
	}
	var entries []fileEntry
	if err := json.Unmarshal(plain, &entries); err != nil {
		return ErrStoreKey
	}
	for _, e := range entries {
		if e.Token != nil {
			s.tokens.set(e.Key, e.Token)
		}
	}
	return nil
}

// Load returns the entry of k or [ErrNoToken].
func (s *FileStore) Load(_ context.Context, k Key) (*Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tokens.token(k); t != nil {
		return t, nil
	}
	return nil, ErrNoToken
}

// Update replaces the entry of k and writes the file. If writing fails, the
// entry does not change.
func (s *FileStore) Update(_ context.Context, k Key, change func(*Token) *Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.tokens.token(k)
	t := change(old)
	if t == old {
		return nil
	}
	next := s.tokens
	next.entries = maps.Clone(next.entries)
	next.set(k, t)
	if err := s.write(next.entries); err != nil {
		return fmt.Errorf("oauth: token file: %w", err)
	}
	s.tokens = next
	return nil
}

func (s *FileStore) madeRoom() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens.madeRoom()
}

func (s *FileStore) write(tokens map[Key]*stored) error {
	entries := make([]fileEntry, 0, len(tokens))
	for k, one := range tokens {
		entries = append(entries, fileEntry{k, one.token})
	}
	plain, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	return replaceFile(s.path, s.aead.Seal([]byte(fileMagic), nil, plain, []byte(fileMagic)))
}

// replaceFile atomically and durably replaces the file at path, with mode 0600.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // CreateTemp's mode is 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDirectory(filepath.Dir(path))
}

// syncDirectory makes a rename durable. Windows neither supports nor needs it.
func syncDirectory(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
