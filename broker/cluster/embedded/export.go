//go:build !nostore

package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Export writes everything in a directory that no engine uses to w: an archive
// that [Import] makes an equal directory of. Sequences, metadata, consumers and
// what they have not acknowledged stay as they are. The archive is not
// encrypted, whether the directory is or not. progress may be nil.
//
// What has been written before an error, or before the process ended, is not
// accepted by Import.
func Export(ctx context.Context, o Options, w io.Writer, progress func(Progress)) (_ *Report, err error) {
	s, _, err := openExisting(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.export(ctx, w, progress)
}

// export writes all streams of a running engine, which nothing else may use.
func (s *Server) export(ctx context.Context, to io.Writer, progress func(Progress)) (*Report, error) {
	conn, err := s.Connect(nats.NoReconnect()) // another engine has no snapshot to go on with
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	report, limits, err := s.report(ctx, conn)
	if err != nil {
		return nil, err
	}
	header := exportHeader{Format: exportFormat, Made: time.Now().UTC().Truncate(time.Second), Node: report.Node, Limits: limits, Streams: []string{}}
	for _, stream := range report.Streams {
		header.Streams = append(header.Streams, stream.Name)
		header.Messages += stream.Messages
		header.Bytes += stream.Bytes
	}
	counted := &counter{w: to}
	w := newExportWriter(counted, header.Made)
	if err := w.json(headerName, header); err != nil {
		return nil, err
	}
	for i, name := range header.Streams {
		told := func() {
			if progress != nil {
				progress(Progress{Stream: name, Done: i, Of: len(header.Streams), Bytes: counted.n})
			}
		}
		told()
		if err := snapshot(ctx, conn, name, func(st exportStream) error { return w.begin(name, st) }, func(piece []byte) error {
			defer told()
			return w.piece(name, piece)
		}); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return report, w.end()
}

// CopyExport copies an export, and checks that it is complete and not damaged.
// An error about it is an [*ExportError]. progress may be nil.
func CopyExport(to io.Writer, from io.Reader, progress func(Progress)) (*Report, error) {
	counted := &countingReader{r: io.TeeReader(from, to)}
	r, err := newExportReader(counted)
	if err != nil {
		return nil, err
	}
	report := &Report{Format: exportFormat, Node: r.header.Node}
	ahead := false
	for i, name := range r.header.Streams {
		s, err := r.stream(name, ahead)
		if err != nil {
			return nil, err
		}
		var st streamState
		if err := json.Unmarshal(s.State, &st); err != nil {
			return nil, badExport("the export is damaged at %s: use another copy", name)
		}
		report.Streams = append(report.Streams, StreamReport{Name: name, Messages: st.Messages, Bytes: st.Bytes, Consumers: st.Consumers, First: st.First, Last: st.Last})
		for more := true; more; {
			if progress != nil {
				progress(Progress{Stream: name, Done: i, Of: len(r.header.Streams), Bytes: counted.n})
			}
			if more, err = r.piece(name); err != nil {
				return nil, err
			}
		}
		ahead = true
	}
	if !ahead {
		if err := r.next(); err != nil {
			return nil, err
		}
	}
	return report, r.checkEnd()
}

// report returns what the streams of an engine hold, without reading it, and the
// sum of their limits.
func (s *Server) report(ctx context.Context, conn *nats.Conn) (r *Report, limits int64, _ error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, 0, err
	}
	r = &Report{Format: s.manifest.Format, Node: s.node, Runs: s.runs, Key: s.manifest.Key != ""}
	all := js.ListStreams(ctx)
	for info := range all.Info() {
		st := info.State
		limits += max(info.Config.MaxBytes, 0)
		r.Streams = append(r.Streams, StreamReport{Name: info.Config.Name, Messages: st.Msgs, Bytes: st.Bytes, Consumers: st.Consumers, First: st.FirstSeq, Last: st.LastSeq})
	}
	slices.SortFunc(r.Streams, byName)
	return r, limits, all.Err()
}

// counter counts what is written to w.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
