package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"filippo.io/age"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

const (
	// minPassphrase is far below what is good, and above what is a mistake.
	minPassphrase = 12
	maxPassphrase = 4096
	// sealWork is what a guess costs: scrypt with N = 2^17 and r = 8 takes about
	// half a second and 128 MiB.
	sealWork = 17
	// maxSealWork bounds what a file can make us spend: 1 GiB.
	maxSealWork = 20
	sealIntro   = "age-encryption.org/v1\n"
)

// seal is how the file of an export is encrypted: with a passphrase, in the
// format of age, or not at all.
type seal struct {
	program *Program
	plain   bool
	file    string // of the passphrase
}

const sealHelp = `The file is encrypted with a passphrase, in the format of age (age-encryption.org): the
first line of --passphrase-file, or HOOFBEAT_EXPORT_PASSPHRASE, or the terminal is asked.`

// passphrase reads the passphrase. twice has a person write it again.
func (s *seal) passphrase(twice bool) (string, error) {
	var text string
	switch fd, ok := terminal(s.program.In); {
	case s.file != "":
		data, err := config.ReadPrivate(s.file, 64<<10)
		if err != nil {
			return "", fmt.Errorf("the passphrase: %w", err)
		}
		text, _, _ = strings.Cut(string(data), "\n")
		text = strings.TrimSuffix(text, "\r")
	case s.program.getenv(config.EnvExportPassphrase) != "":
		text = s.program.getenv(config.EnvExportPassphrase)
	case ok:
		var err error
		if text, err = s.program.ask(fd, "Passphrase of the export: "); err != nil {
			return "", err
		}
		if twice {
			again, err := s.program.ask(fd, "Once more: ")
			if err != nil {
				return "", err
			}
			if again != text {
				return "", errors.New("the passphrases differ")
			}
		}
	case !twice:
		return "", usagef("the export is encrypted: give its passphrase with --passphrase-file or %s", config.EnvExportPassphrase)
	default:
		return "", usagef("the passphrase is missing: give --passphrase-file or %s, or --plain for a file that is not encrypted", config.EnvExportPassphrase)
	}
	if n := len(text); n < minPassphrase || n > maxPassphrase {
		return "", usagef("the passphrase has %d bytes: want %d to %d", n, minPassphrase, maxPassphrase)
	}
	return text, nil
}

// writer returns what encrypts for w. Nothing is complete before Close.
func (s *seal) writer(w io.Writer) (io.WriteCloser, error) {
	if s.plain {
		return unsealed{w}, nil
	}
	passphrase, err := s.passphrase(true)
	if err != nil {
		return nil, err
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(sealWork)
	return age.Encrypt(w, recipient)
}

// unsealed is a file that is not encrypted.
type unsealed struct{ io.Writer }

func (unsealed) Close() error { return nil }

// reader returns what decrypts a file. It accepts a file that is not encrypted
// only if that was said: otherwise whoever can replace the file could replace
// what is in it.
func (s *seal) reader(in *source) (io.Reader, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	intro, err := buffered.Peek(len(sealIntro))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(intro, []byte(sealIntro)) {
		if !s.plain {
			return nil, errors.New("the file is not encrypted, or it is no export: give --plain if that is what you expect")
		}
		return buffered, nil
	}
	passphrase, err := s.passphrase(false)
	if err != nil {
		return nil, err
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	identity.SetMaxWorkFactor(maxSealWork)
	plain, err := age.Decrypt(buffered, identity)
	var mismatch *age.NoIdentityMatchError
	switch {
	case in.failed() != nil:
		return nil, in.failed()
	case errors.As(err, &mismatch):
		return nil, errors.New("the passphrase is wrong")
	case err != nil:
		return nil, errDamagedExport
	}
	return &opened{Reader: plain, from: in}, nil
}

var errDamagedExport = &embedded.ExportError{Text: "the export is damaged or truncated: use another copy"}

// source remembers why it cannot be read. An import that has failed may still wait
// for what it reads, so failed may be called during Read.
type source struct {
	io.Reader
	mu  sync.Mutex
	err error
}

// failed returns why the source cannot be read, or nil.
func (s *source) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
	return n, err
}

// opened is a file that was encrypted. An error that is not that of the source
// says that it was changed or cut.
type opened struct {
	io.Reader
	from *source
}

func (o *opened) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && o.from.failed() == nil {
		err = errDamagedExport
	}
	return n, err
}
