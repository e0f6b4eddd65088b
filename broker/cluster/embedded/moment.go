//go:build !nostore

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// momentName is the directory, within a store's, that has the store of one
// moment while that is exported.
const momentName = "moment"

const (
	// maxMoment is how long nothing is taken at most. It includes the wait for
	// what is being written.
	maxMoment = 4 * time.Second
	// restFor is how long no file must have changed. The engine writes the state
	// of consumers at most a quarter of a second late.
	restFor  = 400 * time.Millisecond
	restPoll = 50 * time.Millisecond
)

// Export writes everything in a running store to w, as [Export] does, as it was
// at one moment: what was acknowledged before is in the export, and nothing that
// came after.
//
// For that moment, four seconds at most and half a second usually, nothing that
// the connections of [Server.Connect] write reaches the engine. Afterwards the
// store is used as before; its files of that moment are kept until the export
// ends, in the same directory. They take the more room the more changes
// meanwhile.
//
// [Server.Close] ends the export, and does not wait until w takes what it was
// given. Export does, so w is not used any more when it returns.
//
// The store of a node of a cluster is not exported: no node has a moment of all.
func (s *Server) Export(ctx context.Context, w io.Writer, progress func(Progress)) (*Report, error) {
	if s.member != nil {
		return nil, errClusterExport
	}
	if !s.exporting.CompareAndSwap(false, true) {
		return nil, ErrExporting
	}
	defer s.exporting.Store(false)
	to := &leavingWriter{w: w}
	defer to.writing.Wait()
	return s.exportMoment(ctx, to, progress)
}

func (s *Server) exportMoment(ctx context.Context, w *leavingWriter, progress func(Progress)) (_ *Report, err error) {
	ctx, done, err := s.busy(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	w.ctx = ctx
	path := filepath.Join(s.dir.path, momentName)
	defer func() { err = errors.Join(err, os.RemoveAll(path)) }()
	if err := s.takeMoment(ctx, path); err != nil {
		return nil, err
	}
	o := s.o
	o.Dir, o.OldKey, o.Recovering = path, "", nil
	of, _, err := openExisting(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("opening the copy of the store: %w", err)
	}
	defer func() { err = errors.Join(err, of.Close()) }()
	return of.export(ctx, w, progress)
}

// leavingWriter writes to w on goroutines of its own, so that a writer that waits
// for a network does not outlive its context. After that it must not be used.
type leavingWriter struct {
	ctx     context.Context
	w       io.Writer
	data    []byte
	writing sync.WaitGroup
}

func (l *leavingWriter) Write(p []byte) (int, error) {
	if l.ctx.Err() != nil {
		return 0, context.Cause(l.ctx)
	}
	type result struct {
		n   int
		err error
	}
	l.data = append(l.data[:0], p...) // p may change when Write has returned
	done := make(chan result, 1)
	l.writing.Go(func() {
		n, err := l.w.Write(l.data)
		done <- result{n, err}
	})
	select {
	case r := <-done:
		return r.n, r.err
	case <-l.ctx.Done():
		return 0, context.Cause(l.ctx)
	}
}

// errClusterExport says what is there instead: no node has a moment of all.
var errClusterExport = errors.New("the store of a cluster is not exported: it is kept on several nodes, and a node with an empty directory gets everything from the others")

// busy makes Close wait until done is called, and Close ends the context.
func (s *Server) busy(ctx context.Context) (_ context.Context, done func(), err error) {
	if err := s.State().Err; err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errClosed
	}
	s.working.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(errClosed) })
	return ctx, func() { stop(); cancel(nil); s.working.Done() }, nil
}

// takeMoment copies the directory as it is at one moment.
func (s *Server) takeMoment(ctx context.Context, to string) error {
	if err := s.gate.close(time.Second); err != nil {
		return err
	}
	defer s.gate.open()
	// The manifest must not change either.
	s.files.Lock()
	defer s.files.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, maxMoment, errors.New("the store did not come to rest: export it again, or stop the broker and export the directory"))
	defer cancel()
	for {
		before, err := s.rest(ctx)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		err = s.dir.copyTo(to)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a file that has just been removed is a change
			return err
		}
		after, listErr := s.dir.list()
		if listErr != nil {
			return listErr
		}
		if err == nil && maps.Equal(before, after) {
			return nil
		}
	}
}

// rest waits until no file of the engine has changed for a while, and returns
// them.
func (s *Server) rest(ctx context.Context) (map[string]stamp, error) {
	tick := time.NewTicker(restPoll)
	defer tick.Stop()
	var last map[string]stamp
	var since time.Time
	for {
		now, err := s.dir.list()
		if err != nil {
			return nil, err
		}
		if last == nil || !maps.Equal(now, last) {
			last, since = now, time.Now()
		} else if time.Since(since) >= restFor {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// stamp tells a file that was changed from one that was not.
type stamp struct {
	size int64
	time time.Time
}

// list returns the files of the engine.
func (d *directory) list() (map[string]stamp, error) {
	all := make(map[string]stamp)
	err := d.walk(func(name string, info fs.FileInfo) error {
		all[name] = stamp{info.Size(), info.ModTime()}
		return nil
	})
	return all, err
}

// walk calls f for each file of the engine. Files that vanish meanwhile are
// left out.
func (d *directory) walk(f func(name string, info fs.FileInfo) error) error {
	return filepath.WalkDir(filepath.Join(d.path, engineDir), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(d.path, path)
		if err != nil {
			return err
		}
		return f(name, info)
	})
}

// copyTo makes a directory with the same files. The engine writes a block of
// messages only while it is the last of its stream, and replaces all other
// files: so every other block is the same file under a second name, whatever
// its size, and only the rest is copied.
func (d *directory) copyTo(to string) error {
	last := make(map[string]string) // of each directory
	if err := d.walk(func(name string, _ fs.FileInfo) error {
		if dir := filepath.Dir(name); filepath.Ext(name) == blockExt && longerOrLater(name, last[dir]) {
			last[dir] = name
		}
		return nil
	}); err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	err := d.walk(func(name string, _ fs.FileInfo) error {
		from, to := filepath.Join(d.path, name), filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if filepath.Ext(name) == blockExt && name != last[filepath.Dir(name)] && os.Link(from, to) == nil {
			return nil
		}
		return copyFile(from, to)
	})
	if err != nil {
		return err
	}
	return copyFile(filepath.Join(d.path, manifestName), filepath.Join(to, manifestName))
}

// blockExt ends the names of blocks, which are numbers without leading zeros.
const blockExt = ".blk"

func longerOrLater(name, than string) bool {
	return len(name) > len(than) || len(name) == len(than) && name > than
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
