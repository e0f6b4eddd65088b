package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/app"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

func (p *Program) storeExport() *cobra.Command {
	var load func() (*config.Config, error)
	s := &seal{program: p}
	a := &adminCall{program: p}
	cmd := &cobra.Command{
		Use:   "export [flags] FILE",
		Short: "Write everything in the store to a file",
		Long: `Write everything that the store keeps to FILE, or to standard output if FILE is "-": all
streams with their numbers, and what was delivered and not acknowledged. A file that exists
is not replaced. What is in a directory that store.key encrypts is in the file without that
key.

Without --from no broker may use the directory, which is store.dir of the configuration.
With --from URL it is the store of the broker whose admin API is there, as it is at one
moment: for that moment, half a second usually and five seconds at most, the broker stores
nothing and its receipts wait. The token of the admin API is HOOFBEAT_ADMIN_TOKEN, or in
--token-file, or where a broker of the same user keeps it.

` + sealHelp + `

FILE appears when it is complete. Whatever is written to standard output is refused by
import if it is not complete. Progress is on standard error.

` + exitHelp,
		Example: `  hoofbeat store export -c hoofbeat.yaml --passphrase-file secret.txt backup.age
  hoofbeat store export --from http://127.0.0.1:8081 backup.age
  hoofbeat store export --store-dir /var/lib/hoofbeat --plain - | zstd > backup.tar.zst`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.url != "" {
				return p.export(cmd.Context(), args[0], s, func(w io.Writer, progress func(embedded.Progress)) (*embedded.Report, error) {
					return a.exportStore(cmd.Context(), w, progress)
				})
			}
			c, err := load()
			if err != nil {
				return configError{err}
			}
			return p.export(cmd.Context(), args[0], s, func(w io.Writer, progress func(embedded.Progress)) (*embedded.Report, error) {
				return app.ExportStore(cmd.Context(), c, w, progress)
			})
		},
	}
	cmd.Flags().StringVar(&a.url, "from", "", "admin API of a running broker, such as "+defaultAdmin)
	cmd.Flags().StringVar(&a.tokenFile, "token-file", "", "file with the token of the admin API")
	cmd.Flags().BoolVar(&s.plain, "plain", false, "do not encrypt the file: whoever can read it can read all messages, tickets and logins")
	cmd.Flags().StringVar(&s.file, "passphrase-file", "", "file whose first line is the passphrase")
	load = p.settings(cmd)
	return cmd
}

func (p *Program) storeImport() *cobra.Command {
	var load func() (*config.Config, error)
	s := &seal{program: p}
	cmd := &cobra.Command{
		Use:   "import [flags] FILE",
		Short: "Make a store from the file of an export",
		Long: `Make the directory of the store (store.dir) from FILE, or from standard input if FILE is
"-". The directory must be empty; if it does not exist, it is made. With store.key it is
encrypted. The configuration should be that of the broker: store.disk must not be less than
it was.

` + sealHelp + `

The directory is accepted by serve only when the import is complete: the checksum of the
whole file was right, and everything is on the disk. If import fails, the directory is empty
again. If it was killed, run it again. Progress is on standard error.

Do not start the broker that was exported again after you have started one from its export:
tickets and messages that both have would be used twice.

` + exitHelp,
		Example: `  hoofbeat store import -c hoofbeat.yaml --passphrase-file secret.txt backup.age
  zstd -d < backup.tar.zst | hoofbeat store import --store-dir /var/lib/hoofbeat --plain -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := load()
			if err != nil {
				return configError{err}
			}
			return p.importStore(cmd.Context(), c, args[0], s)
		},
	}
	cmd.Flags().BoolVar(&s.plain, "plain", false, "accept a file that is not encrypted")
	cmd.Flags().StringVar(&s.file, "passphrase-file", "", "file whose first line is the passphrase")
	load = p.settings(cmd)
	return cmd
}

// export writes what from writes to a file, encrypted.
func (p *Program) export(ctx context.Context, name string, s *seal, from func(io.Writer, func(embedded.Progress)) (*embedded.Report, error)) error {
	to, err := p.target(name)
	if err != nil {
		return err
	}
	defer to.discard()
	w, err := s.writer(to)
	if err != nil {
		return err
	}
	r, err := from(w, p.progress("exported"))
	switch {
	case to.err != nil:
		return to.err
	case ctx.Err() != nil:
		return errInterrupted
	case errors.As(err, new(failure)):
		return err
	case err != nil:
		return storeFailure(err)
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := to.keep(); err != nil {
		return err
	}
	encrypted := "encrypted"
	if s.plain {
		encrypted = "not encrypted"
	}
	_, err = fmt.Fprintf(to.told, "%s: %s, %s\n", name, contents(r), encrypted)
	return err
}

// exportStore writes the export of a running broker to w.
func (a *adminCall) exportStore(ctx context.Context, w io.Writer, progress func(embedded.Progress)) (*embedded.Report, error) {
	body, err := a.open(ctx, http.MethodPost, "/api/v1/store/export")
	if err != nil {
		return nil, failure{err}
	}
	defer body.Close()
	in := &source{Reader: body}
	r, err := embedded.CopyExport(w, in, progress)
	if failed := in.failed(); failed != nil {
		err = fmt.Errorf("the broker did not complete the export, see its log: %w", failed)
	}
	if err != nil {
		return nil, failure{err}
	}
	return r, nil
}

// failure is an error that is not about the configuration.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func (p *Program) importStore(ctx context.Context, c *config.Config, name string, s *seal) error {
	in := &source{Reader: p.In}
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in.Reader = f
	}
	plain, err := s.reader(in)
	if err != nil {
		return err
	}
	r, err := app.ImportStore(ctx, c, plain, p.progress("imported"))
	switch bad := (*embedded.ExportError)(nil); {
	case in.failed() != nil:
		return in.failed()
	case ctx.Err() != nil:
		return errInterrupted
	case errors.As(err, &bad):
		return err
	case err != nil:
		return storeFailure(err)
	}
	encrypted := "not encrypted"
	if r.Key {
		encrypted = "encrypted with store.key"
	}
	_, err = fmt.Fprintf(p.Out, "%s: %s, %s\n", c.Store.Dir, contents(r), encrypted)
	return err
}

func contents(r *embedded.Report) string {
	var messages, bytes uint64
	for _, s := range r.Streams {
		messages += s.Messages
		bytes += s.Bytes
	}
	streams := "streams"
	if len(r.Streams) == 1 {
		streams = "stream"
	}
	return fmt.Sprintf("%d %s, %d messages, %d bytes", len(r.Streams), streams, messages, bytes)
}

// progressEvery is how often a long export or import says how far it is.
const progressEvery = 5 * time.Second

func (p *Program) progress(done string) func(embedded.Progress) {
	last := time.Now()
	return func(at embedded.Progress) {
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			fmt.Fprintf(p.Err, "hoofbeat: %s %d of %d streams, %d MiB; now %s\n", done, at.Done, at.Of, at.Bytes>>20, at.Stream)
		}
	}
}

// target is where an export goes. A file has another name until keep.
type target struct {
	io.Writer
	err  error     // why nothing can be written
	told io.Writer // where the result is reported
	file *os.File  // nil for standard output
	name string
}

func (p *Program) target(name string) (*target, error) {
	if name == "-" {
		if _, ok := terminal(p.Out); ok {
			return nil, usagef("an export is not for a terminal: write it to a FILE, or redirect standard output")
		}
		return &target{Writer: p.Out, told: p.Err}, nil
	}
	if _, err := os.Lstat(name); err == nil {
		return nil, usagef("%s exists: an export does not replace a file", name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".part-*") // mode 0600
	if err != nil {
		return nil, err
	}
	return &target{Writer: f, told: p.Out, file: f, name: name}, nil
}

func (t *target) Write(b []byte) (int, error) {
	n, err := t.Writer.Write(b)
	if err != nil {
		t.err = err
	}
	return n, err
}

// keep gives the file its name when it is on the disk.
func (t *target) keep() error {
	if t.file == nil {
		return nil
	}
	if err := t.file.Sync(); err != nil {
		return err
	}
	if err := t.file.Close(); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace a file that was made meanwhile.
	if err := os.Link(t.file.Name(), t.name); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: an export does not replace a file", t.name)
	} else if err != nil { // a file system without links
		if err := os.Rename(t.file.Name(), t.name); err != nil {
			return err
		}
	}
	dir, err := os.Open(filepath.Dir(t.name))
	if err != nil {
		return err
	}
	_ = dir.Sync() // not every system can
	return dir.Close()
}

// discard removes what was not kept, and the name before keep.
func (t *target) discard() {
	if t.file != nil {
		_ = t.file.Close() // it may be closed
		_ = os.Remove(t.file.Name())
	}
}
