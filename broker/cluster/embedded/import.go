//go:build !nostore

package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// importName marks a directory into which an import has begun, until it has a
// manifest.
const importName = "importing"

// codeNoStorage is how the engine's API refuses a stream whose limit is more
// than what is left of Options.Disk.
const codeNoStorage = 10047

// Import makes a directory of what [Export] has written. The directory must be
// empty, or have been left by an import that was interrupted. It gets a node id
// of its own, and is encrypted if o.Key is set.
//
// The manifest, without which no engine uses the directory, is written last:
// after the checksum of the whole export was right, and everything is on the
// disk. After an error the directory is empty again.
//
// An error about the export is an [*ExportError]. progress may be nil.
func Import(ctx context.Context, o Options, from io.Reader, progress func(Progress)) (_ *Report, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	counted := &countingReader{r: newPatientReader(ctx, from)}
	r, err := newExportReader(counted)
	if err != nil {
		return nil, err
	}
	// Nobody is told that anything is stored before all is, so nothing but the
	// end must be synced.
	o.Cluster = nil
	o.SyncInterval, o.OldKey, o.Payload = maxImport, "", maxImportPayload
	s, err := newServer(ctx, o)
	if err != nil {
		return nil, err
	}
	defer s.end()
	if err := s.dir.beginImport(); err != nil {
		return nil, errors.Join(err, s.dir.close())
	}
	report, err := s.importFrom(ctx, r, func(name string, i int) {
		if progress != nil {
			progress(Progress{Stream: name, Done: i, Of: len(r.header.Streams), Bytes: counted.n})
		}
	})
	if err != nil {
		return nil, errors.Join(s.explain(err), s.dir.discardImport(), s.dir.close())
	}
	return report, s.dir.close()
}

const (
	maxImport = 24 * time.Hour
	// maxImportPayload is more than any message that a directory can have.
	maxImportPayload = 64 << 20
)

// importFrom restores all streams and completes the directory.
func (s *Server) importFrom(ctx context.Context, r *exportReader, progress func(string, int)) (*Report, error) {
	if err := s.checkDisk(r.header); err != nil {
		return nil, err
	}
	engine, err := s.launch(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.engine, s.run = engine, 1
	s.setState(nil)
	s.mu.Unlock()
	report, err := s.restoreAll(ctx, r, progress)
	if err := errors.Join(err, stop(engine, maxImport)); err != nil {
		return nil, err
	}
	if err := syncTree(filepath.Join(s.dir.path, engineDir)); err != nil {
		return nil, err
	}
	m := newManifest(s.o.Key)
	m.Streams = r.header.Streams
	report.Format, report.Node, report.Key = m.Format, m.Node, m.Key != ""
	if err := s.dir.writeManifest(m); err != nil {
		return nil, err
	}
	s.dir.endImport()
	return report, nil
}

func (s *Server) restoreAll(ctx context.Context, r *exportReader, progress func(string, int)) (*Report, error) {
	conn, err := s.Connect(nats.NoReconnect())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	report := new(Report)
	ahead := false // the next entry has been read
	for i, name := range r.header.Streams {
		progress(name, i)
		stream, err := r.stream(name, ahead)
		if err != nil {
			return nil, err
		}
		made, err := restore(ctx, conn, name, stream, func() ([]byte, error) {
			progress(name, i)
			if more, err := r.piece(name); err != nil {
				return nil, err
			} else if !more {
				return nil, io.EOF
			}
			return r.data, nil
		})
		if err != nil {
			return nil, fmt.Errorf("restoring %s: %w", name, err)
		}
		if err := made.check(name, stream); err != nil {
			return nil, err
		}
		st := made.State
		report.Streams = append(report.Streams, StreamReport{Name: name, Messages: st.Messages, Bytes: st.Bytes, Consumers: st.Consumers, First: st.First, Last: st.Last})
		ahead = true
	}
	if !ahead {
		if err := r.next(); err != nil {
			return nil, err
		}
	}
	return report, r.checkEnd()
}

// check compares a stream with what was exported. What has expired meanwhile is
// not restored, and neither is a message of a work queue that was acknowledged,
// but not removed yet, when the broker before was killed. That nothing else is
// missing says the hash of the whole export.
func (r *restored) check(name string, from exportStream) error {
	var was streamState
	if err := json.Unmarshal(from.State, &was); err != nil {
		return badExport("the export is damaged at %s: use another copy", name)
	}
	now := r.State
	if r.Config.AllowMsgSchedules && now.Last >= was.Last {
		return nil // what is due has been moved within the stream already
	}
	if now.Messages == 0 && was.Messages == 0 {
		now.First = was.First // an empty stream begins with 0 until it has had a message, or with 1
	}
	fewer := r.Config.MaxAge > 0 || r.Config.AllowMsgTTL || r.Config.Retention == "workqueue"
	if now.Last != was.Last || now.Messages > was.Messages || !fewer && (now.Messages != was.Messages || now.First != was.First) {
		return badExport("%s has %d messages with the numbers %d to %d after the import, but had %d, %d to %d: the export is damaged. Use another copy",
			name, now.Messages, now.First, now.Last, was.Messages, was.First, was.Last)
	}
	return nil
}

// checkDisk finds out at once what cannot end well.
func (s *Server) checkDisk(h exportHeader) error {
	if h.Limits > s.o.Disk {
		return &OptionError{Field: "Disk", Err: fmt.Errorf("is %s, and the streams of the export may take %s together: set it to %s or more", size(s.o.Disk), size(h.Limits), mebibytes(h.Limits))}
	}
	free, _, _, err := diskOf(s.dir.path)
	if err != nil || h.Bytes > 1<<62 {
		return nil // not known; the import finds out
	}
	if need := int64(h.Bytes) + int64(h.Bytes)/16 + 2<<20; free < need {
		return dirError("the disk of %s has %s left, and the import needs %s: use a larger one", s.dir.path, size(free), size(need))
	}
	return nil
}

// explain says what to do about an error of the engine.
func (s *Server) explain(err error) error {
	var refused *apiError
	if bad := (*ExportError)(nil); errors.As(err, &bad) || errors.Is(err, context.Canceled) {
		return err
	}
	free, _, files, statErr := diskOf(s.dir.path)
	switch {
	case errors.As(err, &refused) && refused.Code == codeNoStorage:
		return &OptionError{Field: "Disk", Err: fmt.Errorf("is %s, less than the streams of the export may take together: set it to the value of the broker that was exported", size(s.o.Disk))}
	case errors.Is(err, syscall.ENOSPC), strings.Contains(err.Error(), syscall.ENOSPC.Error()), statErr == nil && (free < 1<<20 || files == 0):
		return dirError("the disk of %s was full before the import was complete: use a larger one (%w)", s.dir.path, err)
	case errors.As(err, &refused):
		return badExport("the export is damaged: %v. Use another copy", err)
	}
	return err
}

// importing reports whether an import has begun and not been completed.
func (d *directory) importing() bool {
	_, err := os.Lstat(filepath.Join(d.path, importName))
	return err == nil
}

// beginImport marks an empty directory, and empties one of an import that was
// interrupted.
func (d *directory) beginImport() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return dirError("%w", err)
	}
	marked := d.importing()
	for _, e := range entries {
		switch name := e.Name(); {
		case name == lockName, name == importName, name == importName+".new", name == "lost+found":
		case marked && (name == engineDir || name == manifestName+".new"):
		case name == manifestName || name == engineDir:
			return dirError("%s has a store already: import into an empty directory. Nothing was changed", d.path)
		default:
			return dirError("%s is not empty (%s): import into an empty directory. Nothing was changed", d.path, name)
		}
	}
	if marked {
		if err := d.removeEngine(); err != nil {
			return dirError("%w", err)
		}
	}
	if err := d.write(importName, []byte("hoofbeat store import has not completed this directory\n")); err != nil {
		return diskError(d.path, err)
	}
	return nil
}

// removeEngine removes all that an import makes, except its mark.
func (d *directory) removeEngine() error {
	return errors.Join(
		removeFile(filepath.Join(d.path, manifestName)),
		os.RemoveAll(filepath.Join(d.path, engineDir)),
		removeFile(filepath.Join(d.path, manifestName+".new")),
	)
}

// discardImport leaves an empty directory. The mark goes last.
func (d *directory) discardImport() error {
	if err := d.removeEngine(); err != nil {
		return err
	}
	return errors.Join(removeFile(filepath.Join(d.path, importName)), removeFile(filepath.Join(d.path, importName+".new")))
}

// endImport removes the mark. With a manifest it means nothing any more.
func (d *directory) endImport() {
	_ = removeFile(filepath.Join(d.path, importName)) // see above
}

func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncTree waits until all files and names below a directory are on the disk.
func syncTree(path string) error {
	err := filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncDirectory(path) // a file is synced in the same way
	})
	if err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// countingReader counts what is read from r.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// patientReader reads ahead on a goroutine of its own, so that a reader that
// waits for a person or a network does not outlive its context.
type patientReader struct {
	ctx  context.Context
	from <-chan piece
	rest []byte
	err  error // after rest
}

// piece is what was read at once.
type piece struct {
	data []byte
	err  error
}

func newPatientReader(ctx context.Context, from io.Reader) *patientReader {
	pieces := make(chan piece)
	go func() {
		for {
			data := make([]byte, 64<<10)
			n, err := from.Read(data)
			select {
			case pieces <- piece{data[:n], err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return &patientReader{ctx: ctx, from: pieces}
}

func (r *patientReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		select {
		case got := <-r.from:
			r.rest, r.err = got.data, got.err
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
