//go:build !nostore

package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Check reads a directory that no engine uses, with all of its messages. Like
// every start, it completes what an interrupted process has left. An error says
// why the directory does not open.
func Check(ctx context.Context, o Options) (_ *Report, err error) {
	s, m, err := openExisting(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	conn, err := s.Connect()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	r := &Report{Format: m.Format, Node: m.Node, Runs: m.Runs, Key: m.Key != ""}
	for name := range js.StreamNames(ctx).Name() {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		one, err := checkStream(ctx, stream)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.Streams = append(r.Streams, one)
	}
	slices.SortFunc(r.Streams, byName)
	return r, ctx.Err()
}

// openExisting starts an engine for a directory that has a store. It does not
// count as a run.
func openExisting(ctx context.Context, o Options) (*Server, *manifest, error) {
	if !isDirectory(o.Dir) {
		return nil, nil, dirError("%s is not a directory", o.Dir)
	}
	o.Cluster = nil // its directories are refused
	s, err := newServer(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	s.checking = true
	m, err := s.dir.readManifest()
	if err == nil && m == nil {
		err = dirError("%s is empty", s.dir.path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.dir.close())
	}
	if err := s.begin(ctx); err != nil {
		return nil, nil, err
	}
	return s, m, nil
}

// checkStream reads all messages of a stream.
func checkStream(ctx context.Context, stream jetstream.Stream) (StreamReport, error) {
	info, err := stream.Info(ctx)
	if err != nil {
		return StreamReport{}, err
	}
	st := info.State
	r := StreamReport{Name: info.Config.Name, Messages: st.Msgs, Bytes: st.Bytes, Consumers: st.Consumers, First: st.FirstSeq, Last: st.LastSeq}
	var read uint64
	for seq := max(st.FirstSeq, 1); seq <= st.LastSeq && st.Msgs > 0; seq++ {
		_, err := stream.GetMsg(ctx, seq)
		var refused *jetstream.APIError
		switch {
		case err == nil:
			read++
		case errors.Is(err, jetstream.ErrMsgNotFound), errors.As(err, &refused): // it was removed, or cannot be read
		default:
			return r, err
		}
	}
	if read < st.Msgs {
		r.Damaged = st.Msgs - read
	}
	return r, nil
}

func byName(a, b StreamReport) int { return strings.Compare(a.Name, b.Name) }
